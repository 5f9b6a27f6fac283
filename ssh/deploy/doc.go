// Package deploy puts gosalt-minion on a machine that is reached by SSH, and speaks to it
// there. The program is copied once for each version, into a directory that is its user's
// alone, and started anew for each job; it speaks package stream over the session's
// standard input and output.
//
//	s, err := deploy.Open(ctx, conn, host, agents, deploy.Options{})
//	err = s.Stream.Start(start)
//	err = s.Serve(ctx, handler)
//
// The machine needs a shell and nothing else. Where its usual places cannot be written to
// or do not let programs run, others are tried; what stood in the way of each is told when
// none is left.
package deploy
