package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/gosalt/gosalt/cli/output"
	"github.com/gosalt/gosalt/cli/term"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/control"
	"github.com/gosalt/gosalt/protocol/wire"
)

// Gosalt runs a function on minions and shows what they return: the command gosalt.
func Gosalt(io IO, args []string) int {
	if code, done := Completing(io, args, nil); done {
		return code
	}
	o, err := ParseGosalt(io, args)
	if err != nil {
		return io.Fail(err)
	}
	s, code := openMaster(io, &o.CommonOptions)
	if s == nil {
		return code
	}
	if err := o.unserved(); err != nil {
		return io.Fail(err)
	}
	g := &gosaltRun{masterSession: s, o: o, out: o.Out.Settings(io, s.cfg.Raw), status: term.NewStatus(io.Err)}
	g.out.Static, g.out.Fun = o.Static, strings.Join(o.Job.Funs, ",")
	if o.ConfigDump {
		return g.configDump()
	}
	if name := o.Job.missingNodegroup(s.cfg.Nodegroups); name != "" {
		fmt.Fprintf(io.Out, "Node group %s unavailable in %s\n", name, s.cfg.ConfFile)
		return NoNodegroup.Code(o.Strict)
	}
	if exit := s.login(&o.AuthOptions, false); exit >= 0 {
		return exit
	}
	if o.Job.TargetType == "list_hosts" { // Salt's minions match none of them either
		fmt.Fprintf(io.Out, "%s\n", noMinions)
		fmt.Fprintln(io.Err, "ERROR: No return received")
		io.Hint("--hosts is about the hosts of a roster, which minions are not: name them with -L")
		return NoReturn.Code(o.Strict)
	}
	if o.PreviewTarget {
		return g.preview()
	}
	g.states = newStatesReport(&o.StatesOptions, strings.Join(o.Job.Funs, ","))
	g.view = g.newView()
	if exit := g.batches(); exit >= 0 {
		return exit
	}
	if err := g.readQueueUntil(time.Now()); err != nil {
		return io.Fail(err)
	}
	return g.run()
}

// unserved refuses the options whose work is not done yet, rather than to ignore them.
func (o *GosaltOptions) unserved() error {
	if _, err := o.ExecutorOptsMap(); err != nil {
		return o.Errorf("%v", err)
	}
	if _, isMap := o.ReturnKwargs.(*wire.Map); o.ReturnKwargs != nil && !isMap {
		return o.Errorf("--return_kwargs: a map as {host: db1} expected, not %s", pytext.Repr(o.ReturnKwargs))
	}
	return nil
}

// gosaltRun is one run of gosalt.
type gosaltRun struct {
	*masterSession
	o      *GosaltOptions
	out    output.Options
	status *term.Status

	jid       string
	all       *wire.Map // id to what was returned, in the order of coming
	began     time.Time // when the job was made
	expected  int
	summary   summary
	failed    bool      // some minion returned a code that is not zero
	silent    int       // minions that did not return
	nothing   bool      // no minion matched
	until     time.Time // of --queue-until, or zero
	queuedIDs int       // minions that run the job when they are back
	batch     *batchRun // set where the job runs in batches
	lacking   bool      // minions match, but none that answered has the function
	keyHints  []string
	view      view         // other than Salt's; may be nil
	live      *livePrinter // of --live; may be nil
	problem   string       // why there are no results
	pending   int64        // keys that wait to be accepted, where no minion matched
	states    *statesReport
	ssh       *wire.Map // of gosalt-ssh: how machines are reached; nil for gosalt
}

