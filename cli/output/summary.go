package output

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/gosalt/gosalt/internal/pytext"
)

// summary adds the lines below a minion's states: how many succeeded, changed and
// failed, and the time they took.
func (r *hostReport) summary(host string) {
	digits, all := 0, 0
	for k, n := range r.counts {
		digits = max(digits, len(strconv.Itoa(n)))
		if k != "warnings" {
			all += n
		}
	}
	width := len("Succeeded: ") + digits
	end := r.c.end
	add := func(color, text string) { r.lines = append(r.lines, color+text+end) }
	count := func(label, n string) string {
		return fmt.Sprintf("%s: %*s", label, width-len(label)-2, n)
	}
	rule := strings.Repeat("-", width)
	add(r.c.cyan, "\nSummary for "+r.o.safe(host)+"\n"+rule)

	good, bad, open := r.counts["True"], r.counts["False"], r.counts["None"]
	var stats []string
	if open > 0 {
		stats = append(stats, fmt.Sprintf("%sunchanged=%d%s", r.c.lightYellow, open, end))
	}
	if r.changed > 0 {
		stats = append(stats, fmt.Sprintf("%schanged=%d%s", r.c.green, r.changed, end))
	}
	add(r.c.green, count("Succeeded", strconv.Itoa(good+open)))
	if len(stats) > 0 {
		r.lines[len(r.lines)-1] += " (" + strings.Join(stats, ", ") + ")"
	}
	failed := r.c.cyan
	if bad > 0 {
		failed = r.c.red
	}
	add(failed, count("Failed", strconv.Itoa(bad)))
	if r.o.StateOutputPct && all > 0 {
		add(r.c.green, count("Success %", percent(good+open, all)))
		add(failed, count("Failure %", percent(bad, all)))
	}
	if n := r.counts["warnings"]; n > 0 {
		add(r.c.lightRed, count("Warnings", strconv.Itoa(n)))
	}
	add(r.c.cyan, fmt.Sprintf("%s\nTotal states run: %*d", rule, width-7, all))
	if r.o.StateOutputProfile {
		total, unit := r.millis+r.longest, "ms"
		if total > 999 {
			total, unit = total/1000, "s"
		}
		add(r.c.cyan, fmt.Sprintf("Total run time: %*s %s", width-5, strconv.FormatFloat(total, 'f', 3, 64), unit))
	}
}

// percent is Python's text of n of all in percent, rounded to two digits.
func percent(n, all int) string {
	f, _ := strconv.ParseFloat(strconv.FormatFloat(float64(n)/float64(all)*100, 'f', 2, 64), 64)
	return pytext.Float(f)
}
