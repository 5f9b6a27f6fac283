package modules

import (
	"context"
	"errors"
	"strings"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

func init() {
	register("test.exception", testException)
	register("test.raise_exception", testRaiseException)
	register("test.assertion", testAssertion)
	register("test.try", testTry)
	register("test.cross_test", testCrossTest)
	register("test.attr_call", testAttrCall)
	register("test.deprecation_warning", testDeprecationWarning)
}

type testExceptionArgs struct {
	Message string `default:"Test Exception"` // The text of the error.
}

// testException fails as a function does that has a mistake.
//
//	gosalt '*' test.exception 'Oh noes!'
func testException(ctx context.Context, c *module.Call, a testExceptionArgs) (any, error) {
	return nil, errors.New(a.Message)
}

type testRaiseExceptionArgs struct {
	Name   string    // Name of a Python exception, or of Salt's: salt.exceptions.CommandExecutionError.
	Args   []any     `arg:"*"`  // The arguments of the exception: its message.
	Kwargs *wire.Map `arg:"**"` // Without effect.
}

// testRaiseException fails in the way in which Salt treats an exception. False is
// returned for the name of none.
//
//	gosalt '*' test.raise_exception TypeError "An integer is required"
//	gosalt '*' test.raise_exception salt.exceptions.CommandExecutionError "Something went wrong"
func testRaiseException(ctx context.Context, c *module.Call, a testRaiseExceptionArgs) (bool, error) {
	var words []string
	for _, v := range a.Args {
		words = append(words, pytext.Str(v))
	}
	msg := strings.Join(words, " ")
	name, ours := strings.CutPrefix(a.Name, "salt.exceptions.")
	switch {
	case ours && name == "CommandExecutionError":
		return false, module.Failf("%s", msg)
	case ours && (name == "SaltInvocationError" || name == "SaltClientError"):
		return false, module.Invalidf("%s", msg)
	case ours && name == "CommandNotFoundError":
		return false, module.NoCommandf("%s", msg)
	case !ours && name == "TypeError":
		return false, &module.Error{Kind: module.Arguments, Msg: msg}
	case !ours && (strings.HasSuffix(name, "Error") || name == "Exception") && !strings.Contains(name, "."):
		return false, errors.New(name + ": " + msg)
	case ours && (strings.HasSuffix(name, "Error") || strings.HasSuffix(name, "Exception")):
		return false, errors.New(a.Name + ": " + msg)
	}
	c.Log.Error("no such exception", "name", a.Name)
	return false, nil
}

type testAssertionArgs struct {
	Assertion any // What has to be true.
}

// testAssertion fails when its argument is false, zero, empty or None.
//
//	gosalt '*' test.assertion False
func testAssertion(ctx context.Context, c *module.Call, a testAssertionArgs) (any, error) {
	if !module.Truth(a.Assertion) {
		return nil, errors.New("AssertionError")
	}
	return nil, nil
}

type testTryArgs struct {
	Module             string    // Name of the function to call.
	ReturnTryException bool      `default:"False"` // Return the text of the error.
	Kwargs             *wire.Map `arg:"**"`        // The arguments of the function, by name.
}

// testTry calls a function and returns None where that fails, for templates in
// which a function may fail.
//
//	gosalt '*' test.try module=test.exception return_try_exception=True
func testTry(ctx context.Context, c *module.Call, a testTryArgs) (any, error) {
	v, err := c.Call(ctx, a.Module, nil, cleanKwargs(a.Kwargs))
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case err == nil:
		return v, nil
	case a.ReturnTryException:
		return err.Error(), nil
	}
	return nil, nil
}

type testCrossTestArgs struct {
	Func string // Name of the function to call.
	Args []any  `default:"None"` // Its arguments.
}

// testCrossTest calls a function as functions call each other, and returns what it
// returned.
//
//	gosalt '*' test.cross_test test.echo '[hello]'
func testCrossTest(ctx context.Context, c *module.Call, a testCrossTestArgs) (any, error) {
	return c.Call(ctx, a.Func, a.Args, nil)
}

// testAttrCall returns the grains, by calling grains.items.
//
//	gosalt '*' test.attr_call
func testAttrCall(ctx context.Context, c *module.Call, a noArgs) (any, error) {
	return c.Call(ctx, "grains.items", nil, nil)
}

// testDeprecationWarning returns True and logs a warning.
//
//	gosalt '*' test.deprecation_warning
func testDeprecationWarning(ctx context.Context, c *module.Call, a noArgs) (bool, error) {
	c.Log.Warn("This is a test deprecation warning.")
	return true, nil
}
