package modules

import (
	"context"
	"os"
	"strconv"
	"strings"

	"github.com/gosalt/gosalt/internal/lazyre"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

// ethtool is where Salt looks for the program.
const ethtool = "/sbin/ethtool"

type networkIfaceArgs struct {
	Iface string // Name of the interface.
}

// bufsizeLine is a line of ethtool -g with a number.
var bufsizeLine = lazyre.New(`^(.+):\s+(\d+)$`)

// networkGetBufsize returns the sizes of an interface's buffers, and with -max the largest
// that are possible, as ethtool tells them; nothing where there is no ethtool.
//
//	gosalt '*' network.get_bufsize eth0
func networkGetBufsize(ctx context.Context, c *module.Call, a networkIfaceArgs) (*wire.Map, error) {
	if _, err := os.Stat(ethtool); err != nil {
		return wire.NewMap(), nil
	}
	out, err := runProgram(ctx, c, ethtool, "-g", a.Iface)
	if err != nil {
		return nil, err
	}
	return bufsizes(out.Text("stdout"), out.Text("stderr")), nil
}

// bufsizes reads the output of ethtool -g.
func bufsizes(stdout, stderr string) *wire.Map {
	ret, suffix := wire.NewMap("result", false), "max-"
	for line := range strings.Lines(stdout) {
		line = strings.TrimRight(line, "\r\n")
		if m := bufsizeLine.FindStringSubmatch(line); m != nil {
			n, _ := strconv.ParseInt(m[2], 10, 64)
			ret.Set(strings.ReplaceAll(strings.ToLower(m[1]), " ", "-")+suffix, n)
			ret.Set("result", true)
		} else if strings.HasSuffix(line, "maximums:") {
			suffix = "-max"
		} else if strings.HasSuffix(line, "settings:") {
			suffix = ""
		}
	}
	if !ret.Bool("result") {
		ret.Set("comment", strings.TrimSpace(stdout+"\n"+stderr))
	}
	return ret
}

type networkModBufsizeArgs struct {
	Iface  string    // Name of the interface.
	Args   []any     `arg:"*"`  // Of no use: sizes are given by their names.
	Kwargs *wire.Map `arg:"**"` // rx, tx, rx-mini, rx-jumbo: how many entries.
}

// networkModBufsize sets the sizes of an interface's buffers with ethtool; False where there
// is none.
//
//	gosalt '*' network.mod_bufsize eth0 tx=512 rx=512
func networkModBufsize(ctx context.Context, c *module.Call, a networkModBufsizeArgs) (any, error) {
	if _, err := os.Stat(ethtool); err != nil {
		return false, nil
	}
	ret := wire.NewMap("result", false, "comment", "Requires rx=<val> tx==<val> rx-mini=<val> and/or rx-jumbo=<val>")
	if len(a.Args) > 0 {
		var words []string
		for _, v := range a.Args {
			words = append(words, pytext.Str(v))
		}
		ret.Set("comment", "Unknown arguments: "+strings.Join(words, " "))
		return ret, nil
	}
	var words []string
	for _, kw := range []string{"rx", "tx", "rx-mini", "rx-jumbo"} {
		if v, ok := a.Kwargs.Get(kw); ok && v != nil {
			words = append(words, kw, pytext.Str(v))
		}
	}
	if len(words) == 0 {
		return ret, nil
	}
	args := []any{ethtool, "-G", a.Iface}
	for _, w := range words {
		args = append(args, w)
	}
	out, err := runProgram(ctx, c, args...)
	if err != nil {
		return nil, err
	}
	if text := strings.TrimSpace(out.Text("stdout") + out.Text("stderr")); text != "" {
		ret.Set("comment", text)
	} else {
		ret.Set("comment", strings.Join(words, " "))
		ret.Set("result", true)
	}
	return ret, nil
}
