package master

import (
	"testing"

	"github.com/gosalt/gosalt/master/keys"
	"github.com/gosalt/gosalt/protocol/seal"
	"github.com/gosalt/gosalt/protocol/wire"
)

// A key that took another's place has its digest, though there are as many as before.
func TestByTopic(t *testing.T) {
	st, err := keys.Open(keys.Config{PKIDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	key, err := seal.Generate(2048)
	if err != nil {
		t.Fatal(err)
	}
	d := &minionData{keys: st}
	seed := func(id wire.MinionID) {
		t.Helper()
		if err := st.Seed(id, key.Public().PEM()); err != nil {
			t.Fatal(err)
		}
	}
	seed("web1")
	if id, ok := d.byTopic(seal.Topic("web1")); !ok || id != "web1" {
		t.Errorf("web1: %q %v", id, ok)
	}
	if err := st.Delete(keys.Accepted, "web1"); err != nil {
		t.Fatal(err)
	}
	seed("web2")
	if id, ok := d.byTopic(seal.Topic("web2")); !ok || id != "web2" {
		t.Errorf("web2: %q %v", id, ok)
	}
	if id, ok := d.byTopic(seal.Topic("web1")); ok {
		t.Errorf("web1 is gone, and has a digest: %q", id)
	}
}
