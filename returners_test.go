//go:build linux

package gosalt_test

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/gosalt/gosalt/internal/dbtest"
	"github.com/gosalt/gosalt/internal/testproc"
	"github.com/rogpeppe/go-internal/testscript"
)

// TestReturners runs the scenarios of testdata/returners, with a Redis server at
// $REDIS_PORT and a PostgreSQL server at $PG_PORT. Besides the commands of TestScripts
// they have:
//
//	db redis|postgres stop|start    end the server, and start it again with its data
//	psql STATEMENTS                 prints the rows; so does $PSQL, for await
//	real, unreal, salt, await-salt  as TestInterop, where SALT_TREES is set: [salt]
func TestReturners(t *testing.T) {
	t.Parallel()
	redis, pg := dbtest.Redis(t), dbtest.Postgres(t)
	cmds := map[string]func(*testscript.TestScript, bool, []string){
		"start": cmdStart, "end": cmdEnd, "crash": cmdCrash, "exited": cmdExited, "accept": cmdAccept, "await": cmdAwait,
		"exits": cmdExits, "log": cmdLog, "capture": cmdCapture,
		"db": func(ts *testscript.TestScript, neg bool, args []string) {
			s := map[string]*dbtest.Server{"redis": redis, "postgres": pg}[args[0]]
			if args[1] == "stop" {
				s.Stop()
			} else {
				s.Start()
			}
		},
		"psql": func(ts *testscript.TestScript, neg bool, args []string) {
			fmt.Fprint(ts.Stdout(), pg.Exec(strings.Join(args, " ")))
		},
	}
	salts := testproc.Salts()
	if len(salts) > 0 {
		s := salts[0]
		cmds["real"] = func(ts *testscript.TestScript, neg bool, args []string) { cmdReal(ts, s, args) }
		cmds["unreal"] = each((*testproc.Proc).EndTree)
		cmds["salt"] = func(ts *testscript.TestScript, neg bool, args []string) { cmdSalt(ts, s, neg, args) }
		cmds["await-salt"] = func(ts *testscript.TestScript, neg bool, args []string) { cmdAwaitSalt(ts, s, args) }
	}
	files, err := filepath.Glob("testdata/returners/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files { // one after the other: they share the servers
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			pg.Exec("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
			testscript.Run(t, testscript.Params{Files: []string{file}, Cmds: cmds,
				Setup: func(env *testscript.Env) error {
					env.Setenv("REDIS_PORT", strconv.Itoa(redis.Port))
					env.Setenv("PG_PORT", strconv.Itoa(pg.Port))
					env.Setenv("PSQL", pg.Client())
					env.Setenv("PG_URL", "postgres://salt:secret@"+pg.Addr()+"/salt")
					env.Setenv("PG_TABLES", dbtest.Tables("jsonb"))
					return setup(env)
				},
				Condition: func(cond string) (bool, error) {
					if cond == "salt" {
						return len(salts) > 0, nil
					}
					return condition(cond)
				}})
		})
	}
}
