package runners

import (
	"encoding/json"
	"os"
	"testing"
	"time"
)

// TestParseTime compares with what Python's dateutil 2.9.0 made of the same texts on
// 2026-11-22; "" is what it refuses. Salt reads times with it.
func TestParseTime(t *testing.T) {
	b, err := os.ReadFile("testdata/times.json")
	if err != nil {
		t.Fatal(err)
	}
	var rows [][2]string
	if err := json.Unmarshal(b, &rows); err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 11, 22, 13, 14, 15, 0, time.UTC)
	for _, row := range rows {
		got, err := parseTime(row[0], now)
		text := got.Format("2006-01-02T15:04:05.000000")
		if err != nil {
			text = ""
		}
		if text != row[1] {
			t.Errorf("%q is %q, expected %q (%v)", row[0], text, row[1], err)
		}
	}
}

func TestParseTimeTakesJobIDs(t *testing.T) {
	got, err := parseTime("20261122063756703290", time.Now())
	want := time.Date(2026, 11, 22, 6, 37, 56, 703290000, time.UTC)
	if err != nil || !got.Equal(want) {
		t.Errorf("%v, %v", got, err)
	}
}

func TestParseTimeRefuses(t *testing.T) {
	for _, s := range []string{"13pm", "0am", "2026-11-22T06:37:56+99:99:99", "1e9", "\x00"} {
		if got, err := parseTime(s, time.Now()); err == nil {
			t.Errorf("%q is %v", s, got)
		}
	}
}

func FuzzParseTime(f *testing.F) {
	f.Add("2026, Nov 22 06:37:56.703290")
	f.Add("Nov 22nd 6:37pm")
	f.Add("2026-11-22T06:37:56+01:00")
	now := time.Date(2026, 11, 22, 13, 14, 15, 0, time.UTC)
	f.Fuzz(func(t *testing.T, s string) {
		got, err := parseTime(s, now)
		if err != nil {
			if !got.IsZero() {
				t.Errorf("%q: an error comes with %v", s, got)
			}
			return
		}
		if got.Year() < 0 || got.Year() > 9999 {
			return // on the edge of what four digits can say
		}
		again, err := parseTime(got.Format(time.RFC3339Nano), now)
		if err != nil || again != got {
			t.Errorf("%q is %v, which is %v when read again, %v", s, got, again, err)
		}
	})
}
