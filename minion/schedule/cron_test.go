package schedule

import (
	"compress/gzip"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"
)

// readGzip reads a recording.
func readGzip(t testing.TB, name string, into any) {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.NewDecoder(z).Decode(into); err != nil {
		t.Fatal(err)
	}
}

// wall is a time as Python's isoformat writes one without a zone.
func wall(t testing.TB, s string) time.Time {
	t.Helper()
	got, err := time.Parse("2006-01-02T15:04:05.999999", s)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// TestCron replays what croniter 1.3.5 made of hundreds of lines.
func TestCron(t *testing.T) {
	var rows [][]any
	readGzip(t, "testdata/croniter.json.gz", &rows)
	if len(rows) < 500 {
		t.Fatalf("only %d rows", len(rows))
	}
	for _, row := range rows {
		line, at := row[0].(string), wall(t, row[1].(string))
		// Later versions of croniter take ranges that go over the end, and "?".
		later := strings.Contains("22-4 * * * *|0 22-4 * * *|59-5 * * * *|0 0 ? * 1|45-15/10 * * * *|0 0 * * fri-mon|0 0 25-5 * *|0 0 * 11-2 *|0 0 * * thu-tue/2", line) && line != ""
		random := strings.HasPrefix(line, "r(")
		// croniter 1.3.5 passes over the first of March after a list with the 31st.
		passes := line == "0 0 */10 * *" || line == "* 7 */6 * 0,6"
		if later || random || passes {
			continue
		}
		c, err := ParseCron(line)
		want, _ := row[2].([]any)
		if len(row) > 3 && want == nil {
			if err == nil {
				_, err = c.Next(at)
			}
			if err == nil {
				t.Errorf("%q: an error expected (%s)", line, row[3])
			}
			continue
		}
		if err != nil {
			t.Errorf("%q: %v", line, err)
			continue
		}
		for _, w := range want {
			next, err := c.Next(at)
			if err != nil || !next.Equal(wall(t, w.(string))) {
				t.Errorf("%q after %s: got %s (%v), want %s", line, at, next, err, w)
				break
			}
			at = next
		}
	}
}

func TestCronOverTheEnd(t *testing.T) {
	c, err := ParseCron("0 22-1 * * fri-mon")
	if err != nil {
		t.Fatal(err)
	}
	at := wall(t, "2026-03-12T12:00:00") // a Thursday
	var got []string
	for range 6 {
		if at, err = c.Next(at); err != nil {
			t.Fatal(err)
		}
		got = append(got, at.Format("Mon 15"))
	}
	if s := strings.Join(got, ", "); s != "Fri 00, Fri 01, Fri 22, Fri 23, Sat 00, Sat 01" {
		t.Error(s)
	}
}

// A time that is left out when clocks are set forward is made up for; one that comes
// twice when they are set back is met once.
func TestCronClockChanges(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Skip(err)
	}
	c, err := ParseCron("30 2 * * *")
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range [][]string{
		{"2026-03-28T12:00:00+01:00", "2026-03-29T03:30:00+02:00", "2026-03-30T02:30:00+02:00"},
		{"2026-10-24T12:00:00+02:00", "2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"},
	} {
		at, _ := time.Parse(time.RFC3339, row[0])
		at = at.In(berlin)
		for _, want := range row[1:] {
			if at, err = c.Next(at); err != nil || at.Format(time.RFC3339) != want {
				t.Errorf("got %s (%v), want %s", at.Format(time.RFC3339), err, want)
			}
		}
	}
}

func FuzzParseCron(f *testing.F) {
	f.Add("15,45 8-18/2 l * mon-fri")
	f.Add("0 0 * * sat#1,sun#2 30")
	f.Fuzz(func(t *testing.T, s string) {
		c, err := ParseCron(s)
		if err != nil {
			return
		}
		at := wall(t, "2026-03-10T13:59:50")
		next, err := c.Next(at)
		if err == nil && !next.After(at) {
			t.Fatalf("%q: %s is not after %s", s, next, at)
		}
	})
}
