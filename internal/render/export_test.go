package render

import "testing"

// ParseFrame and AppendFrame are for fuzzing.
func ParseFrame(text string) (any, error) { return parseFrame(text) }

func AppendFrame(v any) ([]byte, error) { return appendFrame(nil, v, 0) }

// SetMaxSteps bounds what a file of Starlark computes during a test.
func SetMaxSteps(t *testing.T, n uint64) {
	old := maxSteps
	maxSteps = n
	t.Cleanup(func() { maxSteps = old })
}
