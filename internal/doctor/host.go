package doctor

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Disk looks at the room on the file systems of some directories. One that is not
// there yet counts as the nearest above it; those on one file system count once.
func (r *Report) Disk(dirs ...string) {
	seen := map[uint64]bool{}
	for _, dir := range dirs {
		for dir != "" && dir != "/" {
			if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
				break
			}
			dir = filepath.Dir(dir)
		}
		s, err := statDisk(dir)
		if err != nil {
			if !errors.Is(err, errors.ErrUnsupported) {
				r.Warn("disk", "see: ls -ld "+dir, "the disk of %s cannot be looked at: %v.", dir, err)
			}
			continue
		}
		if seen[s.dev] {
			continue
		}
		seen[s.dev] = true
		next := "make room: du -xh " + dir + " | sort -h | tail"
		switch {
		case s.readOnly:
			r.Wrong("disk", "mount it writable, and look for disk errors: dmesg", "%s is on a file system that is read-only.", dir)
		case s.free < 16<<20 || s.total > 0 && s.free*200 < s.total && s.free < 1<<30:
			r.Wrong("disk", next, "the disk of %s is full: %s of %s are free.", dir, size(s.free), size(s.total))
		case s.files > 0 && s.freeFiles*100 < s.files:
			r.Wrong("disk", "remove files: find "+dir+" -xdev -type f | wc -l", "the file system of %s has no room for more files: %d of %d inodes are free.", dir, s.freeFiles, s.files)
		case s.total > 0 && s.free*20 < s.total && s.free < 10<<30:
			r.Warn("disk", next, "the disk of %s is nearly full: %s of %s are free.", dir, size(s.free), size(s.total))
		default:
			r.OK("disk", "%s has %s free.", dir, size(s.free))
		}
	}
}

type diskSpace struct {
	dev, free, total, files, freeFiles uint64
	readOnly                           bool
}

func size(n uint64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB"}
	f, i := float64(n), 0
	for f >= 1024 && i < len(units)-1 {
		f, i = f/1024, i+1
	}
	if i == 0 || f >= 100 {
		return strconv.FormatFloat(f, 'f', 0, 64) + " " + units[i]
	}
	return strconv.FormatFloat(f, 'f', 1, 64) + " " + units[i]
}

// Descriptors looks at how many files this process may have open, against how many
// it has, and will need.
func (r *Report) Descriptors(need uint64) {
	soft, err := maxFiles()
	if err != nil {
		return
	}
	used := openFiles()
	switch {
	case used > 0 && used*10 > soft*9:
		r.Wrong("descriptors", "raise the limit: LimitNOFILE= in the unit, or ulimit -n", "%d of %d file descriptors are in use: new connections will fail.", used, soft)
	case need > soft:
		r.Warn("descriptors", "raise the limit: LimitNOFILE= in the unit, or ulimit -n", "%d file descriptors are allowed, and up to %d may be needed.", soft, need)
	default:
		r.OK("descriptors", "%d of %d file descriptors are in use.", used, soft)
	}
}

// Clock looks at whether something keeps the clock right.
func (r *Report) Clock() {
	synced, err := clockSynced()
	switch {
	case err != nil:
	case synced:
		r.OK("clock", "the clock is synchronised.")
	default:
		r.Warn("clock", "let it be synchronised: timedatectl set-ntp true", "nothing synchronises the clock: messages are refused when it is off by more than request_server_ttl.")
	}
}

// DNS looks at whether a name resolves; an address is taken as it is.
func (r *Report) DNS(ctx context.Context, name, what string) {
	name = strings.Trim(name, "[]")
	if _, err := netip.ParseAddr(name); err == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	began := time.Now()
	addrs, err := net.DefaultResolver.LookupHost(ctx, name)
	took := time.Since(began)
	switch {
	case err != nil:
		r.Wrong("dns", "see /etc/hosts and /etc/resolv.conf: getent hosts "+name, "%s %s does not resolve: %v.", what, name, err)
	case took > 2*time.Second:
		r.Warn("dns", "see whether the first server in /etc/resolv.conf answers", "%s %s resolves to %s, but only after %s.", what, name, strings.Join(addrs, ", "), took.Round(100*time.Millisecond))
	default:
		r.OK("dns", "%s %s resolves to %s.", what, name, strings.Join(addrs, ", "))
	}
}
