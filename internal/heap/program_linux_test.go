package heap

import (
	"os"
	"strconv"
	"strings"
	"testing"
)

func TestForgetProgram(t *testing.T) {
	before := fileRSS(t)
	forgetProgram()
	if after := fileRSS(t); after >= before {
		t.Errorf("%d kB of files are resident, before it were %d", after, before)
	}
}

// fileRSS is how many kB of mapped files are resident.
func fileRSS(t *testing.T) int {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "RssFile:" {
			n, err := strconv.Atoi(f[1])
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Skip("this kernel does not tell RssFile")
	return 0
}
