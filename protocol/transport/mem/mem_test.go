package mem_test

import (
	"testing"

	"github.com/gosalt/gosalt/protocol/transport/mem"
	"github.com/gosalt/gosalt/protocol/transport/transporttest"
)

func TestTransport(t *testing.T) {
	transporttest.Run(t, func(t *testing.T) transporttest.Pair {
		n := mem.New()
		r, err := n.Requests("ret")
		if err != nil {
			t.Fatal(err)
		}
		p, err := n.Publisher("pub")
		if err != nil {
			t.Fatal(err)
		}
		return transporttest.Pair{Requests: r, Publisher: p, Dialer: n.Dialer(), EvictIdle: r.EvictIdle, Nobody: "nobody"}
	})
}
