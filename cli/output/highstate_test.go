package output

import (
	"compress/gzip"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/gosalt/gosalt/internal/pytext/pytest"
	"github.com/gosalt/gosalt/protocol/wire"
)

// TestHighstateRecorded compares with what Salt 3006.18 prints for 63 results of
// states, each with up to 29 settings; a setting that changes nothing is left out.
func TestHighstateRecorded(t *testing.T) {
	f, err := os.Open("testdata/highstate.json.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var recorded struct {
		Options map[string]pytest.Value
		Cases   []struct {
			Name  string
			Value pytest.Value
			Text  map[string]any
		}
	}
	if err := json.NewDecoder(z).Decode(&recorded); err != nil {
		t.Fatal(err)
	}
	// What is shown better here: results without a duration in one line, and a table
	// of durations only where there are states.
	better := map[string]bool{
		"start without duration": true, "short tag": true,
		"compile error, profile": true, "compile errors, profile": true, "text, profile": true,
	}
	for _, c := range recorded.Cases {
		for setting, conf := range recorded.Options {
			text, ok := c.Text[setting]
			if !ok {
				text = c.Text[""]
			}
			want, ok := text.(string)
			if !ok { // Salt ends with a traceback
				continue
			}
			want = strings.ReplaceAll(want, "e\x1b[1m", "e?[1m") // names are made harmless like values
			name := "highstate"
			if setting == "profile" {
				name = "profile"
			}
			got := Format(c.Value.V, name, settings(conf.V.(*wire.Map)))
			if got != want && !better[c.Name] && !better[c.Name+", "+setting] {
				t.Errorf("%s, %s:\n%s\nSalt prints:\n%s", c.Name, setting, show(got), show(want))
			}
		}
	}
}

// settings are the options of Salt's names.
func settings(conf *wire.Map) Options {
	o := Defaults()
	for name, v := range conf.Strings() {
		switch name {
		case "color":
			o.Color = v.(bool)
		case "state_output":
			o.StateOutput = v.(string)
		case "state_verbose":
			o.StateVerbose = v.(bool)
		case "state_output_diff":
			o.StateOutputDiff = v.(bool)
		case "state_output_profile":
			o.StateOutputProfile = v.(bool)
		case "state_output_pct":
			o.StateOutputPct = v.(bool)
		case "state_compress_ids":
			o.StateCompressIDs = v.(bool)
		case "state_tabular":
			o.StateTabular, _ = v.(bool)
			o.StateTabularFormat, _ = v.(string)
		case "state_output_exclude":
			o.StateOutputExclude = resultList(v)
		case "state_output_terse":
			o.StateOutputTerse = resultList(v)
		case "arg":
			o.Args = v.([]any)
		}
	}
	return o
}
