package fileclient

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"math/rand"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/gosalt/gosalt/protocol/wire"
)

// oneFile is a gosalt master with one large file, which change may change before a piece.
type oneFile struct {
	mu     sync.Mutex
	data   []byte
	state  string
	asked  int
	stats  int
	change func(f *oneFile, n int) // n counts the pieces asked for; it is 0 before a hash
}

func (f *oneFile) Gosalt(context.Context) bool                        { return true }
func (f *oneFile) Lane(context.Context) Lane                          { return f }
func (f *oneFile) Push(context.Context, *wire.FileRecv) (bool, error) { return false, nil }
func (f *oneFile) Close() error                                       { return nil }
func (f *oneFile) Do(context.Context, *wire.Map, bool) (any, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.stats++; f.change != nil {
		f.change(f, 0)
	}
	sum := sha256.Sum256(f.data)
	return []any{wire.NewMap("hsum", hex.EncodeToString(sum[:]), "hash_type", "sha256"), []any{}}, nil
}

func (f *oneFile) Bulk(_ context.Context, load *wire.Map) (*wire.Map, []byte, error) {
	q, err := wire.FileReadFromMap(load)
	if err != nil {
		return nil, nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.asked++; f.change != nil {
		f.change(f, f.asked)
	}
	p := q.Pieces[0]
	data := f.data[p.Offset:min(p.Offset+p.Length, int64(len(f.data)))]
	r := &wire.FileReadReply{HashType: "sha256", Parts: []wire.FileReadPart{{Length: int64(len(data)), Size: int64(len(f.data)), State: f.state}}}
	return r.ToMap(), bytes.Clone(data), nil
}

func TestLargeFile(t *testing.T) {
	random := make([]byte, 5<<20)
	rand.New(rand.NewSource(1)).Read(random)
	flip := func(f *oneFile) { f.data[len(f.data)-1]++ }
	for _, c := range []struct {
		name, state string
		change      func(f *oneFile, n int)
		changed     bool // each time
		stats       bool // the hash is asked for
	}{
		{name: "settled", state: "1"},
		{name: "written a moment ago", state: "1" + wire.FreshState, stats: true},
		{name: "nothing is known of changes", state: "", stats: true},
		{name: "settles meanwhile", state: "1" + wire.FreshState, stats: true, change: func(f *oneFile, n int) {
			if n == 3 {
				f.state = "1"
			}
		}},
		{name: "changes once", state: "1", change: func(f *oneFile, n int) {
			if n == 3 {
				flip(f)
				f.state = "2"
			}
		}},
		{name: "changes each time", state: "1", changed: true, change: func(f *oneFile, _ int) { f.state += "1" }},
		{name: "changes without a new time", state: "1" + wire.FreshState, stats: true, change: func(f *oneFile, n int) {
			if n == 3 {
				flip(f)
			}
		}},
		{name: "changes each time without a new time", state: "1" + wire.FreshState, stats: true, changed: true, change: func(f *oneFile, _ int) { flip(f) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := &oneFile{data: bytes.Clone(random), state: c.state, change: c.change}
			r, dest := NewRemote(f, t.TempDir()), filepath.Join(t.TempDir(), "got")
			err := r.Get(t.Context(), "base", "big", dest, 0)
			if c.changed {
				if !errors.Is(err, errChanged) {
					t.Errorf("error %v, want that it changed", err)
				}
				if _, err := os.Stat(dest); err == nil {
					t.Error("there is a file all the same")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got, err := os.ReadFile(dest); err != nil || !bytes.Equal(got, f.data) {
				t.Errorf("%d bytes that are not those of the master: %v", len(got), err)
			}
			if f.stats > 0 != c.stats {
				t.Errorf("the hash was asked for %d times", f.stats)
			}
		})
	}
}
