package docker

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/moby/moby/client"

	"github.com/gosalt/gosalt/inventory"
)

// Exec implements inventory.Executor. The API cannot end a command: when ctx ends, the
// connection does, and with it the command's input.
func (p *provider) Exec(ctx context.Context, m inventory.Machine, argv []string, stdin io.Reader, stdout, stderr io.Writer) (int, error) {
	var h *host
	for _, x := range p.hosts {
		if x.scope == m.Scope {
			h = x
		}
	}
	if h == nil {
		return 0, p.named(&inventory.Error{Scope: m.Scope, Call: "ExecCreate", Reason: inventory.NotFound, Msg: "the source has no such host any more"})
	}
	made, err := within(ctx, func(ctx context.Context) (client.ExecCreateResult, error) {
		return h.api.ExecCreate(ctx, m.ID, client.ExecCreateOptions{User: p.user, AttachStdin: stdin != nil, AttachStdout: true, AttachStderr: true, Cmd: argv})
	})
	if err != nil {
		e := p.fail(ctx, h, "ExecCreate", err)
		switch {
		case e.Reason == inventory.Canceled:
		case cerrdefs.IsNotFound(err):
			e.Msg, e.Hint = "container "+short(m)+" is not there any more", "inventory.refresh looks again"
		case cerrdefs.IsConflict(err) || strings.Contains(err.Error(), "running containers"):
			e.Reason, e.Hint = inventory.NotFound, "start it first: commands run in running containers only"
		}
		return 0, p.named(e)
	}
	// The handshake has a deadline; what follows ends with ctx.
	at, err := within(context.WithValue(ctx, streaming, true), func(ctx context.Context) (client.ExecAttachResult, error) {
		return h.api.ExecAttach(ctx, made.ID, client.ExecAttachOptions{})
	})
	if err != nil {
		e := p.fail(ctx, h, "ExecStart", err)
		if strings.Contains(err.Error(), "unable to upgrade") {
			e.Hint = "is " + argv[0] + " in the image, and may the user run it?"
		}
		return 0, p.named(e)
	}
	defer at.Close()
	stop := context.AfterFunc(ctx, at.Close)
	defer stop()
	if stdin != nil {
		// Not waited for: a command may end before it has read all.
		go func() {
			io.Copy(at.Conn, stdin)
			at.CloseWrite()
		}()
	}
	first, err := demux(at.Reader, stdout, stderr)
	if ctx.Err() != nil {
		return 0, p.named(inventory.Interrupted(ctx, inventory.Error{Scope: h.scope, Call: "ExecStart", Msg: "the command was ended"}))
	}
	if err != nil {
		return 0, p.named(&inventory.Error{Scope: h.scope, Call: "ExecStart", Reason: inventory.NoAnswer, Err: err, Msg: "the connection to a command in " + short(m) + " was lost: " + err.Error()})
	}
	code, err := p.exitCode(ctx, h, made.ID)
	if err != nil {
		return 0, p.named(p.fail(ctx, h, "ExecInspect", err))
	}
	// The runtime says in the command's own output that there is no such program.
	if (code == 126 || code == 127) && (strings.Contains(first, "OCI runtime exec failed") || strings.Contains(first, "OCI runtime attempted to invoke a command that was not found")) {
		why, _, _ := strings.Cut(strings.TrimSpace(first), "\n") // Podman goes on with what it did not find then
		return 0, p.named(&inventory.Error{Scope: h.scope, Call: "ExecStart", Reason: inventory.NotFound, Msg: "container " + short(m) + ": " + strings.TrimPrefix(why, "Error: "), Hint: "is " + argv[0] + " in the image, and may the user run it?"})
	}
	return code, nil
}

// named fills in what the inventory does in lists: whose error it is.
func (p *provider) named(e *inventory.Error) *inventory.Error {
	e.Source, e.Kind = p.source, p.kind
	return e
}

func short(m inventory.Machine) string {
	if m.Label != "" {
		return m.Label
	}
	return m.ID[:min(len(m.ID), 12)]
}

// within bounds one call by callTime.
func within[T any](ctx context.Context, call func(context.Context) (T, error)) (T, error) {
	ctx, end := context.WithTimeout(ctx, callTime)
	defer end()
	return call(ctx)
}

// exitCode asks how a command ended. Its output may end a moment before it does, or much
// earlier when it closed it.
func (p *provider) exitCode(ctx context.Context, h *host, id string) (int, error) {
	wait := 2 * time.Millisecond
	for {
		got, err := within(ctx, func(ctx context.Context) (client.ExecInspectResult, error) {
			return h.api.ExecInspect(ctx, id, client.ExecInspectOptions{})
		})
		if err != nil {
			return 0, err
		}
		if !got.Running {
			return got.ExitCode, nil
		}
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			t.Stop()
			return 0, ctx.Err()
		case <-t.C:
		}
		wait = min(wait*2, time.Second)
	}
}

// demux takes the two streams apart: each piece has a header of 8 bytes, the stream and
// the length. Pieces are handed on as they come, whatever length they say. first is the
// beginning of what was written to either.
func demux(r io.Reader, stdout, stderr io.Writer) (first string, err error) {
	var head [8]byte
	for {
		if _, err := io.ReadFull(r, head[:]); err != nil {
			if errors.Is(err, io.EOF) {
				return first, nil
			}
			return first, err
		}
		var w io.Writer
		switch head[0] {
		case 0, 1:
			w = stdout
		case 2:
			w = stderr
		case 3:
			b, _ := io.ReadAll(io.LimitReader(r, int64(min(binary.BigEndian.Uint32(head[4:]), 4096))))
			return first, fmt.Errorf("the service says: %s", b)
		default:
			return first, fmt.Errorf("the output has a piece of stream %d, which there is not", head[0])
		}
		n := int64(binary.BigEndian.Uint32(head[4:]))
		body := io.LimitReader(r, n)
		if room := 1024 - len(first); room > 0 {
			b, err := io.ReadAll(io.LimitReader(body, int64(room)))
			first += string(b)
			if _, werr := w.Write(b); werr != nil || err != nil {
				return first, errors.Join(werr, err)
			}
			n -= int64(len(b))
		}
		if m, err := io.Copy(w, body); err != nil {
			return first, err
		} else if m < n && body.(*io.LimitedReader).N > 0 {
			return first, io.ErrUnexpectedEOF
		}
	}
}
