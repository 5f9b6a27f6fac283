package gosalt_test

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// A command's start is most of what a user waits for, and most of that is what packages
// do before main: the heap that they fill is the measure here, as it does not depend on
// how busy the machine is.
func TestStartsLean(t *testing.T) {
	for _, c := range []struct {
		program string
		ours    int // kB that the packages of this module may allocate
		all     int // kB that all packages may
	}{
		// The SDKs of the inventory take 1.7 MB of it (AWS 0.75, Docker's reference and digest
		// 0.5, Kubernetes 0.4): who runs a command pays for what only the master uses.
		// The race detector adds up to 0.4 MB, as pools forget there.
		{"gosalt", 270, 3100},
		{"gosalt-minion", 240, 700},
	} {
		cmd := exec.Command(filepath.Join(bin, c.program), "--version")
		cmd.Env = append(cmd.Environ(), "GODEBUG=inittrace=1")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", c.program, err, out)
		}
		ours, all, most := 0, 0, []string{}
		for _, m := range initTrace.FindAllStringSubmatch(string(out), -1) {
			n, _ := strconv.Atoi(m[2])
			all += n
			if strings.HasPrefix(m[1], module) {
				ours += n
			}
			if n >= 16<<10 {
				most = append(most, fmt.Sprintf("%s %d kB", m[1], n>>10))
			}
		}
		if all == 0 {
			t.Fatalf("%s told nothing of its start:\n%s", c.program, out)
		}
		if ours >>= 10; ours > c.ours {
			t.Errorf("%s: our packages allocate %d kB before main, at most %d kB is wanted: make what you added when it is first used (sync.OnceValue, lazyre.New)\n%s",
				c.program, ours, c.ours, strings.Join(most, "\n"))
		}
		if all >>= 10; all > c.all {
			t.Errorf("%s: all packages allocate %d kB before main, at most %d kB is wanted\n%s", c.program, all, c.all, strings.Join(most, "\n"))
		}
	}
}

var initTrace = regexp.MustCompile(`(?m)^init (\S+) @.* (\d+) bytes,`)

// Expressions of packages are compiled when they are first used, so this test is what
// sees that each can be compiled; and that none is compiled before main after all.
func TestExpressions(t *testing.T) {
	seen := 0
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "testdata" || d.Name() == "bin" || strings.HasPrefix(d.Name(), ".") && name != "."):
			return filepath.SkipDir
		case !strings.HasSuffix(name, ".go"), strings.HasSuffix(name, "_test.go"), strings.HasPrefix(name, filepath.FromSlash("internal/testproc/")):
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil || !bytes.Contains(text, []byte("lazyre.New(")) && !bytes.Contains(text, []byte("regexp.MustCompile")) {
			return err
		}
		files := token.NewFileSet()
		f, err := parser.ParseFile(files, name, text, 0)
		if err != nil {
			return err
		}
		for _, decl := range f.Decls {
			vars, ok := decl.(*ast.GenDecl)
			if !ok || vars.Tok != token.VAR {
				continue
			}
			ast.Inspect(vars, func(n ast.Node) bool {
				if _, later := n.(*ast.FuncLit); later {
					return false
				}
				call, ok := n.(*ast.CallExpr)
				if !ok || len(call.Args) == 0 {
					return true
				}
				fun, ok := call.Fun.(*ast.SelectorExpr)
				if !ok {
					return true
				}
				switch pkg, _ := fun.X.(*ast.Ident); {
				case pkg == nil:
				case pkg.Name == "regexp" && strings.HasPrefix(fun.Sel.Name, "MustCompile"):
					t.Errorf("%s: compiled before main: lazyre.New compiles it when it is first used", files.Position(call.Pos()))
				case pkg.Name == "lazyre" && fun.Sel.Name == "New":
					seen++
					expr, err := literal(call.Args[0])
					if err == nil {
						_, err = regexp.Compile(expr)
					}
					if err != nil {
						t.Errorf("%s: %v", files.Position(call.Pos()), err)
					}
				}
				return true
			})
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if seen < 50 {
		t.Errorf("only %d expressions were found", seen)
	}
}

// literal is the text of a literal, or of several that are added.
func literal(e ast.Expr) (string, error) {
	switch e := e.(type) {
	case *ast.BasicLit:
		return strconv.Unquote(e.Value)
	case *ast.BinaryExpr:
		x, err := literal(e.X)
		if err != nil {
			return "", err
		}
		y, err := literal(e.Y)
		return x + y, err
	}
	return "", fmt.Errorf("an expression in quotes is expected")
}
