package modules

import (
	"testing"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/protocol/wire"
)

func init() {
	saltNames["config"] = `backup_mode dot_vals gather_bootstrap_script get items manage_mode merge option valid_fileproto`
}

// recordedMinion is the minion that config, match and data were recorded with.
func recordedMinion(t *testing.T) *module.Call {
	return &module.Call{
		Job:      &module.Job{Pub: wire.NewMap()},
		CacheDir: t.TempDir(),
		Opts: fromJSON(t, []byte(`{"id":"web1","my":{"a":1,"l":["x",{"k":"v"}]},"status.x":1,"status.y":[2],
			"schedule":{"j":{"seconds":5}},"lst":[1],"txt":"opts","backup_mode":""}`)).(*wire.Map),
		Grains: func() *wire.Map {
			return fromJSON(t, []byte(`{"id":"web1","os":"Debian","my":{"g":2,"a":9},"only_grain":"g","deep":{"x":{"y":"z"}},
				"ipv4":["10.0.0.5","127.0.0.1"],"ipv6":["fe80::1","::1"],"roles":["web","db"],"num":1}`)).(*wire.Map)
		},
		Pillar: func() *wire.Map {
			return fromJSON(t, []byte(`{"my":{"p":3},"only_pillar":{"q":[1,2]},"lst":[2],"txt":"pillar","schedule":{"k":{"seconds":9}},
				"role":"front","master":{"my":{"m":4},"lst":[3],"only_master":7,"status.z":"m","schedule":{"m":1}}}`)).(*wire.Map)
		},
	}
}

func TestRecordedConfig(t *testing.T) {
	if hostsFile() != "/etc/hosts" {
		t.Skip("recorded on Debian")
	}
	runRecorded(t, "testdata/config.json", false, func() *module.Call { return recordedMinion(t) })
}

// TestConfigSeesGrainsAndPillar: they are entries of the configuration, too.
func TestConfigSeesGrainsAndPillar(t *testing.T) {
	r := New()
	for key, want := range map[string]any{"grains:os": "Debian", "pillar:role": "front", "my:a": int64(1)} {
		if got := r.Run(t.Context(), recordedMinion(t), "config.get", []any{key}, nil); got.Return != want {
			t.Errorf("config.get %s = %v, want %v", key, got.Return, want)
		}
	}
	items := r.Run(t.Context(), recordedMinion(t), "config.items", nil, nil).Return.(*wire.Map)
	if !items.Has("grains") || !items.Has("pillar") || items.Text("id") != "web1" {
		t.Errorf("config.items lacks an entry: %v", items)
	}
}

// TestConfigSDB: a value in a store that cannot be asked is an error, one without a
// profile an ordinary text.
func TestConfigSDB(t *testing.T) {
	r := New()
	c := recordedMinion(t)
	c.Opts.Set("pw", "sdb://vault/key")
	if got := r.Run(t.Context(), c, "config.get", []any{"pw"}, nil); got.Return != "sdb://vault/key" {
		t.Errorf("without a profile: %+v", got)
	}
	c.Opts.Set("vault", wire.NewMap("driver", "vault"))
	if got := r.Run(t.Context(), c, "config.get", []any{"pw"}, nil); got.Success {
		t.Errorf("with a profile: %+v", got)
	}
}
