package modules

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gosalt/gosalt/internal/config"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/control"
	"github.com/gosalt/gosalt/protocol/wire"
)

func init() {
	register("saltutil.cmd", saltutilCmd)
	register("saltutil.cmd_iter", saltutilCmdIter)
	register("saltutil.wait_for_event", saltutilWaitForEvent)
	register("saltutil.runner", saltutilRunner)
	register("saltutil.wheel", saltutilWheel)
	register("saltutil.mmodule", saltutilMmodule)
	register("saltutil.clear_cache", saltutilClearCache)
	register("saltutil.clear_job_cache", saltutilClearJobCache)
	register("saltutil.find_cached_job", saltutilFindCachedJob)
	register("saltutil.regen_keys", saltutilRegenKeys)
	register("saltutil.revoke_auth", saltutilRevokeAuth)
	planned("Update the package, or put the new program in the place of the old one and restart it.", "saltutil.update")
}

// askLocalMaster sends a request to the master that runs on this machine, through its
// control socket, and hands on each frame of the answer. Only who may speak to that
// socket can: a minion that runs as root or as the master's user.
func askLocalMaster(ctx context.Context, c *module.Call, req *wire.Map, got func(*wire.Map) error) error {
	dir := filepath.Dir(c.Opts.Text("conf_file"))
	if _, err := os.Stat(filepath.Join(dir, "master")); err != nil {
		return module.Failf("This command can only be executed on a minion that is located on the master: there is no %s. publish.publish and publish.runner ask the master over the network, as far as its options peer and peer_run allow.", filepath.Join(dir, "master"))
	}
	cfg, _, err := config.LoadMaster(dir)
	if err != nil {
		return module.Failf("read the master's configuration: %w", err)
	}
	conn, err := control.Dial(ctx, cfg.ControlSocket)
	if err != nil {
		return module.Failf("%w", err)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	if err := conn.Send(req); err != nil {
		return module.Failf("%w", err)
	}
	for {
		f, err := conn.Recv()
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, io.EOF):
			return module.Failf("the master ended before it had answered")
		case err != nil:
			return module.Failf("%w", err)
		}
		switch f.Text("kind") {
		case control.KindEnd:
			return nil
		case control.KindError:
			return module.Failf("%s", f.Map("error").Text("msg"))
		}
		if err := got(f); err != nil {
			return err
		}
	}
}

type saltutilCmdArgs struct {
	Tgt     any       // Which minions.
	Fun     string    // The function.
	Arg     any       `default:"None"`                 // Its arguments: a list, or one.
	Timeout float64   `default:"None"`                 // Seconds to wait for returns; the master's timeout where not given.
	TgtType string    `default:"glob"`                 // How tgt is to be read: glob, list, grain, compound and so on.
	Ret     string    `default:""`                     // A returner for the results, besides the master.
	Kwarg   *wire.Map `default:"None"`                 // Keywords of the function.
	SSH     bool      `arg:"ssh" default:"False"`      // Over SSH, on machines of the master's roster, which need no minion.
	Batch   any       `arg:"batch,kw" default:"None"`  // How many minions, or which part of them (10%), run it at a time.
	Subset  any       `arg:"subset,kw" default:"None"` // On how many of them, drawn at random among those that have the function.
	Kwargs  *wire.Map `arg:"**"`                       // More options of the job: failhard (no more batches once a minion failed), batch_wait (seconds between a return and the next turn), expect_minions (those that do not return are shown as failed), gather_job_timeout; with ssh those of gosalt-ssh: roster, roster_file, ssh_user and so on.
}

