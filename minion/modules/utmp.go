package modules

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"runtime"

	"github.com/gosalt/gosalt/internal/module"
)

// session is someone who is logged in (utmp(5)).
type session struct {
	user, terminal, host string
	started              float64 // seconds since 1970
	pid                  int
}

// loggedIn reads who is logged in. A system without the file, as most containers are,
// has nobody.
func loggedIn(c *module.Call) ([]session, error) {
	if err := linuxOnly("who is logged in"); err != nil {
		return nil, err
	}
	b, err := os.ReadFile(c.Host.Path("/run/utmp"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, module.Failf("%w", err)
	}
	return readUtmp(b, runtime.GOARCH), nil
}

// readUtmp reads the records. On most machines the session's number and the time take
// 32 bits each, also where numbers have 64; on the others they do not.
func readUtmp(b []byte, arch string) []session {
	const userProcess = 7
	size, timeAt := 384, 340
	wide := arch == "arm64" || arch == "riscv64" || arch == "loong64"
	if wide {
		size, timeAt = 400, 344
	}
	text := func(b []byte) string {
		b, _, _ = bytes.Cut(b, []byte{0})
		return string(b)
	}
	var out []session
	for ; len(b) >= size; b = b[size:] {
		if int16(binary.NativeEndian.Uint16(b)) != userProcess {
			continue
		}
		s := session{user: text(b[44:76]), terminal: text(b[8:40]), host: text(b[76:332]), pid: int(int32(binary.NativeEndian.Uint32(b[4:])))}
		if wide {
			s.started = float64(binary.NativeEndian.Uint64(b[timeAt:]))
		} else {
			s.started = float64(binary.NativeEndian.Uint32(b[timeAt:]))
		}
		out = append(out, s)
	}
	return out
}
