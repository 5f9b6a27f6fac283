package states

import "context"

// Settle carries a plan out, or tells what it would do when test is set: for states that
// have another one do a part of their work.
func Settle(ctx context.Context, p *Plan, test bool) *Result { return p.settle(ctx, test) }
