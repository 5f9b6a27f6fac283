package modules

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
	"github.com/gosalt/gosalt/states"
)

func init() {
	register("cron.present", cronPresent)
	register("cron.absent", cronAbsent)
	register("cron.file", cronFile)
	register("cron.env_present", cronEnvPresent)
	register("cron.env_absent", cronEnvAbsent)
}

type cronPresentArgs struct {
	Name       string // The command.
	User       string `default:"root"`  // Whose crontab.
	Minute     any    `default:"*"`     // Its minute: a number, *, */5, or random.
	Hour       any    `default:"*"`     // Its hour, likewise.
	Daymonth   any    `default:"*"`     // Its day of the month, likewise.
	Month      any    `default:"*"`     // Its month, likewise.
	Dayweek    any    `default:"*"`     // Its day of the week, likewise; 0 is Sunday.
	Comment    any    `default:"None"`  // A comment above it.
	Commented  bool   `default:"False"` // Off: its line is a comment.
	Identifier any    `default:"False"` // What the job is found by when its command is another one; the command by default.
	Special    any    `default:"None"`  // A word for its time: @hourly, @daily, @reboot and so on.
}

// cronPresent makes a job be in a crontab.
func cronPresent(ctx context.Context, c *states.Call, a cronPresentArgs) (*states.Plan, error) {
	name := strings.TrimSpace(a.Name)
	id := a.Identifier
	if id == false {
		id = name
	}
	p := &states.Plan{Name: name, Fine: fmt.Sprintf("Cron %s already present", name)}
	if c.Test {
		var identifier any // an empty one is none
		if module.Truth(id) {
			identifier = pytext.Str(id)
		}
		want := wire.NewMap("identifier", identifier, "cmd", name, "comment", a.Comment, "commented", a.Commented)
		if a.Special != nil {
			want.Set("spec", a.Special)
		} else {
			for k, v := range map[string]any{"minute": a.Minute, "hour": a.Hour, "daymonth": a.Daymonth, "month": a.Month, "dayweek": a.Dayweek} {
				want.Set(k, strings.ToLower(pytext.Str(v)))
			}
		}
		job, err := cronJob(ctx, c, a.User, name, id, a.Special != nil)
		switch {
		case err != nil:
			return p, err
		case lacksUser(c, a.User):
			return p, module.Failf("Cron %s for user %s failed to commit with error \n%s", name, a.User, cronUnknown(a.User))
		case job == nil:
			p.Would = fmt.Sprintf("Cron %s is set to be added", name)
		case !cronDiffers(job, want):
			return p, nil
		default:
			p.Would = fmt.Sprintf("Cron %s is set to be updated", name)
		}
	}
	p.Do(nil, func(ctx context.Context, r *states.Result) error {
		kwargs := wire.NewMap("user", a.User, "cmd", name, "comment", a.Comment, "commented", a.Commented, "identifier", id)
		fun := "cron.set_special"
		if a.Special != nil {
			kwargs.Set("special", a.Special)
		} else {
			fun = "cron.set_job"
			for k, v := range map[string]any{"minute": a.Minute, "hour": a.Hour, "daymonth": a.Daymonth, "month": a.Month, "dayweek": a.Dayweek} {
				kwargs.Set(k, v)
			}
		}
		v, err := c.Call.Call(ctx, fun, nil, kwargs)
		if err != nil {
			return cronThere(c, err)
		}
		return cronTold(r, v, a.User, name, "Cron "+name, p.Fine, "Cron %s for user %s failed to commit with error \n%s")
	})
	return p, nil
}

// cronThere tells whether crontab is.
func cronThere(c *states.Call, err error) error {
	if unavailable(err) {
		return notFound(c, "'cron' __virtual__ returned False: cron module could not be loaded")
	}
	return err
}

// cronUnknown is what crontab says of a user that is not there.
func cronUnknown(user string) string { return fmt.Sprintf("crontab:  user `%s' unknown", user) }

