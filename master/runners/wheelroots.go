package runners

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/gosalt/gosalt/internal/durable"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/internal/render/saltyaml"
	"github.com/gosalt/gosalt/protocol/wire"
)

// registerWheelRoots registers what reads and writes below file_roots and pillar_roots, and
// the directory of further configuration files.
func registerWheelRoots(w *module.Registry) {
	module.Register(w, "file_roots.find", fileRootsFind)
	module.Register(w, "file_roots.list_env", fileRootsListEnv)
	module.Register(w, "file_roots.list_roots", fileRootsListRoots)
	module.Register(w, "file_roots.read", fileRootsRead)
	module.Register(w, "file_roots.write", fileRootsWrite)
	module.Register(w, "pillar_roots.find", pillarRootsFind)
	module.Register(w, "pillar_roots.list_env", pillarRootsListEnv)
	module.Register(w, "pillar_roots.list_roots", pillarRootsListRoots)
	module.Register(w, "pillar_roots.read", pillarRootsRead)
	module.Register(w, "pillar_roots.write", pillarRootsWrite)
	module.Register(w, "config.update_config", wheelUpdateConfig)
}

// maxRootFile bounds in bytes what is read or written in one call.
const maxRootFile = 16 << 20

type rootsFindArgs struct {
	Path    string // Path below the roots: "web/init.sls".
	Saltenv string `default:"base"` // The environment.
}

type rootsEnvArgs struct {
	Saltenv string `default:"base"` // The environment.
}

type rootsWriteArgs struct {
	Data    any    // The content: text.
	Path    string // Path below the root: "web/init.sls". Directories are made.
	Saltenv string `default:"base"` // The environment.
	Index   int    `default:"0"`    // Which directory of the environment, counted from 0.
}

// rootsOf are the directories of an environment.
func rootsOf(ctx context.Context, option, env string) (dirs []string, ok bool) {
	envs := callOf(ctx).r.master.Opts().Map(option)
	if envs == nil || !envs.Has(env) {
		return nil, false
	}
	for _, d := range envs.List(env) {
		dirs = append(dirs, pytext.Str(d))
	}
	return dirs, true
}

