package vm

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net"
	"net/textproto"
	"strings"
	"time"

	"github.com/gosalt/gosalt/internal/lazyre"
	"github.com/gosalt/gosalt/inventory"
	"github.com/gosalt/gosalt/protocol/wire"
)

const (
	sayAgain  = 15 * time.Second // how often it is told what is waited for
	lookAgain = 5 * time.Second  // the longest time between two looks at the machine itself
)

// refusedFor is how long a machine may refuse a login while it boots: its SSH server is
// there some time before cloud-init has brought users and keys.
const refusedFor = time.Minute

// A LoginError is that of a machine which could be reached, and did not let us in.
type LoginError struct {
	Err   error
	Final bool // waiting does not mend it, as a key file that is not there, or a host key that has changed
}

// Error tells why, and what to do.
func (e *LoginError) Error() string { return e.Err.Error() }

// Unwrap is the cause.
func (e *LoginError) Unwrap() error { return e.Err }

// answers waits until a machine does what its profile calls an answer.
func (m *Manager) answers(ctx context.Context, p *Profile, r *Record, api inventory.Machines, machine inventory.Machine, progress func(string)) error {
	if p.Ready == readyRunning {
		return nil
	}
	w := &watch{m: m, r: r, api: api, now: machine, progress: progress}
	if p.Join == joinSSH && !m.cfg.Master.Connected(wire.MinionID(r.Name)) || p.Ready == readySSH {
		address, err := w.sshAnswers(ctx, p)
		if err != nil {
			return err
		}
		if p.Ready == readySSH {
			return nil
		}
		if has, err := m.cfg.Master.HasKey(wire.MinionID(r.Name)); err != nil || !has {
			if err != nil {
				return err
			}
			if err := w.letsIn(ctx, p, address); err != nil {
				return err
			}
			progress(r.Name + ": installing gosalt-minion over SSH")
			if err := m.cfg.Master.Bootstrap(ctx, wire.MinionID(r.Name), address, p.SSH, p.Masters, r.By, func(s string) { progress(r.Name + ": " + s) }); err != nil {
				return fmt.Errorf("%s was made as %s, and gosalt-minion cannot be installed there: %w", r.Name, r.ID, err)
			}
		}
	}
	// The master knows who is connected: to look costs nothing.
	return w.until(ctx, "to connect as a minion", m.cfg.Poll, func() (bool, string, error) {
		return m.cfg.Master.Connected(wire.MinionID(r.Name)), "", nil
	})
}

// letsIn waits until the master may log in. While a machine boots, its SSH server is there
// before users and keys are.
func (w *watch) letsIn(ctx context.Context, p *Profile, address string) error {
	var refused time.Time // since when
	return w.until(ctx, "to let us in by SSH", lookAgain, func() (bool, string, error) {
		err := w.m.cfg.Master.Login(ctx, wire.MinionID(w.r.Name), address, p.SSH)
		var login *LoginError
		switch {
		case err == nil:
			return true, "", nil
		case !errors.As(err, &login):
			refused = time.Time{}
		case login.Final:
			return false, "", err
		case refused.IsZero():
			refused = time.Now()
		case time.Since(refused) >= refusedFor:
			return false, "", fmt.Errorf("%w; it has refused for %s, and what cloud-init brings is there sooner: see ssh: and key: of the profile", err, refusedFor)
		}
		return false, err.Error(), nil
	})
}

// A watch is one machine that is waited for.
type watch struct {
	m        *Manager
	r        *Record
	api      inventory.Machines
	now      inventory.Machine // as its source has shown it last
	stopped  bool              // so it was seen the last time
	progress func(string)
}

