package fileclient

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

// Limits bound what is fetched from servers that are not the master.
type Limits struct {
	Connect time.Duration // to connect; 0 is 20 s
	Total   time.Duration // for a whole file; 0 is an hour
	Stall   time.Duration // without a byte; 0 is a minute
	Size    int64         // bytes of a file; 0 is 100 GiB
}

func (l Limits) withDefaults() Limits {
	if l.Connect <= 0 {
		l.Connect = 20 * time.Second
	}
	if l.Total <= 0 {
		l.Total = time.Hour
	}
	if l.Stall <= 0 {
		l.Stall = time.Minute
	}
	if l.Size <= 0 {
		l.Size = 100 << 30
	}
	return l
}

// client is an HTTP client under the limits. Proxies are those of the environment.
func (f *Fetcher) client(insecure bool) *http.Client {
	if f.HTTP != nil && !insecure {
		return f.HTTP
	}
	l := f.Limits.withDefaults()
	t := &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: l.Connect}).DialContext,
		TLSHandshakeTimeout:    l.Connect,
		ResponseHeaderTimeout:  l.Stall,
		ForceAttemptHTTP2:      true,
		DisableKeepAlives:      true,
		MaxResponseHeaderBytes: 1 << 20,
	}
	if insecure {
		t.TLSClientConfig = &tls.Config{InsecureSkipVerify: true} // verify_ssl=False: the caller's wish
	}
	return &http.Client{Transport: t}
}

// errNotModified says that what is in the cache is still right.
var errNotModified = errors.New("not modified")

// http fetches from a web server.
func (f *Fetcher) http(ctx context.Context, u *url.URL, w io.Writer, dest string, o FetchOptions) error {
	user := u.User
	clean := *u
	clean.User = nil
	l := f.Limits.withDefaults()
	ctx, cancel := context.WithTimeoutCause(ctx, l.Total, fmt.Errorf("not done within %s", l.Total))
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, clean.String(), nil)
	if err != nil {
		return fmt.Errorf("fetch %s: %w", clean.Redacted(), err)
	}
	req.Header.Set("User-Agent", "gosalt")
	if user != nil {
		pass, _ := user.Password()
		req.SetBasicAuth(user.Username(), pass)
	}
	if o.ETag {
		if tag, err := os.ReadFile(dest + ".etag"); err == nil {
			if _, err := os.Stat(dest); err == nil {
				req.Header.Set("If-None-Match", strings.TrimSpace(string(tag)))
			}
		}
	}
	return f.get(req, l, o, w, func(resp *http.Response) error {
		if tag := resp.Header.Get("Etag"); o.ETag && tag != "" {
			return os.WriteFile(dest+".etag", []byte(tag), 0o600)
		}
		return nil
	})
}

// get does a request and writes what it is answered with.
func (f *Fetcher) get(req *http.Request, l Limits, o FetchOptions, w io.Writer, good func(*http.Response) error) error {
	resp, err := f.client(o.Insecure).Do(req)
	if err != nil {
		var ue *url.Error
		if errors.As(err, &ue) {
			err = ue.Err
		}
		if c := context.Cause(req.Context()); c != nil && req.Context().Err() != nil {
			err = c
		}
		return fmt.Errorf("fetch %s: %w", req.URL.Redacted(), err)
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusNotModified {
		return errNotModified
	}
	if resp.StatusCode != http.StatusOK {
		return &StatusError{Path: req.URL.Path, Status: resp.StatusCode}
	}
	if resp.ContentLength > l.Size {
		return fmt.Errorf("fetch %s: %d bytes are more than http_max_body allows (%d)", req.URL.Redacted(), resp.ContentLength, l.Size)
	}
	stall := time.AfterFunc(l.Stall, func() { resp.Body.Close() })
	defer stall.Stop()
	n, err := io.Copy(w, io.LimitReader(restart{resp.Body, stall, l.Stall}, l.Size+1))
	switch {
	case err != nil && req.Context().Err() != nil:
		err = context.Cause(req.Context())
	case err != nil && !stall.Stop():
		err = fmt.Errorf("nothing came for %s", l.Stall)
	case err == nil && n > l.Size:
		err = fmt.Errorf("more than http_max_body allows (%d bytes)", l.Size)
	}
	if err != nil {
		return fmt.Errorf("fetch %s: %w", req.URL.Redacted(), err)
	}
	return good(resp)
}

// restart is a reader that starts a timer anew with each piece that comes.
type restart struct {
	r     io.Reader
	timer *time.Timer
	d     time.Duration
}

func (r restart) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	if n > 0 {
		r.timer.Reset(r.d)
	}
	return n, err
}

// StatusError is the answer of a web server that does not hand out the file.
type StatusError struct {
	Path   string
	Status int
}

func (e *StatusError) Error() string {
	return fmt.Sprintf("Error: HTTP %d: %s reading %s", e.Status, http.StatusText(e.Status), e.Path)
}