// cronTold words what an execution function has done with a crontab.
func cronTold(r *states.Result, v any, user, name, what, fine, failed string) error {
	r.SetChanges(nil)
	switch v {
	case "present", "absent":
		r.Comment = fine
		return nil
	case "new":
		r.Comment = fmt.Sprintf("%s added to %s's crontab", what, user)
	case "updated":
		r.Comment = fmt.Sprintf("%s updated", what)
	case "removed":
		r.Comment = fmt.Sprintf("%s removed from %s's crontab", what, user)
	default:
		return module.Failf(failed, name, user, pytext.Str(v))
	}
	r.Change(user, name)
	return nil
}

// cronJob is the job of a crontab that has an identifier, or none and the command; nil
// where there is none.
func cronJob(ctx context.Context, c *states.Call, user, cmd string, identifier any, special bool) (*wire.Map, error) {
	tab, err := mapOf(ctx, c, "cron.list_tab", user)
	if err != nil {
		return nil, cronThere(c, err)
	}
	list := "crons"
	if special {
		list = "special"
	}
	const none = "NO ID SET" // Salt's word
	want := none
	if module.Truth(identifier) {
		want = pytext.Str(identifier)
	}
	for _, e := range tab.List(list) {
		job, ok := e.(*wire.Map)
		if !ok {
			continue
		}
		id := none
		if v := get(job, "identifier"); module.Truth(v) {
			id = pytext.Str(v)
		}
		if same := job.Text("cmd") == cmd; same && id == none || id == want && (same || id != none) {
			return job, nil
		}
	}
	return nil, nil
}

// cronDiffers tells whether a job is another one than it should be.
func cronDiffers(job, want *wire.Map) bool {
	for k, v := range want.Strings() {
		have := get(job, k)
		if v != nil && !pytext.Equal(have, v) && (v != "random" || have == "*") {
			return true
		}
	}
	return false
}

type cronAbsentArgs struct {
	Name       string    // The command.
	User       string    `default:"root"`    // Whose crontab.
	Identifier any       `default:"False"`   // What the job is found by; the command by default.
	Special    any       `default:"None"`    // The word for its time, where it has one.
	Kwargs     *wire.Map `arg:"**" read:"-"` // Not looked at.
}

// cronAbsent removes a job from a crontab.
func cronAbsent(ctx context.Context, c *states.Call, a cronAbsentArgs) (*states.Plan, error) {
	name := strings.TrimSpace(a.Name)
	id := a.Identifier
	if id == false {
		id = name
	}
	p := &states.Plan{Name: name, Fine: fmt.Sprintf("Cron %s already absent", name), Would: fmt.Sprintf("Cron %s is set to be removed", name)}
	job, err := cronJob(ctx, c, a.User, name, id, a.Special != nil)
	if err != nil {
		return p, err
	}
	if c.Test && (job == nil || a.Special != nil && !pytext.Equal(get(job, "spec"), a.Special)) {
		p.Fine = fmt.Sprintf("Cron %s is absent", name)
		return p, nil
	}
	p.Do(nil, func(ctx context.Context, r *states.Result) error {
		fun, kwargs := "cron.rm_job", wire.NewMap("identifier", id)
		if a.Special != nil {
			fun = "cron.rm_special"
			kwargs.Set("special", a.Special)
		}
		v, err := c.Call.Call(ctx, fun, args(a.User, name), kwargs)
		if err != nil {
			return cronThere(c, err)
		}
		return cronTold(r, v, a.User, name, "Cron "+name, p.Fine, "Cron %s for user %s failed to commit with error %s")
	})
	return p, nil
}

type cronFileArgs struct {
	Name           any       // Where the crontab is: salt://, another address or a path; of a list the first that is there.
	SourceHash     any       `default:""`     // Hash of the source, or a file of hashes.
	SourceHashName string    `default:"None"` // Name to look for in a file of hashes.
	User           string    `default:"root"` // Whose crontab.
	Template       string    `default:"None"` // Render it: jinja.
	Context        *wire.Map `default:"None"` // Values for the template, over the defaults.
	Replace        bool      `default:"True"` // Put it in place of another one.
	Defaults       *wire.Map `default:"None"` // Values for the template.
	Backup         any       `default:""`     // minion keeps the old one below the cache directory.
	Kwargs         *wire.Map `arg:"**"`       // Further variables of the template.
}

