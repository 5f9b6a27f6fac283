package minion

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/protocol/wire"
)

// masters is a minion's masters as its functions see them.
type masters struct{ m *Minion }

// jobMaster is the key under which a job's context has the master that it came from.
type jobMaster struct{}

// masters returns nil for a minion that works without a master.
func (m *Minion) masters() module.Master {
	if len(m.links) == 0 || m.cfg.MasterType == "disable" {
		return nil
	}
	return masters{m}
}

// Names implements module.Master.
func (ms masters) Names() []string {
	var names []string
	for _, l := range ms.m.links {
		names = append(names, l.master)
	}
	return names
}

// errNoMaster says that no master can be asked at the moment.
var errNoMaster = errors.New("no master is connected")

// Ask implements module.Master.
func (ms masters) Ask(ctx context.Context, name string, load *wire.Map) (any, error) {
	if name == "" {
		name, _ = ctx.Value(jobMaster{}).(string)
	} else if !slices.Contains(ms.Names(), name) {
		return nil, fmt.Errorf("no master is called %q: this minion's are %s", name, strings.Join(ms.Names(), ", "))
	}
	var first *link
	for _, l := range ms.m.links {
		switch {
		case l.current() == nil:
		case l.master == name:
			return l.do(ctx, load)
		case first == nil:
			first = l
		}
	}
	if first == nil {
		return nil, errNoMaster
	}
	return first.do(ctx, load)
}

// Tell implements module.Master. A failed handler of a Salt master answers "".
func (ms masters) Tell(ctx context.Context, load *wire.Map) error {
	told := 0
	var errs []error
	for _, l := range ms.m.links {
		if l.current() == nil {
			continue
		}
		told++
		v, err := l.do(ctx, load)
		switch {
		case err != nil:
			errs = append(errs, err)
		case v == "":
			errs = append(errs, fmt.Errorf("the master at %s failed to handle %s: see its log", l.addr, load.Text("cmd")))
		case v == false:
			errs = append(errs, fmt.Errorf("the master at %s refused %s", l.addr, load.Text("cmd")))
		}
	}
	if told == 0 {
		return errNoMaster
	}
	return errors.Join(errs...)
}
