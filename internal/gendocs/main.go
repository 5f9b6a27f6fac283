// Command gendocs writes docs/ref from the same declarations that the programs work
// by: options, exit codes, configuration, functions; and, for make install, manual pages
// and completions (install.go). With -check it writes nothing
// and fails where a page is not what it should be.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gosalt/gosalt/cli"
	"github.com/gosalt/gosalt/internal/config/configdoc"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/returners"
	"github.com/gosalt/gosalt/master/events"
	"github.com/gosalt/gosalt/master/runners"
	"github.com/gosalt/gosalt/minion/modules"
)

func main() {
	check := flag.Bool("check", false, "compare instead of writing")
	dir := flag.String("dir", "docs/ref", "where the pages are")
	share := flag.String("install", "", "write manual pages and the shells' completions below this directory instead")
	flag.Parse()
	if *share != "" {
		if err := install(*share); err != nil {
			fmt.Fprintln(os.Stderr, "gendocs:", err)
			os.Exit(1)
		}
		return
	}
	pages, err := generate()
	if err == nil {
		err = write(*dir, pages, *check)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "gendocs:", err)
		os.Exit(1)
	}
}

const note = "<!-- Made by `make docs` from the sources; change those instead. -->\n\n"

func generate() (map[string]string, error) {
	pages := map[string]string{}
	var index strings.Builder
	index.WriteString("# Reference\n\nThese pages are made from the sources (`make docs`).\n\n")
	add := func(name, title, text string) {
		pages[name] = note + strings.TrimRight(text, "\n") + "\n"
		fmt.Fprintf(&index, "- [%s](%s)\n", title, name)
	}
	for _, prog := range cli.Programs {
		text, err := cli.Reference(prog)
		if err != nil {
			return nil, err
		}
		add(prog+".md", "Options of "+prog, text)
	}
	add("gosalt-minion-join.md", "Options of gosalt-minion join", cli.JoinReference())
	conf, err := configdoc.Markdown()
	if err != nil {
		return nil, err
	}
	add("configuration.md", "Configuration of master and minion", conf)
	funs, err := functions("Functions of the minion", "Call them with `gosalt '*' FUNCTION …` or `gosalt-call FUNCTION …`.", modules.New())
	if err != nil {
		return nil, err
	}
	add("functions.md", "Functions of the minion", funs)
	if funs, err = functions("States", "What stands in SLS files, and in `state.single`: `file.managed` with the arguments below, beside the requisites and conditions that every state takes.", modules.States()); err != nil {
		return nil, err
	}
	add("states.md", "States", funs)
	onMaster := runners.New(nil, events.New(), slog.New(slog.DiscardHandler))
	if funs, err = functions("Wheel functions", "They change the master itself: `gosalt-run salt.wheel FUNCTION …`.", onMaster.Wheel()); err != nil {
		return nil, err
	}
	add("wheel.md", "Wheel functions: changes of the master itself", funs)
	if funs, err = functions("Runners", "They run on the master: `gosalt-run FUNCTION …`.", onMaster.Registry()); err != nil {
		return nil, err
	}
	add("runners.md", "Runners: functions of the master", funs)
	if funs, err = functions("Returners", "They take results of jobs, and events, to other places than the master's own store: minions with `gosalt … --return NAME` and the options `return` and `schedule_returner`, masters with `ext_job_cache` and `event_return`.", returners.Functions()); err != nil {
		return nil, err
	}
	add("returners.md", "Returners", funs)
	add("inventory.md", "Sources of the inventory", inventoryPage())
	pages["README.md"] = note + index.String()
	return pages, nil
}

// functions is the page of a registry, by module.
func functions(title, intro string, reg *module.Registry) (string, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n\n%s\n", title, intro)
	for _, mod := range reg.Modules() {
		fmt.Fprintf(&b, "\n## %s\n", mod)
		for _, name := range reg.Names() {
			if !strings.HasPrefix(name, mod+".") {
				continue
			}
			doc, err := reg.Doc(name)
			if err != nil {
				return "", err
			}
			writeFunction(&b, doc)
			for _, v := range doc.Variants {
				writeFunction(&b, v)
			}
		}
	}
	if planned := reg.PlannedNames(); len(planned) > 0 {
		fmt.Fprintf(&b, "\n## Not there yet\n\nThese names of Salt's answer that they are not available in gosalt yet: %s.\n", "`"+strings.Join(planned, "`, `")+"`")
	}
	return b.String(), nil
}

func writeFunction(b *strings.Builder, doc module.Doc) {
	var sig []string
	for _, a := range doc.Args {
		switch {
		case a.Variadic:
			sig = append(sig, a.Name)
		case a.Required:
			sig = append(sig, a.Name)
		case a.Default == "":
			sig = append(sig, a.Name+"=''")
		default:
			sig = append(sig, a.Name+"="+a.Default)
		}
	}
	title := doc.Name
	if doc.Label != "" {
		title += " (" + doc.Label + ")"
	}
	fmt.Fprintf(b, "\n### %s\n\n`%s(%s)`\n\n", title, doc.Name, strings.Join(sig, ", "))
	b.WriteString(markdown(doc.Text))
	if len(doc.Args) == 0 {
		return
	}
	b.WriteString("\n| argument | meaning |\n|---|---|\n")
	for _, a := range doc.Args {
		fmt.Fprintf(b, "| `%s` | %s |\n", a.Name, strings.ReplaceAll(strings.Join(strings.Fields(a.Text), " "), "|", `\|`))
	}
}

// markdown sets indented lines as code.
func markdown(text string) string {
	var b strings.Builder
	code := false
	for _, line := range strings.Split(strings.TrimSpace(text), "\n") {
		indented := strings.HasPrefix(line, "\t") || strings.HasPrefix(line, "    ")
		if indented && !code {
			b.WriteString("```\n")
			code = true
		} else if !indented && code && strings.TrimSpace(line) != "" {
			b.WriteString("```\n")
			code = false
		}
		if code {
			line = strings.TrimPrefix(strings.TrimPrefix(line, "\t"), "    ")
		}
		b.WriteString(line + "\n")
	}
	if code {
		b.WriteString("```\n")
	}
	return b.String()
}

// write puts the pages into dir, or compares them with what is there.
func write(dir string, pages map[string]string, check bool) error {
	if !check {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	var stale []string
	for _, name := range slices.Sorted(maps.Keys(pages)) {
		path := filepath.Join(dir, name)
		old, err := os.ReadFile(path)
		if err == nil && bytes.Equal(old, []byte(pages[name])) {
			continue
		}
		if check {
			stale = append(stale, path)
			continue
		}
		if err := os.WriteFile(path, []byte(pages[name]), 0o644); err != nil {
			return err
		}
	}
	there, err := filepath.Glob(filepath.Join(dir, "*.md"))
	if err != nil {
		return err
	}
	for _, path := range there {
		if _, ok := pages[filepath.Base(path)]; ok {
			continue
		}
		if check {
			stale = append(stale, path+" (should not be there)")
		} else if err := os.Remove(path); err != nil {
			return err
		}
	}
	if len(stale) > 0 {
		return fmt.Errorf("out of date, run make docs:\n  %s", strings.Join(stale, "\n  "))
	}
	return nil
}
