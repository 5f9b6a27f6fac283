package zmq

import (
	"bytes"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/go-zeromq/zmq4"
)

// fed is a connection whose input is given, in pieces of a size, and whose output is kept.
type fed struct {
	in    *bytes.Reader
	piece int
	sent  bytes.Buffer
}

func (f *fed) Read(p []byte) (int, error) {
	if f.piece > 0 && len(p) > f.piece {
		p = p[:f.piece]
	}
	return f.in.Read(p)
}
func (f *fed) Write(p []byte) (int, error)      { return f.sent.Write(p) }
func (f *fed) Close() error                     { return nil }
func (f *fed) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (f *fed) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (f *fed) SetDeadline(time.Time) error      { return nil }
func (f *fed) SetReadDeadline(time.Time) error  { return nil }
func (f *fed) SetWriteDeadline(time.Time) error { return nil }

// outcome is all that a connection made of its input.
type outcome struct {
	messages string
	answers  string
	bad      bool
	whole    bool // the input ended between messages
}

// follow plays a connection from its first byte.
func follow(t *testing.T, r role, known bool, in []byte, piece int) outcome {
	e := newEnv(Options{MaxFrame: 1 << 20, MaxFrameUnauth: 1 << 10, MaxQueue: 1 << 20})
	f := &fed{in: bytes.NewReader(in), piece: piece}
	c := newConn(e, f, r)
	if err := c.shake(); err != nil {
		c.Close()
		c.wg.Wait()
		return outcome{answers: "handshake"}
	}
	if known {
		c.Authenticate()
	}
	var o outcome
	var b strings.Builder
	for {
		m, err := c.z.RecvMsg()
		if err != nil {
			o.bad = e.stats.badFrames.Load() > 0
			o.whole = err == io.EOF || strings.HasSuffix(err.Error(), ": EOF")
			break
		}
		if m.Type != zmq4.UsrMsg {
			t.Fatal("the library saw a command")
		}
		total := 0
		for _, f := range m.Frames {
			total += len(f)
			b.Write(appendHeader(nil, 0, len(f)))
			b.Write(f)
		}
		b.WriteString("\n")
		limit := 1 << 10
		switch {
		case r == rolePub:
			if len(m.Frames) != 1 || total < 1 || total > 257 {
				t.Fatalf("a subscription of %d frames, %d bytes", len(m.Frames), total)
			}
		case r == roleSub && len(m.Frames) > maxParts:
			t.Fatalf("%d frames", len(m.Frames))
		case (r == roleRouter || r == roleReq) && (len(m.Frames) != 2 || len(m.Frames[0]) != 0):
			t.Fatalf("%d frames", len(m.Frames))
		case known:
			limit = 1 << 20
		}
		if total > limit {
			t.Fatalf("%d bytes, the limit is %d", total, limit)
		}
		c.release()
	}
	c.mu.Lock()
	flushed := c.flushed
	c.mu.Unlock()
	if flushed != nil && !o.bad {
		<-flushed
	}
	c.Close()
	c.wg.Wait()
	o.messages = b.String()
	if !o.bad { // else what was queued may or may not have gone out
		o.answers = f.sent.String()
	}
	return o
}

// FuzzConn: whatever comes, the library gets whole messages within the limits, and the
// same ones however the input is split.
func FuzzConn(f *testing.F) {
	for r := range roles {
		hello := append(greeting(1), readyOf("Socket-Type", roles[r].peers[0])...)
		for _, b := range [][]byte{
			nil, {0}, request("hello"), {0, 1, 1}, {flagMore, 1, 'x', 0, 1, 'y'},
			appendCommand(nil, "PING", []byte("\x00\x01ctx")), appendCommand(nil, "SUBSCRIBE", []byte("t")),
			appendCommand(nil, "CANCEL", []byte("t")), long(0, 1<<62), long(0, 1<<64-1), long(flagMore, 3),
			{flagCommand, 0}, {0xff, 0xff}, request(strings.Repeat("x", 2000)),
		} {
			f.Add(uint8(r), true, uint8(1), append(bytes.Clone(hello), b...))
			f.Add(uint8(r), false, uint8(7), append(append(bytes.Clone(hello), b...), b...))
		}
	}
	f.Add(uint8(0), false, uint8(3), []byte("GET / HTTP/1.1\r\n\r\n"))
	f.Fuzz(func(t *testing.T, r uint8, known bool, piece uint8, in []byte) {
		which := role(r % uint8(len(roles)))
		at := follow(t, which, known, in, 0)
		pieces := follow(t, which, known, in, 1+int(piece))
		if at != pieces {
			t.Fatalf("in one piece %+v, in pieces of %d %+v", at, 1+piece, pieces)
		}
	})
}

// FuzzReady: what parses is taken again as we would write it.
func FuzzReady(f *testing.F) {
	f.Add([]byte("\x05READY\x0bSocket-Type\x00\x00\x00\x03REQ\x08Identity\x00\x00\x00\x00"))
	f.Add([]byte("\x05READY\x01"))
	f.Add([]byte("\x05READY\x0bSocket-Type\xff\xff\xff\xffREQ"))
	f.Add([]byte("\x05ERROR\x02no"))
	f.Fuzz(func(t *testing.T, in []byte) {
		typ, err := parseReady(in)
		if (typ == "") == (err == nil) {
			t.Fatalf("parseReady(%q) = %q, %v", in, typ, err)
		}
		if err != nil {
			return
		}
		again, err := parseReady(append([]byte("\x05READY"), appendProperty(nil, "Socket-Type", typ)...))
		if err != nil || again != typ {
			t.Fatalf("%q became %q, %v", typ, again, err)
		}
	})
}
