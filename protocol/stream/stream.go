// Package stream joins a minion that lives for one job with who gave it the job, over
// one stream of bytes in each direction: the standard input and output of a session of
// SSH. The job, what the minion asks for meanwhile (files, its pillar) and its result all
// go through it, so the machine needs no way back.
//
// A frame is its length in four bytes (big endian, of what follows), a byte that says
// what it is, the number of the request that it belongs to in four bytes, and a body in
// MsgPack. The requests are those that a minion sends to its master over ZeroMQ, without
// seals: the session is sealed, and who is at the other end of it is known.
//
// Before the first frame the minion's side writes a line with a mark that was given to
// it. All that comes before, banners of login shells above all, is not part of the stream.
package stream

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/gosalt/gosalt/protocol/wire"
)

// The kinds of frames.
const (
	kindStart   = 1 // to the minion: what it is, and its job
	kindRequest = 2 // from the minion: a load with "cmd"
	kindValue   = 3 // to the minion: the value of an answer
	kindError   = 4 // to the minion: a wire.Error
	kindBulk    = 5 // to the minion: an answer with bytes, as {head} and what follows it
	kindSignal  = 6 // to the minion: a signal for the job's commands
)

// MaxFrame is the longest frame that either side takes, in bytes: the largest result of
// a minion and what surrounds it.
const MaxFrame = 256 << 20

// maxNoise is how much may come before the mark.
const maxNoise = 64 << 10

var limits = wire.Limits{Depth: 256, Elements: 50_000_000, Bytes: MaxFrame}

// ErrNoMark says that the other side ended, or went on about something else, before the
// stream began.
var ErrNoMark = errors.New("the stream did not begin")

// framer reads and writes frames. Writes may be concurrent, reads not.
type framer struct {
	r   *bufio.Reader
	wmu sync.Mutex
	w   io.Writer
}

func (f *framer) send(kind byte, n uint32, parts ...[]byte) error {
	size := 5
	for _, p := range parts {
		size += len(p)
	}
	if size > MaxFrame {
		return &wire.Error{Kind: wire.Forbidden, Op: "stream", Msg: fmt.Sprintf("frame of %d bytes, at most %d are allowed", size, MaxFrame)}
	}
	b := make([]byte, 9, 9+min(size, 64<<10))
	binary.BigEndian.PutUint32(b, uint32(size))
	b[4] = kind
	binary.BigEndian.PutUint32(b[5:], n)
	f.wmu.Lock()
	defer f.wmu.Unlock()
	for _, p := range parts {
		if len(b)+len(p) <= 64<<10 {
			b = append(b, p...) // one write where the frame is small
			continue
		}
		if len(b) > 0 {
			if _, err := f.w.Write(b); err != nil {
				return err
			}
			b = b[:0]
		}
		if _, err := f.w.Write(p); err != nil {
			return err
		}
	}
	if len(b) > 0 {
		_, err := f.w.Write(b)
		return err
	}
	return nil
}

func (f *framer) recv() (kind byte, n uint32, body []byte, err error) {
	var head [9]byte
	if _, err := io.ReadFull(f.r, head[:]); err != nil {
		return 0, 0, nil, err
	}
	size := binary.BigEndian.Uint32(head[:])
	if size < 5 || size > MaxFrame {
		return 0, 0, nil, fmt.Errorf("frame of %d bytes: 5 to %d are allowed", size, MaxFrame)
	}
	body, err = readAll(f.r, int(size)-5)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return head[4], binary.BigEndian.Uint32(head[5:]), body, err
}

