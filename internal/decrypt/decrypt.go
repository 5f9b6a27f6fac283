// Package decrypt opens what is encrypted within data: the blocks of gpg and of age that
// stand in the values of pillar files. It is what the renderers gpg and age are made of,
// and the option decrypt_pillar. Start at Decrypter.Value.
package decrypt

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"golang.org/x/sync/singleflight"

	"github.com/gosalt/gosalt/internal/lazyre"
	"github.com/gosalt/gosalt/internal/secret"
	"github.com/gosalt/gosalt/protocol/wire"
)

// Names are the ways of encryption that there are, as renderers are called.
var Names = []string{"age", "gpg"}

// Options say where the keys are.
type Options struct {
	// GPGDir is gpg's home directory with the secret keys (option gpg_keydir).
	GPGDir string
	// GPGProgram is the program; "" is gpg, searched in PATH.
	GPGProgram string
	// AgeFiles hold age's identities, one in a line (option age_identity_file).
	AgeFiles []string
	// Lenient leaves what cannot be decrypted by gpg as it is, with a warning
	// (gpg_decrypt_must_succeed: False).
	Lenient bool
	// Keep is how long an opened block stays in memory (gpg_cache, gpg_cache_ttl);
	// 0 is not at all. It is never written to a disk.
	Keep time.Duration
	Log  *slog.Logger // nil drops all
}

// Decrypter opens blocks. Its methods may be called concurrently, and a block that
// several ask for at once is opened once.
type Decrypter struct {
	o      Options
	flight singleflight.Group
	slots  chan struct{} // bounds the programs that run at once
	age    ageKeys

	mu   sync.Mutex
	kept map[string]kept
}

type kept struct {
	plain []byte
	until time.Time
}

// mostKept bounds how many blocks stay in memory.
const mostKept = 10_000

// New makes a Decrypter.
func New(o Options) *Decrypter {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Decrypter{o: o, slots: make(chan struct{}, max(2, runtime.GOMAXPROCS(0))), kept: map[string]kept{}}
}

// Error is a block that could not be opened.
type Error struct {
	Kind string // "gpg", "age"
	Path []any  // where in the data: keys, and indices of lists; empty for plain text
	Err  error
}

