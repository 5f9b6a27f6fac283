//go:build !linux

package daemon

import "log/slog"

func prepare(*slog.Logger, string) {}
