//go:build !linux

package modules

import "time"

// setClock cannot set the clock of these systems.
func setClock(time.Time) error { return linuxOnly("how to set the clock") }
