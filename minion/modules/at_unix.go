//go:build unix

package modules

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gosalt/gosalt/internal/lazyre"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

func init() {
	register("at.atq", atAtq)
	register("at.atrm", atAtrm)
	register("at.at", atAt)
	register("at.atc", atAtc)
	register("at.jobcheck", atJobcheck)
}

// atRun runs a program of the package at, and returns what it prints.
func atRun(ctx context.Context, c *module.Call, name string, args ...string) (string, error) {
	if which("at") == "" {
		return "", &module.Error{Kind: module.NotAvailable, Msg: "'" + c.Fun() + "' is not available: at is not installed."}
	}
	path := which(name)
	if path == "" {
		return "", module.NoCommandf("%s: command not found", name)
	}
	v, err := c.Call(ctx, "cmd.run_stdout", []any{anyList(append([]string{path}, args...))}, wire.NewMap("python_shell", false))
	return pytext.Str(v), err
}

var atTag = lazyre.New(`(?m)^### SALT: (\w+)`)

// atSpec reads a line of the queue: number, date, time, queue and user.
func atSpec(c *module.Call, line string) (job any, spec [4]string, ok bool) {
	grain := pytext.Str(grainOf(c, "os"))
	f := strings.Fields(line)
	at := func(form, text string) {
		t, err := time.Parse(form, text)
		ok = err == nil
		spec[0], spec[1] = t.Format("2006-01-02"), t.Format("15:04:05")
	}
	switch {
	case grain == "OpenBSD":
		if len(f) < 8 || f[0] == "Rank" {
			return nil, spec, false
		}
		at("Jan 2, 2006 15:04", strings.Join(f[1:5], " "))
		spec[2], spec[3], job = f[7], f[5], f[6]
		return job, spec, ok
	case grain == "FreeBSD":
		if len(f) < 9 || f[0] == "Date" {
			return nil, spec, false
		}
		at("Mon Jan 2 15:04:05 MST 2006", strings.Join(f[0:6], " "))
		spec[2], spec[3], job = f[7], f[6], f[8]
		return job, spec, ok
	}
	number, rest, found := strings.Cut(line, "\t")
	n, err := strconv.ParseInt(strings.TrimSpace(number), 10, 64)
	f = strings.Fields(rest)
	if !found || err != nil {
		return nil, spec, false
	}
	switch {
	case len(f) >= 7:
		at("Mon Jan 2 15:04:05 2006", strings.Join(f[:5], " "))
		spec[2], spec[3] = f[5], f[6]
	case len(f) >= 4: // of older systems
		copy(spec[:], f)
		ok = true
	}
	return n, spec, ok
}

// atJobs reads the queue.
func atJobs(ctx context.Context, c *module.Call) ([]*wire.Map, error) {
	name, args := "atq", []string(nil)
	if pytext.Str(grainOf(c, "os_family")) == "RedHat" {
		name, args = "at", []string{"-l"}
	}
	text, err := atRun(ctx, c, name, args...)
	if err != nil {
		return nil, err
	}
	var out []*wire.Map
	for line := range strings.Lines(text) {
		job, spec, ok := atSpec(c, strings.TrimRight(line, "\n"))
		if !ok {
			continue
		}
		script, err := atRun(ctx, c, "at", "-c", pytext.Str(job))
		if err != nil {
			return nil, err
		}
		tag := ""
		for _, m := range atTag.FindAllStringSubmatch(script, -1) {
			tag = m[1]
		}
		out = append(out, wire.NewMap("job", job, "date", spec[0], "time", spec[1], "queue", spec[2], "user", spec[3], "tag", tag))
	}
	return out, nil
}

func atAnswer(jobs []*wire.Map) *wire.Map {
	l := []any{}
	for _, j := range jobs {
		l = append(l, j)
	}
	return wire.NewMap("jobs", l)
}

// atTagged are the jobs of a tag, or of a number; all where it is nothing.
func atTagged(jobs []*wire.Map, tag any) []*wire.Map {
	if !module.Truth(tag) {
		return jobs
	}
	return slices.DeleteFunc(slices.Clone(jobs), func(j *wire.Map) bool {
		return j.Text("tag") != pytext.Str(tag) && pytext.Str(mapValue(j, "job")) != pytext.Str(tag)
	})
}

type atAtqArgs struct {
	Tag any `default:"None"` // Only jobs of this tag, or the one of this number.
}

// atAtq lists the jobs that wait.
//
//	gosalt '*' at.atq
//	gosalt '*' at.atq [job number]
func atAtq(ctx context.Context, c *module.Call, a atAtqArgs) (*wire.Map, error) {
	jobs, err := atJobs(ctx, c)
	return atAnswer(atTagged(jobs, a.Tag)), err
}

type atAtrmArgs struct {
	Args []any `arg:"*"` // Numbers of jobs; or all, and a tag.
}

