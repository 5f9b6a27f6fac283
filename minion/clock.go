package minion

import "time"

// now is what requests are stamped with, and nothing else. Tests build a minion
// whose clock is wrong (clock_shift.go).
var now = time.Now
