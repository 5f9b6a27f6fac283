package mem_test

import (
	"context"
	"errors"
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

func TestNames(t *testing.T) {
	n := mem.New()
	r, err := n.Requests("master")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := n.Publisher("master"); err == nil {
		t.Error("a name was opened twice")
	}
	if r.Addr().String() != "master" || r.Addr().Network() != "mem" {
		t.Errorf("address %v of network %s", r.Addr(), r.Addr().Network())
	}
	if _, err := n.Dialer().Subscribe(context.Background(), "master"); err == nil {
		t.Error("subscribed to a request port")
	}
	r.Close()
	p, err := n.Publisher("master")
	if err != nil {
		t.Errorf("a closed port's name is still taken: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := n.Dialer().Subscribe(ctx, "master"); !errors.Is(err, context.Canceled) {
		t.Errorf("subscribed to a port that does not serve: %v", err)
	}
	p.Close()
	if err := p.Serve(ctx, nil); err == nil {
		t.Error("a closed port serves")
	}
}