// cronFile makes a file the crontab of a user.
func cronFile(ctx context.Context, c *states.Call, a cronFileArgs) (*states.Plan, error) {
	p := &states.Plan{}
	user, err := mapOf(ctx, c, "user.info", a.User)
	if err != nil || len(user.List("groups")) == 0 {
		if id, ok := possibleUser(c, a.User); ok && a.Replace {
			return p, states.Unknown(fmt.Sprintf("The crontab of %s is set to be made: the state %s comes before and makes the user", a.User, id))
		}
		return p, module.Failf("Could not identify group for user %s", a.User)
	}
	group := user.List("groups")[0]
	old, err := text(ctx, c, "cron.raw_cron", a.User)
	if err != nil {
		return p, cronThere(c, err)
	}
	if !strings.HasSuffix(old, "\n") {
		old += "\n"
	}
	if !a.Replace {
		p.Fine = fmt.Sprintf("User %s already has a crontab. No changes made", a.User)
		return p, nil
	}
	file := func() (string, error) { // the present crontab as a file
		f, err := os.CreateTemp(c.Host.TempDir(), "gosalt-cron-")
		if err != nil {
			return "", err
		}
		_, err = f.WriteString(old)
		if cerr := f.Close(); err == nil {
			err = cerr
		}
		return f.Name(), err
	}
	ask := func(path string, source, hash any) *wire.Map {
		m := wire.NewMap("name", path, "source", source, "source_hash", hash, "source_hash_name", a.SourceHashName, "user", a.User, "group", group, "mode", "0600",
			"attrs", "", "template", a.Template, "context", a.Context, "defaults", a.Defaults, "saltenv", c.Env)
		for k, v := range a.Kwargs.Strings() {
			m.Set(k, v)
		}
		return m
	}
	if c.Test {
		path, err := file()
		defer os.Remove(path)
		if err != nil {
			return p, err
		}
		v, err := dry(c).Call(ctx, "file.check_managed", nil, ask(path, a.Name, a.SourceHash))
		if err != nil {
			return p, err
		}
		pair, ok := v.([]any)
		if !ok || len(pair) != 2 {
			return p, fmt.Errorf("file.check_managed answered %s", pytext.Repr(v))
		}
		p = states.Decided(pair[0], nil, pytext.Str(pair[1]))
	}
	p.Do(nil, func(ctx context.Context, r *states.Result) error {
		path, err := file()
		defer os.Remove(path)
		if err != nil {
			return err
		}
		return a.install(ctx, c, r, path, group, ask)
	})
	return p, nil
}

// install brings the crontab into a file, and has crontab take it where it is another one.
func (a *cronFileArgs) install(ctx context.Context, c *states.Call, r *states.Result, path string, group any, ask func(path string, source, hash any) *wire.Map) error {
	v, err := c.Call.Call(ctx, "file.source_list", args(a.Name, a.SourceHash, c.Env), nil)
	if err != nil {
		return err
	}
	pair, ok := v.([]any)
	if !ok || len(pair) != 2 {
		return fmt.Errorf("file.source_list answered %s", pytext.Repr(v))
	}
	q := ask(path, pair[0], pair[1])
	q.Set("skip_verify", false)
	if v, err = c.Call.Call(ctx, "file.get_managed", nil, q); err != nil {
		return module.Failf("Unable to manage file: %s", message(err))
	}
	got, ok := v.([]any)
	if !ok || len(got) != 3 {
		return fmt.Errorf("file.get_managed answered %s", pytext.Repr(v))
	}
	if why := pytext.Str(got[2]); why != "" && got[2] != nil {
		return module.Failf("%s", why)
	}
	name := pytext.Str(a.Name)
	v, err = wet(c).Call(ctx, "file.manage_file", nil, wire.NewMap("name", path, "sfn", got[0], "ret", wire.NewMap("changes", wire.NewMap(), "comment", "", "name", name, "result", true),
		"source", pair[0], "source_sum", got[1], "user", a.User, "group", group, "mode", "0600", "attrs", "", "saltenv", c.Env, "backup", a.Backup))
	if err != nil {
		return module.Failf("Unable to manage file: %s", message(err))
	}
	ret, _ := v.(*wire.Map)
	if get(ret, "result") != true {
		answered(r, ret)
		return nil
	}
	if !ret.Map("changes").Has("diff") {
		r.SetChanges(nil)
		r.Comment = fmt.Sprintf("Crontab for user %s is in the correct state", a.User)
		return nil
	}
	out, err := mapOf(ctx, c, "cron.write_cron_file_verbose", a.User, path)
	if err != nil {
		return err
	}
	if out.Int("retcode") != 0 {
		r.SetChanges(nil)
		return module.Failf("Unable to update user %s crontab %s. Error: %s", a.User, path, out.Text("stderr"))
	}
	r.SetChanges(ret.Map("changes"))
	r.Comment = fmt.Sprintf("Crontab for user %s was updated", a.User)
	return nil
}