// atAtrm removes jobs.
//
//	gosalt '*' at.atrm <jobid> <jobid> .. <jobid>
//	gosalt '*' at.atrm all
//	gosalt '*' at.atrm all [tag]
func atAtrm(ctx context.Context, c *module.Call, a atAtrmArgs) (*wire.Map, error) {
	answer := func(ids []string, tag any) *wire.Map {
		return wire.NewMap("jobs", wire.NewMap("removed", anyList(ids), "tag", tag))
	}
	if len(a.Args) == 0 {
		return answer([]string{}, nil), nil
	}
	jobs, err := atJobs(ctx, c)
	if err != nil {
		return nil, err
	}
	var tag any
	var words []string
	for _, w := range a.Args {
		words = append(words, pytext.Str(w))
	}
	switch {
	case words[0] == "all" && len(words) > 1:
		tag = words[1]
		jobs = atTagged(jobs, tag)
	case words[0] != "all":
		jobs = slices.DeleteFunc(jobs, func(j *wire.Map) bool { return !slices.Contains(words, pytext.Str(mapValue(j, "job"))) })
	}
	ids := []string{}
	for _, j := range jobs {
		ids = append(ids, pytext.Str(mapValue(j, "job")))
	}
	if len(ids) > 0 {
		if _, err := atRun(ctx, c, "at", append([]string{"-d"}, ids...)...); err != nil {
			return nil, err
		}
	}
	return answer(ids, tag), nil
}

type atAtArgs struct {
	Args   []any     `arg:"*"`  // When, then the command.
	Kwargs *wire.Map `arg:"**"` // tag: a word to know the job by. runas: who runs it.
}

// atAt has a command run at a time, once.
//
//	gosalt '*' at.at <timespec> <cmd> [tag=<tag>] [runas=<user>]
//	gosalt '*' at.at 12:05am '/sbin/reboot' tag=reboot
func atAt(ctx context.Context, c *module.Call, a atAtArgs) (*wire.Map, error) {
	if len(a.Args) < 2 {
		return atAnswer(nil), nil
	}
	path := which("at")
	if path == "" {
		return nil, &module.Error{Kind: module.NotAvailable, Msg: "'" + c.Fun() + "' is not available: at is not installed."}
	}
	var words []string
	for _, w := range a.Args[1:] {
		words = append(words, pytext.Str(w))
	}
	script := strings.Join(words, " ")
	if tag, ok := a.Kwargs.Get("tag"); ok {
		script = "### SALT: " + pytext.Str(tag) + "\n" + script
	}
	kw := wire.NewMap("stdin", script, "python_shell", false)
	if user := a.Kwargs.Text("runas"); user != "" {
		kw.Set("runas", user)
	}
	v, err := c.Call(ctx, "cmd.run", []any{[]any{path, pytext.Str(a.Args[0])}}, kw)
	if err != nil {
		return nil, err
	}
	text := pytext.Str(v)
	if strings.HasSuffix(text, "Garbled time") {
		return wire.NewMap("jobs", []any{}, "error", "invalid timespec"), nil
	}
	for line := range strings.Lines(text) {
		if f := strings.Fields(line); len(f) > 2 && f[0] == "job" {
			jobs, err := atJobs(ctx, c)
			return atAnswer(atTagged(jobs, f[1])), err
		}
	}
	return nil, module.Failf("at did not take the job: %s", text)
}

type atAtcArgs struct {
	Jobid any // Number of the job.
}

// atAtc returns what a job runs, with its environment.
//
//	gosalt '*' at.atc <jobid>
func atAtc(ctx context.Context, c *module.Call, a atAtcArgs) (any, error) {
	text, err := atRun(ctx, c, "at", "-c", pytext.Str(a.Jobid))
	if err != nil {
		return nil, err
	}
	if text == "" {
		return wire.NewMap("error", fmt.Sprintf("invalid job id '%s'", pytext.Str(a.Jobid))), nil
	}
	return text, nil
}

type atJobcheckArgs struct {
	Kwargs *wire.Map `arg:"**"` // Conditions: runas, tag, hour, minute, day, month, year.
}

// atJobcheck lists the jobs that meet conditions.
//
//	gosalt '*' at.jobcheck runas=jam day=13
//	gosalt '*' at.jobcheck day=13 month=12 year=13 tag=rose
func atJobcheck(ctx context.Context, c *module.Call, a atJobcheckArgs) (*wire.Map, error) {
	kw := plainKwargs(a.Kwargs)
	if kw.Len() == 0 {
		return wire.NewMap("error", "You have given a condition"), nil
	}
	jobs, err := atJobs(ctx, c)
	if err != nil || len(jobs) == 0 {
		return atAnswer(nil), err
	}
	want := func(key string) string {
		if v := mapValue(kw, key); module.Truth(v) {
			return pytext.Str(v)
		}
		return ""
	}
	two := func(key string) string {
		if n, err := strconv.Atoi(want(key)); err == nil {
			return fmt.Sprintf("%02d", n)
		}
		return want(key)
	}
	year := want("year")
	if len(year) == 2 {
		year = "20" + year
	}
	var out []*wire.Map
	for _, j := range jobs {
		date, clock := strings.Split(j.Text("date")+"--", "-"), strings.Split(j.Text("time")+"::", ":")
		fits := true
		for _, p := range [][2]string{{want("runas"), j.Text("user")}, {want("tag"), j.Text("tag")}, {two("hour"), clock[0]}, {two("minute"), clock[1]},
			{two("day"), date[2]}, {two("month"), date[1]}, {year, date[0]}} {
			fits = fits && (p[0] == "" || p[0] == p[1])
		}
		if fits {
			out = append(out, j)
		}
	}
	ret := atAnswer(out)
	if out == nil {
		ret.Set("note", "No match jobs or time format error")
	}
	return ret, nil
}