// readAll reads size bytes, taking memory as they come.
func readAll(r io.Reader, size int) ([]byte, error) {
	const step = 1 << 20
	b := make([]byte, 0, min(size, step))
	for len(b) < size {
		n := min(size-len(b), step)
		b = append(b, make([]byte, n)...)
		if _, err := io.ReadFull(r, b[len(b)-n:]); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// Server is the side that gives the job and answers the minion.
type Server struct{ f framer }

// NewServer takes the two directions of a stream; Await must follow.
func NewServer(r io.Reader, w io.Writer) *Server {
	return &Server{framer{r: bufio.NewReaderSize(r, 64<<10), w: w}}
}

// Await reads on to the line with the mark, and returns what followed the mark on it,
// and what came before. Where the mark does not come the error wraps ErrNoMark.
func (s *Server) Await(mark string) (rest, noise string, err error) {
	var said bytes.Buffer
	for said.Len() < maxNoise {
		line, err := s.f.r.ReadSlice('\n')
		if i := bytes.Index(line, []byte(mark)); i >= 0 && err == nil {
			said.Write(line[:i])
			return string(bytes.TrimSpace(line[i+len(mark):])), said.String(), nil
		}
		said.Write(line)
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			if errors.Is(err, io.EOF) {
				return "", said.String(), ErrNoMark
			}
			return "", said.String(), fmt.Errorf("%w: %w", ErrNoMark, err)
		}
	}
	return "", said.String(), fmt.Errorf("%w: more than %d bytes came in its place", ErrNoMark, maxNoise)
}

// Rest reads what follows to its end, where no frames do, at most n bytes.
func (s *Server) Rest(n int) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(s.f.r, int64(n)+1))
	if len(b) > n {
		return nil, fmt.Errorf("more than %d bytes came", n)
	}
	return b, err
}

// Start tells the minion what it is and what to do.
func (s *Server) Start(start *wire.Map) error {
	b, err := wire.Encode(start, wire.Local)
	if err != nil {
		return err
	}
	return s.f.send(kindStart, 0, b)
}

// Signal sends a signal to the commands of the job.
func (s *Server) Signal(sig int) error {
	b, err := wire.Encode(wire.NewMap("sig", int64(sig)), wire.Local)
	if err != nil {
		return err
	}
	return s.f.send(kindSignal, 0, b)
}

// Bulk is an answer with many bytes.
type Bulk struct {
	Head *wire.Map
	Data []byte
}

// Handler answers a request: a value, a Bulk, or an error; a *wire.Error keeps its kind.
// size is that of the packed load in bytes.
type Handler func(ctx context.Context, load *wire.Map, size int) (any, error)

// parallel is how many requests of one minion are worked on at the same time.
const parallel = 8

// Serve answers requests until the minion ends the stream; that is nil, or ctx ends.
func (s *Server) Serve(ctx context.Context, h Handler) error {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	slots := make(chan struct{}, parallel)
	for {
		kind, n, body, err := s.f.recv()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("receive from the minion: %w", err)
		case kind != kindRequest:
			return fmt.Errorf("receive from the minion: frame of kind %d: a request expected", kind)
		}
		load, err := wire.DecodeMap(body, wire.Network, limits)
		if err != nil {
			return fmt.Errorf("receive from the minion: %w", err)
		}
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		size := len(body)
		wg.Go(func() {
			defer func() { <-slots }()
			v, err := h(ctx, load, size)
			if err := s.answer(n, v, err); err != nil {
				cancel() // the stream is broken: recv tells how
			}
		})
	}
}

func (s *Server) answer(n uint32, v any, err error) error {
	if err != nil {
		var e *wire.Error
		if !errors.As(err, &e) {
			e = &wire.Error{Kind: wire.Internal, Op: "stream", Msg: err.Error()}
		}
		b, err := wire.Encode(e.ToMap(), wire.Network)
		if err != nil {
			return err
		}
		return s.f.send(kindError, n, b)
	}
	if bulk, ok := v.(Bulk); ok {
		head, err := wire.Encode(bulk.Head, wire.Network)
		if err != nil {
			return s.answer(n, nil, err)
		}
		var size [4]byte
		binary.BigEndian.PutUint32(size[:], uint32(len(head)))
		return s.f.send(kindBulk, n, size[:], head, bulk.Data)
	}
	b, err := wire.Encode(v, wire.Network)
	if err != nil {
		return s.answer(n, nil, err)
	}
	return s.f.send(kindValue, n, b)
}

