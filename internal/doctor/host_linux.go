package doctor

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

func readOnly(fs *unix.Statfs_t) bool { return fs.Flags&unix.ST_RDONLY != 0 }

func openFiles() uint64 {
	d, err := os.Open("/proc/self/fd")
	if err != nil {
		return 0
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	if err != nil {
		return 0
	}
	return uint64(len(names))
}

func clockSynced() (bool, error) {
	var t unix.Timex
	state, err := unix.Adjtimex(&t)
	return err == nil && state != unix.TIME_ERROR, err
}

// PortOwner names the program that listens on a TCP port of this machine: "salt-master
// (pid 123)". It is "" where nothing does, or that may not be seen.
func PortOwner(port int) string {
	inode := ""
	for _, file := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		if inode = listenInode(file, port); inode != "" {
			break
		}
	}
	if inode == "" {
		return ""
	}
	links, _ := filepath.Glob("/proc/[0-9]*/fd/[0-9]*")
	for _, link := range links {
		if to, err := os.Readlink(link); err == nil && to == "socket:["+inode+"]" {
			pid := strings.Split(link, "/")[2]
			comm, _ := os.ReadFile("/proc/" + pid + "/comm")
			return fmt.Sprintf("%s (pid %s)", strings.TrimSpace(string(comm)), pid)
		}
	}
	return "a program of another user"
}

// listenInode finds the socket that listens on a port in a table of the kernel.
func listenInode(file string, port int) string {
	f, err := os.Open(file)
	if err != nil {
		return ""
	}
	defer f.Close()
	s := bufio.NewScanner(f)
	for s.Scan() {
		w := strings.Fields(s.Text())
		const listening = "0A"
		if len(w) < 10 || w[3] != listening {
			continue
		}
		_, hex, _ := strings.Cut(w[1], ":")
		if n, err := strconv.ParseUint(hex, 16, 16); err == nil && int(n) == port {
			return w[9]
		}
	}
	return ""
}
