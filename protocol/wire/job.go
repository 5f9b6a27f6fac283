package wire

import (
	"iter"
	"slices"
)

// Call is one function with its arguments. Keyword arguments are one map with the
// entry "__kwarg__": true, by custom the last of Args.
type Call struct {
	Fun  string // As "cmd.run".
	Args []any
}

// Job is the load of a publish: what to run, and where.
type Job struct {
	JID   JobID
	Fun   string // As "test.ping"; "" where Multi is set.
	Arg   []any
	Multi []Call // Several functions in one job; nil in most.

	Tgt       any    // Text, or []any of ids where TgtType is "list".
	TgtType   string // As "glob", which "" means too.
	Delimiter string // Between the parts of grain and pillar targets; ":" where "".

	User   string // Who asked, as "root" or "sudo_ann".
	Ret    string // Names of returners, separated by commas.
	ID     MinionID
	Serial int64 // Grows with each publish under one key; 0 where absent.

	To              any    // How long a syndic waits, in seconds; or nil.
	Metadata        any    // Repeated in the returns; a map by custom; or nil.
	RetConfig       string // Configuration of the returners, or "".
	RetKwargs       *Map
	ModuleExecutors []any
	ExecutorOpts    *Map

	// Live asks a gosalt minion to report output while the job runs; see Progress.
	// Salt's minions know nothing of it.
	Live bool

	// Spare are the minions that ask before they run the job; see FieldSpare.
	Spare []string

	Raw *Map // As received, with the fields that are not above.
}

// Calls are the job's functions in their order, however they are written.
func (j *Job) Calls() []Call {
	if j.Multi != nil {
		return j.Multi
	}
	return []Call{{j.Fun, j.Arg}}
}

// AsksFirst tells whether a minion asks before it runs the job.
func (j *Job) AsksFirst(id MinionID) bool {
	return slices.Contains(j.Spare, string(id)) || slices.Contains(j.Spare, SpareAll)
}

// Again is the same job for the target of another: what was asked, with its
// returners, metadata and executors, but not who asked.
func (j *Job) Again(at *Job) *Job {
	return &Job{JID: at.JID, Fun: j.Fun, Arg: j.Arg, Multi: j.Multi, Tgt: at.Tgt, TgtType: at.TgtType, Delimiter: at.Delimiter,
		Ret: j.Ret, RetConfig: j.RetConfig, RetKwargs: j.RetKwargs, Metadata: j.Metadata,
		ModuleExecutors: j.ModuleExecutors, ExecutorOpts: j.ExecutorOpts}
}

// JobFromMap checks the load of a publish.
func JobFromMap(m *Map) (*Job, error) {
	f := fields{m: m, what: "publish load"}
	j := &Job{
		JID:          f.jobID("jid"),
		TgtType:      f.text("tgt_type"),
		Delimiter:    f.text("delimiter"),
		User:         f.text("user"),
		Ret:          f.text("ret"),
		Serial:       f.int("serial"),
		To:           f.get("to"),
		Metadata:     f.get("metadata"),
		RetConfig:    f.text("ret_config"),
		RetKwargs:    f.mapping("ret_kwargs"),
		ExecutorOpts: f.mapping("executor_opts"),
		Live:         f.bool(FieldLive),
		Spare:        f.texts(FieldSpare),
		Raw:          m,
	}
	if f.get("id") != nil {
		j.ID = f.minionID("id")
	}
	if one, ok := f.get("module_executors").(string); ok {
		j.ModuleExecutors = []any{one}
	} else {
		j.ModuleExecutors = f.list("module_executors")
	}
	j.Fun, j.Arg, j.Multi = f.calls("fun", "arg")
	j.Tgt = f.want("tgt", "text or a list of ids")
	switch t := j.Tgt.(type) {
	case nil, string:
	case []any:
		f.texts("tgt")
	default:
		f.fail("tgt", "is %s: text or a list of ids expected", TypeName(t))
	}
	if err := f.err(); err != nil {
		return nil, err
	}
	return j, nil
}

// calls reads one function with its arguments, or several with as many lists.
func (f *fields) calls(fun, arg string) (string, []any, []Call) {
	args := f.list(arg)
	if _, ok := f.get(fun).([]any); !ok {
		return f.wantText(fun), args, nil
	}
	names := f.texts(fun)
	if len(names) == 0 || len(names) != len(args) {
		f.fail(arg, "has %d items: one list for each of %d functions expected", len(args), len(names))
		return "", nil, nil
	}
	calls := make([]Call, len(names))
	for i, name := range names {
		list, ok := args[i].([]any)
		if !ok {
			f.fail(arg, "item %d is %s: the list of arguments of %s expected", i, TypeName(args[i]), name)
			return "", nil, nil
		}
		calls[i] = Call{name, list}
	}
	return "", nil, calls
}

// setCalls writes what calls reads.
func setCalls(m *Map, fun, arg, name string, args []any, multi []Call) {
	if multi == nil {
		if args == nil {
			args = []any{}
		}
		m.Set(fun, name)
		m.Set(arg, args)
		return
	}
	names, lists := make([]any, len(multi)), make([]any, len(multi))
	for i, c := range multi {
		names[i], lists[i] = c.Fun, c.Args
	}
	m.Set(fun, names)
	m.Set(arg, lists)
}

