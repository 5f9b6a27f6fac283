//go:build gosalt_clock

package minion

import (
	"fmt"
	"os"
	"time"
)

// A minion built with this tag has a clock that is off by GOSALT_CLOCK_SHIFT ("-1h").
func init() {
	text := os.Getenv("GOSALT_CLOCK_SHIFT")
	if text == "" {
		return
	}
	shift, err := time.ParseDuration(text)
	if err != nil {
		fmt.Fprintf(os.Stderr, "GOSALT_CLOCK_SHIFT: %v\n", err)
		os.Exit(64)
	}
	now = func() time.Time { return time.Now().Add(shift) }
}
