package decrypt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// gpgTime bounds one run of gpg that nothing else bounds: an agent that waits for a
// passphrase would never end.
const gpgTime = 30 * time.Second

// openGPG runs the program as Salt does, so that its keyrings, agents and smart cards
// serve here too.
func (d *Decrypter) openGPG(ctx context.Context, block string, most int) ([]byte, error) {
	program := d.o.GPGProgram
	if program == "" {
		program = "gpg"
	}
	program, err := exec.LookPath(program)
	if err != nil {
		return nil, fmt.Errorf("GPG unavailable: the program gpg is not installed: %w", err)
	}
	if d.o.GPGDir != "" {
		if err := readable(d.o.GPGDir); err != nil {
			return nil, fmt.Errorf("the directory of gpg's keys (gpg_keydir): %w", err)
		}
	}
	ctx, cancel := context.WithTimeoutCause(ctx, gpgTime, fmt.Errorf("gpg did not end within %s: does a key wait for its passphrase?", gpgTime))
	defer cancel()
	cmd := exec.CommandContext(ctx, program, "--homedir", d.o.GPGDir, "--status-fd", "2", "--no-tty", "--batch", "-d")
	if d.o.GPGDir == "" {
		cmd.Args = slices.Delete(cmd.Args, 1, 3)
	}
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	cmd.Stdin = strings.NewReader(block)
	out := &limited{most: most}
	var messages limited
	messages.most = 64 << 10
	cmd.Stdout, cmd.Stderr = out, &messages
	cmd.WaitDelay = 2 * time.Second
	err = cmd.Run()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if out.over {
		return nil, fmt.Errorf("it has more than %d bytes when open", most)
	}
	// A signature that cannot be checked makes gpg fail as well; what counts is that the
	// text came out whole.
	if err != nil && !bytes.Contains(messages.buf.Bytes(), []byte("[GNUPG:] DECRYPTION_OKAY")) || out.buf.Len() == 0 {
		return nil, errors.New(gpgReason(messages.buf.String(), d.o.GPGDir, err))
	}
	return bytes.Clone(out.buf.Bytes()), nil
}

// gpgReason makes one line of what gpg printed.
func gpgReason(messages, dir string, err error) string {
	reason, ids := "", []string{}
	for line := range strings.Lines(messages) {
		line = strings.TrimSpace(line)
		if rest, ok := strings.CutPrefix(line, "[GNUPG:] NO_SECKEY "); ok {
			ids = append(ids, strings.TrimSpace(rest))
		} else if rest, ok := strings.CutPrefix(line, "gpg: "); ok && !strings.HasPrefix(rest, "WARNING") {
			reason = rest
		}
	}
	if reason == "" {
		reason = "gpg printed nothing"
		if err != nil {
			reason = "gpg: " + err.Error()
		}
	}
	if len(ids) > 0 {
		slices.Sort(ids)
		reason += "; it is for key " + strings.Join(slices.Compact(ids), " or ")
	}
	if dir != "" {
		reason += "; keys are read from " + dir
	}
	return reason
}

// readable tells whether a directory of keys can be used, with the reason if not.
func readable(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s does not exist", dir)
		}
		return err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err == nil && !fi.IsDir() {
		return fmt.Errorf("%s is no directory", dir)
	}
	return err
}

// limited takes so many bytes and drops the rest.
type limited struct {
	buf  bytes.Buffer // no embedding: its ReadFrom would pass by Write
	most int
	over bool
}

func (l *limited) Write(p []byte) (int, error) {
	n := len(p)
	if room := l.most - l.buf.Len(); n > room {
		l.over = true
		p = p[:max(0, room)]
	}
	l.buf.Write(p)
	return n, nil
}
