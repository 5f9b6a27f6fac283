package files

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/gosalt/gosalt/protocol/wire"
)

// Recv takes a piece of a file that a minion pushes, into a directory of its own. It is
// false for what is not taken, with the reason as an error.
func (f *Files) Recv(id wire.MinionID, load *wire.Map) (bool, error) {
	if !f.cfg.FileRecv {
		return false, &wire.Error{Kind: wire.Forbidden, Op: wire.CmdFileRecv, Msg: "minions may not send files: set file_recv: True in the master's configuration to allow it"}
	}
	r, err := wire.FileRecvFromMap(load)
	if err != nil {
		return false, err
	}
	limit := int64(f.cfg.FileRecvMaxSize) << 20
	if end := r.Loc + int64(len(r.Data)); end > limit || r.Size > limit || end < r.Loc {
		return false, &wire.Error{Kind: wire.Forbidden, Op: wire.CmdFileRecv, Msg: fmt.Sprintf("the file is larger than file_recv_max_size (%d MiB)", f.cfg.FileRecvMaxSize)}
	}
	if err := f.store(id, r); err != nil {
		return false, fmt.Errorf("keep a file of %s: %w", id, err)
	}
	if r.Loc == 0 {
		f.log.Info("minion sends a file", "minion", id, "path", filepath.Join(r.Path...), "size", r.Size)
	}
	return true, nil
}

// store writes a piece. Links that someone put into the directory lead nowhere: all
// steps are taken inside of it.
func (f *Files) store(id wire.MinionID, r *wire.FileRecv) error {
	dir := minionFiles(f.cfg.CacheDir, id)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	name := filepath.Join(r.Path...)
	if parent := filepath.Dir(name); parent != "." {
		if err := root.MkdirAll(parent, 0o700); err != nil {
			return err
		}
	}
	flags := os.O_WRONLY | os.O_CREATE
	if r.Loc == 0 {
		flags |= os.O_TRUNC
	}
	if fi, err := root.Lstat(name); err == nil && !fi.Mode().IsRegular() {
		return fmt.Errorf("%s is no regular file", name)
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	w, err := root.OpenFile(name, flags, 0o600)
	if err != nil {
		return err
	}
	defer w.Close()
	if fi, err := w.Stat(); err != nil {
		return err
	} else if fi.Size() < r.Loc {
		return fmt.Errorf("a piece at %d, but only %d bytes came before it", r.Loc, fi.Size())
	}
	if _, err := w.WriteAt(r.Data, r.Loc); err != nil {
		return err
	}
	return w.Close()
}
