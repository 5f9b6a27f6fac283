package keys

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/gosalt/gosalt/protocol/wire"
)

func TestNotAccepted(t *testing.T) {
	s, err := Open(Config{PKIDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	put := func(st State, id string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(s.dir(st), id), []byte("key"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put(Accepted, "good")
	put(Accepted, "also-rejected")
	put(Rejected, "also-rejected")
	put(Rejected, "not-connected")
	put(Pending, "pending")
	connected := map[wire.MinionID]bool{"good": true, "also-rejected": true, "pending": true, "unknown": true}
	want := []wire.MinionID{"also-rejected", "pending", "unknown"}
	got, err := s.NotAccepted(connected)
	slices.Sort(got)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("NotAccepted = %v, %v; want %v", got, err, want)
	}
	if err := os.Remove(filepath.Join(s.dir(Accepted), "good")); err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	if got, err = s.NotAccepted(connected); err != nil || len(got) != 4 {
		t.Errorf("after good was deleted by another process: %v, %v; want all four", got, err)
	}
}
