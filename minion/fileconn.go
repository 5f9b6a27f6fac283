package minion

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/gosalt/gosalt/internal/fileclient"
	"github.com/gosalt/gosalt/internal/fileserver"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/protocol/seal"
	"github.com/gosalt/gosalt/protocol/stream"
	"github.com/gosalt/gosalt/protocol/transport"
	"github.com/gosalt/gosalt/protocol/wire"
)

// fileConn is a link's way to the master's file server: a connection beside the one for returns, which must not wait behind large answers. It is made when
// it is needed, and closed when it has not been for a while.
type fileConn struct {
	l *link

	mu    sync.Mutex
	conn  transport.Requester // nil where there is none
	users int
	idle  *time.Timer
}

// fileIdle is how long a connection that nobody uses stays open: the next file of a state
// run still finds it.
const fileIdle = 20 * time.Second

func (c *fileConn) take() transport.Requester {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.idle != nil {
		c.idle.Stop()
		c.idle = nil
	}
	if c.conn == nil {
		c.conn = c.l.dial.Requester(c.l.addr)
	}
	c.users++
	return c.conn
}

func (c *fileConn) give() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.users--; c.users == 0 && c.conn != nil {
		c.idle = time.AfterFunc(fileIdle, func() {
			c.mu.Lock()
			conn := c.conn
			if c.users > 0 {
				conn = nil
			} else {
				c.conn = nil
			}
			c.mu.Unlock()
			if conn != nil {
				conn.Close()
			}
		})
	}
}

func (c *fileConn) close() {
	c.mu.Lock()
	conn := c.conn
	c.conn = nil
	if c.idle != nil {
		c.idle.Stop()
	}
	c.mu.Unlock()
	if conn != nil {
		conn.Close()
	}
}

// do sends a request; raw leaves text in the answer as bytes.
func (c *fileConn) do(ctx context.Context, load *wire.Map, raw bool) (any, error) {
	load.Set("id", string(c.l.id))
	if c.l.stream != nil {
		return c.l.askStream(ctx, load, raw)
	}
	conn := c.take()
	defer c.give()
	return c.retry(ctx, func() (any, error) {
		return c.l.requestOn(ctx, conn, load, func(body []byte, creds *credentials, nonce string) (any, error) {
			d := wire.Network
			if raw {
				d = wire.NetworkRaw
			}
			return seal.OpenReplyDialect(body, creds.session, nonce, d, wire.Authenticated)
		})
	})
}

// retry does a request again that failed on the way, as often as request_channel_tries
// says. What the master refuses is not asked again.
func (c *fileConn) retry(ctx context.Context, do func() (any, error)) (any, error) {
	for try := 1; ; try++ {
		v, err := do()
		var refused *wire.Error
		if err == nil || ctx.Err() != nil || errors.As(err, &refused) || errors.Is(err, transport.ErrClosed) ||
			errors.Is(err, ErrRejected) || errors.Is(err, ErrPending) || try >= max(c.l.cfg.RequestChannelTries, 1) {
			return v, err
		}
		c.l.log.Warn("request about files failed, trying again", "error", err, "try", try)
		if err := sleep(ctx, backoff(try, time.Second, c.l.cfg.ReconMax)); err != nil {
			return nil, err
		}
	}
}

type fileLane struct {
	c    *fileConn
	conn transport.Requester
}

type bulk struct {
	head *wire.Map
	data []byte
}

// Bulk implements fileclient.Lane.
func (f *fileLane) Bulk(ctx context.Context, load *wire.Map) (*wire.Map, []byte, error) {
	v, err := f.c.retry(ctx, func() (any, error) {
		return f.c.l.requestOn(ctx, f.conn, load, func(body []byte, creds *credentials, nonce string) (any, error) {
			if !seal.IsBulk(body) {
				return seal.OpenReply(body, creds.session, nonce, wire.Authenticated)
			}
			head, data, err := creds.session.OpenBulk(body, nonce, wire.Authenticated)
			return bulk{head, data}, err
		})
	})
	if err != nil {
		return nil, nil, err
	}
	if s, ok := v.(stream.Bulk); ok {
		return s.Head, s.Data, nil
	}
	b, ok := v.(bulk)
	if !ok {
		return nil, nil, &wire.Error{Kind: wire.Malformed, Op: load.Text("cmd"), Msg: "the master's answer holds no files: is it a gosalt master of this version?"}
	}
	return b.head, b.data, nil
}

