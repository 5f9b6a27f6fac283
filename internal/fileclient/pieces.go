package fileclient

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/gosalt/gosalt/internal/fileserver"
	"github.com/gosalt/gosalt/protocol/wire"
)

const (
	lanes      = 3         // connections of one large transfer
	firstPiece = 256 << 10 // what is asked for while the speed of the line is not known
	maxPiece   = 2 << 20
	minPiece   = 64 << 10
	window     = 6 // pieces that may wait to be hashed
)

// read asks for pieces of files.
func read(ctx context.Context, l Lane, env string, pieces []wire.FilePiece) ([]wire.FileReadPart, []byte, error) {
	r, data, err := readReply(ctx, l, env, pieces)
	if err != nil {
		return nil, nil, err
	}
	return r.Parts, data, nil
}

func readReply(ctx context.Context, l Lane, env string, pieces []wire.FilePiece) (*wire.FileReadReply, []byte, error) {
	head, data, err := l.Bulk(ctx, (&wire.FileRead{Env: env, Pieces: pieces}).ToMap())
	if err != nil {
		return nil, nil, err
	}
	r, err := wire.FileReadReplyFromMap(head)
	if err != nil {
		return nil, nil, err
	}
	total := int64(0)
	for i, p := range r.Parts {
		if i >= len(pieces) || p.Length > pieces[i].Length {
			return nil, nil, badAnswer(wire.CmdFileRead, head, "no more than what was asked for")
		}
		total += p.Length
	}
	if len(r.Parts) == 0 || total != int64(len(data)) {
		return nil, nil, &wire.Error{Kind: wire.Malformed, Op: wire.CmdFileRead, Msg: fmt.Sprintf("%d bytes for %d pieces of %d in all", len(data), len(r.Parts), total)}
	}
	return r, data, nil
}

// transfer is the way of one large file: lanes fetch pieces, each the next that nobody
// fetches yet. Each piece is authenticated as the answer to its request, and tells the
// state of the file; where that does not say enough, one goroutine hashes the pieces in
// their order.
type transfer struct {
	r         *Remote
	env, path string
	w         *Writer
	size      int64
	state     string

	mu    sync.Mutex
	next  int64
	piece int64
	slots chan struct{} // pieces between being asked for and hashed
	ready chan piece    // nil: they are not hashed
}

type piece struct {
	at   int64
	data []byte
	last bool // of what was asked for at once
}

// fetchPieces brings a file from a gosalt master. What fits into one piece takes one
// round trip.
func (r *Remote) fetchPieces(ctx context.Context, env, path, dest string, cache bool) error {
	lane := r.conn.Lane(ctx)
	defer lane.Close()
	began := time.Now()
	reply, data, err := readReply(ctx, lane, env, []wire.FilePiece{{Path: path, Length: firstPiece}})
	if err != nil {
		return fmt.Errorf("fetch %s: %w", URL(path), err)
	}
	p, kind := reply.Parts[0], reply.HashType
	if p.Size < 0 {
		return ErrNotFound
	}
	w, err := r.open(dest, cache)
	if err != nil {
		return err
	}
	defer w.Abort()
	if _, err := w.Write(data); err != nil {
		return err
	}
	if p.Length == p.Size { // read from one open file, at once
		return w.Commit()
	}
	t := &transfer{r: r, env: env, path: path, w: w, size: p.Size, state: settled(p.State), next: p.Length}
	t.adapt(firstPiece, time.Since(began))
	if p.State != "" && settled(p.State) == p.State {
		if err := t.run(ctx, lane, nil); err != nil {
			return err
		}
		return w.Commit()
	}
	h, err := fileserver.NewHash(kind)
	if err != nil {
		return fmt.Errorf("fetch %s: the master names a hash: %w", URL(path), err)
	}
	h.Write(data)
	t.slots, t.ready = make(chan struct{}, window), make(chan piece, window)
	// The master makes its hash while the pieces are on their way.
	type answer struct {
		info Info
		err  error
	}
	stat := make(chan answer, 1)
	sctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		info, err := r.Stat(sctx, env, path)
		stat <- answer{info, err}
	}()
	err = t.run(ctx, lane, h)
	if err != nil {
		cancel()
	}
	a := <-stat
	if err != nil {
		return err
	}
	if a.err != nil {
		return fmt.Errorf("fetch %s: %w", URL(path), a.err)
	}
	if a.info.HashType != kind || !strings.EqualFold(hex.EncodeToString(h.Sum(nil)), a.info.Hash) {
		return errChanged
	}
	return w.Commit()
}

