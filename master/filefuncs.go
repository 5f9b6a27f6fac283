package master

import (
	"context"
	"errors"
	"fmt"

	"github.com/gosalt/gosalt/internal/fileserver"
	"github.com/gosalt/gosalt/master/events"
	"github.com/gosalt/gosalt/master/files"
	"github.com/gosalt/gosalt/protocol/seal"
	"github.com/gosalt/gosalt/protocol/stream"
	"github.com/gosalt/gosalt/protocol/transport"
	"github.com/gosalt/gosalt/protocol/wire"
)

// handleFiles answers Salt's commands about files.
func (m *Master) handleFiles(ctx context.Context, from *minionRequest) (any, error) {
	cmd := from.Load.Text("cmd")
	if cmd == wire.CmdServeFile {
		if err := reserve(ctx, from.Peer, m.files.ChunkSize()); err != nil {
			return nil, err
		}
	}
	return m.files.Serve(ctx, cmd, from.Load)
}

// reserve waits until there is room for an answer of n bytes, so that a thousand minions
// that fetch one large file wait in line rather than fill the memory.
func reserve(ctx context.Context, p transport.Peer, n int) error {
	if r, ok := p.(transport.Reserver); ok {
		return r.Reserve(ctx, n)
	}
	return nil
}

// handleFileTree lists files with their hashes, for gosalt minions.
func (m *Master) handleFileTree(ctx context.Context, from *minionRequest) (any, error) {
	q, err := wire.FileTreeFromMap(from.Load)
	if err != nil {
		return nil, err
	}
	r, err := m.files.Tree(ctx, q)
	if err != nil {
		return nil, err
	}
	return r.ToMap(), nil
}

// keepBulk is the size from which on an answer's memory is kept for the next: a transfer is
// under way, whose connection ends with it.
const keepBulk = 512 << 10

// handleFileRead answers with pieces of files, for gosalt minions.
func (m *Master) handleFileRead(ctx context.Context, from *minionRequest) (any, error) {
	q, err := wire.FileReadFromMap(from.Load)
	if err != nil {
		return nil, err
	}
	n := files.ReadSize(q)
	if from.Plain {
		data, reply, err := m.files.Read(ctx, q, make([]byte, 0, n))
		if err != nil {
			return nil, err
		}
		return stream.Bulk{Head: reply.ToMap(), Data: data}, nil
	}
	session := m.sessions.get(from.ID)
	if session == nil {
		return nil, errors.New("the session has ended meanwhile")
	}
	if err := reserve(ctx, from.Peer, n); err != nil {
		return nil, err
	}
	c := m.connection(from.Peer)
	room := c.bulk
	if _, ok := from.Peer.(transport.Reserver); !ok || cap(room) < seal.BulkSize(n) {
		room = seal.BulkBuffer(n)
	}
	buf, reply, err := m.files.Read(ctx, q, room[:seal.BulkOverhead])
	if err != nil {
		return nil, err
	}
	from.reply, err = session.SealBulk(buf, reply.ToMap(), from.Nonce)
	if c.bulk = nil; n > keepBulk {
		c.bulk = from.reply
	}
	return nil, err
}

// handleFileRecv takes a file that a minion pushes. A Salt minion expects a bool.
func (m *Master) handleFileRecv(_ context.Context, from *minionRequest) (any, error) {
	ok, err := m.files.Recv(from.ID, from.Load)
	if err != nil {
		m.log.Warn("file of a minion refused", "minion", from.ID, "error", err)
		m.audit("file refused", "minion", string(from.ID), "why", err.Error())
		if from.Gosalt {
			return nil, err
		}
	}
	return ok, nil
}

// handleMasterOpts tells a minion what of the master's configuration its states depend on.
func (m *Master) handleMasterOpts(ctx context.Context, from *minionRequest) (any, error) {
	envs, err := m.files.Server().Envs(ctx, nil)
	if err != nil {
		m.log.Error("a backend of the file server cannot be asked for its environments", "error", err)
	}
	roots := wire.NewMap()
	for _, env := range envs {
		roots.Set(env, []any{})
	}
	opts := wire.NewMap("file_roots", roots)
	all := m.opts()
	names := []string{"top_file_merging_strategy", "env_order", "default_top"}
	if !from.Load.Bool("env_only") {
		names = append(names, "renderer", "failhard", "state_top", "state_top_saltenv", "nodegroups", "state_auto_order",
			"state_events", "state_aggregate", "jinja_env", "jinja_sls_env", "jinja_lstrip_blocks", "jinja_trim_blocks")
	}
	for _, name := range names {
		v, _ := all.Get(name)
		opts.Set(name, v)
	}
	return opts, nil
}

// fileEvent tells on the bus that a backend's files have changed.
func (m *Master) fileEvent(backend string, data *wire.Map) {
	m.bus.Publish(events.FileserverUpdate(backend), data)
}

// carriesFiles tells whether a function's arguments hold the content of files: those of
// gosalt-cp, which may be large, and secret.
func carriesFiles(fun string) bool { return fun == "cp.recv" || fun == "cp.recv_chunked" }

// withoutContent is a job as it is kept and logged: of the content of files in its
// arguments only the size.
func withoutContent(job *wire.Job) *wire.Job {
	if !carriesFiles(job.Fun) {
		return job
	}
	size := func(v any) any {
		switch v := v.(type) {
		case string:
			return fmt.Sprintf("<%d bytes>", len(v))
		case []byte:
			return fmt.Sprintf("<%d bytes>", len(v))
		}
		return v
	}
	short := *job
	short.Raw = nil
	short.Arg = make([]any, len(job.Arg))
	for i, a := range job.Arg {
		m, ok := a.(*wire.Map)
		switch {
		case ok:
			out := wire.NewMap()
			for k, v := range m.All() {
				if job.Fun == "cp.recv" && !m.Bool("__kwarg__") || k == "chunk" {
					v = size(v)
				} else if files, ok := v.(*wire.Map); ok && k == "files" {
					shown := wire.NewMap()
					for name, content := range files.All() {
						shown.SetAny(name, size(content))
					}
					v = shown
				}
				out.SetAny(k, v)
			}
			short.Arg[i] = out
		case job.Fun == "cp.recv_chunked" && i == 1:
			short.Arg[i] = size(a)
		default:
			short.Arg[i] = a
		}
	}
	return &short
}

// Files, and what follows, make the file server known to runners.
func (r runnerMaster) Files() *fileserver.Server { return r.m.files.Server() }

// UpdateFiles brings backends up to date.
func (r runnerMaster) UpdateFiles(ctx context.Context, backends []string, remote string) error {
	return r.m.files.Update(ctx, backends, remote)
}

// ForgetFiles drops lists from memory.
func (r runnerMaster) ForgetFiles(backends, envs []string) *wire.Map {
	return r.m.files.Forget(backends, envs)
}

// ClearFiles removes what backends keep on the disk.
func (r runnerMaster) ClearFiles(backends []string) (cleared, failed []string) {
	return r.m.files.Clear(backends)
}

// LockFiles keeps remotes from being updated, or lets them be again.
func (r runnerMaster) LockFiles(backends []string, remote string, on bool) (done, failed []string) {
	return r.m.files.Lock(backends, remote, on)
}
