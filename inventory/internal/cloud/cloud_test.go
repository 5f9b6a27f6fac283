package cloud

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gosalt/gosalt/inventory"
)

// A body is read to its limit, and says so when there is more.
func TestBody(t *testing.T) {
	for text, want := range map[string]bool{"": true, "12345": true, "123456": false, strings.Repeat("x", 1000): false} {
		b, err := io.ReadAll(&body{ReadCloser: io.NopCloser(strings.NewReader(text)), left: 5})
		var large *TooLargeError
		if errors.As(err, &large) == want || len(b) != min(len(text), 5) {
			t.Errorf("%d bytes: %q %v", len(text), b, err)
		}
	}
}

// Time that the caller takes does not count; a call that is too late says what it had last.
func TestBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := Budget{Whole: 10 * time.Second}
		call := func(d time.Duration) error {
			return b.Call(t.Context(), func(ctx context.Context) error {
				select {
				case <-time.After(d):
					return nil
				case <-ctx.Done():
					return io.ErrUnexpectedEOF
				}
			})
		}
		if err := call(6 * time.Second); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Hour)
		if err := call(3 * time.Second); err != nil {
			t.Error(err)
		}
		begin := time.Now()
		err := call(2 * time.Second)
		var late *LateError
		if !errors.As(err, &late) || !errors.Is(err, io.ErrUnexpectedEOF) || err.Error() != "no whole answer within 10s" || time.Since(begin) != time.Second {
			t.Error(err, time.Since(begin))
		}
	})
}

// Two that need a login get one, and one that has no time waits for nobody.
func TestSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c Sessions[int]
		logins := 0
		login := func(context.Context) (*int, *inventory.Error) {
			time.Sleep(time.Minute)
			logins++
			return &logins, nil
		}
		get := make(chan *int, 2)
		for range 2 {
			go func() { s, _ := c.Get(t.Context(), "x", login); get <- s }()
		}
		synctest.Wait()
		ctx, end := context.WithTimeout(t.Context(), time.Second)
		defer end()
		if _, e := c.Get(ctx, "login", login); e == nil || e.Reason != inventory.NoAnswer || e.Call != "login" {
			t.Error(e)
		}
		first, second := <-get, <-get
		if first != second || logins != 1 {
			t.Errorf("%d logins", logins)
		}
		c.Forget(first)
		if c.Get(t.Context(), "x", login); logins != 2 {
			t.Errorf("%d logins after one was forgotten", logins)
		}
	})
}

// An early end waits for all that was started.
func TestScopes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		running, most := make(chan int, 1), 0
		running <- 0
		list := func(ctx context.Context, scope string, emit func(inventory.Machine) bool) error {
			n := <-running + 1
			most = max(most, n)
			running <- n
			defer func() { running <- <-running - 1 }()
			for emit(inventory.Machine{ID: scope}) {
				time.Sleep(time.Second)
			}
			time.Sleep(time.Second) // to notice
			return nil
		}
		seen := map[string]bool{}
		for m, err := range Scopes(t.Context(), []string{"a", "b", "c", "d"}, "list", 2, list) {
			if err != nil {
				t.Fatal(err)
			}
			if seen[m.ID] = true; len(seen) == 2 {
				break
			}
		}
		if n := <-running; n != 0 || most != 2 {
			t.Errorf("%d go on, at most %d at once", n, most)
		}
		running <- 0
		ctx, end := context.WithTimeout(t.Context(), 10*time.Second)
		defer end()
		last := errors.New("none")
		for _, err := range Scopes(ctx, []string{"a", "b"}, "list", 2, list) {
			last = err
		}
		var e *inventory.Error
		if !errors.As(last, &e) || e.Reason != inventory.NoAnswer || e.Call != "list" {
			t.Error(last)
		}
	})
}
