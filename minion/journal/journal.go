// Package journal is a minion's memory on disk of the jobs that it took: which it
// has begun, what came out, and what the master has confirmed. It is why a job
// runs at most once and a finished result is not lost, however the minion ends.
//
// The journal is one file of records, each with its length and checksum, written
// ahead of what it tells: "begun" is on the disk before a job starts, "done" before
// its result is sent. Results too large for a record have a file of their own
// beside it. At Open the file is read, a torn end is cut off, and what no longer
// matters is left out of a new file that takes its place.
package journal

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gosalt/gosalt/internal/durable"
	"github.com/gosalt/gosalt/protocol/wire"
)

// Errors that callers test for.
var (
	// ErrTaken says that the job was begun before, in this process or an earlier one.
	ErrTaken = errors.New("job was taken before")
	// ErrInUse says that another process has the journal open.
	ErrInUse = errors.New("another process works with it: is this minion running already? Stop it, or give this one a root_dir of its own")
	// ErrReplayed says that a publish carries a number not above the last one seen under its key.
	ErrReplayed = errors.New("publish was seen before")
)

// Options are the limits of a journal. Zero values mean the defaults named here.
type Options struct {
	Keep      time.Duration // job ids are remembered so long: 7 days
	MaxJobs   int           // and at most so many: 20,000
	KeepUnack time.Duration // a result waits so long for its master: 7 days
	MaxUnack  int64         // and all of them take at most so many bytes: 256 MiB
	// Dropped makes the small result that takes the place of one dropped by a limit.
	Dropped func(ret *wire.Map, why string) *wire.Map
	// Interrupted makes the result of a job that was begun by an earlier process and not ended.
	Interrupted func(job *wire.Map) *wire.Map
}

// inline is the largest result, in packed bytes, that is kept in the journal's own file.
const inline = 64 << 10

// maxRecord bounds what is read back as one record.
const maxRecord = 1 << 20

// Kinds of records.
const (
	recBegun  = "begun"  // jid, at, master, load, and keyid and serial of a publish
	recDone   = "done"   // jid, at, ret or file, size
	recAcked  = "acked"  // jid
	recSerial = "serial" // keyid, serial, at
)

// Journal keeps records. Its methods may be called concurrently.
type Journal struct {
	dir  string
	opts Options

	mu      sync.Mutex
	jobs    map[wire.JobID]*entry
	serials map[string]serial
	waiting map[wire.JobID]*entry // done and not acked
	unacked int64                 // bytes of their results

	lock      *os.File // held as long as the journal is open
	file      *os.File
	size      int64
	compactAt int64   // the size at which the file is written anew
	queue     []write // waits for the flush under way
	flushes   bool
	broken    error
}

type entry struct {
	begun   time.Time
	master  string
	load    *wire.Map // while it is not done
	pending bool      // its record is not on the disk yet
	done    bool
	acked   bool
	ret     *wire.Map // while it is not acked and small
	file    string    // instead of ret where it is large
	size    int64
}

type serial struct {
	last int64
	at   time.Time
}

// write is a record on its way to the disk.
type write struct {
	rec   []byte
	apply func()     // changes what is known in memory, when the record is on the disk; mu is held
	done  chan error // nil: nobody waits
}

// Result is a finished job whose master has not confirmed that it has the result.
type Result struct {
	JID    wire.JobID
	Master string // as given to Begin
	Return *wire.Map
}

// Open reads the journal in dir, which is made where it is missing. Jobs that an
// earlier process left unfinished are done with what Options.Interrupted makes of them.
func Open(dir string, o Options) (*Journal, error) {
	if o.Keep <= 0 {
		o.Keep = 7 * 24 * time.Hour
	}
	if o.MaxJobs <= 0 {
		o.MaxJobs = 20_000
	}
	if o.KeepUnack <= 0 {
		o.KeepUnack = 7 * 24 * time.Hour
	}
	if o.MaxUnack <= 0 {
		o.MaxUnack = 256 << 20
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open job journal: %w", err)
	}
	j := &Journal{dir: dir, opts: o, jobs: map[wire.JobID]*entry{}, waiting: map[wire.JobID]*entry{}, serials: map[string]serial{}}
	var err error
	if j.lock, err = os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return nil, fmt.Errorf("open job journal: %w", err)
	}
	if err := j.open(); err != nil {
		if j.file != nil {
			j.file.Close()
		}
		j.lock.Close()
		return nil, fmt.Errorf("open job journal %s: %w", j.name(), err)
	}
	return j, nil
}

