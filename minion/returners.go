package minion

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/internal/returners"
	"github.com/gosalt/gosalt/minion/modules"
	"github.com/gosalt/gosalt/minion/schedule"
	"github.com/gosalt/gosalt/protocol/wire"
)

// viaMaster are the returners that a gosalt master has for its minions: a minion
// carries no driver of a database.
var viaMaster = []string{"postgres", "pgjsonb"}

// openReturners opens what sends results to other places than the master.
func (m *Minion) openReturners() (err error) {
	m.returners, err = returners.NewSender(returners.SenderConfig{Dir: filepath.Join(m.cfg.CacheDir, "returners"),
		MaxBytes: int64(m.cfg.SpoolSize), Set: returners.Small(), Config: m.opts, Log: m.log, Env: m.returnerEnv()})
	return err
}

func (m *Minion) returnerEnv() returners.Env {
	keep := int64(24 * 3600) // as long as a master keeps jobs
	if v, ok := m.opts().Get("keep_jobs_seconds"); ok {
		if n, ok := v.(int64); ok {
			keep = n
		}
	}
	return returners.Env{Log: m.log, ID: string(m.id), Keep: keep}
}

// returnerNames are the returners of a job: its own, and for one of a master those of
// the configuration.
func (m *Minion) returnerNames(job *wire.Job, scheduled bool) []string {
	names := job.Ret
	if !scheduled {
		names += "," + strings.Join(m.cfg.Return, ",")
	}
	return returners.Split(names)
}

// sendResult hands the result of a job to its returners; it is on the disk then. The
// result that the master gets names those that it is asked to serve, and what went
// wrong.
func (m *Minion) sendResult(job *wire.Job, ret *wire.Map, scheduled bool) {
	names := m.returnerNames(job, scheduled)
	if len(names) == 0 {
		return
	}
	rec := returners.Record{Kind: returners.Return, Data: returnerData(job, ret, m.id)}
	var served []any
	failed := wire.NewMap()
	for _, name := range names {
		remote, err := m.sendTo(name, job, rec)
		if err != nil {
			failed.Set(name, err.Error())
			m.log.Error("result cannot be given to a returner", "jid", job.JID, "returner", name, "error", err)
		} else if remote {
			served = append(served, name)
		}
	}
	if served != nil {
		ret.Set(wire.FieldReturners, served)
		if job.RetConfig != "" {
			ret.Set("ret_config", job.RetConfig)
		}
	}
	if failed.Len() > 0 {
		ret.Set(wire.FieldReturnerErrors, failed)
	}
}

// sendTo gives a result to one returner; remote tells that the master has to do it.
func (m *Minion) sendTo(name string, job *wire.Job, rec returners.Record) (remote bool, err error) {
	if slices.Contains(m.cfg.DisableReturners, name) {
		return false, fmt.Errorf("returner %s is disabled by disable_returners", name)
	}
	if slices.Contains(viaMaster, name) {
		if l := m.anyLink(); l != nil {
			if c := l.current(); c != nil && c.gosalt {
				return true, nil
			}
		}
		return false, fmt.Errorf("returner %s needs a gosalt master, which writes for its minions: a minion carries no driver of a database", name)
	}
	d := returners.Dest{Name: name, Alternative: job.RetConfig, Kwargs: job.RetKwargs}
	if err := m.returners.Check(d); err != nil {
		return false, err
	}
	return false, m.returners.Send(d, rec)
}

// returnerData is a result as Salt's returners get it.
func returnerData(job *wire.Job, ret *wire.Map, id wire.MinionID) *wire.Map {
	data := ret.Clone()
	for _, k := range []string{"cmd", "user", "tgt", "tgt_type", "arg"} {
		data.Delete(k)
	}
	data.Set("jid", string(job.JID))
	if job.RetConfig != "" {
		data.Set("ret_config", job.RetConfig)
	}
	if job.RetKwargs.Len() > 0 {
		data.Set("ret_kwargs", job.RetKwargs)
	}
	data.Set("id", string(id))
	return data
}

// scheduleReturners sets the returners of a scheduled job: its own and those of
// schedule_returner.
func (m *Minion) scheduleReturners(job *wire.Job, j schedule.Job) {
	var names []string
	own, _ := j.Options.Get("returner")
	for _, v := range append(listOf(own), listOf(m.cfg.ScheduleReturner)...) {
		names = append(names, pytext.Str(v))
	}
	job.Ret = strings.Join(names, ",")
	if v, ok := j.Options.Get("return_config"); ok {
		job.RetConfig = pytext.Str(v)
	}
	job.RetKwargs = j.Options.Map("return_kwargs")
}

// listOf makes a list of a list, a text, or nothing.
func listOf(v any) []any {
	switch v := v.(type) {
	case []any:
		return v
	case string:
		return []any{v}
	case []string:
		var out []any
		for _, s := range v {
			out = append(out, s)
		}
		return out
	}
	return nil
}

// returnNow gives the result of a gosalt-call to its returners, and waits for that.
func (m *Minion) returnNow(ctx context.Context, job *wire.Job, ret *wire.Map) error {
	sender, err := returners.NewSender(returners.SenderConfig{Dir: "", Set: returners.Small(), Config: m.opts, Log: m.log, Env: m.returnerEnv()})
	if err != nil {
		return err
	}
	rec := returners.Record{Kind: returners.Return, Data: returnerData(job, ret, m.id)}
	var errs []string
	for _, name := range m.returnerNames(job, false) {
		if slices.Contains(viaMaster, name) {
			if c := m.links; len(c) > 0 && c[0].current() != nil && c[0].current().gosalt {
				ret.Set(wire.FieldReturners, append(ret.List(wire.FieldReturners), name))
				continue
			}
			errs = append(errs, fmt.Sprintf("returner %s needs a gosalt master, which writes for its minions", name))
			continue
		}
		if err := sender.Now(ctx, returners.Dest{Name: name}, rec); err != nil {
			errs = append(errs, err.Error())
		}
	}
	if errs != nil {
		return fmt.Errorf("give the result to returners: %s", strings.Join(errs, "; "))
	}
	return nil
}

// kinds give the registries that sys.* reports on.
var kinds = map[string]func() *module.Registry{"returners": sync.OnceValue(returners.Functions), "states": modules.States}
