package cli

import (
	"fmt"
	"io"
	"strings"
)

// summary counts how minions answered, for --summary.
type summary struct {
	out          string // the outputter that a return asked for, for --static
	returned     int
	notConnected []string
	noResponse   []string
	failures     []string
}

// print writes the box that Salt's --summary shows.
func (s *summary) print(w io.Writer, verbose bool) {
	missing := len(s.notConnected) + len(s.noResponse)
	line := strings.Repeat("-", 43)
	fmt.Fprintf(w, "\n\n%s\nSummary\n%s\n", line, line)
	fmt.Fprintf(w, "# of minions targeted: %d\n", s.returned+missing)
	fmt.Fprintf(w, "# of minions returned: %d\n", s.returned)
	fmt.Fprintf(w, "# of minions that did not return: %d\n", missing)
	fmt.Fprintf(w, "# of minions with errors: %d\n", len(s.failures))
	if verbose {
		for _, l := range []struct {
			name string
			ids  []string
		}{{"Minions not connected", s.notConnected}, {"Minions not responding", s.noResponse}, {"Minions with failures", s.failures}} {
			if len(l.ids) > 0 {
				fmt.Fprintf(w, "%s: %s\n", l.name, strings.Join(l.ids, " "))
			}
		}
	}
	fmt.Fprintln(w, line)
}