// until waits for something, and says so from time to time; then it also looks whether the
// machine is still there. The time between two looks grows up to most. why is why it is
// not so yet, never why it will not be.
func (w *watch) until(ctx context.Context, what string, most time.Duration, ok func() (done bool, why string, never error)) error {
	begun := time.Now()
	said := begun
	w.progress(fmt.Sprintf("%s: waiting for it %s", w.r.Name, what))
	why := ""
	for delay := w.m.cfg.Poll; ; delay = min(delay*3/2, max(most, w.m.cfg.Poll)) {
		done, now, never := ok()
		if done {
			return nil
		}
		if never != nil && ctx.Err() == nil {
			return fmt.Errorf("%s was made as %s, and was waited for %s for %s, which cannot come about: %w", w.r.Name, w.r.ID, what, time.Since(begun).Round(time.Second), never)
		}
		if why == "" || ctx.Err() == nil { // the last look may have been cut off
			why = now
		}
		if time.Since(said) >= sayAgain {
			said = time.Now()
			text := fmt.Sprintf("%s: still waiting for it %s, for %s", w.r.Name, what, time.Since(begun).Round(time.Second))
			state, gone := w.look(ctx)
			if gone != nil {
				return fmt.Errorf("%s was made as %s, and was waited for %s for %s: %w", w.r.Name, w.r.ID, what, time.Since(begun).Round(time.Second), gone)
			}
			if more := together(state, why); more != "" {
				text += ": " + more
			}
			w.progress(text)
		}
		t := time.NewTimer(delay)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			text := context.Cause(ctx).Error()
			if errors.Is(ctx.Err(), context.Canceled) {
				return fmt.Errorf("%s was made as %s, and was waited for %s: the call was ended", w.r.Name, w.r.ID, what)
			}
			state, gone := w.look(context.WithoutCancel(ctx))
			if gone != nil {
				state = gone.Error()
			}
			if more := together(state, why); more != "" {
				text += ": " + more
			}
			return fmt.Errorf("%s was made as %s, and was waited for %s for %s: %s%s", w.r.Name, w.r.ID, what, time.Since(begun).Round(time.Second), text, w.console(ctx))
		}
	}
}

func together(a, b string) string {
	if a != "" && b != "" && a != b {
		return a + "; " + b
	}
	return cmp.Or(a, b)
}

// look asks the source for the machine. A machine that runs is nothing to tell of; that it
// cannot be asked is no reason to give up.
func (w *watch) look(ctx context.Context) (text string, gone error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	now, err := w.api.Get(ctx, w.r.ID)
	var e *inventory.Error
	switch {
	case errors.As(err, &e) && e.Reason == inventory.NotFound, err == nil && now.State == inventory.Gone:
		return "", fmt.Errorf("its source %s has no such machine any more: it was ended by somebody else, or has ended itself", w.r.Source)
	case err != nil:
		return err.Error(), nil
	}
	w.now = now
	before := w.stopped
	if w.stopped = now.State == inventory.Stopped; w.stopped && before {
		return "", fmt.Errorf("it has stopped: it was shut down, or its system has turned itself off%s", w.console(ctx))
	}
	if now.State == inventory.Running || now.State == inventory.Unknown || now.State == "" {
		return "", nil
	}
	return fmt.Sprintf("it is %s, says its source", now.State), nil
}

// consoleLines and consoleText are how much of a console is shown.
const (
	consoleLines = 12
	consoleText  = 2000
)

