package master

import (
	"context"
	"fmt"
	"iter"
	"sync"
	"testing"
	"time"

	"github.com/gosalt/gosalt/inventory"
	"github.com/gosalt/gosalt/protocol/wire"
)

// slowCloud is a source that is listed when the test says so.
type slowCloud struct {
	began  chan struct{}
	answer chan []inventory.Machine
}

func (c slowCloud) List(ctx context.Context) iter.Seq2[inventory.Machine, error] {
	return func(yield func(inventory.Machine, error) bool) {
		c.began <- struct{}{}
		for _, m := range <-c.answer {
			if !yield(m, nil) {
				return
			}
		}
	}
}

// Whoever asks for a machine while the cloud is being listed gets what that listing finds,
// and what is known already at once.
func TestCloudLookupDuringListing(t *testing.T) {
	c := slowCloud{make(chan struct{}), make(chan []inventory.Machine)}
	inv, err := inventory.Open(inventory.Config{Sources: wire.NewMap("prod", wire.NewMap("provider", "ec2")), Dir: t.TempDir(), Kinds: map[string]func() inventory.Kind{"ec2": func() inventory.Kind {
		return inventory.Kind{Name: "ec2", New: func(*inventory.Values, inventory.Env) (inventory.Provider, error) { return c, nil }}
	}}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer inv.Close()
	machine := func(n int) inventory.Machine { return inventory.Machine{ID: fmt.Sprintf("i-%d", n)} }
	var wg sync.WaitGroup
	wg.Go(func() { inv.Refresh(t.Context(), "prod") })
	<-c.began
	c.answer <- []inventory.Machine{machine(1)}
	wg.Wait()

	lookup := (&Master{inv: inv}).cloudLookup()
	for n := range 4 {
		wg.Go(func() {
			f, err := lookup(t.Context(), "aws", fmt.Sprintf("i-%d", 2+n))
			if err != nil || f == nil {
				t.Errorf("i-%d: %v, %v", 2+n, f, err)
			}
		})
	}
	<-c.began
	if f, err := lookup(t.Context(), "aws", "i-1"); err != nil || f == nil || f.Name != "i-1" {
		t.Errorf("what was known is not found during a listing: %v, %v", f, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := lookup(ctx, "aws", "i-9"); err == nil {
		t.Error("who waits no more is told that the machine is not there")
	}
	c.answer <- []inventory.Machine{machine(1), machine(2), machine(3), machine(4), machine(5)}
	wg.Wait()
	// Not again so soon.
	if f, err := lookup(t.Context(), "aws", "i-9"); err != nil || f != nil {
		t.Errorf("%v, %v", f, err)
	}
}
