package modules

import (
	"context"
	"strings"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/systemd"
	"github.com/gosalt/gosalt/protocol/wire"
)

// promisedService is what earlier states of a run under test=True are to make of a service;
// nil is what they leave as it is.
type promisedService struct {
	running, boot *bool
	masked        map[bool]*bool // until the next boot only, or not
}

// unit is the name by which systemd knows a service, that of the unit which an alias means.
func (s *serviceState) unit(ctx context.Context) string {
	name := strings.TrimSuffix(s.name, ".service")
	if !systemd.Booted(s.c.Host.Exists) {
		return name
	}
	v, err := s.call(ctx, "show", nil)
	if m, ok := v.(*wire.Map); ok && err == nil && m.Text("Id") != "" {
		return strings.TrimSuffix(m.Text("Id"), ".service")
	}
	return name
}

// promise notes what becomes of the service.
func (s *serviceState) promise(ctx context.Context, what promisedService) {
	if !s.c.Test || (isOn(what.running) || isOn(what.boot)) && s.isMasked(ctx) {
		return
	}
	promiseOf(s.c, "service", s.unit(ctx), what)
}

func isOn(b *bool) bool { return b != nil && *b }

// isMasked tells whether the service can neither be started nor enabled.
func (s *serviceState) isMasked(ctx context.Context) bool {
	now := s.promised(ctx)
	for _, m := range []struct {
		runtime bool
		unmask  string
	}{{false, "unmask"}, {true, "unmask_runtime"}} {
		if is := now.masked[m.runtime]; is != nil {
			if *is {
				return true
			}
			continue
		}
		if v, err := s.call(ctx, "masked", nil, m.runtime); err == nil && module.Truth(v) && !module.Truth(get(s.kwargs, m.unmask)) {
			return true
		}
	}
	return false
}

// promised is what earlier states make of the service.
func (s *serviceState) promised(ctx context.Context) promisedService {
	now, unit := promisedService{masked: map[bool]*bool{}}, ""
	for p := range promised(s.c, "service") {
		if unit == "" {
			unit = s.unit(ctx)
		}
		if p.what != unit {
			continue
		}
		then := p.value.(promisedService)
		if then.running != nil {
			now.running = then.running
		}
		if then.boot != nil {
			now.boot = then.boot
		}
		for runtime, is := range then.masked {
			now.masked[runtime] = is
		}
	}
	return now
}
