package modules

import (
	"testing"
)

// TestDocumented holds every function and every argument to having a comment.
func TestDocumented(t *testing.T) {
	for _, what := range New().Undocumented() {
		t.Errorf("no documentation: %s", what)
	}
}
