package modules

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/gosalt/gosalt/internal/agent"
	"github.com/gosalt/gosalt/internal/config"
	"github.com/gosalt/gosalt/internal/durable"
	"github.com/gosalt/gosalt/internal/module"
)

// bootRecord is what bootstrap.install has made, so that bootstrap.remove takes away that
// and nothing else.
type bootRecord struct {
	Config    string   `json:"config"`               // the configuration; "" where nothing is installed
	Program   string   `json:"program"`              // gosalt-minion
	Owned     []string `json:"owned,omitempty"`      // the program and its links, where they were not there before
	Keys      []string `json:"keys,omitempty"`       // the minion's, likewise
	MasterKey string   `json:"master_key,omitempty"` // the pinned one
	Join      string   `json:"join,omitempty"`       // what a join that was broken off may have left
	Service   bool     `json:"service,omitempty"`    // it was about to be installed, or is
	Files     []string `json:"files,omitempty"`      // of the service
	Dirs      []string `json:"dirs,omitempty"`       // that were made, those above first
}

var bootRecordFile = filepath.Join(config.DefaultDir, "gosalt-bootstrap.json")

func readBootRecord() (r bootRecord, err error) {
	b, err := os.ReadFile(bootRecordFile)
	if errors.Is(err, os.ErrNotExist) {
		return r, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &r)
	}
	if err != nil {
		return r, module.Failf("what an earlier bootstrap did cannot be read: %w; remove %s to begin anew", err, bootRecordFile)
	}
	return r, nil
}

func (r *bootRecord) write() error {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	b = append(b, '\n')
	if old, err := os.ReadFile(bootRecordFile); err == nil && bytes.Equal(old, b) {
		return nil
	}
	return whyNot("what was done cannot be noted", durable.WriteFile(bootRecordFile, b, 0o600))
}

func (r *bootRecord) owns(name string) { r.Owned = addOnce(r.Owned, name) }

func addOnce(list []string, s string) []string {
	if slices.Contains(list, s) {
		return list
	}
	return append(list, s)
}

// whyNot makes an error of the file system one that says what to do.
func whyNot(what string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return module.Failf("%s: %w; free some space there", what, err)
	case errors.Is(err, syscall.EROFS):
		return module.Failf("%s: %w; a minion needs %s to be writable", what, err, config.DefaultDir)
	}
	return module.Failf("%s: %w", what, err)
}

// makeDirs makes a directory and those above it, and notes those that were missing.
func (b *bootstrap) makeDirs(dir string) error {
	var missing []string
	for d := dir; ; d = filepath.Dir(d) {
		if _, err := os.Stat(d); err == nil || d == "/" {
			break
		}
		missing = append(missing, d)
	}
	for _, d := range slices.Backward(missing) {
		if err := os.Mkdir(d, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
			return whyNot("a directory cannot be made", err)
		}
		b.record.Dirs = addOnce(b.record.Dirs, d)
	}
	return nil
}

// write makes a file hold a text, and tells whether it did not.
func (b *bootstrap) write(name, text string, mode os.FileMode) (changed bool, err error) {
	st, err := os.Stat(name)
	if err == nil && st.Mode().Perm() == mode {
		if old, err := os.ReadFile(name); err == nil && string(old) == text {
			return false, nil
		}
	}
	return true, whyNot("a file cannot be written", durable.WriteFile(name, []byte(text), mode))
}

// bootPrograms are the directories for the program, in the order in which they are tried.
var bootPrograms = []string{"/usr/local/bin", "/opt/gosalt/bin", "/var/lib/gosalt/bin"}

// installProgram puts this very program where the service finds it.
func (b *bootstrap) installProgram(ctx context.Context) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	want, err := agent.Sum(self)
	if err != nil {
		return err
	}
	dirs := bootPrograms
	if b.record.Program != "" { // where it was put before
		dirs = append([]string{filepath.Dir(b.record.Program)}, dirs...)
	}
	var tried []string
	for _, dir := range dirs {
		name := filepath.Join(dir, "gosalt-minion")
		if have, err := agent.Sum(name); err == nil && have == want && runs(ctx, name) == nil {
			b.record.Program = name
			return nil
		}
		was := "installed"
		if _, err := os.Lstat(name); err == nil {
			was = "replaced by another version"
		}
		if err := b.makeDirs(dir); err != nil {
			tried = append(tried, dir+": "+rootCause(err))
			continue
		}
		// What is about to be made is noted first: a run that is cut off leaves nothing of
		// which bootstrap.remove does not know.
		before := b.record
		b.record.Program = name
		b.record.owns(name)
		link := filepath.Join(dir, "gosalt-call")
		_, missing := os.Lstat(link)
		if errors.Is(missing, os.ErrNotExist) {
			b.record.owns(link)
		}
		if err := b.begin(); err != nil {
			return err
		}
		if err := b.copyProgram(ctx, self, dir, name); err != nil {
			tried = append(tried, dir+": "+rootCause(err))
			before.Dirs = b.record.Dirs
			b.record = before
			continue
		}
		if errors.Is(missing, os.ErrNotExist) {
			_ = os.Symlink("gosalt-minion", link)
		}
		b.changes.Set("program", name+" "+was)
		b.stale = true
		return nil
	}
	if err := b.begin(); err != nil {
		return err
	}
	return module.Failf("there is no place for the program: %s; free some space there, or make one of them writable", strings.Join(tried, "; "))
}