// request is the job as the control socket takes it.
func (g *gosaltRun) request() *wire.Map {
	o := g.o
	req := wire.NewMap("op", control.OpPublish, "fun", o.Job.Fun(), "arg", o.Job.Arg(), "follow", !o.Async, "counter", g.status.On(), "live", o.Live)
	g.setTarget(req)
	if g.ssh != nil {
		req.Set("op", control.OpSSH)
		req.Set("ssh", g.ssh)
	}
	if o.Explicit("timeout") && o.Timeout > 0 {
		req.Set("timeout", int64(o.Timeout))
	}
	for _, kv := range []struct {
		key string
		val any
		set bool
	}{
		{"ret", o.Returner, o.Returner != ""}, {"ret_config", o.ReturnConfig, o.ReturnConfig != ""},
		{"ret_kwargs", o.ReturnKwargs, o.ReturnKwargs != nil}, {"metadata", o.Metadata, o.Metadata != nil},
		{"module_executors", o.ModuleExecutors, module.Truth(o.ModuleExecutors)}, {"executor_opts", o.ExecutorOpts, module.Truth(o.ExecutorOpts)},
	} {
		if kv.set {
			req.Set(kv.key, kv.val)
		}
	}
	if g.batch != nil {
		req.Set("batch", g.batch.request(o))
	}
	if !g.until.IsZero() {
		req.Set("until", g.until.UnixMicro())
	}
	if o.Subset != 0 { // as in Salt, less than one is one
		req.Set("subset", int64(max(o.Subset, 1)))
	}
	return req
}

// setTarget says in a request whom it is about.
func (g *gosaltRun) setTarget(req *wire.Map) {
	var tgt any = g.o.Job.Target
	if list, ok := tgt.([]string); ok {
		l := make([]any, len(list))
		for i, id := range list {
			l[i] = id
		}
		tgt = l
	}
	req.Set("tgt", tgt)
	req.Set("tgt_type", g.o.Job.TargetType)
	if d := g.o.Delimiter; d != "" && d != ":" {
		req.Set("delimiter", d)
	}
	if t := g.o.Transport; t != "" && t != "auto" {
		req.Set("transport", t)
	}
}

func (g *gosaltRun) run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	g.all = wire.NewMap()
	err := g.ask(ctx, g.request(), g.frame)
	g.status.Clear()
	switch {
	case errors.Is(err, errAnswered) && g.nothing: // --async, which for Salt is no failure
		g.hintKeys()
		return BatchNoMatch.Code(g.strict)
	case errors.Is(err, errAnswered):
		return OK.Code(g.strict)
	case errors.Is(err, context.Canceled):
		return g.interrupted()
	case err != nil:
		return g.refused(err)
	}
	code := g.finish()
	if g.nothing {
		return code
	}
	if err := g.states.finish(g.io.aside(g.out), g.out); err != nil {
		return g.io.Fail(err)
	}
	return code
}

// refused shows why there is no job, or why it cannot be followed. A target that
// cannot be read is for Salt one that matches nothing, and for its users a riddle.
func (g *gosaltRun) refused(err error) int {
	out := g.io.Out
	if g.o.JSONDocument || g.view != nil && g.out.Out == "json" {
		g.io.Out = g.io.Err // JSON stands alone
	}
	outcome := NoReturn
	var e *wire.Error
	if errors.As(err, &e) && e.Op == "target" {
		fmt.Fprintln(g.io.Out, noMinions)
		fmt.Fprintln(g.io.Err, "ERROR: No return received")
		fmt.Fprintf(g.io.Err, "%s: error: %s\n", g.io.Prog, e.Msg)
	} else {
		outcome = g.tellProblem(err)
		if errors.Is(err, errMasterEnded) && g.jid != "" {
			g.io.Hint("the job goes on; when the master is back, see: gosalt-run jobs.lookup_jid %s", g.jid)
		}
	}
	g.io.Out = out
	g.problem = err.Error()
	g.endView(outcome)
	return outcome.Code(g.strict)
}

// endView shows what there is where the end is not the usual one.
func (g *gosaltRun) endView(outcome Outcome) {
	if g.view == nil || g.jid == "" && !g.o.JSONDocument && g.out.Out != "json" {
		return
	}
	if err := g.view.end(outcome); err != nil {
		fmt.Fprintf(g.io.Err, "%s: error: %v\n", g.io.Prog, err)
	}
}

const noMinions = "No minions matched the target. No command was sent, no jid was assigned."

// frame handles one frame of the answer.
func (g *gosaltRun) frame(f *wire.Map) error {
	switch f.Text("kind") {
	case control.KindJob:
		return g.started(f)
	case control.KindReturn:
		return g.returned(f.Text("id"), f.Map("load"))
	case control.KindBatch:
		return g.batched(f)
	case control.KindAbsent:
		return g.absent(f.Text("id"), f.Text("why"), f.Text("text"))
	case control.KindProgress:
		return g.progress(f.Text("id"), f.Map("data"))
	case control.KindWaiting:
		g.status.Set(g.counter(f))
	}
	return nil
}

