package module

import "context"

// textKey is of what InMemory puts into a context.
type textKey struct{}

// InMemory has a function that makes a file in the cache, as cp.get_template does, hand over
// what would be in it instead: a file of the cache is not removed with whoever needed it, and
// may hold what others must not see. text returns it after the call, false where the function
// has made none.
func InMemory(ctx context.Context) (with context.Context, text func() (string, bool)) {
	got := new(*string)
	return context.WithValue(ctx, textKey{}, got), func() (string, bool) {
		if *got == nil {
			return "", false
		}
		return **got, true
	}
}

// OnDisk undoes InMemory for what a function calls itself, as a template does: those calls
// have files to show for it.
func OnDisk(ctx context.Context) context.Context {
	return context.WithValue(ctx, textKey{}, (**string)(nil))
}

// PutText hands over the text of a file to who has called with InMemory, and tells whether
// anybody has.
func PutText(ctx context.Context, text string) bool {
	got, _ := ctx.Value(textKey{}).(**string)
	if got == nil {
		return false
	}
	*got = &text
	return true
}