// open does what Open has to do once it has the lock's file.
func (j *Journal) open() error {
	free, err := durable.TryLock(j.lock)
	if err != nil {
		return fmt.Errorf("lock it: %w", err)
	}
	if !free {
		return ErrInUse
	}
	if err := j.load(); err != nil {
		return err
	}
	if err := j.compact(); err != nil {
		return err
	}
	if err := j.interrupt(); err != nil {
		return err
	}
	return j.sweep()
}

// sweep removes result files that no job knows: a process ended between the result
// and the record of it.
func (j *Journal) sweep() error {
	entries, err := os.ReadDir(j.dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		jid, ok := strings.CutPrefix(e.Name(), resultPrefix)
		if !ok {
			continue
		}
		if known := j.jobs[wire.JobID(jid)]; known != nil && known.file != "" {
			continue
		}
		if err := os.Remove(filepath.Join(j.dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// resultPrefix begins the name of a file that holds one large result.
const resultPrefix = "result-"

func (j *Journal) name() string { return filepath.Join(j.dir, "jobs.journal") }

func (j *Journal) resultName(jid wire.JobID) string {
	return filepath.Join(j.dir, resultPrefix+string(jid))
}

// interrupt ends the jobs that an earlier process had begun.
func (j *Journal) interrupt() error {
	var left []wire.JobID
	for jid, e := range j.jobs {
		if !e.done {
			left = append(left, jid)
		}
	}
	slices.Sort(left)
	for _, jid := range left {
		load := j.jobs[jid].load
		ret := wire.NewMap("jid", string(jid))
		if j.opts.Interrupted != nil {
			ret = j.opts.Interrupted(load)
		}
		if err := j.Done(jid, ret); err != nil {
			return err
		}
	}
	return nil
}

// Begin notes that a job starts, and returns when that is on the disk. keyID and
// number are those of the publish that brought it; a number of 0 means that it
// has none (it came as an answer). ErrTaken and ErrReplayed mean: do not run it.
func (j *Journal) Begin(jid wire.JobID, master string, load *wire.Map, keyID string, number int64) error {
	j.mu.Lock()
	if j.jobs[jid] != nil {
		j.mu.Unlock()
		return ErrTaken
	}
	now := time.Now()
	rec := wire.NewMap("k", recBegun, "jid", string(jid), "at", now.UnixMicro(), "master", master, "load", load)
	if number != 0 {
		if number <= j.serials[keyID].last {
			j.mu.Unlock()
			return ErrReplayed
		}
		j.serials[keyID] = serial{number, now}
		rec.Set("keyid", keyID)
		rec.Set("serial", number)
	}
	rec, load = slim(rec, load)
	e := &entry{begun: now, master: master, load: load, pending: true}
	j.jobs[jid] = e
	j.mu.Unlock()
	if err := j.append(rec, func() { e.pending = false }); err != nil {
		j.mu.Lock()
		delete(j.jobs, jid)
		j.mu.Unlock()
		return fmt.Errorf("note job %s in %s: %w", jid, j.name(), err)
	}
	return nil
}

// slim leaves the arguments out of a record that would be too long with them: they
// serve only to say what was interrupted.
func slim(rec, load *wire.Map) (*wire.Map, *wire.Map) {
	if b, err := wire.Encode(load, wire.Local); err == nil && len(b) < inline {
		return rec, load
	}
	load = load.Clone()
	load.Set("arg", []any{})
	rec.Set("load", load)
	return rec, load
}

// Taken tells whether a job was begun before.
func (j *Journal) Taken(jid wire.JobID) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.jobs[jid] != nil
}

// LastSerial is the highest number of a publish under a key that brought a job.
func (j *Journal) LastSerial(keyID string) int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.serials[keyID].last
}

// Done notes a job's result, and returns when it is on the disk.
func (j *Journal) Done(jid wire.JobID, ret *wire.Map) error {
	packed, err := wire.Encode(ret, wire.Local)
	if err != nil {
		return fmt.Errorf("note result of job %s: %w", jid, err)
	}
	rec := wire.NewMap("k", recDone, "jid", string(jid), "at", time.Now().UnixMicro(), "size", int64(len(packed)))
	file := ""
	if len(packed) > inline {
		file = j.resultName(jid)
		if err := durable.WriteFile(file, packed, 0o600); err != nil {
			return fmt.Errorf("note result of job %s: %w", jid, err)
		}
		rec.Set("file", true)
	} else {
		rec.Set("ret", packed)
	}
	err = j.append(rec, func() {
		e := j.jobs[jid]
		if e == nil {
			e = &entry{begun: time.Now()}
			j.jobs[jid] = e
		}
		j.forget(jid, e)
		e.done, e.acked, e.load, e.size, e.ret, e.file = true, false, nil, int64(len(packed)), nil, file
		if file == "" {
			e.ret = ret
		}
		j.waits(jid, e)
	})
	if err != nil {
		return fmt.Errorf("note result of job %s in %s: %w", jid, j.name(), err)
	}
	return nil
}

// waits counts a result among those that wait for their master; mu is held.
func (j *Journal) waits(jid wire.JobID, e *entry) {
	j.waiting[jid] = e
	j.unacked += e.size
}

// forget takes a result out of those that wait; mu is held.
func (j *Journal) forget(jid wire.JobID, e *entry) {
	if j.waiting[jid] != nil {
		delete(j.waiting, jid)
		j.unacked -= e.size
	}
}

// Acked notes that the master has the result of a job. It does not wait for the
// disk: after a crash the result is at worst sent again, and refused as known.
func (j *Journal) Acked(jid wire.JobID) {
	j.mu.Lock()
	e := j.jobs[jid]
	if e == nil || !e.done || e.acked {
		j.mu.Unlock()
		return
	}
	j.forget(jid, e)
	e.acked = true
	e.ret = nil
	file := e.file
	e.file = ""
	j.mu.Unlock()
	if rec, err := encodeRecord(wire.NewMap("k", recAcked, "jid", string(jid))); err == nil {
		j.enqueue(write{rec: rec})
	}
	if file != "" {
		os.Remove(file)
	}
}

// Unacked returns the results that wait for their master's confirmation, in the
// order of their job ids, and drops what the limits no longer allow to wait.
func (j *Journal) Unacked() ([]Result, error) {
	j.limit()
	j.mu.Lock()
	type waiting struct {
		jid wire.JobID
		e   entry
	}
	var all []waiting
	for jid, e := range j.waiting {
		all = append(all, waiting{jid, *e})
	}
	j.mu.Unlock()
	slices.SortFunc(all, func(a, b waiting) int { return strings.Compare(string(a.jid), string(b.jid)) })
	var out []Result
	for _, w := range all {
		ret := w.e.ret
		if ret == nil {
			b, err := os.ReadFile(w.e.file)
			if errors.Is(err, fs.ErrNotExist) {
				continue // confirmed meanwhile
			}
			if err != nil {
				return out, fmt.Errorf("read result of job %s: %w", w.jid, err)
			}
			if ret, err = wire.DecodeMap(b, wire.Local, readLimits); err != nil {
				return out, fmt.Errorf("read result of job %s: %w", w.jid, err)
			}
		}
		out = append(out, Result{JID: w.jid, Master: w.e.master, Return: ret})
	}
	return out, nil
}

// smallResult is the size in bytes up to which a result is never dropped: what would
// take its place is no smaller.
const smallResult = 1024

// limit drops the oldest waiting results that are too old, or too much in all.
func (j *Journal) limit() {
	for {
		var oldest wire.JobID
		var why string
		j.mu.Lock()
		for jid, e := range j.waiting {
			if e.size > smallResult && (oldest == "" || jid < oldest) {
				oldest = jid
			}
		}
		if oldest != "" {
			e := j.jobs[oldest]
			switch {
			case j.unacked > j.opts.MaxUnack:
				why = fmt.Sprintf("results waiting for the master took more than %d MiB", j.opts.MaxUnack>>20)
			case time.Since(e.begun) > j.opts.KeepUnack:
				why = fmt.Sprintf("it waited for the master for more than %s", j.opts.KeepUnack)
			}
		}
		j.mu.Unlock()
		if why == "" {
			return
		}
		if err := j.Drop(oldest, why); err != nil {
			return
		}
	}
}

// Drop puts what Options.Dropped makes of a waiting result in its place. A job
// without a waiting result is left as it is.
func (j *Journal) Drop(jid wire.JobID, why string) error {
	j.mu.Lock()
	p := j.waiting[jid]
	if p == nil {
		j.mu.Unlock()
		return nil
	}
	e := *p
	j.mu.Unlock()
	ret := e.ret
	if ret == nil {
		b, err := os.ReadFile(e.file)
		if err != nil {
			return err
		}
		if ret, err = wire.DecodeMap(b, wire.Local, readLimits); err != nil {
			return err
		}
	}
	small := wire.NewMap("jid", string(jid))
	if j.opts.Dropped != nil {
		small = j.opts.Dropped(ret, why)
	}
	err := j.Done(jid, small)
	if e.file != "" {
		os.Remove(e.file)
	}
	return err
}

// Close waits for what is being written.
func (j *Journal) Close() error {
	for {
		j.mu.Lock()
		if !j.flushes {
			break
		}
		j.mu.Unlock()
		done := make(chan error, 1)
		j.enqueue(write{done: done})
		<-done
	}
	defer j.mu.Unlock()
	defer j.lock.Close()
	if j.broken == nil {
		j.broken = fs.ErrClosed
		return j.file.Close()
	}
	return nil
}

// append writes a record and waits until it is on the disk and applied. Both are one
// step to compact, which would otherwise leave out what a record has just told.
func (j *Journal) append(m *wire.Map, apply func()) error {
	rec, err := encodeRecord(m)
	if err != nil {
		return err
	}
	done := make(chan error, 1)
	j.enqueue(write{rec, apply, done})
	return <-done
}

// enqueue hands a record to the flush; records that come while one is on its way
// to the disk go together in the next.
func (j *Journal) enqueue(w write) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.queue = append(j.queue, w)
	if !j.flushes {
		j.flushes = true
		go j.flush()
	}
}

func (j *Journal) flush() {
	for {
		j.mu.Lock()
		q := j.queue
		j.queue = nil
		if len(q) == 0 {
			j.flushes = false
			j.mu.Unlock()
			return
		}
		err := j.broken
		j.mu.Unlock()
		if err == nil {
			err = j.write(q)
		}
		for _, w := range q {
			if w.done != nil {
				w.done <- err
			}
		}
	}
}

// write appends to the file. After a failure (a full disk) the file is cut back to
// its last whole record, so that later writes stand on sound ground.
func (j *Journal) write(q []write) error {
	var b []byte
	sync := false
	for _, w := range q {
		b = append(b, w.rec...)
		sync = sync || w.done != nil
	}
	_, err := j.file.Write(b)
	if err == nil && sync {
		err = durable.SyncData(j.file)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if err != nil {
		if terr := errors.Join(j.file.Truncate(j.size), seekEnd(j.file)); terr != nil {
			j.broken = fmt.Errorf("the journal cannot be mended after a failed write, restart the minion: %w", terr)
		}
		return err
	}
	j.size += int64(len(b))
	for _, w := range q {
		if w.apply != nil {
			w.apply()
		}
	}
	if j.size > j.compactAt {
		if err := j.compact(); err != nil {
			j.compactAt = 2 * j.size // the old file still stands; try again later
		}
	}
	return nil
}

func seekEnd(f *os.File) error {
	_, err := f.Seek(0, io.SeekEnd)
	return err
}

var readLimits = wire.Limits{Depth: 256, Elements: 10_000_000, Bytes: 512 << 20}

// A record is its length and CRC-32 (IEEE), four bytes each, big endian, and a packed map.
func encodeRecord(m *wire.Map) ([]byte, error) {
	b, err := wire.Encode(m, wire.Local)
	if err != nil {
		return nil, err
	}
	if len(b) > maxRecord {
		return nil, fmt.Errorf("record of %d bytes, at most %d are allowed", len(b), maxRecord)
	}
	rec := make([]byte, 8, 8+len(b))
	binary.BigEndian.PutUint32(rec, uint32(len(b)))
	binary.BigEndian.PutUint32(rec[4:], crc32.ChecksumIEEE(b))
	return append(rec, b...), nil
}

// load reads the file up to its end or the first torn record.
func (j *Journal) load() error {
	f, err := os.Open(j.name())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	r := bufio.NewReaderSize(f, 64<<10)
	for {
		var h [8]byte
		if _, err := io.ReadFull(r, h[:]); err != nil {
			return eof(err)
		}
		n := binary.BigEndian.Uint32(h[:])
		if n > maxRecord {
			return nil
		}
		b := make([]byte, n)
		if _, err := io.ReadFull(r, b); err != nil {
			return eof(err)
		}
		if crc32.ChecksumIEEE(b) != binary.BigEndian.Uint32(h[4:]) {
			return nil
		}
		m, err := wire.DecodeMap(b, wire.Local, readLimits)
		if err != nil {
			return fmt.Errorf("record with a right checksum cannot be read: %w", err)
		}
		j.replay(m)
	}
}

// Knows tells whether the journal in dir has a job, whoever has it open. A journal that
// is not there knows none.
func Knows(dir string, jid wire.JobID) (bool, error) {
	j := &Journal{dir: dir, jobs: map[wire.JobID]*entry{}, waiting: map[wire.JobID]*entry{}, serials: map[string]serial{}}
	if err := j.load(); err != nil {
		return false, fmt.Errorf("read job journal %s: %w", j.name(), err)
	}
	return j.jobs[jid] != nil, nil
}

// eof takes the end of the file, and a record that was being written when the
// process or the machine ended, as the end of the journal.
func eof(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}

func (j *Journal) replay(m *wire.Map) {
	jid, _ := wire.ParseJobID(m.Text("jid"))
	at := time.UnixMicro(m.Int("at"))
	if k := m.Text("keyid"); k != "" && m.Int("serial") > j.serials[k].last {
		j.serials[k] = serial{m.Int("serial"), at}
	}
	if m.Text("k") == recSerial || jid == "" {
		return
	}
	e := j.jobs[jid]
	if e == nil {
		e = &entry{begun: at}
		j.jobs[jid] = e
	}
	switch m.Text("k") {
	case recBegun:
		e.begun, e.master, e.load = at, m.Text("master"), m.Map("load")
	case recDone:
		j.forget(jid, e)
		e.done, e.acked, e.load, e.size, e.ret, e.file = true, false, nil, m.Int("size"), nil, ""
		if m.Bool("file") {
			e.file = j.resultName(jid)
		} else {
			packed, _ := m.Get("ret")
			b, _ := packed.([]byte)
			ret, err := wire.DecodeMap(b, wire.Local, readLimits)
			if err != nil {
				ret = wire.NewMap("jid", string(jid))
			}
			e.ret = ret
		}
		j.waits(jid, e)
	case recAcked:
		j.forget(jid, e)
		e.acked, e.ret, e.file = true, nil, ""
	}
}

// compact writes what still matters into a new file and puts it in the place of the
// old. It is called by Open and, with mu held, by the flush.
func (j *Journal) compact() error {
	var jids []wire.JobID
	oldest := time.Now().Add(-j.opts.Keep)
	for jid, e := range j.jobs {
		if e.pending {
			continue // its record follows
		}
		if e.done && (e.acked || e.file != "" && missing(e.file)) && e.begun.Before(oldest) {
			delete(j.jobs, jid)
			continue
		}
		jids = append(jids, jid)
	}
	slices.Sort(jids)
	if extra := len(jids) - j.opts.MaxJobs; extra > 0 {
		kept := jids[:0]
		for _, jid := range jids {
			if e := j.jobs[jid]; extra > 0 && e.done && e.acked {
				delete(j.jobs, jid)
				extra--
				continue
			}
			kept = append(kept, jid)
		}
		jids = kept
	}
	var b []byte
	add := func(m *wire.Map) error {
		rec, err := encodeRecord(m)
		b = append(b, rec...)
		return err
	}
	var errs []error
	for key, s := range j.serials {
		if s.at.Before(oldest) {
			delete(j.serials, key)
			continue
		}
		errs = append(errs, add(wire.NewMap("k", recSerial, "keyid", key, "serial", s.last, "at", s.at.UnixMicro())))
	}
	for _, jid := range jids {
		e := j.jobs[jid]
		begun := wire.NewMap("k", recBegun, "jid", string(jid), "at", e.begun.UnixMicro(), "master", e.master)
		if !e.done {
			begun.Set("load", e.load)
		}
		errs = append(errs, add(begun))
		if !e.done {
			continue
		}
		done := wire.NewMap("k", recDone, "jid", string(jid), "at", e.begun.UnixMicro(), "size", e.size)
		switch {
		case e.acked:
			done.Set("ret", []byte{})
		case e.file != "":
			done.Set("file", true)
		default:
			packed, err := wire.Encode(e.ret, wire.Local)
			errs = append(errs, err)
			done.Set("ret", packed)
		}
		errs = append(errs, add(done))
		if e.acked {
			errs = append(errs, add(wire.NewMap("k", recAcked, "jid", string(jid))))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if err := durable.WriteFile(j.name(), b, 0o600); err != nil {
		return err
	}
	f, err := os.OpenFile(j.name(), os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	if j.file != nil {
		j.file.Close()
	}
	j.file, j.size = f, int64(len(b))
	j.compactAt = max(4<<20, 2*j.size)
	return nil
}

func missing(name string) bool {
	_, err := os.Stat(name)
	return errors.Is(err, fs.ErrNotExist)
}
