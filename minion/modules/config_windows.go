package modules

import (
	"os"
	"path/filepath"
)

// hostsFile is where Windows has hosts(5).
func hostsFile() string {
	return filepath.Join(os.Getenv("SystemRoot"), "System32", "drivers", "etc", "hosts")
}
