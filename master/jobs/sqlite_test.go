package jobs_test

import (
	"path/filepath"
	"testing"

	"github.com/gosalt/gosalt/master/jobs"
	"github.com/gosalt/gosalt/master/jobs/jobstest"
)

func openIn(t testing.TB, dir string) *jobs.SQLite {
	t.Helper()
	s, err := jobs.Open(filepath.Join(dir, "jobs.db"), jobs.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestSQLite(t *testing.T) {
	jobstest.Run(t, func(t *testing.T, dir string) jobs.Store { return openIn(t, dir) })
}
