package keys

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

func TestDecide(t *testing.T) {
	for _, test := range []struct {
		name    string
		facts   Facts
		answer  Answer
		act     string
		effects []Effect
	}{
		{"new id waits", Facts{}, Wait, "pend", []Effect{StorePending}},
		{"new id is accepted automatically", Facts{AutoSign: true}, Accept, "accept", []Effect{StoreAccepted}},
		{"new id is rejected automatically", Facts{AutoReject: true}, Deny, "reject", []Effect{StoreRejected}},
		{"rejecting comes before accepting", Facts{AutoReject: true, AutoSign: true}, Deny, "reject", []Effect{StoreRejected}},
		{"new id beyond the limits leaves nothing", Facts{Full: "full"}, Deny, "", nil},
		{"new id beyond the limits, rejected automatically, leaves nothing", Facts{Full: "full", AutoReject: true}, Deny, "reject", nil},
		{"limits do not hold for what is accepted automatically", Facts{Full: "full", AutoSign: true}, Accept, "accept", []Effect{StoreAccepted}},
		{"pending key still waits", Facts{Pending: Same}, Wait, "pend", nil},
		{"pending key still waits when no more are taken", Facts{Pending: Same, Full: "full"}, Wait, "pend", nil},
		{"pending key is accepted automatically", Facts{Pending: Same, AutoSign: true}, Accept, "accept", []Effect{StoreAccepted, RemovePending}},
		{"pending key is rejected automatically", Facts{Pending: Same, AutoReject: true}, Deny, "reject", []Effect{RejectPending}},
		{"another key than the pending one", Facts{Pending: Differs}, Deny, "denied", []Effect{StoreDenied}},
		{"another key than the pending one is not accepted automatically", Facts{Pending: Differs, AutoSign: true}, Deny, "denied", []Effect{StoreDenied}},
		{"another key than the pending one, rejected automatically", Facts{Pending: Differs, AutoReject: true}, Deny, "reject", []Effect{RejectPending}},
		{"no file in the pending key's place", Facts{Pending: Blocked}, Deny, "", nil},
		{"accepted key", Facts{Accepted: Same}, Accept, "accept", nil},
		{"accepted key, whatever is pending", Facts{Accepted: Same, Pending: Differs}, Accept, "accept", nil},
		{"accepted key is not rejected automatically", Facts{Accepted: Same, AutoReject: true}, Accept, "accept", nil},
		{"another key than the accepted one", Facts{Accepted: Differs}, Deny, "denied", []Effect{StoreDenied}},
		{"another key than the accepted one is not accepted automatically", Facts{Accepted: Differs, AutoSign: true}, Deny, "denied", []Effect{StoreDenied}},
		{"no file in the accepted key's place", Facts{Accepted: Blocked, OpenMode: true}, Deny, "", nil},
		{"rejected id", Facts{Rejected: true}, Deny, "", nil},
		{"rejected comes before accepted", Facts{Rejected: true, Accepted: Same}, Deny, "", nil},
		{"rejected id is not accepted automatically", Facts{Rejected: true, AutoSign: true}, Deny, "", nil},
		{"id differing in case", Facts{CaseTwin: "Web1"}, Deny, "", nil},
		{"id differing in case is not accepted automatically", Facts{CaseTwin: "Web1", AutoSign: true}, Deny, "", nil},
		{"id differing in case is not taken in open mode", Facts{CaseTwin: "Web1", OpenMode: true}, Deny, "", nil},
		{"accepted ids that differ in case both stay", Facts{CaseTwin: "Web1", Accepted: Same}, Accept, "accept", nil},
		{"open mode takes a new id", Facts{OpenMode: true}, Accept, "accept", []Effect{StoreAccepted}},
		{"open mode takes another key", Facts{OpenMode: true, Accepted: Differs}, Accept, "accept", []Effect{StoreAccepted}},
		{"open mode takes a rejected id", Facts{OpenMode: true, Rejected: true, Accepted: Same}, Accept, "accept", nil},
	} {
		d := Decide(test.facts)
		if d.Answer != test.answer || d.Act != test.act || !reflect.DeepEqual(d.Effects, test.effects) {
			t.Errorf("%s: got %v %q %v, want %v %q %v", test.name, d.Answer, d.Act, d.Effects, test.answer, test.act, test.effects)
		}
		if d.Reason == "" {
			t.Errorf("%s: no reason for the log", test.name)
		}
	}
}

// recorded is one authentication that Salt itself decided.
type recorded struct {
	Rejected, Accepted, Pending string // "", "A", "B" or "dir"
	Autosign, Autoreject        bool
	OpenMode                    bool `json:"open_mode"`
	Answer                      string
	Files                       map[State]string // what is in each directory afterwards
	Events                      []struct {
		Tag, Act string
		Result   bool
	}
}

// TestAsSalt holds Authenticate to what Salt answered, stored and announced in each
// of 288 situations.
func TestAsSalt(t *testing.T) {
	b, err := os.ReadFile("testdata/auth.json")
	if err != nil {
		t.Fatal(err)
	}
	var data struct {
		A, B  string
		Cases []recorded
	}
	if err := json.Unmarshal(b, &data); err != nil {
		t.Fatal(err)
	}
	texts := map[string]string{"A": data.A, "B": data.B}
	for _, c := range data.Cases {
		name, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		var events []Event
		dir := t.TempDir()
		cfg := Config{PKIDir: dir, AutoAccept: c.Autosign, OpenMode: c.OpenMode, OnEvent: func(e Event) { events = append(events, e) }}
		if c.Autoreject {
			cfg.AutorejectFile = filepath.Join(dir, "autoreject.conf")
			writeFile(t, cfg.AutorejectFile, "m1\n", 0o600)
		}
		s := open(t, cfg)
		for st, what := range map[State]string{Rejected: c.Rejected, Accepted: c.Accepted, Pending: c.Pending} {
			switch path := filepath.Join(s.dir(st), "m1"); what {
			case "":
			case "dir":
				if err := os.Mkdir(path, 0o700); err != nil {
					t.Fatal(err)
				}
			default:
				writeFile(t, path, texts[what], 0o644)
			}
		}
		res, err := s.Authenticate(Request{ID: "m1", Pub: data.A})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if res.Answer.String() != c.Answer || (res.Key != nil) != (c.Answer == "accept") {
			t.Errorf("%s: answer %v with key %v", name, res.Answer, res.Key != nil)
		}
		for _, st := range States {
			got := ""
			if fi, err := os.Stat(filepath.Join(s.dir(st), "m1")); err == nil && fi.IsDir() {
				got = "dir"
			} else if text, err := s.Read(st, "m1"); err == nil {
				got = map[string]string{data.A: "A", data.B: "B"}[text]
			}
			if got != c.Files[st] {
				t.Errorf("%s: %s holds %q", name, st, got)
			}
		}
		want := c.Events[0]
		if c.Answer == "deny" && c.Pending == "B" && c.Accepted == "" && c.Rejected == "" && c.Autosign && !c.Autoreject {
			want.Act = "denied" // Salt says so in all other cases of a denied key
		}
		if len(c.Events) != 1 || len(events) != 1 || events[0].Tag != want.Tag || events[0].Act != want.Act || events[0].Result != want.Result {
			t.Errorf("%s: events %+v", name, events)
		}
	}
}
