package wire

import (
	"sync"
	"testing"
	"time"
)

func TestNewJobID(t *testing.T) {
	at := time.Date(2026, 11, 22, 7, 38, 56, 297095_999, time.FixedZone("", 3600))
	defer lastJobID.Store(lastJobID.Load())
	lastJobID.Store(0)
	a, b, c := NewJobID(at), NewJobID(at), NewJobID(at.Add(-time.Hour))
	if a != "20261122063856297095" || b != "20261122063856297096" || c != "20261122063856297097" {
		t.Error(a, b, c)
	}
	if _, err := ParseJobID(string(a)); err != nil {
		t.Error(err)
	}
	got, err := a.Time()
	if err != nil || !got.Equal(at.Truncate(time.Microsecond)) {
		t.Error(got, err)
	}
}

func TestNewJobIDIsUnique(t *testing.T) {
	const workers, each = 8, 1000
	at := time.Now()
	var mu sync.Mutex
	seen := map[JobID]bool{}
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			last := JobID("")
			for range each {
				id := NewJobID(at)
				if id <= last {
					t.Errorf("%s after %s", id, last)
				}
				last = id
				mu.Lock()
				seen[id] = true
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if len(seen) != workers*each {
		t.Errorf("%d ids of %d differ", len(seen), workers*each)
	}
}

func TestSaltJobIDs(t *testing.T) {
	var file struct {
		Valid []struct {
			JID   string
			IsJID bool `json:"is_jid"`
		} `json:"jid_valid"`
		Times []struct{ JID, Text string } `json:"jid_to_time"`
	}
	readVectors(t, "static.json.gz", &file)
	for _, v := range file.Valid {
		if _, err := ParseJobID(v.JID); (err == nil) != v.IsJID {
			t.Errorf("%q: %v, Salt says %t", v.JID, err, v.IsJID)
		}
	}
	for _, v := range file.Times {
		at, err := JobID(v.JID).Time()
		if (err == nil) != (v.Text != "") {
			t.Errorf("%q: %v, Salt says %q", v.JID, err, v.Text)
		} else if err == nil && at.Format("2006, Jan 02 15:04:05.000000") != v.Text {
			t.Errorf("%q: %v, Salt says %q", v.JID, at, v.Text)
		}
	}
	for _, s := range []JobID{"20261322063856297095", "99999999999999999999", ""} {
		if at, err := s.Time(); err == nil {
			t.Errorf("%q: %v", s, at)
		}
	}
}