// progress shows what a minion reports while it works.
func (g *gosaltRun) progress(id string, data *wire.Map) error {
	switch p := wire.ProgressFromMap(data); {
	case g.view != nil && g.live == nil:
		return g.view.progress(id, p)
	case g.live != nil:
		return g.live.print(id, p)
	}
	return nil
}

// counter is the line shown while returns come in.
func (g *gosaltRun) counter(f *wire.Map) string {
	all, taken, returned := f.Int("all"), f.Int("taken"), f.Int("returned")
	text := fmt.Sprintf("%d of %d returned", returned, all)
	if working := taken - returned; working > 0 {
		text += fmt.Sprintf(", %d working", working)
	}
	if g.o.Progress && all > 0 {
		const width = 30
		n := int(returned * width / all)
		text = fmt.Sprintf("%3d%% |%s%s| %s, %s", returned*100/all, strings.Repeat("#", n), strings.Repeat(" ", width-n),
			time.Since(g.began).Truncate(time.Second), text)
	}
	return text
}

func (g *gosaltRun) started(f *wire.Map) error {
	g.jid = f.Text("jid")
	minions := f.List("minions")
	g.expected = len(minions)
	ids := make([]string, len(minions))
	for i, id := range minions {
		ids[i] = fmt.Sprint(id)
	}
	if _, lines := g.view.(*jsonLines); g.o.Live && !lines && !g.isDoc() {
		g.live = g.newLivePrinter(ids)
	}
	if g.view != nil {
		if err := g.view.job(g.jid, ids); err != nil {
			return err
		}
	}
	if g.jid == "" {
		g.nothing, g.lacking, g.pending = true, f.Bool("lacking"), f.Int("pending")
		for _, id := range f.List("missing") {
			g.keyHints = append(g.keyHints, fmt.Sprint(id))
		}
		if g.o.Async && g.view == nil {
			fmt.Fprintf(g.io.Out, "%s\nExecuted command with job ID: 0\n", noMinions)
			return errAnswered
		}
		return nil
	}
	if g.batch != nil {
		g.batch.waiting = g.expected
		g.silent += len(f.List("missing"))
		return nil
	}
	if g.o.Async {
		if g.view != nil {
			if err := g.view.end(OK); err != nil {
				return err
			}
			return errAnswered
		}
		fmt.Fprintf(g.io.Out, "Executed command with job ID: %s\n", g.jid)
		return errAnswered
	}
	switch {
	case g.o.JSONDocument, g.o.Static: // the document has the jid; and Salt's --static shows none
	case g.o.Verbose:
		line := "Executing job with jid " + g.jid
		fmt.Fprintf(g.io.Out, "%s\n%s\n\n", line, strings.Repeat("-", len(line)))
	case g.o.ShowJID:
		fmt.Fprintf(g.io.Out, "jid: %s\n", g.jid)
	}
	g.began = time.Now()
	g.status.Set(g.counter(wire.NewMap("all", int64(g.expected))))
	return nil
}

// returned shows one minion's return.
func (g *gosaltRun) returned(id string, load *wire.Map) error {
	v, _ := load.Get("return")
	code := retcode(load)
	v = g.states.take(id, v, code)
	for _, text := range load.Map(wire.FieldReturnerErrors).Strings() {
		fmt.Fprintf(g.io.Err, "%s: warning: %s: %v\n", g.io.Prog, id, text)
	}
	g.all.Set(id, v)
	g.summary.returned++
	if code != 0 {
		g.failed = true
		g.summary.failures = append(g.summary.failures, id)
	}
	if g.batch != nil {
		g.batch.highest = max(g.batch.highest, code)
	}
	if g.view != nil {
		return g.view.result(result{id: id, value: v, out: load.Text("out"), code: code})
	}
	if g.o.Static || g.isDoc() && g.batch == nil {
		if out := load.Text("out"); out != "" && g.out.Out == "" {
			g.summary.out = out
		}
		return nil
	}
	if g.batch != nil {
		return g.showBatched(id, v, load.Text("out"), code)
	}
	return g.show(id, v, load.Text("out"), code)
}

func (g *gosaltRun) show(id string, v any, outputter string, code int) error {
	g.status.Clear()
	o := g.out
	o.Retcode = code
	return output.Display(g.status.Writer(g.io.Out), wire.NewMap(id, v), outputter, o)
}