// saltutilCmd runs a function on minions from a minion that is on the master's machine,
// and returns what they return: for each its value in "ret", its exit code in "retcode".
//
//	gosalt master1 saltutil.cmd '*' test.ping
//	gosalt master1 saltutil.cmd '*' state.apply batch=10% failhard=True
func saltutilCmd(ctx context.Context, c *module.Call, a saltutilCmdArgs) (*wire.Map, error) {
	args, ok := a.Arg.([]any)
	if !ok && a.Arg != nil {
		args = []any{a.Arg}
	}
	args = append([]any{}, args...)
	if a.Kwarg.Len() > 0 {
		kw := a.Kwarg.Clone()
		kw.Set("__kwarg__", true)
		args = append(args, kw)
	}
	req := wire.NewMap("op", control.OpPublish, "tgt", a.Tgt, "tgt_type", a.TgtType, "fun", a.Fun, "arg", args, "ret", a.Ret, "follow", true)
	if a.SSH {
		how := wire.NewMap()
		for k, v := range a.Kwargs.Strings() {
			if strings.HasPrefix(k, "ssh_") || strings.HasPrefix(k, "roster") {
				how.Set(k, v)
			}
		}
		req.Set("op", control.OpSSH)
		req.Set("ssh", how)
	}
	if a.Timeout > 0 {
		req.Set("timeout", a.Timeout)
	}
	if v, ok := a.Kwargs.Get("gather_job_timeout"); ok && v != nil {
		req.Set("gather_job_timeout", v)
	}
	if module.Truth(a.Subset) {
		n, ok := a.Subset.(int64)
		if !ok || n < 1 {
			return nil, module.Invalidf("subset is %s: a number from 1 is expected", pytext.Repr(a.Subset))
		}
		req.Set("subset", n)
	}
	failhard, _ := a.Kwargs.Get("failhard")
	inBatches := module.Truth(a.Batch)
	if inBatches {
		batch := wire.NewMap("size", pytext.Str(a.Batch), "failhard", module.Truth(failhard))
		if v, ok := a.Kwargs.Get("batch_wait"); ok && v != nil {
			batch.Set("wait", v)
		}
		req.Set("batch", batch)
	}
	out := wire.NewMap()
	err := askLocalMaster(ctx, c, req, func(f *wire.Map) error {
		expect, _ := a.Kwargs.Get("expect_minions")
		switch {
		case f.Text("kind") == control.KindAbsent && module.Truth(expect):
			out.Set(f.Text("id"), wire.NewMap("failed", true, "error", f.Text("text")))
			return nil
		case f.Text("kind") == control.KindBatch:
			for _, d := range f.List("down") {
				if d, _ := d.(*wire.Map); module.Truth(expect) {
					out.Set(d.Text("id"), wire.NewMap("failed", true, "error", d.Text("text")))
				}
			}
			if id := f.Text("stopped"); id != "" {
				c.Log.Error("the batches end here, as failhard is set", "minion", id, "left", f.Int("left"))
			}
			return nil
		case f.Text("kind") != control.KindReturn:
			return nil
		}
		load := f.Map("load")
		v, _ := load.Get("return")
		r := wire.NewMap("ret", v)
		for _, k := range []string{"out", "retcode", "jid"} {
			if v, ok := load.Get(k); ok && v != nil {
				r.Set(k, v)
			}
		}
		if inBatches && !r.Has("out") {
			r.Set("out", "highstate")
		}
		out.Set(f.Text("id"), r)
		return nil
	})
	return out, err
}

// saltutilCmdIter does what saltutil.cmd does, and lists the returns, each in a map of
// its own.
//
//	gosalt master1 saltutil.cmd_iter '*' test.ping
func saltutilCmdIter(ctx context.Context, c *module.Call, a saltutilCmdArgs) ([]any, error) {
	all, err := saltutilCmd(ctx, c, a)
	out := []any{}
	for id, v := range all.Strings() {
		out = append(out, wire.NewMap(id, v))
	}
	return out, err
}

type waitArgs struct {
	Tag     string  // Tag of the events, with the wildcards of a shell: "salt/minion/*/start".
	IDList  []any   `arg:"id_list"`               // What they have to tell of: ids of minions.
	EventID string  `arg:"event_id" default:"id"` // The key in an event's data that holds it.
	Timeout float64 `default:"300"`               // How many seconds to wait for all of them.
	Node    string  `default:"master"`            // Whose events: those of the master that is on this machine, or of its minion.
}

// saltutilWaitForEvent waits for events that tell of each entry of a list, and returns the
// entries in the order in which they were told, those that are left, and whether none was
// left before the time was over: with an empty list, any event ends the waiting. It is not
// in Salt, and is what the state salt.wait_for_event asks.
//
//	gosalt master1 saltutil.wait_for_event 'salt/minion/*/start' '[web1, web2]' timeout=60
func saltutilWaitForEvent(ctx context.Context, c *module.Call, a waitArgs) (*wire.Map, error) {
	left := slices.Clone(a.IDList)
	seen := []any{}
	told := func(all bool) *wire.Map { return wire.NewMap("seen", seen, "left", left, "all", all) }
	errAll := errors.New("all are seen")
	got := func(tag string, data *wire.Map) error {
		if globMatch(a.Tag, tag) {
			v, _ := data.Get(a.EventID)
			if v == nil {
				v, _ = data.Map("data").Get(a.EventID)
			}
			values, isList := v.([]any)
			if !isList && v != nil {
				values = []any{v}
			}
			for i := 0; i < len(left); i++ {
				if slices.ContainsFunc(values, func(v any) bool { return pytext.Equal(v, left[i]) }) {
					seen = append(seen, left[i])
					left = slices.Delete(left, i, i+1)
					if !isList {
						break // one event tells of one
					}
					i--
				}
			}
		}
		if len(left) == 0 {
			return errAll
		}
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(a.Timeout*float64(time.Second)))
	defer cancel()
	var err error
	switch {
	case a.Node == "master":
		err = askLocalMaster(ctx, c, wire.NewMap("op", control.OpEvents, "tags", []any{}), func(f *wire.Map) error {
			if f.Text("kind") != control.KindEvent {
				return nil
			}
			return got(f.Text("tag"), f.Map("data"))
		})
	case a.Node != "minion":
		return nil, module.Invalidf("node %q: master or minion is expected", a.Node)
	case c.Bus == nil:
		return nil, module.Failf("no minion runs on this machine whose events could be watched")
	default:
		err = c.Bus.Watch(ctx, func(tag string, data *wire.Map) (bool, error) { return true, got(tag, data) })
	}
	switch {
	case errors.Is(err, errAll):
		return told(true), nil
	case errors.Is(err, context.DeadlineExceeded) && ctx.Err() != nil, err == nil:
		return told(false), nil
	}
	return nil, err
}

