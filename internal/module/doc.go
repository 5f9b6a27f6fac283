// Package module is the shape of a function that a minion can run: its name, its
// arguments, its documentation, what it may touch, and what becomes of its result.
//
// A function is a Go function over a struct of arguments:
//
//	type echoArgs struct {
//		Text any // What to return.
//	}
//
//	// echo returns the text it is given.
//	func echo(ctx context.Context, c *module.Call, a echoArgs) (any, error) { return a.Text, nil }
//
//	module.Register(r, "test.echo", echo)
//
// The struct settles how the function is called (see Register for its tags), and
// the comments of the function and of the fields are its documentation, read from
// the package's own sources when someone asks for them (docs.go). Everything that
// a function may touch arrives in its Call; nothing is global.
//
// Start with registry.go, then run.go: Run is what a minion does with a job, and
// answers in Salt's words.
package module
