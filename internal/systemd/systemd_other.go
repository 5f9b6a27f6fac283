//go:build !linux

package systemd

import "context"

// Query answers ErrAsk: there is no systemd.
func Query(context.Context, string) (*Unit, error) { return nil, ErrAsk }
