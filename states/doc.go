// Package states is what a state function is: it looks at the machine and answers with
// a Plan, what is to be done and how it would be told. The same plan is printed under
// test=True and carried out without it, so a dry run cannot promise what a real run
// would not do.
//
//	type directoryArgs struct {
//		Name string // Path of the directory.
//	}
//
//	// fileDirectory makes sure that a directory is there.
//	func fileDirectory(ctx context.Context, c *states.Call, a directoryArgs) (*states.Plan, error) {
//		p := &states.Plan{Fine: "The directory " + a.Name + " is in the correct state"}
//		if !c.Host.IsDir(a.Name) {
//			p.Would = "The directory " + a.Name + " will be created"
//			p.Do(wire.NewMap(a.Name, "new directory"), func(ctx context.Context, r *states.Result) error {
//				return c.Host.Mkdir(a.Name, 0o755)
//			})
//		}
//		return p, nil
//	}
//
// Under test=True a plan is of what the states before it would leave: the steps of files
// that several states change are tried on copies (drafts.go, and Rehearse of internal/host),
// and what is no file is known by the promised*.go of states/modules, with effects.go
// (what earlier states do, as their tags and results say) and promises.go (what they note
// themselves). So steps change files through c.Host alone, which knows when only copies
// may be written.
//
// An error is a state that failed, its text the comment. The functions are in
// states/modules; states/run carries out low chunks with all their requisites;
// states/statetest checks what every state promises.
//
// Start reading at plan.go.
package states
