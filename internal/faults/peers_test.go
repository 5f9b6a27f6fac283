package faults

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/gosalt/gosalt/internal/testproc"
)

// zmtpGreeting is what a ZMTP 3.0 peer without security says first.
func zmtpGreeting() []byte {
	g := make([]byte, 64)
	g[0], g[8], g[9], g[10] = 0xff, 1, 0x7f, 3
	copy(g[12:], "NULL")
	return g
}

// zmtpReady is the handshake command of a socket of that type.
func zmtpReady(kind string) []byte {
	body := append([]byte{5}, "READY"...)
	body = append(body, 11)
	body = append(body, "Socket-Type"...)
	body = binary.BigEndian.AppendUint32(body, uint32(len(kind)))
	body = append(body, kind...)
	return append([]byte{4, byte(len(body))}, body...)
}

// longFrame announces a frame of 2^62 bytes.
func longFrame() []byte { return binary.BigEndian.AppendUint64([]byte{2}, 1<<62) }

// Peers that are silent, send garbage, announce what nobody can hold, or never read:
// the minions do not notice, and the master neither ends nor grows.
func TestHostilePeers(t *testing.T) {
	s := newSite(t)
	s.start("master", "auto_accept: True", "max_unauthenticated_per_address: 400")
	s.start("web1")
	s.ping("web1")
	ready := func(kind string) []byte { return append(zmtpGreeting(), zmtpReady(kind)...) }
	subscribe := append([]byte{0, 1}, 1) // to everything, and never read
	garbage := make([]byte, 64<<10)
	rand.Read(garbage)
	for _, tt := range []struct {
		name string
		addr string
		say  []byte
	}{
		{"silent on the request port", s.requestAddr(), nil},
		{"silent on the publish port", s.publishAddr(), nil},
		{"half a greeting", s.requestAddr(), zmtpGreeting()[:11]},
		{"garbage on the request port", s.requestAddr(), garbage},
		{"garbage on the publish port", s.publishAddr(), garbage},
		{"garbage after the handshake", s.requestAddr(), append(ready("REQ"), garbage...)},
		{"a frame of 2^62 bytes first", s.requestAddr(), longFrame()},
		{"a frame of 2^62 bytes on the request port", s.requestAddr(), append(ready("REQ"), longFrame()...)},
		{"a frame of 2^62 bytes on the publish port", s.publishAddr(), append(ready("SUB"), longFrame()...)},
		{"a map of 2^32 entries", s.requestAddr(), append(ready("REQ"), 1, 0, 0, 5, 0xdf, 0xff, 0xff, 0xff, 0xff)},
		{"arrays in arrays", s.requestAddr(), append(append(ready("REQ"), 1, 0, 2, 0, 0, 0, 0, 0, 0, 0x40, 0), bytes.Repeat([]byte{0x91}, 0x4000)...)},
		{"a subscriber that never reads", s.publishAddr(), append(ready("SUB"), subscribe...)},
		{"HTTP", s.requestAddr(), []byte("GET / HTTP/1.1\r\nHost: master\r\n\r\n")},
		{"TLS", s.publishAddr(), []byte{0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for range 20 {
				c, err := net.Dial("tcp", tt.addr)
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close() // stays open while the minion is asked
				if _, err := c.Write(tt.say); err != nil {
					t.Logf("the master closed it: %v", err)
				}
			}
			s.ping("web1")
		})
	}
	// A stuck subscriber holds up neither the master nor the others, however much is sent.
	stuck, err := net.Dial("tcp", s.publishAddr())
	s.must(err)
	defer stuck.Close()
	stuck.(*net.TCPConn).SetReadBuffer(4096)
	_, err = stuck.Write(append(ready("SUB"), subscribe...))
	s.must(err)
	big := string(bytes.Repeat([]byte("x"), 256<<10))
	for range 40 {
		if _, err := s.publish("web1", "test.echo", big); err != nil {
			t.Fatal(err)
		}
	}
	s.ping("web1")
	if peak := peakMemory(s.Proc("master").PID()); peak > 300<<20 && !testproc.Race {
		t.Errorf("the master took %d MiB at its peak", peak>>20)
	} else {
		t.Logf("the master took %d MiB at its peak", peak>>20)
	}
	s.end("web1", "master")
}

// peakMemory is the largest resident size of a process in bytes, 0 where the system
// does not tell.
func peakMemory(pid int) int64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	var kib int64
	for l := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(l, "VmHWM:"); ok {
			fmt.Sscan(rest, &kib)
		}
	}
	return kib << 10
}