// Close implements fileclient.Lane.
func (f *fileLane) Close() error { return f.conn.Close() }

// masterFiles is the way to the file server of the master that a job came from, or of the
// first that is connected (fileclient.Conn).
type masterFiles struct{ m *Minion }

var _ fileclient.Conn = masterFiles{}

func (f masterFiles) link(ctx context.Context) (*link, error) {
	name, _ := ctx.Value(jobMaster{}).(string)
	var first *link
	for _, l := range f.m.links {
		switch {
		case l.current() == nil:
		case l.master == name:
			return l, nil
		case first == nil:
			first = l
		}
	}
	if first == nil {
		return nil, errNoMaster
	}
	return first, nil
}

// Gosalt implements fileclient.Conn.
func (f masterFiles) Gosalt(ctx context.Context) bool {
	l, err := f.link(ctx)
	if err != nil {
		return false
	}
	creds := l.current()
	return creds != nil && creds.gosalt
}

// Do implements fileclient.Conn.
func (f masterFiles) Do(ctx context.Context, load *wire.Map, raw bool) (any, error) {
	l, err := f.link(ctx)
	if err != nil {
		return nil, err
	}
	return l.files.do(ctx, load, raw)
}

// Push implements fileclient.Conn.
func (f masterFiles) Push(ctx context.Context, piece *wire.FileRecv) (bool, error) {
	v, err := f.Do(ctx, piece.ToMap(), false)
	return v == true, err
}

// Lane implements fileclient.Conn.
func (f masterFiles) Lane(ctx context.Context) fileclient.Lane {
	l, err := f.link(ctx)
	if err != nil {
		return noLane{err}
	}
	if l.stream != nil {
		return &fileLane{c: l.files, conn: noConn{}}
	}
	return &fileLane{c: l.files, conn: l.dial.Requester(l.addr)}
}

// noLane is the lane to a master that is not connected.
type noLane struct{ err error }

func (n noLane) Bulk(context.Context, *wire.Map) (*wire.Map, []byte, error) { return nil, nil, n.err }
func (n noLane) Close() error                                               { return nil }

// openFiles makes the file client that file_client asks for. local is for a minion that
// has no master.
func (m *Minion) openFiles(local bool) error {
	var err error
	if local || m.cfg.FileClient == "local" {
		m.files, err = m.localFiles()
	} else {
		m.files = fileclient.NewRemote(masterFiles{m}, m.cfg.CacheDir)
	}
	return err
}

// localFiles is the file server of a minion with "file_client: local".
func (m *Minion) localFiles() (fileclient.Client, error) {
	c := m.cfg
	ignore, err := fileserver.NewIgnore(c.FileIgnoreGlob, c.FileIgnoreRegex)
	if err != nil {
		m.log.Warn("a pattern cannot be read and hides nothing", "error", err)
	}
	s, err := fileserver.New(c.HashType, fileserver.NewRoots(fileserver.Options{Roots: c.FileRoots, Ignore: ignore,
		FollowSymlinks: c.FileserverFollowsymlinks, IgnoreSymlinks: c.FileserverIgnoresymlinks, ListFor: c.FileserverListCacheTime}))
	if err != nil {
		return nil, err
	}
	return fileclient.NewLocal(s, c.CacheDir, m.opts), nil
}

// fetcher fetches files from wherever a function names them (module.Files).
func (m *Minion) fetcher() module.Files {
	opts := m.opts()
	seconds := func(name string) time.Duration {
		switch v, _ := opts.Get(name); v := v.(type) {
		case int64:
			return time.Duration(v) * time.Second
		case float64:
			return time.Duration(v * float64(time.Second))
		}
		return 0
	}
	return &fileclient.Fetcher{Client: m.files, Cache: fileclient.Cache{Dir: m.cfg.CacheDir},
		Limits: fileclient.Limits{Connect: seconds("http_connect_timeout"), Total: seconds("http_request_timeout"), Size: opts.Int("http_max_body")},
		S3: func() *wire.Map {
			s3 := wire.NewMap()
			if p := m.Pillar().Map("s3"); p != nil {
				s3 = p.Clone()
			}
			for _, k := range []string{"key", "keyid", "service_url", "verify_ssl", "location", "path_style", "https_enable"} {
				if v, ok := m.cfg.Raw.Get("s3." + k); ok {
					s3.Set(k, v)
				}
			}
			return s3
		}}
}