// retcode is the exit code in a return; of several functions the highest.
func retcode(load *wire.Map) int {
	v, _ := load.Get("retcode")
	switch v := v.(type) {
	case int64:
		return int(v)
	case bool:
		if v {
			return 1
		}
	case *wire.Map:
		highest := 0
		for _, n := range v.All() {
			if n, ok := n.(int64); ok {
				highest = max(highest, int(n))
			}
		}
		return highest
	case []any:
		highest := 0
		for _, n := range v {
			if n, ok := n.(int64); ok {
				highest = max(highest, int(n))
			}
		}
		return highest
	}
	return 0
}

// absent shows that a minion did not return, in Salt's words, with the reason as a
// line of its own.
func (g *gosaltRun) absent(id, why, text string) error {
	g.silent++
	g.states.absent(id, text)
	state := "No response"
	if why == "queued" {
		return g.queued(id, text)
	}
	// Names without a key are shown in any case: they are mistakes rather than silence.
	hidden := !g.o.ShowTimeout && !slices.Contains([]string{"unknown", "pending", "rejected"}, why)
	switch {
	case why == "disconnected" || why == "never":
		state = "Not connected"
		if !hidden {
			g.summary.notConnected = append(g.summary.notConnected, id)
		}
	case !hidden:
		g.summary.noResponse = append(g.summary.noResponse, id)
	}
	if g.batch != nil && g.view == nil {
		return g.failedToRespond(id, text)
	}
	if hidden || g.isDoc() || g.o.Static && g.view == nil {
		return nil
	}
	g.failed = true
	a := absence{id: id, state: state, why: why, text: text}
	if g.view != nil {
		return g.view.absence(a)
	}
	return g.show(id, absentText(a, g.jid), "no_return", 1)
}

// absentText is what is shown in place of a result.
func absentText(a absence, jid string) string {
	msg := fmt.Sprintf("Minion did not return. [%s]\n%s", a.state, a.text)
	if a.state == "No response" {
		msg += "\n" + lateNote + "\n\n" + "gosalt-run jobs.lookup_jid " + jid
	}
	return msg
}

const lateNote = "The minions may not have all finished running and any remaining minions will return upon completion. To look up the return data for this job later, run the following command:"

func (g *gosaltRun) isDoc() bool { return slices.Equal(g.o.Job.Funs, []string{"sys.doc"}) }

// finish shows what is shown in the end, and gives the exit code.
func (g *gosaltRun) finish() int {
	if g.batch != nil {
		return g.finishBatch()
	}
	if g.isDoc() && !g.nothing {
		return g.docs()
	}
	if g.isDoc() {
		fmt.Fprintln(g.io.Out, noMinions)
		fmt.Fprintln(g.io.Err, "No minions found to gather docs from")
		g.hintKeys()
		return NoReturn.Code(g.strict)
	}
	outcome := g.outcome()
	if g.nothing {
		g.problem = noMinions
	}
	if g.nothing && g.ssh != nil {
		fmt.Fprintln(g.io.Err, "[ERROR   ] No matching targets found in roster.")
		g.endView(NoRosterMatch)
		return NoRosterMatch.Code(g.strict)
	}
	switch {
	case g.view != nil:
		if err := g.view.end(outcome); err != nil {
			return g.io.Fail(err)
		}
	case g.nothing:
		fmt.Fprintln(g.io.Out, noMinions)
		if err := output.Display(g.io.Out, wire.NewMap(), "", g.out); err != nil { // {} to some
			return g.io.Fail(err)
		}
	case g.o.Static:
		if err := output.Display(g.io.Out, g.all, g.summary.out, g.out); err != nil {
			return g.io.Fail(err)
		}
		return g.finishStatic()
	}
	if outcome == NoReturn {
		fmt.Fprintln(g.io.Err, "ERROR: No return received")
		if g.nothing {
			g.hintKeys()
		}
		return outcome.Code(g.strict)
	}
	if g.o.Progress || (g.o.Summary || g.cfg.CLISummary) && g.o.Out.Output == "" && !g.o.JSONDocument {
		g.summary.print(g.io.Out, g.o.Verbose)
	}
	if outcome == MinionFailed && g.ssh == nil {
		fmt.Fprintln(g.io.Err, "ERROR: Minions returned with non-zero exit code")
	}
	return outcome.Code(g.strict)
}