// settled is a state without the mark of a file that was changed a moment ago.
func settled(state string) string { return strings.TrimSuffix(state, wire.FreshState) }

// adapt sets the size of a piece so that one takes about half a second.
func (t *transfer) adapt(n int64, took time.Duration) {
	rate := float64(n) / max(took.Seconds(), 1e-6)
	t.piece = min(max(int64(rate/2)&^(minPiece-1), minPiece), maxPiece)
}

// run fetches the rest of the file, and hashes it unless h is nil.
func (t *transfer) run(ctx context.Context, first Lane, h hash.Hash) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	start := t.next
	var wg, hashing sync.WaitGroup
	if h != nil {
		hashing.Go(func() { t.hashAll(h, start) })
	}
	for i := range lanes {
		l := first
		if i > 0 {
			if t.size-start < int64(i)*maxPiece {
				break
			}
			l = t.r.conn.Lane(ctx)
			defer l.Close()
		}
		wg.Go(func() {
			if err := t.lane(ctx, l); err != nil {
				cancel(err)
			}
		})
	}
	wg.Wait()
	if h != nil {
		close(t.ready)
		hashing.Wait()
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}

// lane fetches one piece after another until there is none left.
func (t *transfer) lane(ctx context.Context, l Lane) error {
	for {
		if ctx.Err() != nil {
			return nil
		}
		if t.ready != nil {
			select {
			case t.slots <- struct{}{}:
			case <-ctx.Done():
				return nil
			}
		}
		t.mu.Lock()
		at, n := t.next, min(t.piece, t.size-t.next)
		t.next += n
		t.mu.Unlock()
		if n <= 0 {
			if t.ready != nil {
				<-t.slots
			}
			return nil
		}
		for n > 0 {
			began := time.Now()
			parts, data, err := read(ctx, l, t.env, []wire.FilePiece{{Path: t.path, Offset: at, Length: n}})
			if err != nil {
				return fmt.Errorf("fetch %s: %w", URL(t.path), err)
			}
			p := parts[0]
			if p.Size != t.size || settled(p.State) != t.state || p.Length == 0 {
				return errChanged
			}
			if _, err := t.w.WriteAt(data, at); err != nil {
				return err
			}
			t.mu.Lock()
			t.adapt(p.Length, time.Since(began))
			t.mu.Unlock()
			if t.ready != nil {
				select {
				case t.ready <- piece{at, data, p.Length == n}:
				case <-ctx.Done():
					return nil
				}
			}
			at, n = at+p.Length, n-p.Length
		}
	}
}

// hashAll hashes pieces in the order of the file, whatever order they come in.
func (t *transfer) hashAll(h hash.Hash, at int64) {
	early := map[int64]piece{}
	for p := range t.ready {
		early[p.at] = p
		for {
			p, ok := early[at]
			if !ok {
				break
			}
			delete(early, at)
			h.Write(p.data)
			at += int64(len(p.data))
			if p.last {
				<-t.slots
			}
		}
	}
}