// begin notes on the machine what will have been made, before it is.
func (b *bootstrap) begin() error {
	if err := b.makeDirs(filepath.Dir(bootRecordFile)); err != nil {
		return err
	}
	b.record.Config = bootConfig
	return b.record.write()
}

// rootCause is the innermost text of an error: the path has been said.
func rootCause(err error) string {
	var no syscall.Errno
	if errors.As(err, &no) {
		return no.Error()
	}
	return err.Error()
}

// copyProgram copies the program into a directory, and gives it its name when it has run.
func (b *bootstrap) copyProgram(ctx context.Context, self, dir, name string) (err error) {
	// Those that were cut off have left theirs, with the number of their process.
	const mark = ".gosalt-minion."
	old, _ := filepath.Glob(filepath.Join(dir, mark+"*"))
	for _, o := range old {
		if pid, err := strconv.Atoi(strings.TrimPrefix(filepath.Base(o), mark)); err == nil && (pid == os.Getpid() || errors.Is(syscall.Kill(pid, 0), syscall.ESRCH)) {
			_ = os.Remove(o)
		}
	}
	from, err := os.Open(self)
	if err != nil {
		return err
	}
	defer from.Close()
	f, err := os.OpenFile(filepath.Join(dir, mark+strconv.Itoa(os.Getpid())), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o700)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	_, err = io.Copy(f, from)
	err = errors.Join(err, f.Chmod(0o755), f.Sync(), f.Close())
	if err != nil {
		return err
	}
	if err := runs(ctx, f.Name()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), name); err != nil {
		return err
	}
	if tool := whichProgram("restorecon"); tool != "" {
		_ = exec.CommandContext(ctx, tool, "-F", name).Run()
	}
	return nil
}

// runs tells whether a program can be run where it is.
func runs(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, name, "--version").CombinedOutput()
	if errors.Is(err, syscall.EACCES) {
		return errors.New("programs may not run there")
	}
	if err != nil {
		return fmt.Errorf("the program does not run there: %w: %.200s", err, bytes.TrimSpace(out))
	}
	return nil
}

// undo removes what the record says, and returns the minion's public key as it was.
func (b *bootstrap) undo(ctx context.Context, cache bool) (pub string, err error) {
	r := &b.record
	if r.Config == "" {
		return "", nil
	}
	b.cfg, err = installedConfig()
	if err != nil {
		b.c.Log.Warn("the configuration cannot be read any more: what the minion kept is not removed", "error", err)
		b.cfg = nil
	} else if text, err := os.ReadFile(filepath.Join(b.cfg.PKIDir, "minion.pub")); err == nil {
		pub = string(text)
	}
	if r.Service || len(r.Files) > 0 {
		if err := b.service.remove(ctx); err != nil {
			return pub, err
		}
		b.changes.Set("service", "removed")
	}
	var errs []error
	gone := func(what string, names ...string) {
		for _, name := range names {
			if name == "" {
				continue
			}
			switch err := os.Remove(name); {
			case err == nil:
				b.changes.Set(what, "removed")
			case !errors.Is(err, os.ErrNotExist):
				errs = append(errs, err)
			}
		}
	}
	gone("program", r.Owned...)
	gone("keys", append(slices.Clone(r.Keys), r.MasterKey)...)
	gone("config", r.Config, r.Join)
	if cache && b.cfg != nil {
		if strings.Count(filepath.Clean(b.cfg.CacheDir), "/") > 1 { // never a whole file system
			errs = append(errs, os.RemoveAll(b.cfg.CacheDir))
		}
		gone("log", b.cfg.LogFile)
		for _, dir := range []string{filepath.Dir(b.cfg.CacheDir), b.cfg.SockDir, filepath.Dir(b.cfg.LogFile)} {
			_ = os.Remove(dir) // where nothing else is in it
		}
		b.changes.Set("cache", "removed")
	}
	if err := errors.Join(errs...); err != nil {
		return pub, module.Failf("not all could be removed: %w; run it again when that is mended", err)
	}
	gone("record", bootRecordFile)
	b.changes.Delete("record")
	for _, dir := range slices.Backward(r.Dirs) {
		_ = os.Remove(dir) // where nothing else is in it
	}
	return pub, nil
}
