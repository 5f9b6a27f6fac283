package runners

import (
	"context"
	"fmt"
	"time"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/protocol/wire"
)

func registerTest(r *module.Registry) {
	module.Register(r, "test.arg", testArg)
	module.Register(r, "test.raw_arg", testRawArg)
	module.Register(r, "test.metasyntactic", testMetasyntactic)
	module.Register(r, "test.stdout_print", testStdoutPrint)
	module.Register(r, "test.sleep", testSleep)
	module.Register(r, "test.stream", testStream)
	module.Register(r, "test.get_opts", testGetOpts)
}

type testArgArgs struct {
	Args   []any     `arg:"*"`  // Anything.
	Kwargs *wire.Map `arg:"**"` // Anything.
}

// testArg returns the arguments and keywords that it is given.
//
//	gosalt-run test.arg foo bar=baz
func testArg(_ context.Context, _ *module.Call, a testArgArgs) (*wire.Map, error) {
	return wire.NewMap("args", a.Args, "kwargs", withoutPub(a.Kwargs)), nil
}

// testRawArg returns the arguments and keywords that it is given, and those that are
// added to each call.
//
//	gosalt-run test.raw_arg foo bar=baz
func testRawArg(_ context.Context, _ *module.Call, a testArgArgs) (*wire.Map, error) {
	return wire.NewMap("args", a.Args, "kwargs", a.Kwargs), nil
}

type testMetasyntacticArgs struct {
	Locality string `default:"us"` // Whose words: us or uk.
}

// testMetasyntactic returns words that stand for nothing in particular.
//
//	gosalt-run test.metasyntactic locality=uk
func testMetasyntactic(_ context.Context, _ *module.Call, a testMetasyntacticArgs) (any, error) {
	switch a.Locality {
	case "us":
		return []string{"foo", "bar", "baz", "qux", "quux", "quuz", "corge", "grault", "garply", "waldo", "fred", "plugh", "xyzzy", "thud"}, nil
	case "uk":
		return []string{"wibble", "wobble", "wubble", "flob"}, nil
	}
	return nil, nil
}

type noArgs struct{}

// testStdoutPrint prints foo and returns bar.
//
//	gosalt-run test.stdout_print
func testStdoutPrint(_ context.Context, c *module.Call, _ noArgs) (string, error) {
	c.Progress("foo")
	return "bar", nil
}

type testSleepArgs struct {
	STime float64 `arg:"s_time" default:"10"` // Seconds.
}

// testSleep waits so many seconds and returns True.
//
//	gosalt-run test.sleep 3
func testSleep(ctx context.Context, c *module.Call, a testSleepArgs) (bool, error) {
	c.Progress(fmt.Sprint(a.STime))
	select {
	case <-ctx.Done():
		return false, ctx.Err()
	case <-time.After(seconds(a.STime)):
		return true, nil
	}
}

// testStream reports its progress a hundred times within ten seconds.
//
//	gosalt-run test.stream
func testStream(ctx context.Context, c *module.Call, _ noArgs) (bool, error) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for i := 1; i < 100; i++ {
		c.Progress(wire.NewMap("suffix", "progress", "event", wire.NewMap("message", fmt.Sprintf("Runner is %d%% done", i))))
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-tick.C:
		}
	}
	return true, nil
}

// testGetOpts returns the master's configuration. Secrets are hidden.
//
//	gosalt-run test.get_opts
func testGetOpts(ctx context.Context, _ *module.Call, _ noArgs) (*wire.Map, error) {
	return callOf(ctx).r.master.Opts(), nil
}