func (e *Error) Error() string {
	if len(e.Path) == 0 {
		return fmt.Sprintf("Could not decrypt (%s): %v", e.Kind, e.Err)
	}
	return fmt.Sprintf("Could not decrypt %s (%s): %v", PathText(e.Path), e.Kind, e.Err)
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// PathText writes a path with colons, as pillar.get takes it.
func PathText(path []any) string {
	parts := make([]string, len(path))
	for i, p := range path {
		parts[i] = fmt.Sprint(p)
	}
	return strings.Join(parts, ":")
}

// Request is one piece of data to be opened.
type Request struct {
	Kind      string      // one of Names
	Newlines  bool        // a backslash and an n in text stand for a newline
	Secrets   *secret.Set // is told what was encrypted; may be nil
	Name      string      // of the file, for the log
	MaxOutput int         // bytes of one block when open; 0 is 16 MiB
}

// DefaultMaxOutput is the size of the largest block when open.
const DefaultMaxOutput = 16 << 20

var blocks = map[string]*lazyre.Regexp{
	"gpg": lazyre.New(`(?s)-----BEGIN PGP MESSAGE-----.*?-----END PGP MESSAGE-----`),
	"age": lazyre.New(`(?s)-----BEGIN AGE ENCRYPTED FILE-----.*?-----END AGE ENCRYPTED FILE-----`),
}

// Value opens the blocks in text, or in all text within lists and maps, which are changed
// in place. Text that a block was in loses the newlines at its end, and becomes bytes when
// it is no UTF-8. Errors are of type *Error, or of the context.
func (d *Decrypter) Value(ctx context.Context, v any, r Request) (any, error) {
	pattern := blocks[r.Kind]
	if pattern == nil {
		return nil, fmt.Errorf("there is no decryption %q, only %s", r.Kind, strings.Join(Names, " and "))
	}
	if r.MaxOutput == 0 {
		r.MaxOutput = DefaultMaxOutput
	}
	w := &walker{d: d, r: r, pattern: pattern, open: map[string]*opened{}}
	if err := w.collect(v, nil, 0); err != nil {
		return nil, err
	}
	if len(w.open) == 0 {
		return v, nil
	}
	if err := w.openAll(ctx); err != nil {
		return nil, err
	}
	return w.replace(v, nil)
}

// opened is what became of a block.
type opened struct {
	path  []any // where it stood first
	plain []byte
	err   error
}

type walker struct {
	d       *Decrypter
	r       Request
	pattern *lazyre.Regexp
	open    map[string]*opened
}

const maxDepth = 500

// collect finds the blocks.
func (w *walker) collect(v any, path []any, depth int) error {
	if depth > maxDepth {
		return &Error{Kind: w.r.Kind, Path: path[:10], Err: errors.New("the data is nested too deep")}
	}
	switch x := v.(type) {
	case string:
		w.find(x, path)
	case []byte:
		w.find(string(x), path)
	case []any:
		for i, e := range x {
			if err := w.collect(e, append(path, i), depth+1); err != nil {
				return err
			}
		}
	case *wire.Map:
		for k, e := range x.All() {
			if err := w.collect(e, append(path, k), depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *walker) find(t string, path []any) {
	if !strings.Contains(t, "-----BEGIN ") {
		return
	}
	for _, b := range w.pattern.FindAllString(w.text(t), -1) {
		if w.open[b] == nil {
			w.open[b] = &opened{path: slices.Clone(path)}
		}
	}
}

func (w *walker) text(t string) string {
	if w.r.Newlines {
		return strings.ReplaceAll(t, `\n`, "\n")
	}
	return t
}

// openAll opens the blocks, several at a time.
func (w *walker) openAll(ctx context.Context) error {
	var wg sync.WaitGroup
	for block, o := range w.open {
		wg.Go(func() { o.plain, o.err = w.d.block(ctx, w.r, block) })
	}
	wg.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}

func (w *walker) replace(v any, path []any) (any, error) {
	switch x := v.(type) {
	case string:
		return w.replaceText(x, v, path)
	case []byte:
		return w.replaceText(string(x), v, path)
	case []any:
		for i, e := range x {
			n, err := w.replace(e, append(path, i))
			if err != nil {
				return nil, err
			}
			x[i] = n
		}
	case *wire.Map:
		for k, e := range x.All() {
			n, err := w.replace(e, append(path, k))
			if err != nil {
				return nil, err
			}
			x.SetAny(k, n)
		}
	}
	return v, nil
}

func (w *walker) replaceText(t string, v any, path []any) (any, error) {
	if !strings.Contains(t, "-----BEGIN ") {
		return v, nil
	}
	var failed error
	n := 0
	out := w.pattern.ReplaceAllStringFunc(w.text(t), func(block string) string {
		o := w.open[block]
		n++
		if o == nil { // an anchor: a list or map was here before, and is open
			return block
		}
		if o.err == nil {
			w.r.Secrets.Add(string(o.plain))
			return string(o.plain)
		}
		err := &Error{Kind: w.r.Kind, Path: slices.Clone(path), Err: o.err}
		if !w.d.o.Lenient || w.r.Kind != "gpg" {
			if failed == nil {
				failed = err
			}
			return block
		}
		w.d.o.Log.Warn("a value stays encrypted, as gpg_decrypt_must_succeed is False", "file", w.r.Name, "error", err)
		return strings.ReplaceAll(block, `\n`, "\n")
	})
	if failed != nil {
		return nil, failed
	}
	if n == 0 {
		return v, nil
	}
	out = strings.TrimRight(out, "\n")
	if !utf8.ValidString(out) {
		return []byte(out), nil
	}
	return out, nil
}

// block opens one block, or finds it among those that are kept.
func (d *Decrypter) block(ctx context.Context, r Request, block string) ([]byte, error) {
	block = strings.ReplaceAll(block, `\n`, "\n")
	key := r.Kind + "\x00" + block
	if d.o.Keep > 0 {
		d.mu.Lock()
		k, ok := d.kept[key]
		d.mu.Unlock()
		if ok && time.Now().Before(k.until) {
			return k.plain, nil
		}
	}
	// Whoever asked first may give up; the others then ask anew.
	for {
		ch := d.flight.DoChan(key, func() (any, error) { return d.openBlock(ctx, r, block) })
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case res := <-ch:
			if res.Err != nil {
				if res.Shared && ctx.Err() == nil && (errors.Is(res.Err, context.Canceled) || errors.Is(res.Err, context.DeadlineExceeded)) {
					continue
				}
				return nil, res.Err
			}
			plain := res.Val.([]byte)
			d.keep(key, plain)
			return plain, nil
		}
	}
}

func (d *Decrypter) keep(key string, plain []byte) {
	if d.o.Keep <= 0 {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.kept) >= mostKept {
		clear(d.kept)
	}
	d.kept[key] = kept{plain, time.Now().Add(d.o.Keep)}
}

func (d *Decrypter) openBlock(ctx context.Context, r Request, block string) ([]byte, error) {
	select {
	case d.slots <- struct{}{}:
		defer func() { <-d.slots }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if r.Kind == "age" {
		return d.openAge(block, r.MaxOutput)
	}
	return d.openGPG(ctx, block, r.MaxOutput)
}
