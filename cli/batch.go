package cli

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/gosalt/gosalt/cli/output"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/control"
	"github.com/gosalt/gosalt/protocol/wire"
)

// batchRun is what gosalt knows of a job that runs on a few minions at a time.
type batchRun struct {
	size     string
	failhard bool
	highest  int // of the exit codes returned
	waiting  int // minions whose turn has not come
}

// batches decides whether the job runs in batches: by --batch, or by
// --batch-safe-limit. The result is an exit code where the command ends here, else
// negative. Like Salt's, both limits and failhard may stand in the configuration.
func (g *gosaltRun) batches() int {
	o := g.o
	if v, ok := g.cfg.Raw.Get("batch_safe_limit"); ok && !o.Explicit("batch_safe_limit") {
		if n, ok := v.(int64); ok {
			o.BatchSafeLimit = int(n)
		}
	}
	if v, ok := g.cfg.Raw.Get("batch_safe_size"); ok && !o.Explicit("batch_safe_size") {
		o.BatchSafeSize = pytext.Str(v)
	}
	size := o.Batch
	if size == "" && o.BatchSafeLimit > 1 && !o.Static {
		n, exit := g.countTarget()
		if exit >= 0 {
			return exit
		}
		if n >= o.BatchSafeLimit {
			fmt.Fprint(g.io.Out, "\nNOTICE: Too many minions targeted, switching to batch execution.\n")
			size = o.BatchSafeSize
		}
	}
	if size == "" {
		return -1
	}
	if !validBatch(size) {
		fmt.Fprintf(g.io.Out, "Invalid batch data sent: %s\nData must be in the form of %%10, 10%% or 3\n", size)
		return MinionFailed.Code(g.strict)
	}
	failhard, _ := g.cfg.Raw.Get("failhard")
	g.batch = &batchRun{size: size, failhard: o.FailHard || failhard == true}
	return -1
}

// validBatch tells whether a text is the size of a batch: a number from 1, or a part
// of all like 10% or %10.
func validBatch(size string) bool {
	size = strings.TrimSpace(size)
	if !strings.Contains(size, "%") {
		n, err := strconv.Atoi(size)
		return err == nil && n > 0
	}
	f, err := strconv.ParseFloat(strings.TrimSpace(strings.Trim(size, "%")), 64)
	return err == nil && f > 0 && f <= 1e9
}

// request is what the master is to know of the batches.
func (b *batchRun) request(o *GosaltOptions) *wire.Map {
	return wire.NewMap("size", b.size, "wait", o.BatchWait, "failhard", b.failhard)
}

// countTarget is how many machines the target means: accepted minions, and those of the roster.
func (g *gosaltRun) countTarget() (n, exit int) {
	req := wire.NewMap("op", control.OpTarget)
	g.setTarget(req)
	err := g.ask(context.Background(), req, func(f *wire.Map) error {
		n = len(f.List("return"))
		return nil
	})
	if err != nil {
		return 0, g.refused(err)
	}
	return n, -1
}

// ended says what Ctrl-C means for those whose turn has not come.
func (b *batchRun) ended() string {
	switch {
	case b == nil || b.waiting < 1:
		return ""
	case b.waiting == 1:
		return "The batch ends here: 1 minion has had no turn and does not get the job.\n"
	}
	return fmt.Sprintf("The batch ends here: %d minions have had no turn and do not get the job.\n", b.waiting)
}

// batched shows a step of the batches.
func (g *gosaltRun) batched(f *wire.Map) error {
	b := g.batch
	var text strings.Builder
	for _, d := range f.List("down") {
		d, _ := d.(*wire.Map)
		if g.view != nil {
			if err := g.absent(d.Text("id"), d.Text("why"), d.Text("text")); err != nil {
				return err
			}
			continue
		}
		g.silent++
		fmt.Fprintf(&text, "Minion %s did not respond. No job will be sent.\n    %s\n", d.Text("id"), d.Text("text"))
	}
	if next := f.List("next"); len(next) > 0 {
		b.waiting -= len(next)
		fmt.Fprintf(&text, "\nExecuting run on %s\n\n", pytext.Repr(next))
	}
	if id := f.Text("stopped"); id != "" {
		g.status.Clear()
		fmt.Fprintf(g.io.Err, "[ERROR   ] Minion %s returned with non-zero exit code. Batch run stopped due to failhard\n", id)
		if left := f.Int("left"); left > 0 {
			g.io.Hint("%d of %d minions had no turn and do not get the job", left, g.expected)
		}
		if working := f.Int("working"); working > 0 {
			g.io.Hint("%d minions are still working on it; later see: gosalt-run jobs.lookup_jid %s", working, g.jid)
		}
	}
	if g.o.Static || g.view != nil || text.Len() == 0 {
		return nil
	}
	g.status.Clear()
	_, err := fmt.Fprint(g.status.Writer(g.io.Out), text.String())
	return err
}

// showBatched shows a return in batches: with the job's id and the exit code beside it.
func (g *gosaltRun) showBatched(id string, v any, outputter string, code int) error {
	g.status.Clear()
	return output.Display(g.status.Writer(g.io.Out), wire.NewMap("retcode", int64(code), "jid", g.jid, id, v), outputter, g.out)
}

// failedToRespond shows that a minion answered at first, and then did not return.
func (g *gosaltRun) failedToRespond(id, text string) error {
	if g.o.Static {
		return nil
	}
	g.status.Clear()
	_, err := fmt.Fprintf(g.status.Writer(g.io.Out), "Minion '%s' failed to respond to job sent\n    %s\n", id, text)
	return err
}

// finishBatch shows what is shown in the end, and gives the exit code of batches: the
// highest that a minion returned.
func (g *gosaltRun) finishBatch() int {
	outcome, code := g.batchOutcome()
	switch {
	case g.view != nil:
		if g.nothing {
			g.problem = noMinions
		}
		if err := g.view.end(outcome); err != nil {
			return g.io.Fail(err)
		}
	case g.nothing:
		fmt.Fprintf(g.io.Out, "%s\nNo minions matched the target.\n", noMinions)
	case g.o.Static:
		if err := output.Display(g.io.Out, g.all, "", g.out); err != nil {
			return g.io.Fail(err)
		}
		return g.finishStatic()
	}
	if g.nothing {
		g.hintKeys()
	}
	return code
}

func (g *gosaltRun) batchOutcome() (o Outcome, code int) {
	switch {
	case g.nothing:
		o = BatchNoMatch
	case g.batch.highest > 0:
		return MinionFailed, min(g.batch.highest, 255)
	case g.failed && g.strict: // ended by a signal, which is a code below 0
		o = MinionFailed
	case g.silent > 0:
		o = HiddenSilence
	}
	return o, o.Code(g.strict)
}

// finishStatic is the exit code of --static, which for Salt is about nothing but
// whether there is anything to show.
func (g *gosaltRun) finishStatic() int {
	switch {
	case g.all.Len() == 0:
		fmt.Fprintln(g.io.Err, "ERROR: No return received")
		return NoReturn.Code(g.strict)
	case g.failed:
		return HiddenFailure.Code(g.strict)
	case g.silent > 0:
		return HiddenSilence.Code(g.strict)
	}
	return OK.Code(g.strict)
}
