package pillar

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/gosalt/gosalt/internal/host"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/internal/render/saltyaml"
)

// Programs of ext_pillar print at most so much, and run at most so long.
const (
	cmdOutput = 16 << 20
	cmdTime   = 60 * time.Second
)

// CmdYAML is the ext_pillar cmd_yaml: a shell's command line, %s being the minion's id,
// that prints YAML.
func CmdYAML(ctx context.Context, q SourceRequest) (any, error) {
	out, err := command(ctx, q, true)
	if err != nil {
		return nil, err
	}
	v, err := saltyaml.Load(out)
	if err != nil {
		return nil, fmt.Errorf("what the command printed is no YAML: %w", err)
	}
	return v, nil
}

// CmdYAMLEx is the ext_pillar cmd_yamlex: as cmd_yaml, with the tags !aggregate and !reset.
func CmdYAMLEx(ctx context.Context, q SourceRequest) (any, error) {
	out, err := command(ctx, q, true)
	if err != nil {
		return nil, err
	}
	v, err := saltyaml.LoadAggregate(out)
	if err != nil {
		return nil, fmt.Errorf("what the command printed is no YAML: %w", err)
	}
	return v, nil
}

// CmdJSON is the ext_pillar cmd_json: a program with its arguments, without a shell, that
// prints JSON.
func CmdJSON(ctx context.Context, q SourceRequest) (any, error) {
	out, err := command(ctx, q, false)
	if err != nil {
		return nil, err
	}
	v, err := pytext.ParseJSON(strings.TrimSpace(out))
	if err != nil {
		return nil, fmt.Errorf("what the command printed is no JSON: %w", err)
	}
	return v, nil
}

// command runs the program of an ext_pillar and returns what it printed.
func command(ctx context.Context, q SourceRequest, shell bool) (string, error) {
	args, err := BindArgs(q.Args, 1, "command")
	if err != nil {
		return "", err
	}
	line, err := textArg(args, "command")
	if err != nil {
		return "", err
	}
	line = strings.ReplaceAll(line, "%s", string(q.ID))
	var words []string
	if shell {
		sh := os.Getenv("SHELL")
		if sh == "" {
			sh = "/bin/sh"
		}
		words = []string{sh, "-c", line}
	} else if words, err = host.Words(line); err != nil {
		return "", fmt.Errorf("the command line cannot be split: %w", err)
	}
	if len(words) == 0 {
		return "", fmt.Errorf("the setting 'command' is empty")
	}
	dir, err := os.UserHomeDir()
	if err != nil {
		dir = "/"
	}
	var h host.Host
	exit, err := h.Run(ctx, host.Command{Args: words, Dir: dir, Env: os.Environ(), Timeout: cmdTime, MaxOutput: cmdOutput})
	switch {
	case err != nil:
		return "", fmt.Errorf("the command could not be run: %w", err)
	case exit.TimedOut:
		return "", fmt.Errorf("the command did not end within %s", cmdTime)
	case exit.Code != 0:
		return "", fmt.Errorf("the command ended with exit code %d: %s", exit.Code, firstLine(exit.Stderr))
	}
	return string(exit.Stdout), nil
}

// firstLine is as much of a message as fits into a line.
func firstLine(b []byte) string {
	b = bytes.TrimSpace(b)
	if i := bytes.IndexByte(b, '\n'); i >= 0 {
		b = b[:i]
	}
	if len(b) > 300 {
		b = b[:300]
	}
	if len(b) == 0 {
		return "it printed no message"
	}
	return strings.ToValidUTF8(string(b), "\uFFFD")
}