// outcome is how the job ended.
func (g *gosaltRun) outcome() Outcome {
	switch {
	case g.nothing, g.all.Len() == 0 && (g.o.Static && g.view == nil || !g.o.ShowTimeout):
		return NoReturn
	case g.o.Progress && (g.failed || g.silent > 0):
		return HiddenFailure
	case g.failed:
		return MinionFailed
	case g.silent > 0:
		return HiddenSilence
	case g.queuedIDs > 0:
		return Queued
	case g.states.pending:
		return Pending
	}
	return OK
}

// hintKeys says why a target matched nothing, where the keys tell.
func (g *gosaltRun) hintKeys() {
	if g.lacking {
		g.io.Hint("none of the minions that match and answer has %s; see what they have with: gosalt '<target>' sys.list_functions", strings.Join(g.o.Job.Funs, ","))
		return
	}
	if len(g.keyHints) > 0 {
		g.io.Hint("no key is accepted for: %s; list keys with: gosalt-key -L", strings.Join(g.keyHints, ", "))
		return
	}
	switch {
	case g.pending == 1:
		g.io.Hint("1 key waits to be accepted, list it with: gosalt-key -L")
		return
	case g.pending > 1:
		g.io.Hint("%d keys wait to be accepted, list them with: gosalt-key -L", g.pending)
		return
	}
	g.io.Hint("no accepted minion matches %v; list keys with: gosalt-key -L", g.o.Job.Target)
}

// docs shows the documentation that minions returned, each function once.
func (g *gosaltRun) docs() int {
	docs := wire.NewMap()
	for _, v := range g.all.All() {
		m, ok := v.(*wire.Map)
		if !ok {
			continue
		}
		for fun, text := range m.Strings() {
			if s, ok := text.(string); ok && s != "" && !docs.Has(fun) {
				docs.Set(fun, s)
			}
		}
	}
	if g.all.Len() == 0 {
		fmt.Fprintln(g.io.Err, "No minions found to gather docs from")
		return NoReturn.Code(g.strict)
	}
	var names []string
	for fun := range docs.Strings() {
		names = append(names, fun)
	}
	slices.Sort(names)
	for _, fun := range names {
		if g.o.Out.Output != "" {
			o := g.out
			if err := output.Display(g.io.Out, wire.NewMap(fun, docs.Text(fun)), "nested", o); err != nil {
				return g.io.Fail(err)
			}
			continue
		}
		fmt.Fprintf(g.io.Out, "%s:\n%s\n\n", fun, docs.Text(fun))
	}
	return OK.Code(g.strict)
}

func (g *gosaltRun) interrupted() int {
	g.problem = "interrupted"
	g.endView(Interrupted)
	fmt.Fprint(g.io.Err, "\nExiting gracefully on Ctrl-c\n")
	fmt.Fprint(g.io.Err, g.batch.ended())
	if g.ssh != nil && g.jid != "" {
		fmt.Fprintf(g.io.Err, "The job was ended on the machines that still worked. What had returned: gosalt-run jobs.lookup_jid %s\n", g.jid)
	} else if g.jid != "" {
		fmt.Fprintf(g.io.Err, "This job's jid is: %s\n%s\n\ngosalt-run jobs.lookup_jid %s\n", g.jid, lateNote, g.jid)
	}
	return Interrupted.Code(g.strict)
}

// preview lists the minions, and machines of the roster, that a target means.
func (g *gosaltRun) preview() int {
	req := wire.NewMap("op", control.OpTarget)
	g.setTarget(req)
	var ids []any
	err := g.ask(context.Background(), req, func(f *wire.Map) error {
		ids = f.List("return")
		return nil
	})
	if err != nil {
		return g.refused(err)
	}
	if err := output.Display(g.io.Out, ids, "", g.out); err != nil {
		return g.io.Fail(err)
	}
	if len(ids) == 0 {
		fmt.Fprintln(g.io.Err, "ERROR: No return received")
		return NoReturn.Code(g.strict)
	}
	return OK.Code(g.strict)
}

func (g *gosaltRun) configDump() int {
	if err := output.Display(g.io.Out, g.cfg.Opts(), "yaml", output.Options{}); err != nil {
		return g.io.Fail(err)
	}
	return OK.Code(g.strict)
}
