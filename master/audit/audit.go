// Package audit keeps the master's record of who did what: one JSON object a line,
// appended only, each line holding the SHA-256 of the line before, so that a line
// that was changed, removed or put in shows. Open and Write make it (this file and
// encode.go), Verify checks it (verify.go).
//
// A line looks so (here broken in two):
//
//	{"seq":7,"prev":"5a9c...","time":"2026-11-22T06:38:58.048545Z","what":"publish",
//	 "user":"root","fun":"cmd.run","arg":["uptime"],"tgt":"*","minions":12}
package audit

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// Options say how a log is kept. The zero value is a good choice.
type Options struct {
	MaxBytes int64            // size at which a file is closed and the next begun; 64 MiB when zero
	Keep     int              // closed files that are kept; 16 when zero, all when negative
	Now      func() time.Time // nil: time.Now
}

// Log is an open audit log. Its methods may be called concurrently, and several
// processes (the master, gosalt-key) may write to one log.
type Log struct {
	path string
	opt  Options

	mu    sync.Mutex
	f     *os.File
	size  int64 // of the file when last was its last line
	last  position
	timer *time.Timer // syncs the file a moment after a write; nil: all is synced
}

// position is a line's place in the chain.
type position struct {
	seq  uint64
	hash string // of the line without its newline, in hex
}

// start is what stands before the first line.
var start = position{hash: strings.Repeat("0", 2*sha256.Size)}

func hashLine(line []byte) string {
	sum := sha256.Sum256(line)
	return hex.EncodeToString(sum[:])
}

// ErrClosed is returned by Write after Close.
var ErrClosed = errors.New("audit log is closed")

// syncDelay is how long a line may wait for the disk. It survives the death of the
// process from the first moment, a power cut after this.
const syncDelay = time.Second

// Open opens or makes the log at path, mode 0600, and its directory.
func Open(path string, opt Options) (*Log, error) {
	if opt.MaxBytes <= 0 {
		opt.MaxBytes = 64 << 20
	}
	if opt.Keep == 0 {
		opt.Keep = 16
	}
	if opt.Now == nil {
		opt.Now = time.Now
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("open audit log: %w", err)
	}
	l := &Log{path: path, opt: opt}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.reopen(); err != nil {
		return nil, fmt.Errorf("open audit log: %w", err)
	}
	// A torn line is noted now, not only with the next entry.
	if err := l.locked(func() error { return nil }); err != nil {
		l.f.Close()
		return nil, fmt.Errorf("open audit log: %w", err)
	}
	return l, nil
}