// Client is the minion's side.
type Client struct {
	f framer

	mu      sync.Mutex
	next    uint32
	waiting map[uint32]chan answer
	err     error // the stream has ended
}

type answer struct {
	kind byte
	body []byte
}

// NewClient takes the two directions of a stream and writes the mark.
func NewClient(r io.Reader, w io.Writer, mark, rest string) (*Client, error) {
	if _, err := fmt.Fprintf(w, "%s %s\n", mark, rest); err != nil {
		return nil, err
	}
	return &Client{f: framer{r: bufio.NewReaderSize(r, 64<<10), w: w}, waiting: map[uint32]chan answer{}}, nil
}

// Start waits to be told what to do.
func (c *Client) Start() (*wire.Map, error) {
	kind, _, body, err := c.f.recv()
	if err != nil {
		return nil, fmt.Errorf("receive the job: %w", err)
	}
	if kind != kindStart {
		return nil, fmt.Errorf("receive the job: frame of kind %d came first", kind)
	}
	return wire.DecodeMap(body, wire.Local, limits)
}

// Run hands answers to who waits for them, and signals to signal, until the stream ends:
// its error is then that of all requests. It is called once, after Start.
func (c *Client) Run(signal func(sig int)) error {
	err := c.run(signal)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.err = fmt.Errorf("the connection has ended: %w", err)
	for n, ch := range c.waiting {
		delete(c.waiting, n)
		close(ch)
	}
	return c.err
}

func (c *Client) run(signal func(sig int)) error {
	for {
		kind, n, body, err := c.f.recv()
		if err != nil {
			return err
		}
		switch kind {
		case kindSignal:
			m, err := wire.DecodeMap(body, wire.Local, limits)
			if err != nil {
				return err
			}
			signal(int(m.Int("sig")))
		case kindValue, kindError, kindBulk:
			c.mu.Lock()
			ch := c.waiting[n]
			delete(c.waiting, n)
			c.mu.Unlock()
			if ch != nil { // else nobody waits any more
				ch <- answer{kind, body}
			}
		default:
			return fmt.Errorf("frame of kind %d is not known", kind)
		}
	}
}

// Do sends a request and waits for the answer: a value, or a Bulk. raw leaves text in a
// value as bytes. What the other side refuses is a *wire.Error.
func (c *Client) Do(ctx context.Context, load *wire.Map, raw bool) (any, error) {
	b, err := wire.Encode(load, wire.Network)
	if err != nil {
		return nil, err
	}
	ch := make(chan answer, 1)
	c.mu.Lock()
	if c.err != nil {
		defer c.mu.Unlock()
		return nil, c.err
	}
	c.next++
	n := c.next
	c.waiting[n] = ch
	c.mu.Unlock()
	forget := func() {
		c.mu.Lock()
		delete(c.waiting, n)
		c.mu.Unlock()
	}
	if err := c.f.send(kindRequest, n, b); err != nil {
		forget()
		return nil, err
	}
	select {
	case <-ctx.Done():
		forget()
		return nil, context.Cause(ctx)
	case a, ok := <-ch:
		if !ok {
			c.mu.Lock()
			defer c.mu.Unlock()
			return nil, c.err
		}
		return a.value(raw)
	}
}

func (a answer) value(raw bool) (any, error) {
	switch a.kind {
	case kindError:
		m, err := wire.DecodeMap(a.body, wire.Network, limits)
		if err != nil {
			return nil, err
		}
		e, err := wire.ErrorFromMap(m)
		if err != nil {
			return nil, err
		}
		return nil, e
	case kindBulk:
		if len(a.body) < 4 {
			return nil, errors.New("answer with bytes is cut off")
		}
		n := int(binary.BigEndian.Uint32(a.body))
		if n > len(a.body)-4 {
			return nil, errors.New("answer with bytes is cut off")
		}
		head, err := wire.DecodeMap(a.body[4:4+n], wire.Network, limits)
		return Bulk{head, a.body[4+n:]}, err
	}
	d := wire.Network
	if raw {
		d = wire.NetworkRaw
	}
	return wire.Decode(a.body, d, limits)
}
