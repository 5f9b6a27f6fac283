//go:build unix

package host

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

func sh(script string) Command {
	return Command{Args: []string{"/bin/sh", "-c", script}, Dir: "/", Env: []string{"PATH=/usr/bin:/bin"}}
}

func TestRun(t *testing.T) {
	tests := []struct {
		name        string
		set         func(c *Command)
		script      string
		out, errOut string
		code        int
	}{
		{"both streams", nil, "echo a; echo b >&2; exit 3", "a\n", "b\n", 3},
		{"merged", func(c *Command) { c.Merge = true }, "echo a; echo b >&2; echo c", "a\nb\nc\n", "", 0},
		{"no stdin", nil, "cat", "", "", 0},
		{"stdin", func(c *Command) { c.Stdin = []byte("x\ny") }, "cat", "x\ny", "", 0},
		{"stdin that nobody reads", func(c *Command) { c.Stdin = make([]byte, 1<<20) }, "exit 0", "", "", 0},
		{"killed by a signal", nil, "kill -9 $$", "", "", -9},
		{"directory", func(c *Command) { c.Dir = "/tmp" }, "pwd", "/tmp\n", "", 0},
		{"umask", func(c *Command) { c.Umask = 0o027 }, "umask", "0027\n", "", 0},
		{"no umask", func(c *Command) { c.Umask = NoUmask }, "umask", "0000\n", "", 0},
		{"nothing inherited", nil, "echo $HOME", "\n", "", 0},
		{"waits for what holds the output", nil, "(sleep 0.1; echo late) & echo first", "first\nlate\n", "", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := sh(tt.script)
			if tt.set != nil {
				tt.set(&c)
			}
			exit, err := new(Host).Run(t.Context(), c)
			if err != nil || string(exit.Stdout) != tt.out || string(exit.Stderr) != tt.errOut || exit.Code != tt.code || exit.Pid == 0 {
				t.Errorf("got %q %q code %d, %v; want %q %q code %d", exit.Stdout, exit.Stderr, exit.Code, err, tt.out, tt.errOut, tt.code)
			}
		})
	}
}