func (l *Log) reopen() error {
	f, err := os.OpenFile(l.path, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	if l.f != nil {
		l.f.Close()
	}
	l.f, l.size = f, -1
	return nil
}

// Write appends an entry: what was done ("publish"), and alternating names and
// values as with slog: Write("publish", "user", "root", "fun", "cmd.run"). Values
// are those of package wire, and whatever encoding/json takes. Secrets that show by
// their name or form are left out, see redact.go. An error means that there is no
// such line.
func (l *Log) Write(what string, args ...any) error {
	values := encodeValues(what, args)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.f == nil {
		return ErrClosed
	}
	for {
		full := false
		err := l.locked(func() error {
			if full = l.size >= l.opt.MaxBytes; full {
				return l.rotate()
			}
			return l.append(values)
		})
		if err != nil {
			return fmt.Errorf("audit log %s: %w", l.path, err)
		}
		if !full {
			return nil
		}
	}
}

// locked calls f while no other process writes, at the end of the current file.
func (l *Log) locked(f func() error) error {
	for {
		if err := lockFile(l.f); err != nil {
			return err
		}
		if current, err := l.isCurrent(); err != nil {
			unlockFile(l.f)
			return err
		} else if current {
			break
		}
		if err := l.reopen(); err != nil { // another process rotated; closing unlocked the old one
			return err
		}
	}
	defer func() { unlockFile(l.f) }()
	if err := l.catchUp(); err != nil {
		return err
	}
	return f()
}

// isCurrent tells whether the open file is the one of that name.
func (l *Log) isCurrent() (bool, error) {
	have, err := l.f.Stat()
	if err != nil {
		return false, err
	}
	want, err := os.Stat(l.path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && os.SameFile(have, want), err
}

// catchUp reads the last line where it is not the one this process wrote.
func (l *Log) catchUp() error {
	fi, err := l.f.Stat()
	if err != nil {
		return err
	}
	if fi.Size() == l.size {
		return nil
	}
	if fi.Size() == 0 {
		l.last, l.size = start, 0
		closed, err := rotated(l.path)
		if err != nil || len(closed) == 0 {
			return err
		}
		old, err := os.Open(closed[len(closed)-1])
		if err != nil {
			return err
		}
		defer old.Close()
		fi, err := old.Stat()
		if err != nil {
			return err
		}
		l.last, _, err = lastLine(old, fi.Size())
		return err
	}
	last, torn, err := lastLine(l.f, fi.Size())
	if err != nil {
		return err
	}
	l.last, l.size = last, fi.Size()
	if torn == nil {
		return nil
	}
	// What a crash left of a line is ended, and the chain goes on over it.
	if err := l.put([]byte{'\n'}); err != nil {
		return err
	}
	if whole, err := parsePosition(torn); err == nil && whole.seq == last.seq+1 {
		l.last = whole // only its newline was missing
		return nil
	}
	l.last.hash = hashLine(torn)
	return l.append(encodeValues(whatTorn, []any{"bytes", len(torn)}))
}

// whatTorn is the entry behind a line that a crash left unfinished.
const whatTorn = "torn line"

// tailMax is how far back the last line is looked for: no line is longer.
const tailMax = 2 * maxLine

// lastLine reads the end of a file. torn is the text after the last newline, nil
// when there is none; then last is the line before it.
func lastLine(f *os.File, size int64) (last position, torn []byte, err error) {
	from := max(size-tailMax, 0)
	b := make([]byte, size-from)
	if _, err := io.ReadFull(io.NewSectionReader(f, from, size-from), b); err != nil {
		return last, nil, err
	}
	text := string(b)
	end := strings.LastIndexByte(text, '\n')
	if end < len(text)-1 {
		torn = b[end+1:]
	}
	if end < 0 {
		if from > 0 {
			return last, nil, fmt.Errorf("the last line of %s is longer than any that was written: move the file away and start again", f.Name())
		}
		return start, torn, nil
	}
	line := b[strings.LastIndexByte(text[:end], '\n')+1 : end]
	last, err = parsePosition(line)
	if err != nil {
		return last, nil, fmt.Errorf("the last line of %s is no entry of an audit log (%w): look at it, move the file away and start again", f.Name(), err)
	}
	return last, torn, nil
}

// parsePosition reads a line's number.
func parsePosition(line []byte) (position, error) {
	var head struct {
		Seq uint64 `json:"seq"`
	}
	if err := json.Unmarshal(line, &head); err != nil {
		return position{}, err
	}
	if head.Seq == 0 {
		return position{}, errors.New("it has no number")
	}
	return position{head.Seq, hashLine(line)}, nil
}

func (l *Log) append(values []byte) error {
	line := encode(l.last.seq+1, l.last.hash, l.opt.Now(), values)
	if err := l.put(append(line, '\n')); err != nil {
		return err
	}
	l.last = position{l.last.seq + 1, hashLine(line)}
	return nil
}

// put appends bytes in one write, or leaves the file as it was.
func (l *Log) put(b []byte) error {
	n, err := l.f.Write(b)
	if err != nil {
		if n > 0 {
			if terr := l.f.Truncate(l.size); terr != nil {
				l.size = -1 // found and noted as a torn line by the next write
				return errors.Join(err, terr)
			}
		}
		return err
	}
	l.size += int64(n)
	if l.timer == nil {
		l.timer = time.AfterFunc(syncDelay, l.syncLater)
	}
	return nil
}

func (l *Log) syncLater() {
	l.mu.Lock()
	f := l.f
	l.timer = nil
	l.mu.Unlock()
	if f != nil {
		// Not under the lock. A file that was closed meanwhile was synced before; any
		// other failure shows with the next write.
		_ = f.Sync()
	}
}

// rotate closes the file under the name of its last line's number. The next one is
// begun by whichever process comes to it first, so it is opened and read like any
// other (locked), and its first line continues the chain.
func (l *Log) rotate() error {
	if err := l.f.Sync(); err != nil {
		return err
	}
	if err := os.Rename(l.path, fmt.Sprintf("%s.%012d", l.path, l.last.seq)); err != nil {
		return err
	}
	if err := l.removeOld(); err != nil {
		return err
	}
	return syncDir(filepath.Dir(l.path))
}

func (l *Log) removeOld() error {
	if l.opt.Keep < 0 {
		return nil
	}
	closed, err := rotated(l.path)
	if err != nil {
		return err
	}
	for _, old := range closed[:max(len(closed)-l.opt.Keep, 0)] {
		if err := os.Remove(old); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// rotated lists the closed files of a log, the oldest first.
func rotated(path string) ([]string, error) {
	entries, err := os.ReadDir(filepath.Dir(path)) // sorted by name
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		number, ok := strings.CutPrefix(e.Name(), filepath.Base(path)+".")
		if ok && len(number) == 12 && strings.Trim(number, "0123456789") == "" {
			names = append(names, filepath.Join(filepath.Dir(path), e.Name()))
		}
	}
	return names, nil
}

// Close writes everything to the disk and closes the log.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.f == nil {
		return nil
	}
	if l.timer != nil {
		l.timer.Stop()
		l.timer = nil
	}
	err := errors.Join(l.f.Sync(), l.f.Close())
	l.f = nil
	return err
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
