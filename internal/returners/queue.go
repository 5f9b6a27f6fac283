package returners

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/gosalt/gosalt/internal/durable"
	"github.com/gosalt/gosalt/protocol/wire"
)

// A queue keeps records on disk, in the order in which they came, until they are taken
// off. It is a row of files of records, each with its length and checksum; the file
// "position" says how far they are done with. What was added is there after kill -9;
// a record may come again when the process ended before the position was written.
type queue struct {
	dir string
	max int64 // bytes

	mu    sync.Mutex
	segs  []segment
	out   *os.File // the last segment, open to be added to
	from  position
	bytes int64
	added chan struct{} // has a token when something was added
}

// segment is one file of a queue.
type segment struct {
	n    int64
	size int64
}

// position is a place in a queue.
type position struct{ seg, off int64 }

const (
	segmentSize = 4 << 20
	headerSize  = 8 // length and checksum, big endian
	maxRecord   = 256 << 20
)

// errFull says that a queue holds as much as it may, and that there is no older part
// that could give way.
var errFull = errors.New("the spool is full")

func openQueue(dir string, maxBytes int64) (*queue, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open spool: %w", err)
	}
	q := &queue{dir: dir, max: maxBytes, added: make(chan struct{}, 1)}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("open spool: %w", err)
	}
	for _, e := range entries {
		digits, ok := strings.CutSuffix(e.Name(), ".spool")
		n, err := strconv.ParseInt(digits, 10, 64)
		if !ok || err != nil {
			continue
		}
		size, err := q.whole(n)
		if err != nil {
			return nil, fmt.Errorf("open spool: %w", err)
		}
		q.segs = append(q.segs, segment{n, size})
		q.bytes += size
	}
	slices.SortFunc(q.segs, func(a, b segment) int { return int(a.n - b.n) })
	b, err := os.ReadFile(q.path("position"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("open spool: %w", err)
	}
	if _, err := fmt.Sscanf(string(b), "%d %d", &q.from.seg, &q.from.off); err != nil {
		q.from = position{}
	}
	if !slices.ContainsFunc(q.segs, func(s segment) bool { return s.n == q.from.seg && s.size >= q.from.off }) && q.from.off > 0 {
		q.from = position{q.from.seg + 1, 0} // its file is gone already
	}
	if err := q.drop(); err != nil {
		return nil, err
	}
	if len(q.segs) > 0 {
		q.wake()
	}
	return q, nil
}

func (q *queue) path(name string) string { return filepath.Join(q.dir, name) }

func (q *queue) segPath(n int64) string { return q.path(fmt.Sprintf("%016d.spool", n)) }

// whole cuts off what a process that ended left of a record, and returns the size.
func (q *queue) whole(n int64) (int64, error) {
	f, err := os.OpenFile(q.segPath(n), os.O_RDWR, 0)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	var off int64
	for {
		b, err := readRecord(f, off)
		if err != nil {
			return off, f.Truncate(off)
		}
		off += headerSize + int64(len(b))
	}
}

// readRecord reads the record at a place; io.EOF at the end.
func readRecord(f io.ReaderAt, off int64) ([]byte, error) {
	var h [headerSize]byte
	if n, err := f.ReadAt(h[:], off); n < headerSize {
		if n == 0 && errors.Is(err, io.EOF) {
			return nil, io.EOF
		}
		return nil, io.ErrUnexpectedEOF
	}
	size := binary.BigEndian.Uint32(h[:4])
	if size > maxRecord {
		return nil, fmt.Errorf("record of %d bytes", size)
	}
	b, err := io.ReadAll(io.NewSectionReader(f, off+headerSize, int64(size)))
	if err != nil {
		return nil, err
	}
	if len(b) < int(size) || crc32.ChecksumIEEE(b) != binary.BigEndian.Uint32(h[4:]) {
		return nil, io.ErrUnexpectedEOF
	}
	return b, nil
}

