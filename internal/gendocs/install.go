package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/gosalt/gosalt/cli"
	"github.com/gosalt/gosalt/internal/daemon"
	"github.com/gosalt/gosalt/internal/version"
)

// daemons are described by the same words as their --help.
var daemons = []daemon.Program{
	{Name: "gosalt-master", Kind: "master", Description: "gosalt-master is the daemon that minions connect to, and that the other programs speak to."},
	{Name: "gosalt-minion", Kind: "minion", Description: "gosalt-minion is the daemon that runs a master's jobs on this machine."},
}

// install writes the manual pages and the shells' completions below a directory like
// /usr/local/share.
func install(share string) error {
	put := func(name, text string) error {
		path := filepath.Join(share, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		return os.WriteFile(path, []byte(text), 0o644)
	}
	for _, prog := range cli.Programs {
		page, err := cli.Man(prog)
		if err != nil {
			return err
		}
		if err := put("man/man1/"+prog+".1", page); err != nil {
			return err
		}
	}
	for _, d := range daemons {
		if err := put("man/man1/"+d.Name+".1", daemon.Parser(d).Man(version.Text())); err != nil {
			return err
		}
	}
	for shell, names := range map[string][]string{
		"bash": bashFiles(), "zsh": {"zsh/site-functions/_gosalt"}, "fish": fishFiles(),
	} {
		script, err := cli.CompletionScript(shell)
		if err != nil {
			return err
		}
		for _, name := range names {
			if err := put(name, script); err != nil {
				return fmt.Errorf("write the completion for %s: %w", shell, err)
			}
		}
	}
	return nil
}

// Both load a file by the name of the command, when it is first completed.
func bashFiles() (names []string) {
	for _, prog := range cli.Completed() {
		names = append(names, "bash-completion/completions/"+prog)
	}
	return names
}

func fishFiles() (names []string) {
	for _, prog := range cli.Completed() {
		names = append(names, "fish/vendor_completions.d/"+prog+".fish")
	}
	return names
}
