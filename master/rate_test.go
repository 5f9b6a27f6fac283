package master

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestLimiter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter[string](10, 3)
		for range 3 {
			if !l.allow("a") {
				t.Fatal("the burst was refused")
			}
		}
		for range 5 {
			if l.allow("a") {
				t.Fatal("more than the burst was allowed")
			}
		}
		if !l.allow("b") {
			t.Error("another key pays for it")
		}
		time.Sleep(100 * time.Millisecond)
		if !l.allow("a") {
			t.Error("a token comes back after a tenth of a second; what was refused must cost none")
		}
		if l.allow("a") {
			t.Error("only one comes back")
		}
		if d := l.wait("a"); d < 90*time.Millisecond || d > 110*time.Millisecond {
			t.Errorf("wait %s, want a tenth of a second", d)
		}
		time.Sleep(time.Hour)
		l.allow("c")
		if n := len(l.buckets); n != 1 {
			t.Errorf("%d buckets are kept, want only the one in use", n)
		}
	})
}

func TestReplayGuard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newReplayGuard(5 * time.Minute)
		key := nonceKey("web1", "0123456789abcdef0123456789abcdef")
		if !g.first(key) {
			t.Fatal("the first sight is not taken for one")
		}
		// The stamp of a message may lie 5 minutes ahead, so it could be used again for 10.
		for range 60 {
			if g.first(key) {
				t.Fatal("a copy was taken")
			}
			if !g.first(nonceKey("web1", time.Now().String())) {
				t.Fatal("another nonce was refused")
			}
			time.Sleep(10 * time.Second)
		}
		if g.first(nonceKey("web2", "0123456789abcdef0123456789abcdef")) != true {
			t.Error("nonces of different minions are not one")
		}
		time.Sleep(time.Hour)
		g.first(nonceKey("web1", "a"))
		time.Sleep(time.Hour)
		g.first(nonceKey("web1", "b"))
		if n := len(g.old) + len(g.new); n > 3 {
			t.Errorf("%d nonces are kept", n)
		}
	})
}
