// Command bench measures what docs/performance.md states: round trips, many minions,
// memory. make bench runs it; it starts masters and minions of its own on free
// loopback ports below a directory of its own, and removes all of it.
//
// Where SALT_TREES names source trees of the real Salt (separated by colons) and
// SALT_SHIM a folder with the modules that they lack, the same things are measured
// there too, in the same run.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"
)

// Figure is one line of the table.
type Figure struct {
	Part  string   `json:"part"`            // by which -run chooses
	What  string   `json:"what"`            // was measured
	Value float64  `json:"value"`           // median or minimum, as What says
	Unit  string   `json:"unit"`            // "ms", "s", "MB", "kB", "minions"
	Goal  float64  `json:"goal,omitempty"`  // the value is to be below it; 0: none
	Peer  *float64 `json:"salt,omitempty"`  // the same of the real Salt
	Notes string   `json:"notes,omitempty"` // what else was seen
	Err   string   `json:"error,omitempty"` // why there is no value
	Load  float64  `json:"load"`            // average of the machine's last minute
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "bench: error:", err)
		os.Exit(1)
	}
}

func run() error {
	var choose string
	var asJSON bool
	b := &bench{}
	flag.StringVar(&choose, "run", ".", "run the parts whose name matches this regular expression; see -list")
	flag.BoolVar(&asJSON, "json", false, "print JSON")
	list := flag.Bool("list", false, "list the parts and stop")
	flag.StringVar(&b.bin, "bin", "bin", "directory of the programs, as make build leaves them")
	flag.IntVar(&b.tries, "tries", 15, "how often a short thing is measured; the median counts")
	flag.IntVar(&b.repeats, "repeats", 5, "how often a job to many minions is measured; the least counts")
	flag.IntVar(&b.peerMinions, "peer-minions", 200, "how many of the swarm's minions a real salt-master gets, and ours beside it")
	flag.BoolVar(&b.share, "share", false, "let the swarm check each publish once for all minions of a process")
	flag.Parse()
	want, err := regexp.Compile(choose)
	if err != nil {
		return fmt.Errorf("-run: %w", err)
	}
	if *list {
		for _, p := range parts {
			fmt.Printf("%-10s %s\n", p.name, p.what)
		}
		return nil
	}
	if b.bin, err = filepath.Abs(b.bin); err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(b.bin, "gosalt-master")); err != nil {
		return fmt.Errorf("%w: make build first, or say -bin", err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	b.ctx = ctx
	if b.dir, err = os.MkdirTemp("", "gosalt-bench-"); err != nil {
		return err
	}
	defer os.RemoveAll(b.dir)
	defer b.stopAll()
	if trees := filepath.SplitList(os.Getenv("SALT_TREES")); len(trees) > 0 && trees[0] != "" {
		b.peer = &peer{tree: trees[0], shim: os.Getenv("SALT_SHIM")}
	}
	build := exec.CommandContext(ctx, "go", "build", "-o", filepath.Join(b.dir, "swarm"), "./internal/swarm/cmd/swarm")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return fmt.Errorf("build the swarm: %w", err)
	}
	if !asJSON {
		fmt.Printf("%s\n", machine())
		if b.peer != nil {
			fmt.Printf("beside it: Salt at %s\n", b.peer.tree)
		} else {
			fmt.Println("beside it: nothing, as SALT_TREES names no source tree of Salt")
		}
	}
	for _, p := range parts {
		if !want.MatchString(p.name) || ctx.Err() != nil {
			continue
		}
		b.part = p.name
		before := len(b.figures)
		fmt.Fprintf(os.Stderr, "bench: %s ...\n", p.what)
		if err := p.run(b); err != nil && ctx.Err() == nil {
			b.add(Figure{What: p.what, Err: err.Error()})
		}
		for _, f := range b.figures[before:] { // a run that is ended early has shown what it knows
			fmt.Fprintln(os.Stderr, "bench:", f)
		}
		b.stopAll()
	}
	if asJSON {
		out := json.NewEncoder(os.Stdout)
		out.SetIndent("", "  ")
		return out.Encode(map[string]any{"machine": machine(), "figures": b.figures})
	}
	b.table()
	return ctx.Err()
}

// machine says where the figures come from.
func machine() string {
	model := "unknown processor"
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if m := regexp.MustCompile(`(?m)^model name\s*: (.*)$`).FindSubmatch(text); m != nil {
			model = string(m[1])
		}
	}
	return fmt.Sprintf("%s, %d processors (%s), %s/%s, load %.1f", time.Now().Format("2006-01-02 15:04"), runtime.NumCPU(), model, runtime.GOOS, runtime.GOARCH, load())
}

// load is the machine's load average of the last minute.
func load() (l float64) {
	if text, err := os.ReadFile("/proc/loadavg"); err == nil {
		fmt.Sscan(string(text), &l)
	}
	return l
}

func (b *bench) add(f Figure) {
	f.Part, f.Load = b.part, load()
	b.figures = append(b.figures, f)
}

// String is the figure in one line.
func (f Figure) String() string {
	if f.Err != "" {
		return f.What + ": not measured: " + f.Err
	}
	s := f.What + ": " + number(f.Value, f.Unit)
	if f.Goal > 0 {
		s += " (goal: < " + number(f.Goal, f.Unit) + ")"
	}
	if f.Peer != nil {
		s += ", Salt: " + number(*f.Peer, f.Unit)
	}
	return s + fmt.Sprintf(", load %.1f; ", f.Load) + f.Notes
}

func (b *bench) table() {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "WHAT\tFIGURE\tGOAL\t\tSALT\tLOAD\tNOTES")
	for _, f := range b.figures {
		if f.Err != "" {
			fmt.Fprintf(w, "%s\t-\t\t\t\t%.1f\tnot measured: %s\n", f.What, f.Load, f.Err)
			continue
		}
		goal, met, salt := "", "", ""
		if f.Goal > 0 {
			goal, met = "< "+number(f.Goal, f.Unit), "met"
			if f.Value >= f.Goal {
				met = "MISSED"
			}
		}
		if f.Peer != nil {
			salt = number(*f.Peer, f.Unit)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%.1f\t%s\n", f.What, number(f.Value, f.Unit), goal, met, salt, f.Load, f.Notes)
	}
	w.Flush()
}

func number(v float64, unit string) string {
	s := fmt.Sprintf("%.1f", v)
	if unit == "s" {
		s = fmt.Sprintf("%.2f", v)
	}
	return strings.TrimSuffix(s, ".0") + " " + unit
}