// console is what to look at when a machine does not answer.
func (w *watch) console(ctx context.Context) string {
	v, ok := w.api.(inventory.Viewer)
	if !ok {
		return ""
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
	defer cancel()
	text, command, err := v.Console(ctx, w.r.ID)
	if text = tail(text); err == nil && text != "" {
		return "; its console ends with:\n" + text + "\n(more: " + command + ")"
	}
	if command != "" {
		return "; its console shows how it boots: " + command
	}
	return ""
}

// tail is the end of a console: plain lines, without tokens.
func tail(s string) string {
	s = strings.ToValidUTF8(s, "")
	if len(s) > 8*consoleText {
		s = s[len(s)-8*consoleText:]
	}
	s = escapes.ReplaceAllString(s, "")
	s = tokens.ReplaceAllString(s, "gosalt-join1-…")
	var lines []string
	for line := range strings.Lines(s) {
		line = strings.Map(func(r rune) rune {
			if r < ' ' && r != '\t' || r == 0x7f {
				return -1
			}
			return r
		}, line)
		if line = strings.TrimRight(line, " \t"); line != "" {
			lines = append(lines, "    "+line)
		}
	}
	lines = lines[max(0, len(lines)-consoleLines):]
	text := strings.Join(lines, "\n")
	if len(text) > consoleText {
		text = "    …" + strings.ToValidUTF8(text[len(text)-consoleText:], "")
	}
	return text
}

var (
	escapes = lazyre.New("\x1b(\\[[0-9;?]*[ -/]*[@-~]|[@-Z\\\\-_])")
	tokens  = lazyre.New("gosalt-join1-[0-9A-Za-z_-]+")
)

// sshAnswers waits until an SSH server says who it is, and returns the address.
func (w *watch) sshAnswers(ctx context.Context, p *Profile) (address string, err error) {
	port := "22"
	if v, ok := p.SSH.Get("port"); ok {
		port = fmt.Sprint(v)
	}
	err = w.until(ctx, "to answer by SSH", lookAgain, func() (bool, string, error) {
		if address = p.SSH.Text("host"); address == "" {
			if address = w.now.Address(p.Address...); address == "" {
				// Many get their address some time after they were made.
				state, gone := w.look(ctx)
				if address = w.now.Address(p.Address...); address == "" {
					if gone != nil {
						state = gone.Error()
					}
					return false, together("it has no address that is "+strings.Join(p.Address, " or "), state), nil
				}
			}
		}
		if err := banner(ctx, net.JoinHostPort(address, port)); err != nil {
			return false, err.Error(), nil
		}
		return true, "", nil
	})
	return address, err
}

// banner tells whether an SSH server is at an address.
func banner(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	line, err := bufio.NewReader(io.LimitReader(c, 4096)).ReadString('\n')
	if !strings.HasPrefix(line, "SSH-") {
		if err != nil {
			return fmt.Errorf("%s says nothing: %w", address, err)
		}
		return fmt.Errorf("%s is no SSH server", address)
	}
	return nil
}

// join puts user-data of one's own beside that which makes the machine a minion.
func join(minion string, own []byte) ([]byte, error) {
	if len(bytes.TrimSpace(own)) == 0 {
		return []byte(minion), nil
	}
	kinds := []struct{ begins, kind string }{
		{"#cloud-config", "text/cloud-config"}, {"#!", "text/x-shellscript"}, {"#include", "text/x-include-url"},
		{"#cloud-boothook", "text/cloud-boothook"}, {"## template: jinja", "text/jinja2"},
	}
	kind := ""
	for _, k := range kinds {
		if bytes.HasPrefix(own, []byte(k.begins)) {
			kind = k.kind
		}
	}
	if kind == "" {
		return nil, errors.New("user_data begins neither with #cloud-config nor with #! or another mark of cloud-init: it cannot be put beside what makes the machine a minion (join: none leaves that out)")
	}
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	fmt.Fprintf(&b, "Content-Type: multipart/mixed; boundary=%q\nMIME-Version: 1.0\n\n", w.Boundary())
	for _, part := range []struct{ kind, text string }{{kind, string(own)}, {"text/cloud-config", minion}} {
		pw, err := w.CreatePart(textproto.MIMEHeader{"Content-Type": {part.kind + `; charset="utf-8"`},
			// Lists as runcmd are put together, and none of them is lost.
			"Merge-Type": {"list(append)+dict(no_replace,recurse_list)+str()"}})
		if err != nil {
			return nil, err
		}
		if _, err := io.WriteString(pw, part.text); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
