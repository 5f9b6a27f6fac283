package runners

import (
	"context"
	"strings"

	"github.com/gosalt/gosalt/internal/fileserver"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

// FileServer is the master's file server, as runners use it. Names of backends choose
// some of them; none are all.
type FileServer interface {
	// Files finds and lists the files.
	Files() *fileserver.Server
	// UpdateFiles brings backends up to date: of those with remotes the ones whose
	// address contains a text.
	UpdateFiles(ctx context.Context, backends []string, remote string) error
	// ForgetFiles drops lists from memory, and returns the environments by backend.
	ForgetFiles(backends, envs []string) *wire.Map
	// ClearFiles removes what backends keep on the disk.
	ClearFiles(backends []string) (cleared, failed []string)
	// LockFiles keeps remotes from being updated, or lets them be again.
	LockFiles(backends []string, remote string, on bool) (done, failed []string)
}

func registerFileserver(r *module.Registry) {
	module.Register(r, "fileserver.envs", fileserverEnvs)
	module.Register(r, "fileserver.file_list", fileserverFileList)
	module.Register(r, "fileserver.dir_list", fileserverDirList)
	module.Register(r, "fileserver.empty_dir_list", fileserverEmptyDirList)
	module.Register(r, "fileserver.symlink_list", fileserverSymlinkList)
	module.Register(r, "fileserver.update", fileserverUpdate)
	module.Register(r, "fileserver.clear_file_list_cache", fileserverClearFileListCache)
	module.Register(r, "fileserver.clear_cache", fileserverClearCache)
	module.Register(r, "fileserver.lock", fileserverLock)
	module.Register(r, "fileserver.clear_lock", fileserverClearLock)
}

// backendNames reads names of backends: a list, or a text with commas. "git" is gitfs.
func backendNames(v any) []string {
	var names []string
	switch v := v.(type) {
	case nil:
	case []any:
		for _, n := range v {
			names = append(names, backendNames(n)...)
		}
	default:
		for _, n := range strings.Split(pytext.Str(v), ",") {
			n = strings.TrimSpace(n)
			bare, minus := strings.CutPrefix(n, "-")
			switch bare {
			case "git", "minion", "s3":
				bare += "fs"
			}
			if minus {
				bare = "-" + bare
			}
			if bare != "" {
				names = append(names, bare)
			}
		}
	}
	return names
}

type fileserverEnvsArgs struct {
	Backend any  `default:"None"`  // Only of these backends: a list, or a text with commas. A minus sign leaves one out.
	Sources bool `default:"False"` // Tell which backend has which.
}

// fileserverEnvs lists the environments of the file server.
//
//	gosalt-run fileserver.envs
//	gosalt-run fileserver.envs backend=roots,git
func fileserverEnvs(ctx context.Context, _ *module.Call, a fileserverEnvsArgs) (any, error) {
	s := callOf(ctx).r.master.Files()
	names := backendNames(a.Backend)
	if !a.Sources {
		envs, err := s.Envs(ctx, names)
		return texts(envs), err
	}
	out := wire.NewMap()
	for _, b := range s.Backends(names) {
		envs, err := b.Envs(ctx)
		if err != nil {
			return nil, module.Failf("%s: %w", b.Name(), err)
		}
		out.Set(b.Name(), texts(envs))
	}
	return out, nil
}

func texts(list []string) []any {
	out := make([]any, len(list))
	for i, s := range list {
		out[i] = s
	}
	return out
}

type fileserverListArgs struct {
	Saltenv string `default:"base"` // Environment.
	Backend any    `default:"None"` // Only of these backends: a list, or a text with commas.
}

func fileserverList(ctx context.Context, k fileserver.Kind, a fileserverListArgs) (any, error) {
	list, err := callOf(ctx).r.master.Files().List(ctx, k, a.Saltenv, "", backendNames(a.Backend))
	if err != nil {
		return nil, module.Failf("%w", err)
	}
	return texts(list), nil
}

// fileserverFileList lists the files of an environment.
//
//	gosalt-run fileserver.file_list
//	gosalt-run fileserver.file_list saltenv=prod backend=roots
func fileserverFileList(ctx context.Context, _ *module.Call, a fileserverListArgs) (any, error) {
	return fileserverList(ctx, fileserver.Files, a)
}

// fileserverDirList lists the directories of an environment.
//
//	gosalt-run fileserver.dir_list saltenv=prod
func fileserverDirList(ctx context.Context, _ *module.Call, a fileserverListArgs) (any, error) {
	return fileserverList(ctx, fileserver.Dirs, a)
}

// fileserverEmptyDirList lists the directories of an environment that are empty.
//
//	gosalt-run fileserver.empty_dir_list saltenv=prod
func fileserverEmptyDirList(ctx context.Context, _ *module.Call, a fileserverListArgs) (any, error) {
	return fileserverList(ctx, fileserver.EmptyDirs, a)
}

// fileserverSymlinkList lists the symbolic links of an environment, and where they
// point.
//
//	gosalt-run fileserver.symlink_list saltenv=prod
func fileserverSymlinkList(ctx context.Context, _ *module.Call, a fileserverListArgs) (any, error) {
	links, err := callOf(ctx).r.master.Files().Symlinks(ctx, a.Saltenv, "", backendNames(a.Backend))
	if err != nil {
		return nil, module.Failf("%w", err)
	}
	return links, nil
}

type fileserverUpdateArgs struct {
	Backend any    `default:"None"`                  // Only these backends: a list, or a text with commas.
	Remotes string `default:"None" arg:"remotes,kw"` // Of backends with remotes, only those whose address contains this.
}

// fileserverUpdate brings the file server up to date: repositories are fetched now,
// lists are made anew.
//
//	gosalt-run fileserver.update
//	gosalt-run fileserver.update backend=git remotes=example.com
func fileserverUpdate(ctx context.Context, _ *module.Call, a fileserverUpdateArgs) (any, error) {
	if err := callOf(ctx).r.master.UpdateFiles(ctx, backendNames(a.Backend), a.Remotes); err != nil {
		return nil, module.Failf("%w", err)
	}
	return true, nil
}

type fileserverForgetArgs struct {
	Saltenv any `default:"None"` // Only of these environments: a list, or a text with commas.
	Backend any `default:"None"` // Only of these backends, likewise.
}

// fileserverClearFileListCache drops lists of files from memory, so that they are
// made anew when they are asked for, and returns whose they were.
//
//	gosalt-run fileserver.clear_file_list_cache
//	gosalt-run fileserver.clear_file_list_cache saltenv=base,prod
func fileserverClearFileListCache(ctx context.Context, _ *module.Call, a fileserverForgetArgs) (any, error) {
	var envs []string
	if a.Saltenv != nil {
		envs = []string{}
		switch v := a.Saltenv.(type) {
		case []any:
			for _, e := range v {
				envs = append(envs, pytext.Str(e))
			}
		default:
			for _, e := range strings.Split(pytext.Str(v), ",") {
				envs = append(envs, strings.TrimSpace(e))
			}
		}
	}
	return callOf(ctx).r.master.ForgetFiles(backendNames(a.Backend), envs), nil
}

type fileserverBackendArgs struct {
	Backend any `default:"None"` // Only these backends: a list, or a text with commas.
}

// fileserverClearCache removes what backends keep on the disk of their remotes; they
// are fetched anew.
//
//	gosalt-run fileserver.clear_cache backend=git
func fileserverClearCache(ctx context.Context, _ *module.Call, a fileserverBackendArgs) (any, error) {
	done, failed := callOf(ctx).r.master.ClearFiles(backendNames(a.Backend))
	return doneOr("cleared", done, failed, "No cache was cleared"), nil
}

// doneOr is Salt's form of what was done and what failed.
func doneOr(word string, done, failed []string, nothing string) any {
	if len(done)+len(failed) == 0 {
		return nothing
	}
	m := wire.NewMap()
	if len(done) > 0 {
		m.Set(word, texts(done))
	}
	if len(failed) > 0 {
		m.Set("errors", texts(failed))
	}
	return m
}

type fileserverLockArgs struct {
	Backend any    `default:"None"` // Only these backends: a list, or a text with commas.
	Remote  string `default:"None"` // Only remotes whose address contains this.
}

// fileserverLock keeps remotes of the file server from being updated.
//
//	gosalt-run fileserver.lock backend=git remote=example.com
func fileserverLock(ctx context.Context, _ *module.Call, a fileserverLockArgs) (any, error) {
	done, failed := callOf(ctx).r.master.LockFiles(backendNames(a.Backend), a.Remote, true)
	return doneOr("locked", done, failed, "No locks were set"), nil
}

// fileserverClearLock lets remotes be updated again.
//
//	gosalt-run fileserver.clear_lock
func fileserverClearLock(ctx context.Context, _ *module.Call, a fileserverLockArgs) (any, error) {
	done, failed := callOf(ctx).r.master.LockFiles(backendNames(a.Backend), a.Remote, false)
	return doneOr("cleared", done, failed, "No locks were removed"), nil
}
