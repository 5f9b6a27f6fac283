// Command formulas compares what gosalt makes of public formulas with what the real Salt
// made of them: high data, low data, errors and the text after Jinja of every SLS, and
// the files that templates become.
//
//	go run ./internal/formulas -expected DIR [-write docs/formulas.md] FOLDER
//	go run ./internal/formulas -expected DIR -bench apache-formula/example/apache FOLDER
//
// FOLDER holds each formula at the commit that its recording names, in a folder of its
// name. DIR holds the recordings, a file each; see recording.go for their form.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

func main() {
	expected := flag.String("expected", "", "folder of the recordings")
	grains := flag.String("grains", "", "the grains of the recordings; grains-debian12.json beside the folder by default")
	write := flag.String("write", "", "file to write the table to")
	only := flag.String("only", "", "names of formulas, with commas between them")
	verbose := flag.Bool("v", false, "show each difference")
	bench := flag.String("bench", "", "FORMULA/SCENARIO/SLS to be compiled 50 times and measured, in place of comparing")
	flag.Parse()
	if flag.NArg() != 1 || *expected == "" {
		flag.Usage()
		os.Exit(2)
	}
	if *grains == "" {
		*grains = filepath.Join(filepath.Dir(filepath.Clean(*expected)), "grains-debian12.json")
	}
	if *bench != "" {
		parts := strings.Split(*bench, "/")
		if len(parts) != 3 {
			flag.Usage()
			os.Exit(2)
		}
		if err := measure(flag.Arg(0), *expected, *grains, parts[0], parts[1], parts[2], 50); err != nil {
			fmt.Fprintln(os.Stderr, "formulas:", err)
			os.Exit(1)
		}
		return
	}
	if err := run(flag.Arg(0), *expected, *grains, *write, *only, *verbose); err != nil {
		fmt.Fprintln(os.Stderr, "formulas:", err)
		os.Exit(1)
	}
}

func run(folder, expected, grainsFile, write, only string, verbose bool) error {
	grains, err := readMap(grainsFile)
	if err != nil {
		return err
	}
	names, err := filepath.Glob(filepath.Join(expected, "*.json"))
	if err != nil {
		return err
	}
	slices.Sort(names)
	var all []*result
	failed := false
	for _, name := range names {
		formula := strings.TrimSuffix(filepath.Base(name), ".json")
		if only != "" && !slices.Contains(strings.Split(only, ","), formula) {
			continue
		}
		rec, err := readRecording(name)
		if err != nil {
			return err
		}
		dir := filepath.Join(folder, formula)
		if _, err := os.Stat(dir); err != nil {
			return fmt.Errorf("%w: fetch %s at %s there", err, rec.Repo, rec.Commit)
		}
		r, err := compare(context.Background(), rec, dir, grains, verbose)
		if err != nil {
			return fmt.Errorf("%s: %w", formula, err)
		}
		all = append(all, r)
		failed = failed || r.cells != r.equal
		fmt.Println(r)
	}
	if len(all) == 0 {
		return fmt.Errorf("no recordings in %s", expected)
	}
	fmt.Println(total(all))
	if write != "" {
		if err := os.WriteFile(write, []byte(table(all)), 0o644); err != nil {
			return err
		}
	}
	if failed {
		return fmt.Errorf("some cells differ")
	}
	return nil
}
