package roster

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/gosalt/gosalt/internal/render/saltyaml"
	"github.com/gosalt/gosalt/protocol/wire"
	"github.com/gosalt/gosalt/ssh"
)

// Append writes a machine at the end of a flat roster, as --update-roster wants it. By
// names who added it, for a comment.
func Append(path string, h ssh.Host, by string) error {
	fail := func(err error) error {
		return &Error{Source: path, Host: h.ID, Msg: "add the machine: " + err.Error(), Err: err}
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return fail(err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFile))
	if err != nil {
		return fail(err)
	}
	entry := wire.NewMap("host", h.Host)
	if h.User != "" {
		entry.Set("user", h.User)
	}
	if h.Port != 0 {
		entry.Set("port", int64(h.Port))
	}
	if !h.Passwd.Empty() {
		entry.Set("passwd", h.Passwd.Reveal())
	}
	text := fmt.Sprintf("# Automatically added by %q at %s\n%s", by, time.Now().UTC().Format("2006-01-02T15:04:05"), saltyaml.YAML(wire.NewMap(h.ID, entry), false))
	if len(b) > 0 && !bytes.HasSuffix(b, []byte("\n")) {
		text = "\n" + text
	}
	if _, err := f.WriteString(text); err != nil {
		return fail(err)
	}
	if err := f.Sync(); err != nil {
		return fail(err)
	}
	return nil
}