// gone waits until a process has ended; a zombie counts as ended.
func gone(t *testing.T, pid int) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for time.Now().Before(deadline) {
		stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
		if err != nil && syscall.Kill(pid, 0) != nil || strings.Contains(string(stat), ") Z") {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatalf("process %d still runs", pid)
}

func TestTimeoutKillsTheGroup(t *testing.T) {
	c := sh("sleep 600 & echo $!; sleep 600")
	c.Timeout = 200 * time.Millisecond
	exit, err := new(Host).Run(t.Context(), c)
	if err != nil || !exit.TimedOut || exit.Code != -9 {
		t.Fatalf("got %+v, %v", exit, err)
	}
	child, err := strconv.Atoi(strings.TrimSpace(string(exit.Stdout)))
	if err != nil {
		t.Fatalf("output before the timeout: %q", exit.Stdout)
	}
	gone(t, child)
}

func TestTimeoutOfWhatLeftTheGroup(t *testing.T) {
	if _, err := exec.LookPath("setsid"); err != nil {
		t.Skip("setsid is not installed")
	}
	c := sh("setsid sleep 60 & echo $!; sleep 60")
	c.Timeout = 200 * time.Millisecond
	begin := time.Now()
	exit, err := new(Host).Run(t.Context(), c)
	if err != nil || !exit.TimedOut || time.Since(begin) > 30*time.Second {
		t.Fatalf("got %+v, %v after %s", exit, err, time.Since(begin))
	}
	if pid, err := strconv.Atoi(strings.TrimSpace(string(exit.Stdout))); err == nil {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
}

func TestCancelEndsTheGroup(t *testing.T) {
	why := errors.New("job killed")
	ctx, cancel := context.WithCancelCause(t.Context())
	c := sh("sleep 600 & echo $!; wait")
	pid := make(chan int, 1)
	c.Output = func(_ string, line []byte) {
		n, _ := strconv.Atoi(strings.TrimSpace(string(line)))
		pid <- n
	}
	done := make(chan error)
	go func() {
		_, err := new(Host).Run(ctx, c)
		done <- err
	}()
	child := <-pid
	cancel(why)
	if err := <-done; !errors.Is(err, why) {
		t.Errorf("got %v", err)
	}
	gone(t, child)
}

func TestOutputLimit(t *testing.T) {
	c := sh("yes")
	c.MaxOutput = 1 << 20
	exit, err := new(Host).Run(t.Context(), c)
	if !errors.Is(err, ErrTooMuchOutput) || len(exit.Stdout) > 1<<20 {
		t.Errorf("got %d bytes, %v", len(exit.Stdout), err)
	}
	c = sh("head -c 3000000 /dev/zero; exit 7") // ends by itself
	c.MaxOutput = 1 << 20
	exit, err = new(Host).Run(t.Context(), c)
	if !errors.Is(err, ErrTooMuchOutput) || exit.Code != 7 || exit.Stdout != nil {
		t.Errorf("got %d bytes, code %d, %v", len(exit.Stdout), exit.Code, err)
	}
}

func TestOutput(t *testing.T) {
	var mu sync.Mutex
	got := map[string]string{}
	c := sh(`printf 'a\nb'; sleep 0.05; printf 'c\r\nlast'; echo e >&2`)
	c.Output = func(stream string, chunk []byte) {
		mu.Lock()
		defer mu.Unlock()
		got[stream] += string(chunk)
	}
	if _, err := new(Host).Run(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if got["stdout"] != "a\nbc\r\nlast" || got["stderr"] != "e\n" {
		t.Errorf("got %q", got)
	}
}

func TestRunAsUser(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root may change the user")
	}
	u, err := new(Host).User("nobody")
	if err != nil {
		t.Skip(err)
	}
	u.Groups = []int{u.GID, 4}
	c := sh("id -u; id -G")
	c.User = u
	exit, err := new(Host).Run(t.Context(), c)
	want := strconv.Itoa(u.UID) + "\n" + strconv.Itoa(u.GID) + " 4\n"
	if err != nil || string(exit.Stdout) != want {
		t.Errorf("got %q, %v; want %q", exit.Stdout, err, want)
	}
}

func TestNotStarted(t *testing.T) {
	plain := filepath.Join(t.TempDir(), "plain")
	if err := os.WriteFile(plain, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]error{"nosuchprogram": exec.ErrNotFound, "/nowhere/x": syscall.ENOENT, plain: syscall.EACCES, "/tmp": syscall.EACCES} {
		c := sh("")
		c.Args = []string{name}
		if _, err := new(Host).Run(t.Context(), c); !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %v", name, err, want)
		}
	}
}

func TestStart(t *testing.T) {
	file := filepath.Join(t.TempDir(), "done")
	pid, err := new(Host).Start(sh("echo done > " + file))
	if err != nil || pid <= 0 {
		t.Fatal(pid, err)
	}
	gone(t, pid)
	if b, err := os.ReadFile(file); err != nil || string(b) != "done\n" {
		t.Errorf("got %q, %v", b, err)
	}
}

func TestWords(t *testing.T) {
	tests := []struct {
		in   string
		want []string
		err  error
	}{
		{`a  b	c`, []string{"a", "b", "c"}, nil},
		{`'a b' "c \" d" e\ f`, []string{"a b", `c " d`, "e f"}, nil},
		{`"a\b" 'c\d'`, []string{`a\b`, `c\d`}, nil},
		{`'' x"y"z`, []string{"", "xyz"}, nil},
		{``, nil, nil},
		{`# not a comment`, []string{"#", "not", "a", "comment"}, nil},
		{`'a`, nil, ErrNoClosingQuotation},
		{`a\`, nil, ErrNoEscapedCharacter},
	}
	for _, tt := range tests {
		got, err := Words(tt.in)
		if !slices.Equal(got, tt.want) || !errors.Is(err, tt.err) {
			t.Errorf("Words(%q) = %q, %v; want %q, %v", tt.in, got, err, tt.want, tt.err)
		}
	}
}

func FuzzWords(f *testing.F) {
	f.Add("a 'b c'")
	f.Fuzz(func(t *testing.T, s string) {
		got, err := Words(Quote(s))
		if err != nil || len(got) != 1 || got[0] != strings.ToValidUTF8(s, "\ufffd") && got[0] != string([]rune(s)) {
			t.Errorf("Words(Quote(%q)) = %q, %v", s, got, err)
		}
	})
}

func TestText(t *testing.T) {
	tests := []struct {
		in, enc, want string
		ok            bool
	}{
		{"grün", "", "grün", true},
		{"\xff\xfea\xe2\x82", "utf-8", "\ufffd\ufffda\ufffd", false},
		{"\xed\xa0\x80", "", "\ufffd\ufffd\ufffd", false}, // a surrogate
		{"\xf0\x9f\x98", "", "\ufffd", false},
		{"\xf0\x9f\x98x", "", "\ufffdx", false},
		{"\xe4\xf6", "latin-1", "äö", true},
		{"\x84", "cp850", "ä", true},
		{"\x80", "cp1252", "€", true},
		{"a\xe4", "ascii", "a\ufffd", false},
		{"\xff\xfea\x00", "utf-16", "a", true},
	}
	for _, tt := range tests {
		got, ok, err := Text([]byte(tt.in), tt.enc)
		if got != tt.want || ok != tt.ok || err != nil {
			t.Errorf("Text(%q, %s) = %q, %v, %v; want %q, %v", tt.in, tt.enc, got, ok, err, tt.want, tt.ok)
		}
	}
	if _, _, err := Text(nil, "nosuch"); err == nil {
		t.Error("no error for an unknown encoding")
	}
}

func TestUsersBelowARoot(t *testing.T) {
	root := t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, "etc"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"passwd": "root:x:0:0:root:/root:/bin/bash\nweb:x:1000:1000::/home/web:/bin/sh\n",
		"group":  "root:x:0:\nweb:x:1000:\nadm:x:4:syslog,web\nbroken\n",
	} {
		if err := os.WriteFile(filepath.Join(root, "etc", name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	h := &Host{Root: root}
	u, err := h.User("web")
	if err != nil || u.UID != 1000 || u.Home != "/home/web" || !slices.Equal(u.Groups, []int{1000, 4}) {
		t.Errorf("web: %+v, %v", u, err)
	}
	if _, err := h.User("nosuch"); !errors.Is(err, ErrNoUser) {
		t.Errorf("nosuch: %v", err)
	}
	if _, err := h.Group("nosuch"); !errors.Is(err, ErrNoGroup) {
		t.Errorf("group nosuch: %v", err)
	}
	if got := h.UserName(1000) + h.UserName(77) + h.GroupName(4); got != "web77adm" {
		t.Errorf("names: %s", got)
	}
}

// A directory in one that is setgid is setgid, as with mkdir, unless a mode is asked for.
func TestMakeDirSetgid(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("elsewhere directories take the group without that bit")
	}
	root := t.TempDir()
	h := &Host{Root: root}
	if err := os.Chmod(root, 0o755|fs.ModeSetgid); err != nil {
		t.Fatal(err)
	}
	mode := fs.FileMode(0o750)
	for name, o := range map[string]Owner{"/keeps": Keep, "/asks": {UID: -1, GID: -1, Mode: &mode}} {
		if err := h.MakeDirs(name, o, 0o022); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]fs.FileMode{"keeps": fs.ModeDir | fs.ModeSetgid | 0o755, "asks": fs.ModeDir | 0o750} {
		st, err := os.Stat(filepath.Join(root, name))
		if err != nil || st.Mode() != want {
			t.Errorf("%s: %v %v, expected %v", name, st.Mode(), err, want)
		}
	}
}
