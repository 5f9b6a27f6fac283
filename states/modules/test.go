package modules

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
	"github.com/gosalt/gosalt/states"
)

func init() {
	register("test.nop", testNop)
	register("test.succeed_without_changes", testSucceedWithoutChanges)
	register("test.fail_without_changes", testFailWithoutChanges)
	register("test.succeed_with_changes", testSucceedWithChanges)
	register("test.fail_with_changes", testFailWithChanges)
	register("test.configurable_test_state", testConfigurable)
	register("test.show_notification", testShowNotification)
	register("test.check_pillar", testCheckPillar)
	register("test.mod_watch", testModWatch)
}

type testArgs struct {
	Name    string    // Anything.
	Comment any       `arg:"comment,kw" default:"None"` // Comment of the result.
	Kwargs  *wire.Map `arg:"**"`                        // Not looked at.
}

// comment is the comment asked for, or another.
func (a testArgs) comment(other string) string {
	if a.Comment == nil {
		return other
	}
	return linesText(a.Comment)
}

// linesText is a comment as text: of a list each element is a line.
func linesText(v any) string {
	list, ok := v.([]any)
	if !ok {
		return pytext.Str(v)
	}
	lines := make([]string, len(list))
	for i, e := range list {
		lines[i] = pytext.Str(e)
	}
	return strings.Join(lines, "\n")
}

// pretended is the change that the states of this module report.
func pretended() *wire.Map {
	return wire.NewMap("testing", change("Unchanged", "Something pretended to change"))
}

// testNop does nothing and succeeds: a place for requisites.
func testNop(_ context.Context, _ *states.Call, a testArgs) (*states.Plan, error) {
	return &states.Plan{Fine: "Success!"}, nil
}

// testSucceedWithoutChanges succeeds.
func testSucceedWithoutChanges(_ context.Context, _ *states.Call, a testArgs) (*states.Plan, error) {
	return &states.Plan{Fine: a.comment("Success!")}, nil
}

// testFailWithoutChanges fails: with a condition around it in the template it refuses
// machines that a tree is not made for.
func testFailWithoutChanges(_ context.Context, c *states.Call, a testArgs) (*states.Plan, error) {
	if c.Test {
		return states.Decided(false, nil, "If we weren't testing, this would be a failure!"), nil
	}
	return states.Decided(false, nil, a.comment("Failure!")), nil
}

// testSucceedWithChanges succeeds and reports a change.
func testSucceedWithChanges(_ context.Context, c *states.Call, a testArgs) (*states.Plan, error) {
	p := &states.Plan{Would: "If we weren't testing, this would be successful with changes", Did: a.comment("Success!")}
	p.Do(pretended(), func(context.Context, *states.Result) error { return nil })
	return p, nil
}

// testFailWithChanges fails and reports a change.
func testFailWithChanges(_ context.Context, c *states.Call, a testArgs) (*states.Plan, error) {
	if c.Test {
		return states.Decided(nil, pretended(), "If we weren't testing, this would be failed with changes"), nil
	}
	return states.Decided(false, pretended(), a.comment("Failure!")), nil
}

type testConfigurableArgs struct {
	Name     string // Anything.
	Changes  any    `default:"True"` // Whether changes are reported: True, False or Random.
	Result   any    `default:"True"` // The result: True, False or Random.
	Comment  any    `default:""`     // Comment of the result: a text, or a list of lines.
	Warnings any    `default:"None"` // A warning, or a list of them.
}

// either reads True, False or Random.
func either(v any, what string) (bool, error) {
	if b, ok := v.(bool); ok {
		return b, nil
	}
	if strings.EqualFold(pytext.Str(v), "random") {
		return rand.IntN(2) == 0, nil
	}
	return false, module.Invalidf("You have specified the state option '%s' with invalid arguments. It must be either True, False, or 'Random'", what)
}

// testConfigurable has the result and the changes that are asked for.
func testConfigurable(_ context.Context, c *states.Call, a testConfigurableArgs) (*states.Plan, error) {
	changes, err := either(a.Changes, "changes")
	if err != nil {
		return nil, err
	}
	result, err := either(a.Result, "result")
	if err != nil {
		return nil, err
	}
	comment := linesText(a.Comment)
	p := states.Decided(result, nil, comment)
	if changes {
		p = states.Decided(result, pretended(), comment)
	}
	switch w := a.Warnings.(type) {
	case nil:
	case string:
		p.Warnings = []string{w}
	case []any:
		for _, v := range w {
			p.Warnings = append(p.Warnings, pytext.Str(v))
		}
	default:
		return nil, module.Invalidf("You have specified the state option 'warnings' with invalid arguments. It must be a string or a list of strings")
	}
	if c.Test {
		if comment == "" {
			comment = "This is a test"
		}
		var res any
		if a.Changes == false {
			res = true
		}
		t := states.Decided(res, p.Decision().Changes, comment)
		t.Warnings = p.Warnings
		return t, nil
	}
	return p, nil
}

