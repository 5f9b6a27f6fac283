package host

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"time"
)

// User is an account of the host.
type User struct {
	Name   string
	UID    int
	GID    int
	Groups []int // all groups it is in, GID among them
	Home   string
	Shell  string
}

// Group is a group of the host.
type Group struct {
	Name    string
	GID     int
	Members []string // names, without those whose own group it is
}

// ErrNoUser and ErrNoGroup are returned for names that the host does not know.
var (
	ErrNoUser  = errors.New("no such user")
	ErrNoGroup = errors.New("no such group")
)

// lookupTime bounds what a directory service may take to answer.
const lookupTime = 10 * time.Second

// User finds an account by name: in /etc/passwd, then, on this machine, as the
// system's name services know it. ErrNoUser is returned when there is none.
func (h *Host) User(name string) (*User, error) {
	line, err := h.entry("passwd", name)
	if err == nil {
		f := strings.Split(line, ":")
		uid, uerr := strconv.Atoi(f[2])
		gid, gerr := strconv.Atoi(f[3])
		if uerr != nil || gerr != nil {
			return nil, fmt.Errorf("user %s: uid %q or gid %q is not a number", name, f[2], f[3])
		}
		u := &User{Name: f[0], UID: uid, GID: gid, Home: f[5], Shell: f[6]}
		u.Groups, err = h.groupsOf(u)
		return u, err
	}
	if h.rooted() || !errors.Is(err, errNoEntry) {
		return nil, noEntry(err, ErrNoUser, name)
	}
	su, err := user.Lookup(name) // darwin keeps its users elsewhere
	if err != nil {
		return nil, fmt.Errorf("%w: %s", ErrNoUser, name)
	}
	u := &User{Name: su.Username, Home: su.HomeDir}
	u.UID, _ = strconv.Atoi(su.Uid) // names that are not numbers are those of Windows
	u.GID, _ = strconv.Atoi(su.Gid)
	ids, err := su.GroupIds()
	if err != nil {
		return nil, fmt.Errorf("groups of user %s: %w", name, err)
	}
	for _, id := range ids {
		if n, err := strconv.Atoi(id); err == nil {
			u.Groups = append(u.Groups, n)
		}
	}
	return u, nil
}

// Group finds a group by name, as User does.
func (h *Host) Group(name string) (*Group, error) {
	line, err := h.entry("group", name)
	if err != nil {
		return nil, noEntry(err, ErrNoGroup, name)
	}
	return parseGroup(line)
}

func parseGroup(line string) (*Group, error) {
	f := strings.Split(line, ":")
	gid, err := strconv.Atoi(f[2])
	if err != nil {
		return nil, fmt.Errorf("group %s: gid %q is not a number", f[0], f[2])
	}
	g := &Group{Name: f[0], GID: gid}
	if f[3] != "" {
		g.Members = strings.Split(f[3], ",")
	}
	return g, nil
}

// UserName is the name of a uid, the number itself where there is none.
func (h *Host) UserName(uid int) string { return h.nameOf("passwd", uid) }

// GroupName is the name of a gid, the number itself where there is none.
func (h *Host) GroupName(gid int) string { return h.nameOf("group", gid) }

func (h *Host) nameOf(db string, id int) string {
	want := strconv.Itoa(id)
	name := want
	err := h.entries(db, func(f []string) bool {
		if f[2] == want {
			name = f[0]
		}
		return name == want
	})
	if name != want || err != nil || h.rooted() {
		return name
	}
	if line, err := getent(db, want); err == nil {
		return strings.Split(line, ":")[0]
	}
	return want
}

func (h *Host) groupsOf(u *User) ([]int, error) {
	groups := []int{u.GID}
	err := h.entries("group", func(f []string) bool {
		if len(f) > 3 && slices.Contains(strings.Split(f[3], ","), u.Name) {
			if gid, err := strconv.Atoi(f[2]); err == nil && !slices.Contains(groups, gid) {
				groups = append(groups, gid)
			}
		}
		return true
	})
	if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	return groups, err
}

var errNoEntry = errors.New("no entry")

func noEntry(err, kind error, name string) error {
	if errors.Is(err, errNoEntry) {
		return fmt.Errorf("%w: %s", kind, name)
	}
	return err
}

// fields is how many a line of each database has.
var fields = map[string]int{"passwd": 7, "group": 4}

// entry returns the line of a name in /etc/passwd or /etc/group.
func (h *Host) entry(db, name string) (string, error) {
	found := ""
	err := h.entries(db, func(f []string) bool {
		if f[0] == name {
			found = strings.Join(f, ":")
		}
		return found == ""
	})
	switch {
	case found != "":
		return found, nil
	case err != nil && !errors.Is(err, os.ErrNotExist):
		return "", err
	case h.rooted():
		return "", errNoEntry
	}
	return getent(db, name)
}

// entries calls yield with the fields of each line until it returns false.
func (h *Host) entries(db string, yield func(f []string) bool) error {
	file, err := os.Open(h.Path("/etc/" + db))
	if err != nil {
		return err
	}
	defer file.Close()
	sc := bufio.NewScanner(file)
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		f := strings.Split(sc.Text(), ":")
		if len(f) >= fields[db] && !yield(f) {
			return nil
		}
	}
	return sc.Err()
}

// getent asks the name services, which a static program cannot load.
func getent(db, key string) (string, error) {
	file, err := exec.LookPath("getent")
	if err != nil {
		return "", errNoEntry
	}
	ctx, cancel := context.WithTimeout(context.Background(), lookupTime)
	defer cancel()
	out, err := exec.CommandContext(ctx, file, db, "--", key).Output()
	line := string(bytes.TrimRight(out, "\n"))
	if err != nil || strings.Count(line, ":") < fields[db]-1 {
		return "", errNoEntry
	}
	return line, nil
}

func (h *Host) rooted() bool { return h != nil && h.Root != "" }
