package cli

import (
	"fmt"
	"hash/fnv"
	"io"
	"strings"

	"github.com/gosalt/gosalt/cli/output"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

// maxLivePrefix is how wide the column of minion ids may get.
const maxLivePrefix = 32

// liveColors tell minions apart: colours that are readable on dark and on light.
var liveColors = []string{"36", "33", "32", "35", "34", "1;36", "1;33", "1;32", "1;35", "1;34"}

// liveLine is one thing that is shown of a report.
type liveLine struct {
	stream, text string
	dropped      int64
	state        *wire.Map
}

// progressLines takes a report apart.
func progressLines(p *wire.Progress) []liveLine {
	var out []liveLine
	for _, v := range p.Items {
		m, ok := v.(*wire.Map)
		if !ok {
			continue
		}
		if n := m.Int("dropped"); n > 0 {
			out = append(out, liveLine{dropped: n})
		}
		if ret := m.Map("ret"); ret != nil {
			out = append(out, liveLine{state: ret})
		}
		for _, stream := range []string{"stdout", "stderr"} {
			if m.Has(stream) {
				for line := range strings.SplitSeq(m.Text(stream), "\n") {
					out = append(out, liveLine{stream: stream, text: line})
				}
			}
		}
	}
	return out
}

// livePrinter writes live lines, each after the name of its minion.
type livePrinter struct {
	w     io.Writer
	color bool
	raw   bool // escape sequences of the command are passed on
	width int
}

// newLivePrinter writes beside the results where people read them, and to standard
// error where a program does.
func (g *gosaltRun) newLivePrinter(minions []string) *livePrinter {
	return livePrinterOf(g.out, g.status.Writer(g.io.Out), g.status.Writer(g.io.Err), minions)
}

func livePrinterOf(o output.Options, stdout, stderr io.Writer, ids []string) *livePrinter {
	l := &livePrinter{w: stdout, color: o.Color, raw: o.KeepEscapes}
	switch o.Out {
	case "", "nested", "txt", "text", "highstate", "quiet", "no_return":
	default:
		if o.File == "" {
			l.w = stderr
		}
	}
	for _, id := range ids {
		l.width = max(l.width, len(id))
	}
	l.width = min(l.width, maxLivePrefix)
	return l
}

func (l *livePrinter) print(id string, p *wire.Progress) error {
	var b strings.Builder
	for _, line := range progressLines(p) {
		mark, code, text := "|", "", line.text
		switch {
		case line.state != nil:
			mark, text = "=", stateLine(line.state)
		case line.dropped > 0:
			mark, code = "~", "1;30"
			text = fmt.Sprintf("(%d lines are not shown live: they could not be passed on in time)", line.dropped)
		case line.stream == "stderr":
			mark, code = "!", "31"
		}
		text = l.clean(text)
		name := fmt.Sprintf("%-*s", l.width, id)
		if !l.color {
			fmt.Fprintf(&b, "%s %s %s\n", name, mark, text)
			continue
		}
		fmt.Fprintf(&b, "\x1b[0;%sm%s %s\x1b[0m ", liveColor(id), name, mark)
		if code != "" {
			text = "\x1b[0;" + code + "m" + text + "\x1b[0m"
		}
		b.WriteString(text + "\n")
	}
	_, err := io.WriteString(l.w, b.String())
	return err
}

// liveColor is always the same for a minion.
func liveColor(id string) string {
	h := fnv.New32a()
	_, _ = h.Write([]byte(id))
	return liveColors[h.Sum32()%uint32(len(liveColors))]
}

// clean keeps a line from driving the terminal: a tab is the only control character
// that is passed on.
func (l *livePrinter) clean(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t', r == '\x1b' && l.raw, r >= 0x20 && r < 0x7f, r > 0x9f:
			return r
		case r == '\x1b':
			return '?'
		}
		return -1
	}, s)
}

// stateLine says in one line how a state ended.
func stateLine(ret *wire.Map) string {
	word := "Failed"
	result, _ := ret.Get("result")
	switch {
	case result == true && ret.Map("changes").Len() > 0:
		word = "Changed"
	case result == true:
		word = "Clean"
	case result == nil:
		word = "Differs"
	}
	name := ret.Text("__id__")
	if name == "" {
		name = ret.Text("name")
	}
	comment := ""
	if c, ok := ret.Get("comment"); ok && c != nil {
		comment, _, _ = strings.Cut(pytext.Str(c), "\n")
	}
	if comment != "" {
		comment = " - " + comment
	}
	return fmt.Sprintf("%s: %s%s", name, word, comment)
}
