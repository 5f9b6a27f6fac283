package ssh

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// local runs commands on this machine, each as the leader of a session, as container
// runtimes do.
func local(ctx context.Context, argv []string, stdin io.Reader, stdout, stderr io.Writer) (int, error) {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr = stdout, stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	in, err := cmd.StdinPipe()
	if err != nil {
		return 0, err
	}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	go func() {
		io.Copy(in, stdin)
		in.Close()
	}()
	err = cmd.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = nil
	}
	return cmd.ProcessState.ExitCode(), err
}

func TestThrough(t *testing.T) {
	r := Through(Host{ID: "ctr", Exec: local})
	defer r.Close()
	ctx := t.Context()

	t.Run("output, errors, exit code, input", func(t *testing.T) {
		out, errs, code, err := r.Run(ctx, "read x; echo \"got $x\"; echo bad >&2; exit 7", strings.NewReader("in put\n"))
		if err != nil || string(out) != "got in put\n" || string(errs) != "bad\n" || code != 7 {
			t.Errorf("%q %q %d %v", out, errs, code, err)
		}
	})
	t.Run("variables", func(t *testing.T) {
		var out bytes.Buffer
		s, err := r.Start(ctx, `echo "$A|$B"`, SessionOptions{Env: map[string]string{"A": "it's", "B": `$(x) "`}, Stdout: &out, Stderr: io.Discard})
		if err != nil {
			t.Fatal(err)
		}
		if exit, err := s.Wait(); err != nil || exit.Code != 0 || out.String() != "it's|$(x) \"\n" {
			t.Errorf("%v %v %q", exit, err, out.String())
		}
	})
	t.Run("a conversation", func(t *testing.T) {
		s, err := r.Start(ctx, "while read x; do echo \"<$x>\"; done; echo over >&2", SessionOptions{})
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(s.Stdin, "a\n")
		buf := make([]byte, 4)
		if _, err := io.ReadFull(s.Stdout, buf); err != nil || string(buf) != "<a>\n" {
			t.Errorf("%q %v", buf, err)
		}
		s.Stdin.Close()
		if rest, err := io.ReadAll(s.Stderr); err != nil || string(rest) != "over\n" {
			t.Errorf("%q %v", rest, err)
		}
		if exit, err := s.Wait(); err != nil || exit.Code != 0 {
			t.Errorf("%v %v", exit, err)
		}
	})
	t.Run("who is canceled ends with its children", func(t *testing.T) {
		ctx, cancel := context.WithCancel(ctx)
		s, err := r.Start(ctx, "sleep 1000 & echo $!; wait", SessionOptions{Stderr: io.Discard, Grace: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 100)
		if _, err := s.Stdout.Read(buf); err != nil { // it runs
			t.Fatal(err)
		}
		cancel()
		if rest, err := io.ReadAll(s.Stdout); err != nil || len(rest) > 0 { // ends when both have ended
			t.Errorf("%q %v", rest, err)
		}
		if _, err := s.Wait(); KindOf(err) != KindCanceled {
			t.Errorf("%v", err)
		}
	})
	t.Run("one that ignores signals is killed", func(t *testing.T) {
		ctx, cancel := context.WithCancel(ctx)
		s, err := r.Start(ctx, "trap '' TERM; echo ready; while :; do sleep 1000; done", SessionOptions{Stderr: io.Discard, Grace: time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 100)
		if _, err := s.Stdout.Read(buf); err != nil {
			t.Fatal(err)
		}
		cancel()
		if _, err := s.Wait(); KindOf(err) != KindCanceled {
			t.Errorf("%v", err)
		}
	})
	t.Run("an API that fails", func(t *testing.T) {
		r := Through(Host{ID: "ctr", Exec: func(context.Context, []string, io.Reader, io.Writer, io.Writer) (int, error) {
			return 0, errors.New("docker: the container\nis not running")
		}})
		_, _, code, err := r.Run(ctx, "true", nil)
		if KindOf(err) != KindExec || err.Error() != "docker: the container is not running" || code != 255 {
			t.Errorf("%d %v", code, err)
		}
	})
	t.Run("no terminal", func(t *testing.T) {
		if _, err := r.Start(ctx, "true", SessionOptions{TTY: true}); KindOf(err) != KindOption {
			t.Errorf("%v", err)
		}
	})
	t.Run("closed", func(t *testing.T) {
		r := Through(Host{ID: "ctr", Exec: local})
		s, err := r.Start(ctx, "sleep 1000", SessionOptions{})
		if err != nil {
			t.Fatal(err)
		}
		r.Close()
		if _, err := s.Wait(); err == nil {
			t.Error("no error")
		}
		if _, err := r.Start(ctx, "true", SessionOptions{}); KindOf(err) != KindCanceled {
			t.Errorf("%v", err)
		}
	})
}
