package modules

import (
	"context"
	"runtime"
	"time"

	"github.com/gosalt/gosalt/internal/doctor"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/version"
	"github.com/gosalt/gosalt/protocol/wire"
)

func init() { register("doctor.check", doctorCheck) }

type doctorCheckArgs struct{}

// doctorCheck looks at what may keep this machine from working with its master: disk,
// clock, file descriptors, the master's name. gosalt-run doctor asks all minions and
// shows what they say.
//
//	gosalt '*' doctor.check
func doctorCheck(ctx context.Context, c *module.Call, _ doctorCheckArgs) (*wire.Map, error) {
	r := doctor.Report{Where: c.Opts.Text("id")}
	r.Disk(c.CacheDir, "/")
	r.Clock()
	r.Descriptors(0)
	masters := c.Opts.List("master")
	if s := c.Opts.Text("master"); s != "" {
		masters = []any{s}
	}
	for _, m := range masters {
		if name, ok := m.(string); ok {
			r.DNS(ctx, name, "the master's name")
		}
	}
	return wire.NewMap("version", version.Gosalt(), "system", runtime.GOOS+"/"+runtime.GOARCH, "time", time.Now().Unix(), "findings", r.ToList()), nil
}