// findIn finds a file in each directory of an environment. Links do not lead out of one.
func findIn(ctx context.Context, option string, a rootsFindArgs, found func(full string, f io.Reader) error) error {
	dirs, _ := rootsOf(ctx, option, a.Saltenv)
	for _, dir := range dirs {
		root, err := os.OpenRoot(dir)
		if err != nil {
			continue // not there, or not to be read: nothing is found in it
		}
		f, err := root.Open(filepath.FromSlash(strings.TrimPrefix(a.Path, "/")))
		root.Close()
		if err != nil {
			continue
		}
		if st, serr := f.Stat(); serr == nil && st.Mode().IsRegular() {
			err = found(path.Join(dir, a.Path), f)
		}
		f.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// isText tells whether a file that begins so is text, by Salt's rule.
func isText(block []byte) bool {
	if bytes.IndexByte(block, 0) >= 0 {
		return false
	}
	if len(block) == 0 || utf8.Valid(block) {
		return true
	}
	odd := 0
	for _, b := range block {
		if (b < 32 || b > 126) && !strings.ContainsRune("\n\r\t\f\b", rune(b)) {
			odd++
		}
	}
	return float64(odd)/float64(len(block)) <= 0.30
}

func rootsFind(ctx context.Context, option string, a rootsFindArgs) ([]any, error) {
	ret := []any{}
	err := findIn(ctx, option, a, func(full string, f io.Reader) error {
		block, err := io.ReadAll(io.LimitReader(f, 512))
		if err != nil {
			return module.Failf("%w", err)
		}
		kind := "bin"
		if isText(block) {
			kind = "txt"
		}
		ret = append(ret, wire.NewMap(full, kind))
		return nil
	})
	return ret, err
}

func rootsRead(ctx context.Context, option string, a rootsFindArgs) ([]any, error) {
	ret := []any{}
	err := findIn(ctx, option, a, func(full string, f io.Reader) error {
		b, err := io.ReadAll(io.LimitReader(f, maxRootFile+1))
		if err != nil {
			return module.Failf("%w", err)
		}
		if len(b) > maxRootFile {
			return module.Failf("%s has more than %d bytes", full, maxRootFile)
		}
		if isText(b[:min(len(b), 512)]) {
			ret = append(ret, wire.NewMap(full, strings.ToValidUTF8(string(b), "\uFFFD")))
		}
		return nil
	})
	return ret, err
}

// rootsTree is what is below a directory: a map for each directory, "f" for a file. Links
// to directories are listed as these, and not followed.
func rootsTree(dir string) (*wire.Map, error) {
	tree := wire.NewMap()
	at := map[string]*wire.Map{".": tree}
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case name == ".", err != nil:
			if err != nil && name != "." {
				return fs.SkipDir // what cannot be read is empty
			}
			return nil
		}
		up, isDir := at[path.Dir(name)], d.IsDir()
		if d.Type()&fs.ModeSymlink != 0 {
			st, err := os.Stat(filepath.Join(dir, filepath.FromSlash(name)))
			if err == nil && st.IsDir() {
				up.Set(d.Name(), wire.NewMap())
				return nil
			}
		}
		if isDir {
			at[name] = wire.NewMap()
			up.Set(d.Name(), at[name])
		} else {
			up.Set(d.Name(), "f")
		}
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return tree, err
}

func rootsListEnv(ctx context.Context, option, env string) (*wire.Map, error) {
	ret := wire.NewMap()
	dirs, _ := rootsOf(ctx, option, env)
	for _, dir := range dirs {
		tree, err := rootsTree(dir)
		if err != nil {
			return nil, module.Failf("%w", err)
		}
		ret.Set(dir, tree)
	}
	return ret, nil
}

func rootsListRoots(ctx context.Context, option string) (*wire.Map, error) {
	ret := wire.NewMap()
	for env := range callOf(ctx).r.master.Opts().Map(option).Strings() {
		tree, err := rootsListEnv(ctx, option, env)
		if err != nil {
			return nil, err
		}
		ret.Set(env, []any{tree})
	}
	return ret, nil
}

func rootsWrite(ctx context.Context, option string, a rootsWriteArgs) (string, error) {
	dirs, ok := rootsOf(ctx, option, a.Saltenv)
	switch {
	case !ok:
		return fmt.Sprintf("Named environment %s is not present", a.Saltenv), nil
	case a.Index < 0 || a.Index >= len(dirs):
		return fmt.Sprintf("Specified index %d in environment %s is not present", a.Index, a.Saltenv), nil
	case path.IsAbs(a.Path):
		return fmt.Sprintf("The path passed in %s is not relative to the environment %s", a.Path, a.Saltenv), nil
	case !filepath.IsLocal(filepath.FromSlash(a.Path)) || path.Clean(a.Path) == ".":
		return "Invalid path: " + a.Path, nil
	}
	data := pytext.Str(a.Data)
	if len(data) > maxRootFile {
		return "", module.Failf("the data have %d bytes: %d are allowed", len(data), maxRootFile)
	}
	root, err := os.OpenRoot(dirs[a.Index])
	if err != nil {
		return "", module.Failf("%w", err)
	}
	defer root.Close()
	name := path.Clean(a.Path)
	if err := root.MkdirAll(path.Dir(name), 0o755); err != nil {
		return "", module.Failf("%w", err)
	}
	if err := writeInRoot(root, name, data); err != nil {
		return "", module.Failf("%w", err)
	}
	return "Wrote data to file " + path.Join(dirs[a.Index], a.Path), nil
}

// writeInRoot writes a file that takes its name when it is whole.
func writeInRoot(root *os.Root, name, data string) error {
	mode := fs.FileMode(0o644)
	if st, err := root.Stat(name); err == nil {
		if !st.Mode().IsRegular() {
			return &fs.PathError{Op: "write", Path: name, Err: errors.New("it is no file")}
		}
		mode = st.Mode().Perm()
	}
	tmp := path.Join(path.Dir(name), "."+path.Base(name)+".gosalt-new")
	f, err := root.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, mode)
	if err != nil {
		return err
	}
	_, err = io.WriteString(f, data)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = root.Rename(tmp, name)
	}
	if err != nil {
		root.Remove(tmp)
	}
	return err
}

// fileRootsFind lists the files of that path in file_roots, and whether each is text.
//
//	gosalt-run salt.wheel file_roots.find web/init.sls
func fileRootsFind(ctx context.Context, c *module.Call, a rootsFindArgs) ([]any, error) {
	return rootsFind(ctx, "file_roots", a)
}