type saltutilRunnerArgs struct {
	Name       string    // The runner: "jobs.list_jobs".
	Arg        any       `default:"None"`               // Its arguments: a list, or one.
	Kwarg      *wire.Map `default:"None"`               // Its keywords.
	FullReturn bool      `default:"False"`              // Return what its last event says, rather than its value.
	Saltenv    string    `arg:"saltenv" default:"base"` // Of no effect.
	JID        string    `arg:"jid" default:"None"`     // Of no effect.
	Kwargs     *wire.Map `arg:"**"`                     // More of its keywords.
}

// saltutilRunner runs a runner of the master that is on this machine, and returns what it
// returns.
//
//	gosalt master1 saltutil.runner jobs.list_jobs
//	gosalt master1 saltutil.runner test.arg arg="['baz']" kwarg="{'foo': 'bar'}"
func saltutilRunner(ctx context.Context, c *module.Call, a saltutilRunnerArgs) (any, error) {
	args, ok := a.Arg.([]any)
	if !ok && a.Arg != nil {
		args = []any{a.Arg}
	}
	return onMaster(ctx, c, control.OpRunner, "runner.", a.Name, args, keywords(a.Kwarg, a.Kwargs), a.FullReturn)
}

type saltutilWheelArgs struct {
	Name   string    // The wheel function: "key.accept".
	Args   []any     `arg:"*"`  // Its arguments.
	Kwargs *wire.Map `arg:"**"` // Its keywords.
}

// saltutilWheel runs a wheel function of the master that is on this machine, and returns
// what its last event says: return, success, and what was called.
//
//	gosalt master1 saltutil.wheel key.accept web1
//	gosalt master1 saltutil.wheel minions.connected
func saltutilWheel(ctx context.Context, c *module.Call, a saltutilWheelArgs) (any, error) {
	return onMaster(ctx, c, control.OpWheel, "wheel.", a.Name, a.Args, keywords(nil, a.Kwargs), true)
}

// keywords are those of a function, without those that each call has.
func keywords(given, more *wire.Map) *wire.Map {
	kw := wire.NewMap()
	for _, m := range []*wire.Map{given, more} {
		for k, v := range m.Strings() {
			if !strings.HasPrefix(k, "__") {
				kw.Set(k, v)
			}
		}
	}
	return kw
}

