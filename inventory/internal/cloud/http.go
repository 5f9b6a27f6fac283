package cloud

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"time"
	"unicode"
)

// MaxBody is the largest answer that is read: a page of a thousand machines has a tenth.
const MaxBody = 64 << 20

// A TooLargeError is an answer that was longer than MaxBody.
type TooLargeError struct{}

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("the answer is longer than %d MiB", MaxBody>>20)
}

// SetLimits gives a transport deadlines for all that comes before a body.
func SetLimits(t *http.Transport) {
	t.DialContext = (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext
	t.TLSHandshakeTimeout = 10 * time.Second
	t.ResponseHeaderTimeout = 60 * time.Second
	t.MaxResponseHeaderBytes = 1 << 20
	t.MaxIdleConnsPerHost = 4
}

// Limited is a client of HTTP whose bodies end with a TooLargeError at MaxBody.
type Limited struct {
	Client interface {
		Do(*http.Request) (*http.Response, error)
	}
}

// Do sends a request.
func (l Limited) Do(r *http.Request) (*http.Response, error) {
	resp, err := l.Client.Do(r)
	if err == nil && resp.Body != nil {
		resp.Body = &body{ReadCloser: resp.Body, left: MaxBody}
	}
	return resp, err
}

// LimitedTransport is the same as a RoundTripper.
type LimitedTransport struct{ http.RoundTripper }

// RoundTrip sends a request.
func (l LimitedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := l.RoundTripper.RoundTrip(r)
	if err == nil && resp.Body != nil {
		resp.Body = &body{ReadCloser: resp.Body, left: MaxBody}
	}
	return resp, err
}

type body struct {
	io.ReadCloser
	left int64
}

func (b *body) Read(p []byte) (int, error) {
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.ReadCloser.Read(p)
	if int64(n) > b.left {
		n, b.left = int(b.left), 0
		return n, &TooLargeError{}
	}
	b.left -= int64(n)
	return n, err
}

// Backoff waits before a call is repeated: as long as the cloud says (after), or longer
// each time. When the deadline is before that it does not wait.
func Backoff(ctx context.Context, attempt int, after time.Duration) error {
	d := min(time.Second<<min(attempt, 6), 20*time.Second)
	d = d/2 + rand.N(d/2)
	if after > 0 {
		d = after
	}
	if end, ok := ctx.Deadline(); ok && time.Until(end) < d {
		return context.DeadlineExceeded
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// OneLine makes text of someone else fit to be shown: one line, no control characters, of
// bounded length.
func OneLine(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return -1
		}
		return r
	}, s)
	if r := []rune(s); len(r) > 600 {
		s = string(r[:600]) + "…"
	}
	return s
}
