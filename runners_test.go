package gosalt_test

import (
	"log/slog"
	"os"
	"strings"
	"testing"

	"github.com/gosalt/gosalt/master/events"
	"github.com/gosalt/gosalt/master/runners"
)

// TestRunnerNames holds the names that a minion lists to the runners that a master has.
// -update writes them anew.
func TestRunnerNames(t *testing.T) {
	const file = "minion/modules/runners.txt"
	want := strings.Join(runners.New(nil, events.New(), slog.New(slog.DiscardHandler)).Registry().Names(), "\n") + "\n"
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if got, err := os.ReadFile(file); err != nil || string(got) != want {
		t.Errorf("%s is not the list of runners (%v); rewrite it with: go test -run TestRunnerNames . -update", file, err)
	}
}
