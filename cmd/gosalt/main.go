// Command gosalt is gosalt's control side. What it does depends on the name that it
// is called by: gosalt runs functions on minions, gosalt-master is the daemon they
// connect to, gosalt-key manages their keys, gosalt-run runs functions on the
// master, gosalt-cp copies files to minions, gosalt-ssh reaches
// machines without one. Salt's own names (salt, salt-master, ...) do as well.
package main

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/gosalt/gosalt/cli"
)

func main() {
	name := strings.TrimSuffix(filepath.Base(os.Args[0]), ".exe")
	args := os.Args[1:]
	switch "go" + strings.TrimPrefix(name, "go") {
	case "gosalt-master":
		os.Exit(masterMain(name, args))
	case "gosalt-key":
		os.Exit(keyMain(name, args))
	case "gosalt-run":
		os.Exit(cli.Run(cli.StdIO(name), args))
	case "gosalt-ssh":
		os.Exit(sshMain(name, args))
	case "gosalt-cp":
		os.Exit(cli.Cp(cli.StdIO(name), args))
	default:
		os.Exit(cli.Gosalt(cli.StdIO(name), args))
	}
}
