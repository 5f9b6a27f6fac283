package cli

import (
	"strings"
	"testing"
)

func TestReference(t *testing.T) {
	for _, prog := range Programs {
		page, err := Reference(prog)
		if err != nil {
			t.Fatal(err)
		}
		man, err := Man(prog)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(page, "--config-dir=CONFIG_DIR") || !strings.Contains(page, "| 0 | 75 | hidden-silence |") ||
			!strings.Contains(man, ".B 0, strict 69") {
			t.Errorf("the documents of %s are not whole", prog)
		}
	}
	if _, err := Reference("salt"); err == nil || !strings.Contains(err.Error(), "gosalt-key") {
		t.Error("a wrong name is told the right ones")
	}
}
