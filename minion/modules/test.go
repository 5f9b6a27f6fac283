package modules

import (
	"context"

	"github.com/gosalt/gosalt/internal/module"
)

func init() {
	register("test.ping", testPing)
	register("test.echo", testEcho)
}

// testPing tells that the minion is up and answers; it is not an ICMP ping.
// Returns True.
//
//	gosalt '*' test.ping
func testPing(ctx context.Context, c *module.Call, a noArgs) (bool, error) {
	return true, nil
}

type testEchoArgs struct {
	Text any // What to return.
}

// testEcho returns what it is given, for testing the connection.
//
//	gosalt '*' test.echo 'foo bar baz quo qux'
func testEcho(ctx context.Context, c *module.Call, a testEchoArgs) (any, error) {
	return a.Text, nil
}