// fileRootsListEnv returns all that is below the directories of an environment.
//
//	gosalt-run salt.wheel file_roots.list_env
func fileRootsListEnv(ctx context.Context, c *module.Call, a rootsEnvArgs) (*wire.Map, error) {
	return rootsListEnv(ctx, "file_roots", a.Saltenv)
}

type rootsNoArgs struct{}

// fileRootsListRoots returns all that is below the directories of each environment.
//
//	gosalt-run salt.wheel file_roots.list_roots
func fileRootsListRoots(ctx context.Context, c *module.Call, _ rootsNoArgs) (*wire.Map, error) {
	return rootsListRoots(ctx, "file_roots")
}

// fileRootsRead returns the text of each file of that path; others are left out.
//
//	gosalt-run salt.wheel file_roots.read web/init.sls
func fileRootsRead(ctx context.Context, c *module.Call, a rootsFindArgs) ([]any, error) {
	return rootsRead(ctx, "file_roots", a)
}

// fileRootsWrite writes a file below file_roots. No path and no link leads out of there.
//
//	gosalt-run salt.wheel file_roots.write 'test.nop: []' web/init.sls
func fileRootsWrite(ctx context.Context, c *module.Call, a rootsWriteArgs) (string, error) {
	return rootsWrite(ctx, "file_roots", a)
}

// pillarRootsFind lists the files of that path in pillar_roots, and whether each is text.
//
//	gosalt-run salt.wheel pillar_roots.find top.sls
func pillarRootsFind(ctx context.Context, c *module.Call, a rootsFindArgs) ([]any, error) {
	return rootsFind(ctx, "pillar_roots", a)
}

// pillarRootsListEnv returns all that is below the directories of an environment.
//
//	gosalt-run salt.wheel pillar_roots.list_env
func pillarRootsListEnv(ctx context.Context, c *module.Call, a rootsEnvArgs) (*wire.Map, error) {
	return rootsListEnv(ctx, "pillar_roots", a.Saltenv)
}

// pillarRootsListRoots returns all that is below the directories of each environment.
//
//	gosalt-run salt.wheel pillar_roots.list_roots
func pillarRootsListRoots(ctx context.Context, c *module.Call, _ rootsNoArgs) (*wire.Map, error) {
	return rootsListRoots(ctx, "pillar_roots")
}

// pillarRootsRead returns the text of each file of that path; others are left out.
//
//	gosalt-run salt.wheel pillar_roots.read top.sls
func pillarRootsRead(ctx context.Context, c *module.Call, a rootsFindArgs) ([]any, error) {
	return rootsRead(ctx, "pillar_roots", a)
}

// pillarRootsWrite writes a file below pillar_roots. No path and no link leads out of there.
//
//	gosalt-run salt.wheel pillar_roots.write 'a: 1' a.sls
func pillarRootsWrite(ctx context.Context, c *module.Call, a rootsWriteArgs) (string, error) {
	return rootsWrite(ctx, "pillar_roots", a)
}

type wheelUpdateConfigArgs struct {
	FileName     string // Name of the file in master.d, without its end: "gui".
	YAMLContents any    `arg:"yaml_contents"` // Its content: a map of options.
}

// wheelUpdateConfig writes a file of options into the directory of default_include, mostly
// master.d. The master reads it when it is started again.
//
//	gosalt-run salt.wheel config.update_config gui '{timeout: 10}'
func wheelUpdateConfig(ctx context.Context, c *module.Call, a wheelUpdateConfigArgs) (string, error) {
	name := a.FileName + ".conf"
	if a.FileName == "" || name != filepath.Base(name) || strings.HasPrefix(name, ".") {
		return "Invalid path", nil
	}
	if m, ok := a.YAMLContents.(*wire.Map); !ok || m.Len() == 0 {
		return "", module.Invalidf("yaml_contents is %s: a map of options is expected", wire.TypeName(a.YAMLContents))
	}
	text := saltyaml.YAML(a.YAMLContents, false)
	opts := callOf(ctx).r.master.Opts()
	dir := filepath.Join(filepath.Dir(opts.Text("conf_file")), filepath.Dir(opts.Text("default_include")))
	if !slices.Contains([]string{"", "."}, filepath.Dir(opts.Text("default_include"))) {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return "", module.Failf("%w", err)
		}
	}
	if err := durable.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		return "", module.Failf("%w", err)
	}
	return "Wrote " + name, nil
}
