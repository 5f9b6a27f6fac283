//go:build unix

package modules

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gosalt/gosalt/internal/host"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

func init() {
	register("file.list_backups", fileListBackups)
	alias("file.list_backup", "file.list_backups")
	register("file.list_backups_dir", fileListBackupsDir)
	register("file.restore_backup", fileRestoreBackup)
	register("file.delete_backup", fileDeleteBackup)
	alias("file.remove_backup", "file.delete_backup")
}

// The names of copies have a time with microseconds behind them, as those of Salt do:
// hosts_Thu_Nov_26_23:59:01_123456_2026.
const backupStamp = "Mon_Jan_02_15:04:05.000000_2006"

// backupRoot is where copies of changed files are kept.
func backupRoot(c *module.Call) string {
	if dir := c.Opts.Text("cachedir"); dir != "" {
		return filepath.Join(dir, "file_backup")
	}
	return filepath.Join(c.CacheDir, "file_backup")
}

// backupFile keeps a copy of a file that is about to change.
func backupFile(c *module.Call, path string) error {
	if c.Host.Rehearses() {
		return nil
	}
	st, err := c.Host.Info(path, true)
	if err != nil {
		return err
	}
	stamp := strings.Replace(time.Now().Format(backupStamp), ".", "_", 1)
	dest := filepath.Join(backupRoot(c), filepath.Dir(path), filepath.Base(path)+"_"+stamp)
	if err := os.MkdirAll(c.Host.Path(filepath.Dir(dest)), 0o755); err != nil {
		return err
	}
	if err := c.Host.CopyFile(path, dest, false); err != nil {
		return err
	}
	if err := c.Host.SetOwner(dest, st.UID, st.GID, true); err != nil && os.Geteuid() == 0 {
		return err
	}
	return c.Host.Chmod(dest, st.Mode)
}

// backup is a copy that is kept.
type backup struct {
	at       time.Time
	size     int64
	location string
}

// backupsOf lists the copies of a file, the newest first.
func backupsOf(c *module.Call, dir, base string) []backup {
	entries, err := os.ReadDir(c.Host.Path(dir))
	if err != nil {
		return nil
	}
	var out []backup
	for _, e := range entries {
		stamp, ok := strings.CutPrefix(e.Name(), base+"_")
		if !ok || !c.Host.IsFile(filepath.Join(dir, e.Name())) {
			continue
		}
		i := strings.LastIndexByte(stamp, '_')
		if i < 0 {
			continue
		}
		j := strings.LastIndexByte(stamp[:i], '_')
		if j < 0 {
			continue
		}
		at, err := time.ParseInLocation(backupStamp, stamp[:j]+"."+stamp[j+1:], time.Local)
		if err != nil {
			continue
		}
		b := backup{at: at, location: filepath.Join(dir, e.Name())}
		if st, err := c.Host.Info(b.location, true); err == nil {
			b.size = st.Size
		}
		out = append(out, b)
	}
	slices.SortFunc(out, func(x, y backup) int { return y.at.Compare(x.at) })
	return out
}

func numbered(list []backup, limit int) *wire.Map {
	m := wire.NewMap()
	for i, b := range list {
		if limit >= 0 && i >= limit {
			break
		}
		m.SetAny(int64(i), wire.NewMap("Backup Time", b.at.Format("Mon Jan 02 2006 15:04:05.000000"), "Size", b.size, "Location", b.location))
	}
	return m
}

func backupLimit(c *module.Call, v any) int {
	if v == nil {
		return -1
	}
	n, ok := wholeNumber(v)
	if !ok {
		c.Log.Error("limit is no number: all are listed", "limit", pytext.Str(v))
		return -1
	}
	return int(n)
}

type fileListBackupsArgs struct {
	Path  string // A path.
	Limit any    `default:"None"` // At most so many.
}

// fileListBackups lists the copies of a file that file.managed kept with backup=minion,
// the newest first.
//
//	gosalt '*' file.list_backups /foo/bar/baz.txt
func fileListBackups(ctx context.Context, c *module.Call, a fileListBackupsArgs) (*wire.Map, error) {
	path := expandUser(c, a.Path)
	return numbered(backupsOf(c, filepath.Join(backupRoot(c), pyDirname(path)), filepath.Base(path)), backupLimit(c, a.Limit)), nil
}

// fileListBackupsDir lists the copies of all files of a directory.
//
//	gosalt '*' file.list_backups_dir /foo/bar/baz/
func fileListBackupsDir(ctx context.Context, c *module.Call, a fileListBackupsArgs) (*wire.Map, error) {
	dir := filepath.Join(backupRoot(c), pyDirname(expandUser(c, a.Path)))
	ret := wire.NewMap()
	entries, err := os.ReadDir(c.Host.Path(dir))
	if err != nil {
		return ret, nil // nothing was kept
	}
	for _, e := range entries {
		base, _, _ := strings.Cut(e.Name(), "_")
		if !ret.Has(base) {
			ret.Set(base, numbered(backupsOf(c, dir, base), backupLimit(c, a.Limit)))
		}
	}
	return ret, nil
}

type fileBackupArgs struct {
	Path     string // A path.
	BackupID any    // Its number, as file.list_backups shows it.
}

// chosenBackup finds a copy by its number; ret says what is wrong with that.
func chosenBackup(c *module.Call, path string, id any) (b backup, ret *wire.Map) {
	ret = wire.NewMap("result", false, "comment", fmt.Sprintf("Invalid backup_id '%s'", pytext.Str(id)))
	text := pytext.Str(id)
	n, err := strconv.Atoi(text)
	if err != nil || strconv.Itoa(n) != text {
		return b, ret
	}
	list := backupsOf(c, filepath.Join(backupRoot(c), pyDirname(path)), filepath.Base(path))
	if n < 0 || n >= len(list) {
		ret.Set("comment", fmt.Sprintf("backup_id '%s' does not exist for %s", text, path))
		return b, ret
	}
	return list[n], ret
}

// fileRestoreBackup puts a copy back into its place. What is there is kept as a copy too.
//
//	gosalt '*' file.restore_backup /foo/bar/baz.txt 0
func fileRestoreBackup(ctx context.Context, c *module.Call, a fileBackupArgs) (*wire.Map, error) {
	path := expandUser(c, a.Path)
	b, ret := chosenBackup(c, path, a.BackupID)
	if b.location == "" {
		return ret, nil
	}
	if err := backupFile(c, path); err != nil {
		return nil, systemError(err, path)
	}
	if err := c.Host.CopyFile(b.location, path, false); err != nil {
		ret.Set("comment", fmt.Sprintf("Unable to restore %s to %s: %s", b.location, path, host.OSError(err, path)))
		return ret, nil
	}
	ret.Set("result", true)
	ret.Set("comment", fmt.Sprintf("Successfully restored %s to %s", b.location, path))
	return ret, nil
}

// fileDeleteBackup removes a copy.
//
//	gosalt '*' file.delete_backup /var/cache/salt/minion/file_backup/home/foo/bar/baz.txt 0
func fileDeleteBackup(ctx context.Context, c *module.Call, a fileBackupArgs) (*wire.Map, error) {
	path := expandUser(c, a.Path)
	b, ret := chosenBackup(c, path, a.BackupID)
	if b.location == "" {
		return ret, nil
	}
	if err := os.Remove(c.Host.Path(b.location)); err != nil {
		ret.Set("comment", fmt.Sprintf("Unable to remove %s: %s", b.location, host.OSError(err, b.location)))
		return ret, nil
	}
	ret.Set("result", true)
	ret.Set("comment", "Successfully removed "+b.location)
	return ret, nil
}
