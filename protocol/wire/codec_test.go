package wire

import (
	"bytes"
	"compress/gzip"
	"encoding/hex"
	"encoding/json"
	"io"
	"os"
	"testing"
)

// readVectors reads one of the recorded files beside the tests; README.md there says
// where they come from.
func readVectors(t testing.TB, name string, into any) {
	t.Helper()
	f, err := os.Open("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, into); err != nil {
		t.Fatal(err)
	}
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

type msgpackVector struct {
	What       string  `json:"what"`
	UseBinType *bool   `json:"use_bin_type"`
	PackedHex  string  `json:"packed_hex"`
	PrefixHex  string  `json:"prefix_hex"`
	Length     int     `json:"length"`
	Network    *string `json:"loads_network"`
	NetworkRaw *string `json:"loads_network_raw"`
	EventBus   *string `json:"loads_event_bus"`
}

func TestSaltVectors(t *testing.T) {
	var file struct{ Msgpack []msgpackVector }
	readVectors(t, "static.json.gz", &file)
	if len(file.Msgpack) < 50 {
		t.Fatalf("%d vectors: 50 expected", len(file.Msgpack))
	}
	for _, v := range file.Msgpack {
		if v.PackedHex == "" {
			continue
		}
		packed := unhex(t, v.PackedHex)
		for _, r := range []struct {
			name string
			d    Dialect
			want *string
		}{{"network", Network, v.Network}, {"raw", NetworkRaw, v.NetworkRaw}, {"local", Local, v.EventBus}} {
			if r.want == nil {
				continue
			}
			got, err := Decode(packed, r.d, Authenticated)
			if err != nil {
				t.Errorf("%s, %s: %v", v.What, r.name, err)
				continue
			}
			if s := python(got, r.d == NetworkRaw); s != *r.want {
				t.Errorf("%s, %s: decoded to %s, Salt to %s", v.What, r.name, s, *r.want)
			}
			if v.UseBinType == nil || (r.d == Local) != *v.UseBinType {
				continue // not what Salt writes in this dialect
			}
			back, err := Encode(got, r.d)
			if err != nil || !bytes.Equal(back, packed) {
				t.Errorf("%s, %s: encoded to %x (%v), Salt to %x", v.What, r.name, back, err, packed)
			}
		}
	}
}

func TestSaltLongValues(t *testing.T) {
	p := bytes.Repeat([]byte("b"), 70000)
	for d, want := range map[Dialect]string{Network: "db0001117062", Local: "c60001117062"} {
		b, err := Encode(p, d)
		if err != nil || len(b) != 70005 || hex.EncodeToString(b[:6]) != want {
			t.Errorf("dialect %d: %d bytes, beginning %x (%v)", d, len(b), b[:6], err)
		}
	}
}
