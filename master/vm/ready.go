package vm

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net"
	"net/textproto"
	"strings"
	"time"

	"github.com/gosalt/gosalt/inventory"
	"github.com/gosalt/gosalt/protocol/wire"
)

// sayAgain is how often it is told what is waited for.
const sayAgain = 15 * time.Second

// answers waits until a machine does what its profile calls an answer.
func (m *Manager) answers(ctx context.Context, p *Profile, r *Record, api inventory.Machines, machine inventory.Machine, progress func(string)) error {
	if p.Ready == readyRunning {
		return nil
	}
	if p.Join == joinSSH && !m.cfg.Master.Connected(wire.MinionID(r.Name)) || p.Ready == readySSH {
		address, err := m.sshAnswers(ctx, p, r, api, machine, progress)
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
			progress(r.Name + ": installing gosalt-minion over SSH")
			if err := m.cfg.Master.Bootstrap(ctx, wire.MinionID(r.Name), address, p.SSH, p.Masters, r.By, func(s string) { progress(r.Name + ": " + s) }); err != nil {
				return fmt.Errorf("%s was made as %s, and gosalt-minion cannot be installed there: %w", r.Name, r.ID, err)
			}
		}
	}
	return m.until(ctx, r, "to connect as a minion", progress, func() (bool, string) {
		return m.cfg.Master.Connected(wire.MinionID(r.Name)), ""
	})
}

// until waits for something, and says so from time to time. why is why it is not so yet.
func (m *Manager) until(ctx context.Context, r *Record, what string, progress func(string), ok func() (done bool, why string)) error {
	begun := time.Now()
	said := begun
	progress(fmt.Sprintf("%s: waiting for it %s", r.Name, what))
	for {
		done, why := ok()
		if done {
			return nil
		}
		if time.Since(said) >= sayAgain {
			said = time.Now()
			text := fmt.Sprintf("%s: still waiting for it %s, for %s", r.Name, what, time.Since(begun).Round(time.Second))
			if why != "" {
				text += ": " + why
			}
			progress(text)
		}
		t := time.NewTimer(m.cfg.Poll)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			text := context.Cause(ctx).Error()
			if errors.Is(ctx.Err(), context.Canceled) {
				text = "the call was ended"
			}
			if why != "" {
				text += ": " + why
			}
			return fmt.Errorf("%s was made as %s, and was waited for %s: %s", r.Name, r.ID, what, text)
		}
	}
}

// sshAnswers waits until an SSH server says who it is, and returns the address.
func (m *Manager) sshAnswers(ctx context.Context, p *Profile, r *Record, api inventory.Machines, machine inventory.Machine, progress func(string)) (address string, err error) {
	port := "22"
	if v, ok := p.SSH.Get("port"); ok {
		port = fmt.Sprint(v)
	}
	err = m.until(ctx, r, "to answer by SSH", progress, func() (bool, string) {
		if address = machine.Address(p.Address...); address == "" {
			// Many get their address some time after they were made.
			for now, err := range api.List(ctx) {
				if err == nil && now.ID == r.ID {
					machine = now
				}
			}
			if address = machine.Address(p.Address...); address == "" {
				return false, "it has no address that is " + strings.Join(p.Address, " or ")
			}
		}
		if host := p.SSH.Text("host"); host != "" {
			address = host
		}
		if err := banner(ctx, net.JoinHostPort(address, port)); err != nil {
			return false, err.Error()
		}
		return true, ""
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
