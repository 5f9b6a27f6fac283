package docker

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/gosalt/gosalt/internal/enginerig"
	"github.com/gosalt/gosalt/inventory"
	"github.com/gosalt/gosalt/inventory/inventorytest"
	"github.com/gosalt/gosalt/protocol/wire"
)

// A real dockerd, with containers that have no network.
func TestDockerd(t *testing.T) {
	alone(t)
	e := enginerig.Docker(t)
	web := e.Run(enginerig.Image, "web1", map[string]string{"role": "web", "com.docker.compose.project": "shop"})
	e.Create(enginerig.Image, "old", nil)
	p := inventorytest.Service{Kind: Kind}.Open(t, wire.NewMap("host", e.Host)).(inventory.Executor)
	ms := inventorytest.ByLabel(t, p)
	if m := ms["web1"]; len(ms) != 2 || m.ID != web || m.State != inventory.Running || m.Tags["role"] != "web" || fmt.Sprint(m.Groups) != "[shop]" || m.Image != enginerig.Image {
		t.Errorf("%+v", ms)
	}
	testExec(t, p, ms["web1"])
	_, err := p.Exec(t.Context(), ms["old"], []string{"/bin/true"}, nil, io.Discard, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "start it first") {
		t.Errorf("%v", err)
	}
	filtered := inventorytest.Service{Kind: Kind}.Open(t, wire.NewMap("host", e.Host, "filters", wire.NewMap("label", "role=web")))
	if ms := inventorytest.ByLabel(t, filtered); len(ms) != 1 {
		t.Errorf("%+v", ms)
	}
}