// add puts a record at the end; dropped is how many bytes of the oldest had to go for it.
func (q *queue) add(r Record) (dropped int64, err error) {
	payload, err := wire.Encode(wire.NewMap("k", string(r.Kind), "v", r.Data), wire.Local)
	if err != nil {
		return 0, fmt.Errorf("spool: %w", err)
	}
	b := make([]byte, headerSize, headerSize+len(payload))
	binary.BigEndian.PutUint32(b[:4], uint32(len(payload)))
	binary.BigEndian.PutUint32(b[4:], crc32.ChecksumIEEE(payload))
	b = append(b, payload...)
	q.mu.Lock()
	defer q.mu.Unlock()
	if int64(len(b)) > q.max || len(payload) > maxRecord {
		return 0, fmt.Errorf("%w: a record of %d bytes, all may have %d", errFull, len(b), q.max)
	}
	for q.bytes+int64(len(b)) > q.max && len(q.segs) > 0 {
		gone := q.segs[0]
		q.from = position{gone.n + 1, 0}
		dropped += gone.size
		if err := q.drop(); err != nil {
			return dropped, err
		}
	}
	if err := q.roll(); err != nil {
		return dropped, fmt.Errorf("spool: %w", err)
	}
	last := &q.segs[len(q.segs)-1]
	if _, err := q.out.WriteAt(b, last.size); err != nil {
		q.out.Truncate(last.size)
		return dropped, fmt.Errorf("spool: %w", err)
	}
	last.size += int64(len(b))
	q.bytes += int64(len(b))
	q.wake()
	return dropped, nil
}

// roll opens the segment that is added to, a new one where the last is full. mu is held.
func (q *queue) roll() error {
	next := max(q.from.seg, 1)
	if n := len(q.segs); n > 0 {
		if last := q.segs[n-1]; last.size < segmentSize {
			if q.out != nil {
				return nil
			}
			f, err := os.OpenFile(q.segPath(last.n), os.O_RDWR, 0)
			q.out = f
			return err
		}
		next = q.segs[n-1].n + 1
	}
	f, err := os.OpenFile(q.segPath(next), os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	if q.out != nil {
		q.out.Close()
	}
	q.out = f
	q.segs = append(q.segs, segment{n: next})
	return nil
}

func (q *queue) wake() {
	select {
	case q.added <- struct{}{}:
	default:
	}
}

// peek reads the oldest records, at most so many and about so many bytes, and the
// place behind each. A record that cannot be read ends its segment.
func (q *queue) peek(most int, bytes int) ([]Record, []position, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	var recs []Record
	var ends []position
	pos, total := q.from, 0
	for _, s := range q.segs {
		if s.n < pos.seg {
			continue
		}
		if s.n > pos.seg {
			pos = position{s.n, 0}
		}
		f, err := os.Open(q.segPath(s.n))
		if err != nil {
			return recs, ends, fmt.Errorf("spool: %w", err)
		}
		for len(recs) < most && total < bytes && pos.off < s.size {
			b, err := readRecord(f, pos.off)
			var m *wire.Map
			if err == nil {
				m, err = wire.DecodeMap(b, wire.Local, wire.Limits{Depth: 256, Elements: 50_000_000, Bytes: maxRecord})
			}
			if err != nil {
				pos.off = s.size
				break
			}
			pos.off += headerSize + int64(len(b))
			total += len(b)
			recs = append(recs, Record{Kind(m.Text("k")), m.Map("v")})
			ends = append(ends, pos)
		}
		f.Close()
		if len(recs) >= most || total >= bytes {
			break
		}
	}
	return recs, ends, nil
}

// done takes off what lies before a place.
func (q *queue) done(at position) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if at.seg < q.from.seg || at.seg == q.from.seg && at.off < q.from.off {
		return nil // it was dropped meanwhile
	}
	q.from = at
	return q.drop()
}

// drop takes the segments that are done with out of the row, notes the position, and
// then removes their files. mu is held.
func (q *queue) drop() error {
	var gone []int64
	for len(q.segs) > 0 {
		s := q.segs[0]
		if s.n > q.from.seg || s.n == q.from.seg && q.from.off < s.size {
			break
		}
		if len(q.segs) == 1 && q.out != nil {
			q.out.Close()
			q.out = nil
		}
		if s.n == q.from.seg {
			q.from = position{s.n + 1, 0}
		}
		q.bytes -= s.size
		q.segs = q.segs[1:]
		gone = append(gone, s.n)
	}
	err := durable.WriteFile(q.path("position"), fmt.Appendf(nil, "%d %d\n", q.from.seg, q.from.off), 0o600)
	if err != nil {
		err = fmt.Errorf("spool: %w", err)
	}
	for _, n := range gone {
		os.Remove(q.segPath(n))
	}
	return err
}

// empty tells whether nothing waits.
func (q *queue) empty() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, s := range q.segs {
		if s.n > q.from.seg || s.n == q.from.seg && s.size > q.from.off {
			return false
		}
	}
	return true
}

func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.out != nil {
		q.out.Close()
		q.out = nil
	}
}