type testNotificationArgs struct {
	Name   string    // Anything.
	Text   any       `default:"None"` // What to show.
	Kwargs *wire.Map `arg:"**"`       // Not looked at.
}

// testShowNotification shows a text as its comment.
func testShowNotification(_ context.Context, _ *states.Call, a testNotificationArgs) (*states.Plan, error) {
	if !module.Truth(a.Text) {
		return nil, module.Invalidf("Missing required argument text.")
	}
	return &states.Plan{Fine: linesText(a.Text)}, nil
}

type testPillarArgs struct {
	Name       string // Anything.
	Present    any    `default:"None"`  // Keys that have to be there: one, or a list.
	Boolean    any    `default:"None"`  // Keys whose value has to be True or False.
	Integer    any    `default:"None"`  // Keys whose value has to be a whole number.
	String     any    `default:"None"`  // Keys whose value has to be a text.
	Listing    any    `default:"None"`  // Keys whose value has to be a list.
	Dictionary any    `default:"None"`  // Keys whose value has to be a map.
	Verbose    bool   `default:"False"` // Name the keys that are as they should be, too.
}

// testCheckPillar fails where keys of the pillar are missing, or are of another type.
func testCheckPillar(ctx context.Context, c *states.Call, a testPillarArgs) (*states.Plan, error) {
	asked := false
	bad, good := wire.NewMap(), wire.NewMap() // by key: one that is asked for twice is told of once, as what it was last
	for _, check := range []struct {
		keys any
		typ  string
		fits func(v any) bool
	}{
		{a.Present, "", func(any) bool { return true }},
		{a.Boolean, "<class 'bool'>", isType[bool]},
		{a.Integer, "<class 'int'>", func(v any) bool { return isType[int64](v) || isType[uint64](v) || isType[bool](v) }},
		{a.String, "(<class 'str'>,)", isType[string]},
		{a.Listing, "<class 'list'>", func(v any) bool { return pytext.TypeName(v) == "list" }},
		{a.Dictionary, "<class 'dict'>", isType[*wire.Map]},
	} {
		keys, err := textOrList(check.keys)
		if err != nil {
			return nil, err
		}
		for _, key := range keys {
			asked = true
			v, err := c.Call.Call(ctx, "pillar.get", args(key, nil), nil)
			switch {
			case err != nil:
				return nil, err
			case v == nil:
				bad.Set(key, "missing")
			case !check.fits(v):
				bad.Set(key, "not "+check.typ)
			case a.Verbose:
				typ := check.typ
				if typ == "" {
					typ = "None"
				}
				good.Set(key, typ)
			}
		}
	}
	if !asked {
		return nil, module.Invalidf("Missing required argument text.")
	}
	comment := ""
	for key, wrong := range bad.Strings() {
		comment += fmt.Sprintf("Pillar key \"%s\" is %s.\n", key, wrong)
	}
	if good.Len() > 0 {
		comment += "Those keys passed the check:\n"
	}
	for key, typ := range good.Strings() {
		comment += fmt.Sprintf("- %s (%s)\n", key, typ)
	}
	return states.Decided(bad.Len() == 0, nil, comment), nil
}

type testWatchArgs struct {
	Name    string    // Anything.
	Sfun    string    `default:"None"`                  // The function that watches.
	Result  any       `arg:"result,kw" default:"True"`  // The result.
	Comment any       `arg:"comment,kw" default:"None"` // Comment of the result.
	Changes any       `arg:"changes,kw" default:"None"` // Changes to report.
	Kwargs  *wire.Map `arg:"**"`                        // Not looked at.
}

// testModWatch reports which of the watched states have changed.
func testModWatch(_ context.Context, c *states.Call, a testWatchArgs) (*states.Plan, error) {
	changed := []any{}
	for _, req := range c.Required["watch"] {
		if res := c.Running.Map(states.Tag(req)); res != nil && res.Map("changes").Len() > 0 {
			changed = append(changed, req.Text("state")+": "+req.Text("__id__"))
		}
	}
	changes, ok := a.Changes.(*wire.Map)
	switch {
	case a.Changes == nil:
		changes = wire.NewMap("Requisites with changes", changed)
	case !ok: // those of a configurable_test_state that watches
		//lint:ignore ST1005 these are the words of Salt
		return nil, errors.New("An exception occurred in this state: 'Changes' should be a dictionary.")
	}
	comment := "Watch statement fired."
	if a.Comment != nil {
		comment = linesText(a.Comment)
	}
	return states.Decided(a.Result, changes, comment), nil
}

func isType[T any](v any) bool {
	_, ok := v.(T)
	return ok
}

// args is a list of positional arguments.
func args(a ...any) []any { return a }

// textOrList makes a list of texts of a text, a list or nothing.
func textOrList(v any) ([]string, error) {
	switch v := v.(type) {
	case nil:
		return nil, nil
	case string:
		return []string{v}, nil
	case []any:
		out := make([]string, len(v))
		for i, e := range v {
			out[i] = pytext.Str(e)
		}
		return out, nil
	}
	return nil, module.Invalidf("a text or a list of texts is expected, not %s", pytext.Repr(v))
}
