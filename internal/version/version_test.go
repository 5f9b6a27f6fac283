package version

import (
	"slices"
	"testing"
)

func TestVersion(t *testing.T) {
	if got := SaltInfo(); !slices.Equal(got, []int{3006, 18}) {
		t.Errorf("SaltInfo: %v", got)
	}
	if Gosalt() == "" {
		t.Error("Gosalt is empty")
	}
}
