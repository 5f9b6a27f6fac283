package zmq

import (
	"context"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

func TestAddrKey(t *testing.T) {
	for addr, want := range map[string]string{
		"192.0.2.7":           "192.0.2.7",
		"2001:db8:1:2::1":     "2001:db8:1:2::",
		"2001:db8:1:2:ffff::": "2001:db8:1:2::",
		"2001:db8:1:3::1":     "2001:db8:1:3::",
		"fe80::1%eth0":        "fe80::",
		"::1":                 "::",
	} {
		if got := addrKey(netip.MustParseAddr(addr)); got != netip.MustParseAddr(want) {
			t.Errorf("addrKey(%s) = %s, want %s", addr, got, want)
		}
	}
}

// However a connection's standing changes, the counts are back at zero in the end.
func TestAdmissionCounts(t *testing.T) {
	credit := 1
	o := Options{MaxConns: 4, MaxUnauth: 3, MaxUnauthPerAddr: 2, Trusted: func(netip.Addr) int { return credit }}.withDefaults()
	a := newAdmission(&o)
	x, y := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	enter := func(addr netip.Addr, want standing, ok bool) {
		t.Helper()
		got, err := a.enter(addr)
		if (err == nil) != ok || ok && got != want {
			t.Fatalf("enter(%s) = %d, %v, want %d, %t", addr, got, err, want, ok)
		}
	}
	enter(x, asTrusted, true)
	enter(x, asUnauth, true)
	enter(x, asUnauth, true)
	enter(x, 0, false) // two from one address
	credit = 0
	enter(y, asUnauth, true)
	enter(y, 0, false) // four in all
	a.authenticated(x, asTrusted)
	a.authenticated(x, asUnauth)
	if open, unauth := a.counts(); open != 4 || unauth != 2 {
		t.Errorf("open %d, unauthenticated %d", open, unauth)
	}
	a.leave(x, asAuth)
	a.leave(x, asAuth)
	a.leave(x, asUnauth)
	a.leave(y, asUnauth)
	if open, unauth := a.counts(); open != 0 || unauth != 0 || len(a.perAddr) != 0 {
		t.Errorf("open %d, unauthenticated %d, addresses %v", open, unauth, a.perAddr)
	}
}

func TestNotices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log lines
		k := notices{log: slog.New(slog.NewTextHandler(&log, nil))}
		for range 250 { // 25 s
			k.say("refused", "addr", "192.0.2.1")
			time.Sleep(100 * time.Millisecond)
			k.flush(false)
		}
		if n := log.count("refused"); n != 3 {
			t.Errorf("%d lines in 25 s, want 3: at 0, 10 and 20 s\n%s", n, &log)
		}
		if !strings.Contains(log.String(), "times=99") {
			t.Errorf("no line says how often:\n%s", &log)
		}
		time.Sleep(time.Minute)
		k.flush(false)
		time.Sleep(time.Minute)
		k.flush(false)
		if len(k.kinds) != 0 {
			t.Error("a kind that does not happen any more is not forgotten")
		}
	})
}

func TestUserTimeout(t *testing.T) {
	r, _ := testRouter(t, Options{UserTimeout: 7 * time.Second}, echo{})
	d := NewDialer(DialOptions{UserTimeout: 9 * time.Second})
	q := d.Requester(r.Addr().String()).(*requester)
	defer q.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if _, err := q.Do(ctx, []byte("x")); err != nil {
		t.Fatal(err)
	}
	for want, c := range map[int]*conn{7000: r.srv.all(nil)[0], 9000: q.line.c} {
		c.raw.Control(func(fd uintptr) {
			if got, err := unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT); got != want {
				t.Errorf("TCP_USER_TIMEOUT: %d ms, %v, want %d", got, err, want)
			}
			if got, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_KEEPALIVE); got != 1 {
				t.Errorf("keepalive: %d, %v", got, err)
			}
		})
	}
}

func TestDescriptorsOfTheProcess(t *testing.T) {
	d := NewDescriptors(0, 0)
	if d.Limit() < 64 {
		t.Errorf("limit %d", d.Limit())
	}
	if d := NewDescriptors(100, 0); d.reserve != 12 {
		t.Errorf("reserve of 100: %d", d.reserve)
	}
	for fd, want := range map[int]bool{-1: true, 0: true, 89: true, 90: false, 100: false} {
		if got := NewDescriptors(100, 10).enter(fd); got != want {
			t.Errorf("descriptor %d: %t", fd, got)
		}
	}
}
