package schedule

import (
	"errors"
	"fmt"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/protocol/wire"
)

// Manage carries out what a function of schedule.* asks, with the fields of Salt's
// event manage_schedule: func, name, schedule, where, persist, time, new_time,
// time_fmt. The answer has what was asked for, or "error", with "pillar" set where a
// job cannot be changed because it is in the pillar.
func (s *Scheduler) Manage(req *wire.Map) *wire.Map {
	name := req.Text("name")
	persist := true
	if v, ok := req.Get("persist"); ok {
		persist = module.Truth(v)
	}
	answer := wire.NewMap()
	var err error
	switch fun := req.Text("func"); fun {
	case "list":
		answer.Set("schedule", s.Jobs(req.Text("where")))
	case "add", "modify":
		options := req.Map("schedule")
		if options == nil {
			err = errors.New("the options of the job are missing")
			break
		}
		err = s.Add(name, options, persist)
	case "delete":
		err = s.Delete(name, persist)
	case "enable", "disable":
		err = s.Enable(fun == "enable", persist)
	case "enable_job", "disable_job":
		err = s.EnableJob(name, fun == "enable_job", persist)
	case "skip_job":
		err = s.Skip(name, req.Text("time"), "", req.Text("time_fmt"))
	case "postpone_job":
		err = s.Skip(name, req.Text("time"), req.Text("new_time"), req.Text("time_fmt"))
	case "run_job":
		err = s.RunNow(name)
	case "reload":
		s.Reload(req.Map("schedule"))
	case "save_schedule":
		err = s.Save()
	case "get_next_fire_time":
		answer.Set("next_fire_time", nil)
		if t := s.NextFireTime(name); !t.IsZero() {
			answer.Set("next_fire_time", t.Format("2006-01-02T15:04:05"))
		}
	case "job_status":
		answer.Set("data", s.Status(name))
	default:
		err = fmt.Errorf("the scheduler does not know %q", fun)
	}
	if err != nil {
		answer.Set("error", err.Error())
		var in *ErrPillar
		answer.Set("pillar", errors.As(err, &in))
	}
	return answer
}
