package returners

import (
	"context"
	"embed"
	"fmt"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/protocol/wire"
)

//go:embed functions.go
var sources embed.FS

// Functions are the functions of the returners as sys.list_returners, sys.returner_doc
// and the reference list them. Minions use returners through --return and the options
// return and schedule_returner, masters through ext_job_cache and event_return.
func Functions() *module.Registry {
	r := module.NewRegistry()
	r.Sources("github.com/gosalt/gosalt/internal/returners", sources)
	module.Register(r, "local.returner", localReturner)
	module.Register(r, "local.event_return", localEventReturn)
	module.Register(r, "rawfile_json.returner", rawfileJSONReturner)
	module.Register(r, "rawfile_json.event_return", rawfileJSONEventReturn)
	module.Register(r, "syslog.returner", sendToSyslog)
	module.Register(r, "redis.returner", redisReturner)
	module.Register(r, "postgres.returner", postgresReturner)
	module.Register(r, "postgres.event_return", postgresEventReturn)
	module.Register(r, "pgjsonb.returner", pgjsonbReturner)
	module.Register(r, "pgjsonb.event_return", pgjsonbEventReturn)
	return r
}

// HasEvents tells whether a returner takes events.
func HasEvents(name string) bool { return Functions().Has(name + ".event_return") }

type returnerArgs struct {
	Ret *wire.Map // The result of a job on one minion.
}

type eventReturnArgs struct {
	Events []any // Events of the master: maps of tag and data.
}

// one delivers a result to a returner.
func one(ctx context.Context, c *module.Call, name string, r Record) (bool, error) {
	open := Small()[name]
	if open == nil {
		return false, fmt.Errorf("returner %s is served by the master", name)
	}
	ret, err := open(Options{Config: c.Opts}, Env{Log: c.Log})
	if err != nil {
		return false, err
	}
	defer ret.Close()
	_, err = ret.Store(ctx, []Record{r})
	return err == nil, err
}

func events(ctx context.Context, c *module.Call, name string, list []any) (bool, error) {
	for _, e := range list {
		m, _ := e.(*wire.Map)
		if ok, err := one(ctx, c, name, Record{Event, m}); !ok {
			return false, err
		}
	}
	return true, nil
}

// localReturner prints the result on the minion's standard output; it is for trying
// returners out.
//
//	gosalt '*' test.ping --return local
func localReturner(ctx context.Context, c *module.Call, a returnerArgs) (bool, error) {
	return one(ctx, c, "local", Record{Return, a.Ret})
}

// localEventReturn prints the master's events on its standard output.
func localEventReturn(ctx context.Context, c *module.Call, a eventReturnArgs) (bool, error) {
	return events(ctx, c, "local", a.Events)
}

// rawfileJSONReturner appends the result to a file, as one line of JSON.
//
// Option: rawfile_json.filename (/var/log/salt/events).
//
//	gosalt '*' test.ping --return rawfile_json
func rawfileJSONReturner(ctx context.Context, c *module.Call, a returnerArgs) (bool, error) {
	return one(ctx, c, "rawfile_json", Record{Return, a.Ret})
}

// rawfileJSONEventReturn appends the master's events to a file, one line of JSON each.
func rawfileJSONEventReturn(ctx context.Context, c *module.Call, a eventReturnArgs) (bool, error) {
	return events(ctx, c, "rawfile_json", a.Events)
}

// sendToSyslog sends the result to the system's log, as JSON.
//
// Options: syslog.level (LOG_INFO), syslog.facility (LOG_USER), syslog.tag (the
// program's name), syslog.options (a list, such as [LOG_PID]), syslog.socket
// (/dev/log; gosalt's own).
//
//	gosalt '*' test.ping --return syslog
func sendToSyslog(ctx context.Context, c *module.Call, a returnerArgs) (bool, error) {
	return one(ctx, c, "syslog", Record{Return, a.Ret})
}

// redisReturner stores the result in Redis, under the keys of Salt's returner: the
// hash ret:JID by minion, load:JID (written by a master), MINION:FUNCTION and the set
// minions.
//
// Options: redis.host (localhost), redis.port (6379), redis.db (0),
// redis.unix_socket_path, redis.username and redis.password (gosalt's own). Jobs stay
// for keep_jobs_seconds. With --return_config NAME, NAME.redis.host and so on go first.
//
//	gosalt '*' test.ping --return redis
func redisReturner(ctx context.Context, c *module.Call, a returnerArgs) (bool, error) {
	return one(ctx, c, "redis", Record{Return, a.Ret})
}

// postgresReturner stores the result in PostgreSQL, as JSON in columns of text, in
// the table salt_returns of Salt's returner. A gosalt master writes for its minions,
// with the options of its own configuration.
//
// Options: returner.postgres.host (localhost), .port (5432), .user (salt), .passwd
// (salt), .db (salt).
//
//	gosalt '*' test.ping --return postgres
func postgresReturner(ctx context.Context, c *module.Call, a returnerArgs) (bool, error) {
	return one(ctx, c, "postgres", Record{Return, a.Ret})
}

// postgresEventReturn stores the master's events in the table salt_events.
func postgresEventReturn(ctx context.Context, c *module.Call, a eventReturnArgs) (bool, error) {
	return events(ctx, c, "postgres", a.Events)
}

// pgjsonbReturner stores the result in PostgreSQL, in columns of jsonb, in the table
// salt_returns of Salt's returner. A gosalt master writes for its minions, with the
// options of its own configuration.
//
// Options: returner.pgjsonb.host (localhost), .port (5432), .user (salt), .pass
// (salt), .db (salt), .sslmode, .sslcert, .sslkey, .sslrootcert.
//
//	gosalt '*' test.ping --return pgjsonb
func pgjsonbReturner(ctx context.Context, c *module.Call, a returnerArgs) (bool, error) {
	return one(ctx, c, "pgjsonb", Record{Return, a.Ret})
}

// pgjsonbEventReturn stores the master's events in the table salt_events.
func pgjsonbEventReturn(ctx context.Context, c *module.Call, a eventReturnArgs) (bool, error) {
	return events(ctx, c, "pgjsonb", a.Events)
}
