package modules

import (
	"context"
	"fmt"
	"math/big"
	"math/rand/v2"
	"runtime/debug"
	"time"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

func init() {
	register("test.ping", testPing)
	register("test.true", testTrue)
	register("test.false", testFalse)
	register("test.echo", testEcho)
	register("test.outputter", testOutputter)
	register("test.arg", testArg)
	register("test.arg_type", testArgType)
	register("test.arg_repr", testArgRepr)
	register("test.arg_clean", testArgClean)
	register("test.kwarg", testKwarg)
	register("test.sleep", testSleep)
	register("test.rand_sleep", testRandSleep)
	register("test.fib", testFib)
	register("test.collatz", testCollatz)
	register("test.retcode", testRetcode)
	register("test.tty", testTTY)
	register("test.stack", testStack)
}

// testPing tells that the minion is up and answers; it is not an ICMP ping.
// Returns True.
//
//	gosalt '*' test.ping
func testPing(ctx context.Context, c *module.Call, a noArgs) (bool, error) { return true, nil }

// testTrue always returns True.
//
//	gosalt '*' test.true
func testTrue(ctx context.Context, c *module.Call, a noArgs) (bool, error) { return true, nil }

// testFalse always returns False.
//
//	gosalt '*' test.false
func testFalse(ctx context.Context, c *module.Call, a noArgs) (bool, error) { return false, nil }

type testEchoArgs struct {
	Text any // What to return.
}

// testEcho returns what it is given, for testing the connection.
//
//	gosalt '*' test.echo 'foo bar baz quo qux'
func testEcho(ctx context.Context, c *module.Call, a testEchoArgs) (any, error) {
	return a.Text, nil
}

type testOutputterArgs struct {
	Data any // What to return.
}

// testOutputter returns what it is given, for testing how it is shown.
//
//	gosalt --out=yaml '*' test.outputter '{a: [1, 2]}'
func testOutputter(ctx context.Context, c *module.Call, a testOutputterArgs) (any, error) {
	return a.Data, nil
}

type testArgArgs struct {
	Args   []any     `arg:"*"`  // Any positional arguments.
	Kwargs *wire.Map `arg:"**"` // Any arguments by name.
}

// testArg returns the arguments as they arrived, with what is published of the job
// under names that begin with __pub_.
//
//	gosalt '*' test.arg 1 "two" 3.1 txt="hello" wow='{a: 1, b: "hello"}'
func testArg(ctx context.Context, c *module.Call, a testArgArgs) (*wire.Map, error) {
	return wire.NewMap("args", a.Args, "kwargs", a.Kwargs), nil
}

// testArgType returns the types of the arguments, named as in Python.
//
//	gosalt '*' test.arg_type 1 'int'
func testArgType(ctx context.Context, c *module.Call, a testArgArgs) (*wire.Map, error) {
	args := make([]any, len(a.Args))
	for i, v := range a.Args {
		args[i] = pythonType(v)
	}
	kwargs := wire.NewMap()
	for k, v := range a.Kwargs.Strings() {
		kwargs.Set(k, pythonType(v))
	}
	return wire.NewMap("args", args, "kwargs", kwargs), nil
}

func pythonType(v any) string {
	if v == nil {
		return "<class 'NoneType'>"
	}
	return "<class '" + pytext.TypeName(v) + "'>"
}

// testArgRepr returns the arguments as Python writes them.
//
//	gosalt '*' test.arg_repr 1 "two" 3.1 txt="hello" wow='{a: 1, b: "hello"}'
func testArgRepr(ctx context.Context, c *module.Call, a testArgArgs) (*wire.Map, error) {
	list := pytext.Repr(a.Args)
	tuple := "(" + list[1:len(list)-1] + ")"
	if len(a.Args) == 1 {
		tuple = "(" + list[1:len(list)-1] + ",)"
	}
	return wire.NewMap("args", tuple, "kwargs", pytext.Repr(a.Kwargs)), nil
}

// testArgClean is test.arg without what is published of the job.
//
//	gosalt '*' test.arg_clean 1 "two" 3.1 txt="hello" wow='{a: 1, b: "hello"}'
func testArgClean(ctx context.Context, c *module.Call, a testArgArgs) (*wire.Map, error) {
	return wire.NewMap("args", a.Args, "kwargs", cleanKwargs(a.Kwargs)), nil
}

type testKwargArgs struct {
	Kwargs *wire.Map `arg:"**"` // Any arguments by name.
}

// testKwarg returns the arguments given by name, with what is published of the job
// under names that begin with __pub_.
//
//	gosalt '*' test.kwarg num=1 txt="two" env='{a: 1, b: "hello"}'
func testKwarg(ctx context.Context, c *module.Call, a testKwargArgs) (*wire.Map, error) {
	return a.Kwargs, nil
}

type testSleepArgs struct {
	Length time.Duration // Seconds to sleep.
}

// testSleep sleeps and returns True.
//
//	gosalt '*' test.sleep 20
func testSleep(ctx context.Context, c *module.Call, a testSleepArgs) (bool, error) {
	if a.Length < 0 {
		return false, fmt.Errorf("sleep length must be non-negative, not %s", a.Length)
	}
	return true, sleep(ctx, a.Length)
}

// sleep returns early with the cause when the job ends.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

type testRandSleepArgs struct {
	Max int `default:"60"` // The most seconds to sleep.
}

// testRandSleep sleeps for a random number of whole seconds and returns True, for
// testing long jobs and minions that return at different times.
//
//	gosalt '*' test.rand_sleep 60
func testRandSleep(ctx context.Context, c *module.Call, a testRandSleepArgs) (bool, error) {
	if a.Max < 0 {
		return false, fmt.Errorf("the most seconds to sleep must not be negative, not %d", a.Max)
	}
	return true, sleep(ctx, time.Duration(rand.IntN(a.Max+1))*time.Second)
}

type testFibArgs struct {
	Num int // Which one.
}

// maxFib bounds the work and the size of the answer: about 200,000 digits.
const maxFib = 1_000_000

// testFib returns the Fibonacci number of that place, and the seconds it took.
//
//	gosalt '*' test.fib 3
func testFib(ctx context.Context, c *module.Call, a testFibArgs) ([]any, error) {
	if a.Num < 0 {
		return nil, module.Invalidf("num is %d: a negative number is not allowed", a.Num)
	}
	if a.Num > maxFib {
		return nil, module.Invalidf("num is %d: at most %d is computed", a.Num, maxFib)
	}
	begin := time.Now()
	x, y := big.NewInt(0), big.NewInt(1)
	for range a.Num {
		x.Add(x, y)
		x, y = y, x
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
	}
	var n any = x.String() // beyond 64 bits as on the wire
	if x.IsInt64() {
		n = x.Int64()
	}
	return []any{n, time.Since(begin).Seconds()}, nil
}

type testCollatzArgs struct {
	Start int64 // Positive number to start from.
}

// testCollatz returns the numbers of the Collatz sequence down to 2, and the seconds
// it took. As in Salt, halves are floats, and so is all that follows.
//
//	gosalt '*' test.collatz 3
func testCollatz(ctx context.Context, c *module.Call, a testCollatzArgs) ([]any, error) {
	if a.Start < 1 {
		return nil, module.Invalidf("start is %d: a positive number expected, others have no end", a.Start)
	}
	begin := time.Now()
	steps := []any{}
	for n, halved := a.Start, false; n != 1; {
		if halved {
			steps = append(steps, float64(n))
		} else {
			steps = append(steps, n)
		}
		switch {
		case n%2 == 0:
			n, halved = n/2, true
		case n > (1<<62)/3:
			return nil, module.Failf("the sequence from %d leaves 64 bits", a.Start)
		default:
			n = n*3 + 1
		}
	}
	return []any{steps, time.Since(begin).Seconds()}, nil
}

type testRetcodeArgs struct {
	Code int `default:"42"` // The exit code.
}

// testRetcode returns True and sets the exit code of the job.
//
//	gosalt '*' test.retcode 42
func testRetcode(ctx context.Context, c *module.Call, a testRetcodeArgs) (bool, error) {
	c.SetRetcode(a.Code)
	return true, nil
}

// testTTY has moved to cmd.tty, and says so.
//
//	gosalt '*' cmd.tty tty0 'This is a test'
func testTTY(ctx context.Context, c *module.Call, a testArgArgs) (string, error) {
	return "ERROR: This function has been moved to cmd.tty", nil
}

// testStack returns where in the minion's program this function was called.
//
//	gosalt '*' test.stack
func testStack(ctx context.Context, c *module.Call, a noArgs) (string, error) {
	return string(debug.Stack()), nil
}

// cleanKwargs is a copy without what Salt adds to keywords.
func cleanKwargs(kwargs *wire.Map) *wire.Map {
	out := wire.NewMap()
	for k, v := range kwargs.Strings() {
		if len(k) < 2 || k[:2] != "__" {
			out.Set(k, v)
		}
	}
	return out
}
