package runners

import (
	"context"

	"github.com/gosalt/gosalt/internal/doctor"
	"github.com/gosalt/gosalt/internal/module"
)

func registerDoctor(r *module.Registry) {
	module.Register(r, "doctor.check", doctorCheck)
}

type doctorCheckArgs struct {
	Tgt     any    `default:"*"`                   // Minions to look at; * is all that have a key.
	TgtType string `default:"glob" arg:"tgt_type"` // How the target is read: glob, list, compound, ...
}

// doctorCheck looks for what keeps the master and its minions from working together,
// and returns what it finds: where, what was looked at, ok, warning or wrong, and what
// to do. "gosalt-run doctor" shows the same as a table, looks at this machine too, and
// works while the master is down.
//
//	gosalt-run doctor
//	gosalt-run doctor 'web*'
//	gosalt-run doctor.check --out=json
func doctorCheck(ctx context.Context, _ *module.Call, a doctorCheckArgs) ([]any, error) {
	c := callOf(ctx)
	findings, err := c.r.master.Doctor(ctx, a.Tgt, a.TgtType, c.timeout)
	if err != nil {
		return nil, err
	}
	return (&doctor.Report{Findings: findings}).ToList(), nil
}
