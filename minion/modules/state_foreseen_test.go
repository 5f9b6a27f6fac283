//go:build linux

package modules

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gosalt/gosalt/internal/fileclient"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

// TestForeseen runs recorded trees with test=True and then for real, and holds what was
// foretold to what was done: test=True does nothing; what was said to be fine changes
// nothing; what was said to change changes something, or fails. What depends on how
// commands of the run end is told by the comment, before or afterwards (circumstance).
func TestForeseen(t *testing.T) {
	for _, tree := range readRecordedSLS(t, "testdata/sls_files.json.gz") {
		t.Run(fmt.Sprint(tree.Seed), func(t *testing.T) {
			t.Parallel()
			foreseen(t, &tree)
		})
	}
}

func foreseen(t *testing.T, tree *slsRecording) {
	dir := t.TempDir()
	files := map[string]string{}
	for name, text := range tree.Files {
		files[name] = strings.ReplaceAll(text, "{R}", dir)
	}
	c := statesCall(t, files)
	c.Kinds = map[string]func() *module.Registry{"states": States}
	c.CacheDir = t.TempDir()
	c.Files = &fileclient.Fetcher{Client: c.FileServer, Cache: fileclient.Cache{Dir: t.TempDir()}}
	kwargs, _ := fromJSON(t, tree.KW).(*wire.Map)
	do := func(test bool) *wire.Map {
		kw := kwargs.Clone()
		kw.Set("test", test)
		res, _ := New().Run(context.Background(), c, "state.sls", fromJSON(t, tree.Args).([]any), kw).Return.(*wire.Map)
		return res
	}
	plan := do(true)
	if plan == nil {
		return // it does not compile
	}
	if made, _ := filepath.Glob(filepath.Join(dir, "*")); len(made) > 0 {
		t.Errorf("test=True has made %v", made)
	}
	for tag, v := range do(false).Strings() {
		done, ok := v.(*wire.Map)
		if !ok {
			continue
		}
		result, changed := field(done, "result"), done.Map("changes").Len() > 0
		p := plan.Map(tag)
		wrong := ""
		switch {
		case p == nil && changed:
			wrong = "was not foretold"
		case p == nil || circumstance(p) || circumstance(done):
		case field(p, "result") == true && p.Map("changes").Len() == 0 && changed:
			wrong = "was to have nothing to do"
		case field(p, "result") == nil && result == true && !changed:
			wrong = "was to change something"
		case field(p, "result") == false && result != false:
			wrong = "was to fail"
		}
		if wrong != "" {
			t.Errorf("%s %s\nforetold %s\ndone     %s", tag, wrong, pytext.Repr(p), pytext.Repr(done))
		}
	}
}

// circumstance tells whether a result is not the state's own, but what the requisites and
// conditions of the tree came to when its turn was there. What a command says of itself
// (stateful) is known when it has run.
func circumstance(res *wire.Map) bool {
	comment := res.Text("comment")
	for _, words := range []string{"State was not run because", "One or more requisite failed", "onlyif condition", "unless condition",
		"No changes detected", "Recursive requisite found", "check_cmd determined", "All files in creates exist", " exists"} {
		if strings.Contains(comment, words) {
			return true
		}
	}
	return comment == "" && strings.HasPrefix(res.Text("name"), "echo ")
}
