package master

import (
	"errors"
	"fmt"
	"syscall"
)

// portError explains why a port could not be opened.
func portError(option string, port int, err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("port %d (%s) is in use, perhaps by another master: stop it (see who has it with: ss -ltnp 'sport = :%d'), or set %s: %w", port, option, port, option, err)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("port %d (%s) is not for ordinary users: choose one above 1023, or run as root: %w", port, option, err)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("the address for port %d (%s) is none of this machine's: see the option interface: %w", port, option, err)
	}
	return fmt.Errorf("port %d (%s): %w", port, option, err)
}