// getAll brings many files to this machine: those that are here already are told by their
// hashes, which one answer lists, and small ones come many in an answer.
func (r *Remote) getAll(ctx context.Context, env string, items []Item) error {
	if !r.conn.Gosalt(ctx) {
		for i := range items {
			if err := r.getOne(ctx, env, &items[i]); err != nil {
				return err
			}
		}
		return nil
	}
	want, err := r.outdated(ctx, env, items)
	if err != nil {
		return err
	}
	if len(want) == 0 {
		return nil
	}
	lane := r.conn.Lane(ctx)
	defer lane.Close()
	for len(want) > 0 {
		batch := want[:min(len(want), wire.MaxFileReads)]
		pieces := make([]wire.FilePiece, len(batch))
		for i, it := range batch {
			pieces[i] = wire.FilePiece{Path: it.Path, Length: firstPiece}
		}
		parts, data, err := read(ctx, lane, env, pieces)
		if err != nil {
			return fmt.Errorf("fetch files of %s: %w", env, err)
		}
		done := 0
		for i, p := range parts {
			if p.Size > 0 && p.Length < min(p.Size, firstPiece) {
				break // no room for it any more
			}
			switch it := batch[i]; {
			case p.Size < 0:
				it.Missing = true
			case p.Size > p.Length:
				err = r.getOne(ctx, env, it)
			default:
				err = r.put(it, data[:p.Length])
			}
			if err != nil {
				return err
			}
			data = data[p.Length:]
			done++
		}
		if done == 0 {
			return fmt.Errorf("fetch %s: %w", URL(batch[0].Path), errChanged)
		}
		want = want[done:]
	}
	return nil
}

// getOne brings one file of many.
func (r *Remote) getOne(ctx context.Context, env string, it *Item) error {
	if it.Dest == "" {
		it.Missing = true
		return nil
	}
	if !it.cache {
		if err := os.MkdirAll(filepath.Dir(it.Dest), 0o755); err != nil {
			return err
		}
	}
	err := r.fetch(ctx, env, it.Path, it.Dest, it.cache, 0)
	if it.Missing = errors.Is(err, ErrNotFound); it.Missing {
		return nil
	}
	return err
}

// put writes a file that came whole.
func (r *Remote) put(it *Item, data []byte) error {
	if !it.cache {
		if err := os.MkdirAll(filepath.Dir(it.Dest), 0o755); err != nil {
			return err
		}
	}
	w, err := r.open(it.Dest, it.cache)
	if err != nil {
		return err
	}
	defer w.Abort()
	if _, err := w.Write(data); err != nil {
		return err
	}
	return w.Commit()
}

// outdated are the files that have to be fetched.
func (r *Remote) outdated(ctx context.Context, env string, items []Item) ([]*Item, error) {
	var want, here []*Item
	for i := range items {
		it := &items[i]
		if it.Dest == "" {
			it.Missing = true
		} else if fi, err := os.Stat(it.Dest); err == nil && fi.Mode().IsRegular() {
			here = append(here, it)
		} else {
			want = append(want, it)
		}
	}
	if len(here) == 0 {
		return want, nil
	}
	prefix := strings.TrimLeft(here[0].Path, "|")
	for _, it := range here {
		p := strings.TrimLeft(it.Path, "|")
		n := 0
		for n < len(p) && n < len(prefix) && p[n] == prefix[n] {
			n++
		}
		prefix = prefix[:n]
	}
	known, kind, err := r.tree(ctx, env, prefix)
	if err != nil {
		return nil, err
	}
	for _, it := range here {
		sum, ok := known[strings.TrimLeft(it.Path, "|")]
		switch {
		case !ok: // hidden in a link, perhaps
			want = append(want, it)
		case sum == "":
			info, err := r.Stat(ctx, env, it.Path)
			if err == nil && same(ctx, it.Dest, info) {
				continue
			}
			want = append(want, it)
		case !same(ctx, it.Dest, Info{Hash: sum, HashType: kind}):
			want = append(want, it)
		}
	}
	return want, nil
}

// tree are the hashes of the files whose path begins with prefix.
func (r *Remote) tree(ctx context.Context, env, prefix string) (hashes map[string]string, kind string, err error) {
	hashes = map[string]string{}
	q := &wire.FileTree{Env: env, Prefix: prefix, Hashes: true}
	for {
		m, err := r.mapping(ctx, q.ToMap())
		if err != nil {
			return nil, "", err
		}
		reply, err := wire.FileTreeReplyFromMap(m)
		if err != nil {
			return nil, "", err
		}
		for _, f := range reply.Files {
			hashes[f.Path] = f.Hash
		}
		if !reply.More || len(reply.Files) == 0 {
			return hashes, reply.HashType, nil
		}
		last := reply.Files[len(reply.Files)-1].Path
		if last <= q.After {
			return nil, "", badAnswer(wire.CmdFileTree, m, "files in their order")
		}
		q.After = last
	}
}
