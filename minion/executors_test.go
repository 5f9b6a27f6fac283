package minion

import "testing"

// The delays are those of Salt 3006.18's splay for the same ids.
func TestSplayDelay(t *testing.T) {
	for id, want := range map[string]int64{"alpha": 165, "beta": 147, "web1": 234, "db.example.com": 0, "ü": 172} {
		if got := splayDelay(id, 300); got != want {
			t.Errorf("splayDelay(%q, 300) = %d, want %d", id, got, want)
		}
	}
}
