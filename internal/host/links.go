package host

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// UnsafeLinkError says that a symbolic link of a user is in the way, which would lead what
// root writes to something that is not that user's.
type UnsafeLinkError struct {
	Link  string // the link
	Owner int    // its owner
	To    string // where it leads
	// ToOwner is the owner of what is there, or of its directory if there is nothing.
	ToOwner int

	ownerName, toName string
}

func (e *UnsafeLinkError) Error() string {
	return fmt.Sprintf("%s is a symbolic link of user %s that leads to %s, which belongs to %s: it is not followed. Remove the link, or if it is meant, give it to root: chown -h root %s",
		e.Link, e.ownerName, e.To, e.toName, e.Link)
}

// plain words an error of a pinned path by the path that was asked for.
func plain(err error, pinned, name string) error {
	if err == nil || pinned == name {
		return err
	}
	from, to := filepath.Dir(pinned), filepath.Dir(name)
	swap := func(p string) string {
		if p == pinned { // where name is a link, the file is called something else
			return name
		}
		if rest, ok := strings.CutPrefix(p, from+"/"); ok {
			return filepath.Join(to, rest)
		}
		return p
	}
	if e := (*fs.PathError)(nil); errors.As(err, &e) {
		return &fs.PathError{Op: e.Op, Path: swap(e.Path), Err: e.Err}
	}
	if e := (*os.LinkError)(nil); errors.As(err, &e) {
		return &os.LinkError{Op: e.Op, Old: swap(e.Old), New: swap(e.New), Err: e.Err}
	}
	return err
}