type cronEnvPresentArgs struct {
	Name  string // Name of the variable.
	Value any    `default:"None"` // Its value.
	User  string `default:"root"` // Whose crontab.
}

// cronEnv is the value of a variable of a crontab; there is whether there is one.
func cronEnv(ctx context.Context, c *states.Call, user, name string) (value any, there bool, err error) {
	tab, err := mapOf(ctx, c, "cron.list_tab", user)
	if err != nil {
		return nil, false, cronThere(c, err)
	}
	for _, e := range tab.List("env") {
		if m, ok := e.(*wire.Map); ok && get(m, "name") == name {
			return get(m, "value"), true, nil
		}
	}
	return nil, false, nil
}

// cronEnvPresent makes a variable be set in a crontab.
func cronEnvPresent(ctx context.Context, c *states.Call, a cronEnvPresentArgs) (*states.Plan, error) {
	p := &states.Plan{Fine: fmt.Sprintf("Cron env %s already present", a.Name)}
	have, there, err := cronEnv(ctx, c, a.User, a.Name)
	if err != nil {
		return p, err
	}
	if there && pytext.Equal(have, a.Value) {
		return p, nil
	}
	if lacksUser(c, a.User) {
		return p, module.Failf("Cron env %s for user %s failed to commit with error \n%s", a.Name, a.User, cronUnknown(a.User))
	}
	p.Would = fmt.Sprintf("Cron env %s is set to be added", a.Name)
	if there {
		p.Would = fmt.Sprintf("Cron env %s is set to be updated", a.Name)
	}
	p.Do(nil, func(ctx context.Context, r *states.Result) error {
		v, err := c.Call.Call(ctx, "cron.set_env", args(a.User, a.Name), wire.NewMap("value", a.Value))
		if err != nil {
			return cronThere(c, err)
		}
		return cronTold(r, v, a.User, a.Name, "Cron env "+a.Name, p.Fine, "Cron env %s for user %s failed to commit with error \n%s")
	})
	return p, nil
}

type cronEnvAbsentArgs struct {
	Name string // Name of the variable.
	User string `default:"root"` // Whose crontab.
}

// cronEnvAbsent removes a variable from a crontab.
func cronEnvAbsent(ctx context.Context, c *states.Call, a cronEnvAbsentArgs) (*states.Plan, error) {
	name := strings.TrimSpace(a.Name)
	p := &states.Plan{Name: name, Fine: fmt.Sprintf("Cron env %s already absent", name), Would: fmt.Sprintf("Cron env %s is set to be removed", name)}
	_, there, err := cronEnv(ctx, c, a.User, name)
	remove := func(ctx context.Context) (any, error) {
		v, err := c.Call.Call(ctx, "cron.rm_env", args(a.User, name), nil)
		return v, cronThere(c, err)
	}
	const failed = "Cron env %s for user %s failed to commit with error %s"
	if err == nil && !there && !userToCome(c, a.User) {
		var v any
		if v, err = remove(ctx); err == nil && v != "absent" { // nothing to remove, but no such user
			err = module.Failf(failed, name, a.User, pytext.Str(v))
		}
	}
	if err != nil || !there {
		if c.Test {
			p.Fine = fmt.Sprintf("Cron env %s is absent", name)
		}
		return p, err
	}
	p.Do(nil, func(ctx context.Context, r *states.Result) error {
		v, err := remove(ctx)
		if err != nil {
			return err
		}
		return cronTold(r, v, a.User, name, "Cron env "+name, p.Fine, failed)
	})
	return p, nil
}
