// Package control is how the command line speaks to a master on its own machine: a
// Unix socket, one MsgPack map per frame, each frame led by its length in four
// bytes, big endian. A connection carries one request, which is the first frame
// of the client; the master answers with any number of frames, of which the last
// has the kind "end" or "error".
//
// A request is a map with "op"; a frame of an answer is a map with "kind". The
// constants below name them, docs/protocol.md their fields. Who asks is what the
// kernel says of the socket's other end, not what the request says.
package control

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/gosalt/gosalt/protocol/wire"
)

// What a client may ask for.
const (
	OpPublish = "publish" // run a function on minions; answers KindJob, then what follows of it
	OpSSH     = "ssh"     // run a function on machines of a roster, over SSH; answers as OpPublish
	OpRunner  = "runner"  // run a function on the master; answers KindProgress, then KindResult
	OpWheel   = "wheel"   // run a function that changes the master; answers as OpRunner
	OpEvents  = "events"  // watch the event bus; answers KindEvent until the client leaves
	OpTarget  = "target"  // which minions a target means; answers KindResult
	OpKeys    = "keys"    // the key directories have changed; answers KindResult
	OpNames   = "names"   // names for a command line that is being typed; answers KindResult
	OpToken   = "token"   // keep a token for a login; answers KindResult with it
	OpKey     = "key"     // one step of gosalt-key for who has logged in; answers KindResult
	OpPing    = "ping"    // is a master there; answers KindResult with its version and pid
)

// What a master answers.
const (
	KindJob      = "job"      // jid, minions, missing: the job is stored and sent; without a jid none matched, and pending keys wait
	KindReturn   = "return"   // id and the return as it came from the minion
	KindAbsent   = "absent"   // id, why, text: no return is waited for any longer
	KindBatch    = "batch"    // of a job in batches: down (ids that get no job), next (ids whose turn it is), or stopped (id), left (how many had no turn)
	KindWaiting  = "waiting"  // counts: expected, returned, taken
	KindProgress = "progress" // output of something that goes on
	KindResult   = "result"   // return: the answer, whole
	KindEvent    = "event"    // tag, data
	KindWarning  = "warning"  // text: a line for the person who asks, whatever the answer is
	KindEnd      = "end"      // nothing more comes
	KindError    = "error"    // error: a wire.Error as a map; nothing more comes
)

// LoginSystems are the systems of external authentication that there are, sorted. A
// request logs in by its field "eauth": a map of eauth, username and password, or of token.
var LoginSystems = []string{"auto", "file", "pam", "rest", "sharedsecret"}

// MaxFrame is the longest frame that either side takes, in bytes: the largest
// result of a minion and what surrounds it.
const MaxFrame = 256 << 20

// maxRequest is the longest first frame of a client: arguments given on a command line or standard input.
const maxRequest = 32 << 20

// limits are wide: who may open the socket is trusted with the master's memory.
var limits = wire.Limits{Depth: 256, Elements: 50_000_000, Bytes: MaxFrame}

// Conn is one end of a control connection. One goroutine may send while another receives.
type Conn struct {
	c   net.Conn
	r   *bufio.Reader
	wmu sync.Mutex
	w   *bufio.Writer
	max int
}

func newConn(c net.Conn, maxIn int) *Conn {
	return &Conn{c: c, r: bufio.NewReader(c), w: bufio.NewWriter(c), max: maxIn}
}

// Server makes a Conn of an accepted connection; its first frame is limited as a request is.
func Server(c net.Conn) *Conn { return newConn(c, maxRequest) }

// Client makes a Conn of a connection to a master within the same process.
func Client(c net.Conn) *Conn { return newConn(c, MaxFrame) }

// Dial connects to the master that listens on the socket of that path.
// A missing or refused socket is an error for which NotRunning is true; a socket
// that this user may not open one for which errors.Is(err, fs.ErrPermission) is.
func Dial(ctx context.Context, name string) (*Conn, error) {
	short, done, err := shortName(name)
	if err != nil {
		return nil, fmt.Errorf("connect to the master at %s: %w", name, err)
	}
	defer done()
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", short)
	if err != nil {
		return nil, fmt.Errorf("connect to the master at %s: %w", name, err)
	}
	return newConn(c, MaxFrame), nil
}

// Ask sends one request to the socket of that path and returns the first frame of the
// answer; all of it takes at most so long.
func Ask(ctx context.Context, name string, req *wire.Map, most time.Duration) (*wire.Map, error) {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	c, err := Dial(ctx, name)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	var answer *wire.Map
	if err = c.Send(req); err == nil {
		answer, err = c.Recv()
	}
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("no answer from %s: %w", name, ctx.Err())
	}
	return answer, err
}

// Listen makes the control socket; its directory must exist. A socket left by a
// master that ended is replaced; one that a living master answers on is an error.
func Listen(name string, mode fs.FileMode) (net.Listener, error) {
	return listen(name, mode)
}

// NotRunning tells whether Dial failed because no master listens there.
func NotRunning(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED)
}

// Send writes one frame.
func (c *Conn) Send(m *wire.Map) error {
	b, err := wire.Encode(m, wire.Local)
	if err != nil {
		return fmt.Errorf("send on control socket: %w", err)
	}
	if len(b) > MaxFrame {
		return fmt.Errorf("send on control socket: frame of %d bytes, at most %d are allowed", len(b), MaxFrame)
	}
	c.wmu.Lock()
	defer c.wmu.Unlock()
	var n [4]byte
	binary.BigEndian.PutUint32(n[:], uint32(len(b)))
	c.w.Write(n[:])
	c.w.Write(b)
	if err := c.w.Flush(); err != nil {
		return fmt.Errorf("send on control socket: %w", err)
	}
	return nil
}

// Recv reads one frame; io.EOF means that the other side has left.
func (c *Conn) Recv() (*wire.Map, error) {
	var n [4]byte
	if _, err := io.ReadFull(c.r, n[:]); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, io.EOF
		}
		return nil, fmt.Errorf("receive on control socket: %w", err)
	}
	size := int(binary.BigEndian.Uint32(n[:]))
	if size > c.max {
		return nil, fmt.Errorf("receive on control socket: frame of %d bytes, at most %d are allowed", size, c.max)
	}
	b, err := readAll(c.r, size)
	if err != nil {
		return nil, fmt.Errorf("receive on control socket: %w", err)
	}
	m, err := wire.DecodeMap(b, wire.Local, limits)
	if err != nil {
		return nil, fmt.Errorf("receive on control socket: %w", err)
	}
	return m, nil
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

// SetReadDeadline bounds the next Recv.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.c.SetReadDeadline(t) }

// SetWriteDeadline bounds the next Send.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.c.SetWriteDeadline(t) }

// Close ends the connection and whatever waits on it.
func (c *Conn) Close() error { return c.c.Close() }
