package faults

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/gosalt/gosalt/internal/testproc"
)

// smallDisk mounts a file system of that many KiB at dir, below the site's directory.
// Paths in a daemon's configuration are below its own directory there.
func (s *site) smallDisk(dir string, kib string) string {
	s.Helper()
	if os.Geteuid() != 0 {
		s.Skip("only root can mount a small disk")
	}
	dir = filepath.Join(s.Dir, dir)
	s.must(os.MkdirAll(dir, 0o700))
	if err := syscall.Mount("faults", dir, "tmpfs", 0, "size="+kib+"k,mode=700"); err != nil {
		s.Skipf("cannot mount a small disk: %v", err)
	}
	s.Cleanup(func() { syscall.Unmount(dir, syscall.MNT_DETACH) })
	return dir
}

// fill takes all the space that is left below dir, until the returned function gives it back.
func (s *site) fill(dir string) func() {
	s.Helper()
	name := filepath.Join(dir, "ballast")
	f, err := os.Create(name)
	s.must(err)
	defer f.Close()
	for block := 64 << 10; block > 0; block /= 2 {
		b := make([]byte, block)
		for {
			if _, err := f.Write(b); err != nil {
				break
			}
		}
	}
	return func() { s.must(os.Remove(name)) }
}

// The disk under the master's job store is full: no job is given out that is not
// stored, no result is taken that is not stored; when there is room again, the
// results that waited are delivered and new jobs go out.
func TestFullDiskOfJobStore(t *testing.T) {
	s := newSite(t)
	dir := s.smallDisk("master/disk", "4096")
	s.start("master", "auto_accept: True", "job_store: /disk/jobs", "gather_job_timeout: 1", "timeout: 1")
	s.start("web1")
	s.ping("web1")
	goOn := filepath.Join(s.Dir, "go")
	during, err := s.publish("web1", "cmd.run", "while test ! -e "+goOn+"; do sleep 0.1; done; head -c 300000 /dev/urandom | base64")
	s.must(err)
	s.awaitLog("web1", "job started.*cmd.run")

	free := s.fill(dir)
	var refused error
	for range 200 { // the store has some room of its own left
		if _, refused = s.publish("web1", "test.echo", strings.Repeat("x", 100_000)); refused != nil {
			break
		}
	}
	if refused == nil {
		t.Fatal("jobs were given out although the disk is full")
	}
	if !strings.Contains(refused.Error(), "store job") {
		t.Errorf("the refusal does not say what is wrong: %v", refused)
	}
	t.Logf("refused: %v", refused)
	s.must(os.WriteFile(goOn, nil, 0o600))
	s.awaitLog("web1", "result could not be returned, and is kept")
	if !s.Proc("master").Running() {
		t.Fatal("the master has ended")
	}

	free()
	if got := s.awaitReturn(during, "web1"); len(got) < 300000 {
		t.Errorf("the result has %d bytes", len(got))
	}
	ok := testproc.Until(testproc.Patience, func() bool {
		got, err := s.call("web1", "test.ping")
		return err == nil && got.Len() == 1
	})
	if !ok {
		t.Error("no jobs go out although there is room again")
	}
	s.end("web1", "master")
}

// The disk under a minion's journal is full: it takes no job that it could not
// remember, and runs those it had no room for as soon as there is room.
func TestFullDiskOfJournal(t *testing.T) {
	s := newSite(t)
	s.start("master", "auto_accept: True", "gather_job_timeout: 1", "timeout: 1", "job_expiry: 600")
	dir := s.smallDisk("web1/disk", "1024")
	s.start("web1", "cachedir: /disk")
	s.ping("web1")
	ran := filepath.Join(s.Dir, "ran")

	free := s.fill(dir)
	var last string
	ok := false
	for range 400 {
		jid, err := s.publish("web1", "cmd.run", "echo full >> "+ran+" # "+strings.Repeat("x", 8_000))
		s.must(err)
		last = string(jid)
		if ok = strings.Contains(s.Proc("web1").Log(), "cannot be taken"); ok {
			break
		}
	}
	if !ok {
		s.awaitLog("web1", "cannot be taken.*no space")
	}
	if !s.Proc("web1").Running() {
		t.Fatal("the minion has ended")
	}
	free()
	before := s.lines(ran)["full"]
	t.Logf("%d jobs ran before the disk was full; the last is %s", before, last)
	if !testproc.Until(testproc.Patience, func() bool { return s.lines(ran)["full"] > before }) {
		t.Error("the jobs that found no room were not run afterwards")
	}
	jid, err := s.publish("web1", "cmd.run", "echo after >> "+ran+"; echo did")
	s.must(err)
	if got := s.awaitReturn(jid, "web1"); got != "did" {
		t.Errorf("returned %q", got)
	}
	s.end("web1", "master")
}

// The disk under the key directories is full: a new minion is not half known, and is
// known when there is room.
func TestFullDiskOfKeys(t *testing.T) {
	s := newSite(t)
	dir := s.smallDisk("master/disk", "256")
	s.start("master", "auto_accept: True", "pki_dir: /disk")
	s.start("web1")
	free := s.fill(dir)
	s.must(s.Configure("web2", "auth_timeout: 2"))
	_, err := s.Spawn("web2")
	s.must(err)
	s.awaitLog("master", "key directories cannot be used")
	s.ping("web1")
	entries, err := os.ReadDir(filepath.Join(dir, "minions"))
	s.must(err)
	for _, e := range entries {
		if e.Name() != "web1" {
			t.Errorf("there is %s among the accepted keys", e.Name())
		}
	}
	free()
	s.must(s.Proc("web2").AwaitReady())
	s.ping("web2")
	s.end("web1", "web2", "master")
}
