package heap

import (
	"bufio"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// forgetProgram unmaps the pages of the program's own file that were read so far. A start
// runs through all of the program once, for each page that it touches the kernel maps the
// fifteen around it, too, and they count as resident memory for as long as a daemon waits
// for its first job. They stay in the file cache: what is needed again is mapped again, at
// the price of a minor fault.
func forgetProgram() {
	exe, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return
	}
	exe = strings.TrimSuffix(exe, " (deleted)") // replaced by a newer one
	f, err := os.Open("/proc/self/maps")
	if err != nil {
		return
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		// 00400000-0106d000 r-xp 00000000 fe:00 12297731   /usr/bin/gosalt-minion
		w := strings.Fields(lines.Text())
		if len(w) < 6 || w[5] != exe || w[1] != "r-xp" && w[1] != "r--p" {
			continue // what may be written holds variables
		}
		from, to, _ := strings.Cut(w[0], "-")
		at, err1 := strconv.ParseUint(from, 16, 64)
		end, err2 := strconv.ParseUint(to, 16, 64)
		if err1 == nil && err2 == nil {
			unix.Syscall(unix.SYS_MADVISE, uintptr(at), uintptr(end-at), unix.MADV_DONTNEED)
		}
	}
}