// onMaster runs a runner or a wheel function.
func onMaster(ctx context.Context, c *module.Call, op, kind, name string, args []any, kw *wire.Map, full bool) (any, error) {
	args = append([]any{}, args...)
	if kw.Len() > 0 {
		kw.Set("__kwarg__", true)
		args = append(args, kw)
	}
	var result *wire.Map
	err := askLocalMaster(ctx, c, wire.NewMap("op", op, "fun", name, "arg", args), func(f *wire.Map) error {
		if f.Text("kind") == control.KindResult {
			result = f
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	v, _ := result.Get("return")
	if full {
		return wire.NewMap("fun", kind+name, "jid", result.Text("jid"), "fun_args", args, "return", v, "success", result.Bool("success")), nil
	}
	if result.Int("retcode") != 0 {
		return nil, module.Failf("%s%s: %s", kind, name, result.Text("error"))
	}
	return v, nil
}

type saltutilMmoduleArgs struct {
	Saltenv string    `arg:"saltenv"` // Of no effect: the functions are those of this program.
	Fun     string    // The function.
	Args    []any     `arg:"*"`  // Its arguments.
	Kwargs  *wire.Map `arg:"**"` // Its keywords.
}

// saltutilMmodule runs a function of this minion. In Salt it is loaded from an
// environment's files first.
//
//	gosalt '*' saltutil.mmodule base test.ping
func saltutilMmodule(ctx context.Context, c *module.Call, a saltutilMmoduleArgs) (any, error) {
	return c.Call(ctx, a.Fun, a.Args, keywords(nil, a.Kwargs))
}

// keptInCache is what clear_cache leaves: the jobs that were run, so that none runs
// twice, and results on their way to the master.
const keptInCache = "jobs"

// saltutilClearCache removes the files that this minion keeps below its cachedir: those
// of the file server, modules, the data store. The record of jobs stays, without which a
// job could run twice.
//
//	gosalt '*' saltutil.clear_cache
func saltutilClearCache(_ context.Context, c *module.Call, _ noArgs) (bool, error) {
	if c.CacheDir == "" {
		return false, module.Failf("the minion has no cachedir")
	}
	top := c.Host.Path(c.CacheDir)
	err := filepath.WalkDir(top, func(p string, e fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil:
			return err
		case e.IsDir():
			if filepath.Dir(p) == filepath.Clean(top) && e.Name() == keptInCache {
				return fs.SkipDir
			}
			return nil
		}
		if err := os.Remove(p); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	})
	if err != nil {
		return false, module.Failf("%w", err)
	}
	return true, nil
}

type saltutilClearJobCacheArgs struct {
	Hours float64 `default:"24"` // How old, in hours.
}

// saltutilClearJobCache removes the results of old jobs that this minion keeps
// (cache_jobs).
//
//	gosalt '*' saltutil.clear_job_cache hours=12
func saltutilClearJobCache(_ context.Context, c *module.Call, a saltutilClearJobCacheArgs) (bool, error) {
	dir := jobCacheDir(c)
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, module.Failf("%w", err)
	}
	before := time.Now().Add(-time.Duration(a.Hours * float64(time.Hour)))
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !e.IsDir() || !info.ModTime().Before(before) {
			continue
		}
		if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
			return false, module.Failf("%w", err)
		}
	}
	return true, nil
}

func jobCacheDir(c *module.Call) string { return c.Host.Path(filepath.Join(c.CacheDir, "minion_jobs")) }

// saltutilFindCachedJob returns what this minion returned of a job, where it keeps that
// (cache_jobs).
//
//	gosalt '*' saltutil.find_cached_job 20261122063858048545
func saltutilFindCachedJob(_ context.Context, c *module.Call, a jobArgs) (any, error) {
	jid, err := wire.ParseJobID(a.JID)
	if err != nil {
		return nil, module.Invalidf("%w", err)
	}
	dir := filepath.Join(jobCacheDir(c), string(jid))
	b, err := os.ReadFile(filepath.Join(dir, "return.p"))
	switch {
	case errors.Is(err, fs.ErrNotExist) && !c.Opts.Bool("cache_jobs"):
		return "Local jobs cache directory not found; you may need to enable cache_jobs on this minion", nil
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Sprintf("Local jobs cache directory %s not found", dir), nil
	case err != nil:
		return nil, module.Failf("%w", err)
	}
	m, err := wire.DecodeMap(b, wire.Local, wire.Authenticated)
	if err != nil {
		return nil, module.Failf("read %s: %w", dir, err)
	}
	return m, nil
}

// saltutilRegenKeys removes the minion's key pair and the keys of its masters. The
// minion works on with those it has; when it signs in next, after a restart of its own or
// of the master at the latest, it makes a new pair, which has to be accepted anew, after
// the old key was deleted on the master.
//
//	gosalt '*' saltutil.regen_keys
func saltutilRegenKeys(_ context.Context, c *module.Call, _ noArgs) (any, error) {
	dir := c.Opts.Text("pki_dir")
	if dir == "" {
		return nil, module.Failf("the minion has no pki_dir")
	}
	entries, err := os.ReadDir(c.Host.Path(dir))
	if err != nil {
		return nil, module.Failf("%w", err)
	}
	for _, e := range entries {
		if e.Type().IsRegular() {
			if err := os.Remove(filepath.Join(c.Host.Path(dir), e.Name())); err != nil {
				return nil, module.Failf("%w", err)
			}
		}
	}
	c.Log.Warn("the minion's keys are removed: it makes new ones when it signs in next")
	return nil, nil
}

type saltutilRevokeAuthArgs struct {
	PreserveMinionCache bool `default:"False"` // Have the master keep what it knows of this minion.
}

// saltutilRevokeAuth has the master delete this minion's key, as far as its option
// allow_minion_key_revoke lets it: the minion is cut off, and has to be accepted anew.
//
//	gosalt '*' saltutil.revoke_auth
func saltutilRevokeAuth(ctx context.Context, c *module.Call, a saltutilRevokeAuthArgs) (bool, error) {
	if c.Master == nil {
		return false, module.Failf("there is no master that could delete the key")
	}
	load := wire.NewMap("cmd", "revoke_auth", "id", minionID(c), "preserve_minion_cache", a.PreserveMinionCache)
	if err := c.Master.Tell(ctx, load); err != nil {
		return false, module.Failf("%w", err)
	}
	return true, nil
}
