package pydate

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"
)

var now = time.Date(2026, 3, 10, 13, 59, 50, 0, time.UTC)

// TestParse replays what dateutil 2.8.2 read of hundreds of texts.
func TestParse(t *testing.T) {
	b, err := os.ReadFile("testdata/dateutil.json")
	if err != nil {
		t.Fatal(err)
	}
	var rows [][2]*string
	if err := json.Unmarshal(b, &rows); err != nil || len(rows) < 500 {
		t.Fatal(err)
	}
	for _, row := range rows {
		text := *row[0]
		got, err := Parse(text, now)
		if row[1] == nil || strings.HasPrefix(*row[1], "!") {
			if err == nil {
				t.Errorf("%q: got %s, expected an error", text, got)
			}
			continue
		}
		want, perr := time.Parse("2006-01-02T15:04:05.999999Z07:00", *row[1])
		if perr != nil {
			want, perr = time.Parse("2006-01-02T15:04:05.999999", *row[1])
		}
		if perr != nil {
			t.Fatal(perr)
		}
		if err != nil || !got.Equal(want) {
			t.Errorf("%q: got %s (%v), want %s", text, got, err, want)
		}
	}
}

func TestStrptime(t *testing.T) {
	for _, row := range []struct{ text, format, want string }{
		{"2026-03-10T14:00:00", "%Y-%m-%dT%H:%M:%S", "2026-03-10T14:00:00Z"},
		{"10.3.2026 4:05 PM", "%d.%m.%Y %I:%M %p", "2026-03-10T16:05:00Z"},
		{"12:00 am", "%I:%M %p", "1900-01-01T00:00:00Z"},
		{"03/10/26 13:59:50.25", "%x %X.%f", "2026-03-10T13:59:50.25Z"},
		{"Tue Mar 10 13:59:50 2026", "%c", "2026-03-10T13:59:50Z"},
		{"69 70", "%y %j", "1969-03-11T00:00:00Z"},
		{"10 march   2026", "%d %B %Y", "2026-03-10T00:00:00Z"},
		{"2026-03-10 14:00 +0130", "%Y-%m-%d %H:%M %z", "2026-03-10T14:00:00+01:30"},
		{"100%", "100%%", "1900-01-01T00:00:00Z"},
		{"2026-02-30", "%Y-%m-%d", ""},
		{"2026-03-10x", "%Y-%m-%d", ""},
		{"14:00", "%T", ""},
		{"14", "%", ""},
		{"24:00", "%H:%M", ""},
	} {
		got, err := Strptime(row.text, row.format, time.UTC)
		if (err != nil) != (row.want == "") || err == nil && got.Format(time.RFC3339Nano) != row.want {
			t.Errorf("%q by %q: got %s (%v), want %s", row.text, row.format, got, err, row.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("Tuesday, April 12, 1952 AD 3:30:42pm PST")
	f.Add("10:36:28 +0300 (BRST)")
	f.Fuzz(func(t *testing.T, s string) {
		got, err := Parse(s, now)
		if err != nil {
			if !got.IsZero() {
				t.Fatalf("%q: an error with a value", s)
			}
			return
		}
		// What was read reads the same when it is written in full.
		again, err := Parse(got.Format("2006-01-02T15:04:05.000000Z"), now)
		if err != nil || !again.Equal(got) {
			t.Fatalf("%q: %s, again %s (%v)", s, got, again, err)
		}
	})
}
