package cli

import (
	"testing"
	"time"
)

func TestParseUntil(t *testing.T) {
	zone := time.FixedZone("here", 2*3600)
	now := time.Date(2026, 11, 26, 17, 30, 0, 0, zone)
	for _, tt := range []struct{ text, want string }{
		{"2h", "2026-11-26 19:30:00"},
		{"90m", "2026-11-26 19:00:00"},
		{"1.5h", "2026-11-26 19:00:00"},
		{"1d12h", "2026-11-28 05:30:00"},
		{"2w", "2026-12-10 17:30:00"},
		{"30s", "2026-11-26 17:30:30"},
		{"18:00", "2026-11-26 18:00:00"},
		{"17:30", "2026-11-27 17:30:00"}, // now: the next one
		{"08:15:20", "2026-11-27 08:15:20"},
		{" 8:15 ", "2026-11-27 08:15:00"},
		{"2026-11-27 08:00", "2026-11-27 08:00:00"},
		{"2026-11-27T08:00:05", "2026-11-27 08:00:05"},
		{"2026-11-27T08:00:00Z", "2026-11-27 10:00:00"},
		{"2026-11-27T08:00+01:00", "2026-11-27 09:00:00"},
		{"", ""}, {"2", ""}, {"2 h", ""}, {"h", ""}, {"-2h", ""}, {"25:00", ""}, {"tomorrow", ""}, {"2026-02-30 08:00", ""}, {"1e3h", ""},
	} {
		got, err := parseUntil(tt.text, now)
		text := ""
		if err == nil {
			text = got.In(zone).Format("2006-01-02 15:04:05")
		}
		if text != tt.want {
			t.Errorf("parseUntil(%q) = %q, %v; want %q", tt.text, text, err, tt.want)
		}
	}
}

func TestTokenLife(t *testing.T) {
	for _, tt := range []struct {
		text string
		want time.Duration
	}{
		{"", 0},
		{"90s", 90 * time.Second},
		{" 15m ", 15 * time.Minute},
		{"7d", 7 * 24 * time.Hour},
		{"1d12h", 36 * time.Hour},
		{"1h2d", 49 * time.Hour},
		{"0s", -1}, {"2", -1}, {"-2h", -1}, {"500ms", -1},
	} {
		r, err := (&TokenOptions{Uses: 1, Life: tt.text}).request()
		if tt.want < 0 != (err != nil) || err == nil && r.Life != tt.want {
			t.Errorf("--life %q: %s, %v; want %s", tt.text, r.Life, err, tt.want)
		}
	}
}
