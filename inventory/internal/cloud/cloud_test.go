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

// How long is waited before a call is repeated: as the cloud says, else longer each time,
// and never when the deadline is before that.
func TestBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		took := func(ctx context.Context, attempt int, after time.Duration) (time.Duration, error) {
			begin := time.Now()
			err := Backoff(ctx, attempt, after)
			return time.Since(begin), err
		}
		if d, err := took(t.Context(), 1, 7*time.Second); d != 7*time.Second || err != nil {
			t.Error(d, err)
		}
		for attempt, most := range map[int]time.Duration{0: time.Second, 2: 4 * time.Second, 9: 20 * time.Second} {
			if d, err := took(t.Context(), attempt, 0); d < most/2 || d > most || err != nil {
				t.Error(attempt, d, err)
			}
		}
		ctx, end := context.WithTimeout(t.Context(), 5*time.Second)
		defer end()
		if d, err := took(ctx, 1, 6*time.Second); d != 0 || !errors.Is(err, context.DeadlineExceeded) {
			t.Error(d, err)
		}
	})
}

func TestOneLine(t *testing.T) {
	if s := OneLine(" a\r\n\tb\x1b[31m\x00 é\u0085c "); s != "a b[31m é c" {
		t.Errorf("%q", s)
	}
	if s := OneLine(strings.Repeat("é", 700)); s != strings.Repeat("é", 600)+"…" {
		t.Errorf("%d bytes", len(s))
	}
}