// ToMap is the load in Salt's order of fields, those of Raw that are not in Job after
// them.
func (j *Job) ToMap() *Map {
	m := NewMap()
	setCalls(m, "fun", "arg", j.Fun, j.Arg, j.Multi)
	m.Set("tgt", j.Tgt)
	m.Set("jid", string(j.JID))
	m.Set("ret", j.Ret)
	b := build{m}
	b.text("id", string(j.ID))
	if j.TgtType == "" {
		m.Set("tgt_type", "glob")
	} else {
		m.Set("tgt_type", j.TgtType)
	}
	if j.To != nil {
		m.Set("to", j.To)
	}
	if j.Delimiter != ":" {
		b.text("delimiter", j.Delimiter)
	}
	if j.Metadata != nil {
		m.Set("metadata", j.Metadata)
	}
	if j.ModuleExecutors != nil {
		m.Set("module_executors", j.ModuleExecutors)
	}
	b.mapping("executor_opts", j.ExecutorOpts)
	b.text("ret_config", j.RetConfig)
	b.mapping("ret_kwargs", j.RetKwargs)
	b.text("user", j.User)
	b.int("serial", j.Serial)
	if j.Live {
		m.Set(FieldLive, true)
	}
	if j.Spare != nil {
		list := make([]any, len(j.Spare))
		for i, id := range j.Spare {
			list[i] = id
		}
		m.Set(FieldSpare, list)
	}
	return b.onto(j.Raw, FieldLive, FieldSpare, "id", "to", "delimiter", "metadata", "module_executors", "executor_opts", "ret_config", "ret_kwargs",
		"user", "serial")
}

// CmdReturn is the command by which a minion gives a job's result.
const CmdReturn = "_return"

// Fields of a return that only gosalt minions send.
const (
	// FieldReturners are the names of returners that the master is asked to serve.
	FieldReturners = "returners"
	// FieldReturnerErrors says, by name, why returners could not be used.
	FieldReturnerErrors = "returner_errors"
	// FieldUnreported is how many lines of output the minion was to report while the job
	// ran (see Progress), and could not.
	FieldUnreported = "gosalt_live_dropped"
)

// Return is the result of a job on one minion.
type Return struct {
	JID     JobID // JobIDRequest where the master has yet to number the job.
	ID      MinionID
	Fun     string // "" where Multi is set.
	FunArgs []any
	Multi   []Call // The functions of a job of several; nil in most.

	Return  any   // Of several functions: a map by name, or a list in their order.
	Retcode int64 // 0 is success. Of several functions: the highest.
	Success bool  // Of several functions: all of them.
	Out     string
	User    string

	Raw *Map // As received, with the fields that are not above.
}

// ReturnFromMap checks a return.
func ReturnFromMap(m *Map) (*Return, error) {
	f := fields{m: m, what: "return"}
	r := &Return{ID: f.minionID("id"), Out: f.text("out"), User: f.text("user"), Raw: m}
	if id := JobID(m.Text("jid")); id == JobIDRequest || id == JobIDNoCache {
		r.JID = id
	} else {
		r.JID = f.jobID("jid")
	}
	r.Fun, r.FunArgs, r.Multi = f.calls("fun", "fun_args")
	if !m.Has("return") {
		f.fail("return", "is missing: the result expected")
	}
	r.Return = f.get("return")
	r.Retcode = f.retcode(f.get("retcode"))
	if v := f.get("success"); v == nil {
		r.Success = r.Retcode == 0
	} else {
		r.Success = f.success(v)
	}
	if err := f.err(); err != nil {
		return nil, err
	}
	return r, nil
}

// each yields a value, or those of a map or list: one for each of several functions.
func each(v any) iter.Seq[any] {
	return func(yield func(any) bool) {
		switch v := v.(type) {
		case *Map:
			for _, v := range v.All() {
				if !yield(v) {
					return
				}
			}
		case []any:
			for _, v := range v {
				if !yield(v) {
					return
				}
			}
		default:
			yield(v)
		}
	}
}

// retcode reads an exit code, or the highest of several.
func (f *fields) retcode(v any) int64 {
	var highest int64
	for v := range each(v) {
		switch v := v.(type) {
		case nil:
		case int64:
			if highest == 0 || v > highest {
				highest = v
			}
		case bool: // a Python function may say True for 1
			if v && highest == 0 {
				highest = 1
			}
		default:
			f.fail("retcode", "is %s: a whole number, or a map or list of them, expected", TypeName(v))
		}
	}
	return highest
}

// success reads a bool, or whether several are all true.
func (f *fields) success(v any) bool {
	all := true
	for v := range each(v) {
		b, ok := v.(bool)
		if !ok {
			f.fail("success", "is %s: a bool, or a map or list of them, expected", TypeName(v))
		}
		all = all && b
	}
	return all
}

// ToMap is the return in Salt's order of fields. Where Raw has retcode or success for
// each of several functions, they are kept.
func (r *Return) ToMap() *Map {
	m := NewMap("cmd", CmdReturn, "id", string(r.ID), "success", r.Success, "return", r.Return, "retcode", r.Retcode,
		"jid", string(r.JID))
	setCalls(m, "fun", "fun_args", r.Fun, r.FunArgs, r.Multi)
	if r.Multi != nil {
		for _, name := range []string{"retcode", "success"} {
			if v, ok := r.Raw.Get(name); ok {
				m.Set(name, v)
			}
		}
	}
	b := build{m}
	b.text("user", r.User)
	b.text("out", r.Out)
	return b.onto(r.Raw, "user", "out")
}
