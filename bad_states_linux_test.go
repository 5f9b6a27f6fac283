package gosalt_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/gosalt/gosalt/internal/testmachine"
	"github.com/gosalt/gosalt/internal/testproc"
)

// badMachine is a machine on which states are given what they cannot do.
type badMachine struct {
	t *testing.T
	m *testmachine.Machine
}

const gosaltCall = "/opt/gosalt/gosalt-call"

// apply runs an SLS. want are states that fail, by ID, with what their comment has to
// match; the others have to succeed. more are arguments.
func (b *badMachine) apply(sls string, want map[string]string, more ...string) (stderr string) {
	b.t.Helper()
	b.m.Write("/srv/salt/bad.sls", sls)
	r := b.m.Try("", append([]string{gosaltCall, "--retcode-passthrough", "--out=json", "-l", "warning", "state.apply", "bad"}, more...)...)
	var doc struct {
		Local map[string]struct {
			Result  any `json:"result"`
			Comment any `json:"comment"`
		} `json:"local"`
	}
	if err := json.Unmarshal([]byte(r.Stdout), &doc); err != nil {
		b.t.Fatalf("%v: %s%s", err, r.Stdout, r.Stderr)
	}
	code := 0
	if len(want) > 0 {
		code = 2
	}
	if r.Code != code {
		b.t.Errorf("exit code %d, want %d", r.Code, code)
	}
	for tag, s := range doc.Local {
		id := strings.Split(tag, "_|-")[1]
		re, bad := want[id]
		switch comment := fmt.Sprint(s.Comment); {
		case !bad && s.Result != true:
			b.t.Errorf("%s: %v: %s", tag, s.Result, comment)
		case bad && s.Result != false:
			b.t.Errorf("%s does not fail: %s", tag, comment)
		case bad && !regexp.MustCompile(re).MatchString(comment):
			b.t.Errorf("%s: %s\nwant %s", tag, comment, re)
		}
		if bad && !regexp.MustCompile(`id="?`+regexp.QuoteMeta(id)+`"? state=\S+ at="salt://bad\.sls, line \d+( when rendered)?"`).MatchString(r.Stderr) {
			b.t.Errorf("the place of %s is not told: %s", id, r.Stderr)
		}
		delete(want, id)
	}
	for id := range want {
		b.t.Errorf("%s did not run", id)
	}
	return r.Stderr
}

func newBadMachine(t *testing.T) *badMachine {
	m := testmachine.New(t, testmachine.Options{Bind: map[string]string{bin: "/opt/gosalt"}})
	m.Write("/etc/salt/minion", "id: machine\nfile_client: local\n")
	return &badMachine{t, m}
}

// TestBadStates gives states what they cannot do, or must not: they say what is wrong and
// where, the exit code tells it, and the machine is as it was.
func TestBadStates(t *testing.T) {
	t.Parallel()
	b := newBadMachine(t)
	b.links()
	b.archives()
	b.full()
	b.readOnly()
	b.accounts()
	b.arguments()
	b.interrupted()
	b.locked()
}

// links: a user has put symbolic links where root is to write.
func (b *badMachine) links() {
	b.m.Run("sh", "-ec", `
mkdir -p /etc/vdir /srv/salt/rec/sub /home/att /srv/releases/1; echo secret >/etc/victim; chmod 600 /etc/victim; echo v >/etc/vdir/f
echo A >/srv/salt/rec/a; echo B >/srv/salt/rec/sub/b; cd /srv/salt; tar cf a.tar rec
chown 4242:4242 /home/att /srv/releases/1; cd /home/att
as() { setpriv --reuid 4242 --regid 4242 --clear-groups "$@"; }
for n in file copy app rep sym keep; do as ln -s /etc/victim $n; done
for n in dir par arch; do as ln -s /etc/vdir $n; done
as mkdir recd tree gone; as ln -s /etc/victim recd/a; as ln -s /etc/vdir recd/sub; as ln -s /etc/vdir tree/l; as ln -s /etc/victim tree/v; as ln -s /etc/vdir gone/l
as ln -s /etc/nothing-yet new; as ln -s tree/../../../etc/victim up; as ln -s /srv/releases/1 current
mkdir /home/roots; ln -s /etc/vdir /home/roots/l`)
	before := b.m.Run("sh", "-c", "stat -c '%n %a %u %g %s' /etc/victim /etc/vdir /etc/vdir/*; cat /etc/victim; ls /etc/nothing-yet 2>&1; true")
	const refused = `is a symbolic link of user 4242 that leads to /etc/\S+, which belongs to root: it is not followed`
	want := map[string]string{}
	for _, id := range []string{"/home/att/file", "/home/att/par/new", "/home/att/dir", "/home/att/recd", "/home/att/copy", "/home/att/app", "/home/att/rep", "/home/att/arch",
		"/home/att/new", "/home/att/up", "/home/att/par/f", "line", "touch", "ini", "link below", "serialize"} {
		want[id] = refused
	}
	stderr := b.apply(`
/home/att/file: {file.managed: [contents: evil, user: 4242, mode: '0666']}
/home/att/new: {file.managed: [contents: evil]}
/home/att/up: {file.managed: [contents: evil]}
/home/att/par/new: {file.managed: [contents: evil, user: 4242]}
/home/att/par/f: {file.absent: []}
/home/att/dir: {file.directory: [user: 4242, mode: '0777', recurse: [user, mode]]}
/home/att/tree: {file.directory: [user: 4242, file_mode: '0666', dir_mode: '0777', recurse: [user, mode]]}
/home/att/recd: {file.recurse: [source: salt://rec, user: 4242, file_mode: '0666']}
/home/att/copy: {file.copy: [source: /etc/hostname, force: True, user: 4242]}
/home/att/sym: {file.symlink: [target: /tmp, force: True]}
/home/att/app: {file.append: [text: evil]}
/home/att/rep: {file.replace: [pattern: secret, repl: evil]}
/home/att/gone: {file.absent: []}
/home/att/arch: {archive.extracted: [source: salt://a.tar, user: 4242, enforce_toplevel: False]}
/home/att/keep: {file.managed: [contents: own, follow_symlinks: False]}
/home/att/current/conf: {file.managed: [contents: fine]}
/home/roots/l/fine: {file.managed: [contents: fine]}
line: {file.line: [name: /home/att/par/f, content: evil, mode: insert, location: end]}
touch: {file.touch: [name: /home/att/par/t]}
ini: {ini.options_present: [name: /home/att/par/i, sections: {a: {b: c}}]}
link below: {file.symlink: [name: /home/att/par/l, target: /x]}
serialize: {file.serialize: [name: /home/att/par/s, dataset: {a: 1}]}
`, want)
	if strings.Contains(stderr, "secret") {
		b.t.Errorf("what is not the user's is shown: %s", stderr)
	}
	b.m.Run("rm", "/etc/vdir/fine")
	if after := b.m.Run("sh", "-c", "stat -c '%n %a %u %g %s' /etc/victim /etc/vdir /etc/vdir/*; cat /etc/victim; ls /etc/nothing-yet 2>&1; true"); after != before {
		b.t.Errorf("the links were followed:\n%s%s", before, after)
	}
	if got := b.m.Run("sh", "-c", "cat /home/att/keep /srv/releases/1/conf; readlink /home/att/sym"); got != "own\nfine\n/tmp\n" {
		b.t.Errorf("%q", got)
	}
}

const badArchives = `
import tarfile, io, zipfile
def tar(name, *members):
    t = tarfile.open('/srv/salt/' + name, 'w')
    for n, kind, arg in members:
        i = tarfile.TarInfo(n)
        i.type = kind
        if kind == tarfile.REGTYPE:
            i.size = len(arg)
            t.addfile(i, io.BytesIO(arg.encode()))
        else:
            i.linkname = arg
            t.addfile(i)
    t.close()
F, L, H = tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE
tar('dots.tar', ('d/ok', F, 'ok'), ('d/../../../out/evil', F, 'x'))
tar('abs.tar', ('/out/evil', F, 'x'))
tar('sym.tar', ('d/l', L, '/out'), ('d/l/evil', F, 'x'))
tar('rel.tar', ('d/l', L, '../../../out'), ('d/l/evil', F, 'x'))
tar('hard.tar', ('d/h', H, '/etc/shadow'))
tar('hardrel.tar', ('d/h', H, '../../etc/shadow'))
z = zipfile.ZipFile('/srv/salt/dots.zip', 'w'); z.writestr('d/ok', 'ok'); z.writestr('../../out/evil', 'x'); z.close()
`

// archives that lead out of the directory, in each way that there is.
func (b *badMachine) archives() {
	b.m.Write("/tmp/archives.py", badArchives)
	b.m.Run("sh", "-ec", "mkdir -p /out /tmp/x; python3 /tmp/archives.py; head -c 300 /dev/urandom >/srv/salt/broken.tar")
	want, sls := map[string]string{}, "/tmp/x/abs.tar: {archive.extracted: [source: 'salt://abs.tar', enforce_toplevel: False]}\n"
	for name, re := range map[string]string{
		"dots.tar": `leads out of the directory: d/\.\./`, "dots.zip": `leads out of the directory: \.\./`,
		"sym.tar": `by a symbolic link: d/l/evil`, "rel.tar": `by a symbolic link: d/l/evil`,
		"hard.tar": `hard link to etc/shadow, which is not in the directory`, "hardrel.tar": `leads out of the directory: \.\./`,
		"broken.tar": `Unable to list contents of`,
	} {
		want["/tmp/x/"+name] = re
		sls += fmt.Sprintf("/tmp/x/%[1]s: {archive.extracted: [source: 'salt://%[1]s', enforce_toplevel: False]}\n", name)
	}
	sls += "hash: {archive.extracted: [name: /tmp/x/hash, source: 'salt://abs.tar', source_hash: 'sha256=e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855']}\n"
	want["hash"] = `the hash \(\w{64}\) does not match the specified hash \(e3b0c`
	b.apply(sls, want)
	// What an archive had before its bad member is gone, too: the next run would take it for whole.
	if got := b.m.Run("sh", "-c", "find /tmp/x /out | sort"); got != "/out\n/tmp/x\n/tmp/x/abs.tar\n/tmp/x/abs.tar/out\n/tmp/x/abs.tar/out/evil\n" {
		b.t.Errorf("%s", got)
	}
}

const fullSLS = `
/small/m: {file.managed: [source: salt://big]}
/small/new: {file.managed: [source: salt://big]}
/small/r: {file.recurse: [source: salt://bigs]}
/small/c: {file.copy: [source: /srv/salt/big]}
/small/a: {archive.extracted: [source: 'salt://big.tar', enforce_toplevel: False]}
/small/z: {archive.extracted: [source: 'salt://big.zip', enforce_toplevel: False]}
edit: {file.replace: [name: /small/old, pattern: old, repl: {{ 'new' * 5000 }}, backup: False, show_changes: False]}
append: {file.append: [name: /small/old, text: {{ 'b' * 600000 }}]}
`

// full: a disk that has no room for what is to be written keeps what it has, and when it
// has room the next run does everything.
func (b *badMachine) full() {
	b.m.Run("sh", "-ec", `mkdir -p /small /srv/salt/bigs; mount -t tmpfs -o size=1m tmpfs /small
head -c 1500000 /dev/urandom >/srv/salt/big; cp /srv/salt/big /srv/salt/bigs/big; cd /srv/salt; tar cf big.tar big
python3 -c "import zipfile; z = zipfile.ZipFile('big.zip', 'w'); z.write('big'); z.close()"
echo keep >/small/m; i=0; while [ $i -lt 60 ]; do echo "old $i"; i=$((i+1)); done >/small/old; head -c 500000 /dev/zero >/small/filler`)
	before := b.m.Run("sh", "-c", "cd /small; find . -type f | sort | xargs sha256sum")
	want := map[string]string{}
	for _, id := range []string{"/small/m", "/small/new", "/small/r", "/small/c", "/small/a", "/small/z", "edit", "append"} {
		want[id] = `(?i)/small/.*no space left on device|no space left on device: '/small`
	}
	b.apply(fullSLS, want)
	if after := b.m.Run("sh", "-c", "cd /small; find . -type f | sort | xargs sha256sum"); after != before {
		b.t.Errorf("the files are not what they were:\n%s%s", before, after)
	}
	b.m.Run("mount", "-o", "remount,size=40m", "/small")
	b.apply(fullSLS, nil)
	if got := b.m.Run("sh", "-c", "sha256sum /srv/salt/big /small/m /small/new /small/r/big /small/c /small/a/big /small/z/big | cut -d' ' -f1 | sort -u | wc -l"); got != "1\n" {
		b.t.Errorf("%s different files", got)
	}
}

// readOnly: a file system that cannot be written.
func (b *badMachine) readOnly() {
	b.m.Run("sh", "-ec", "mkdir /ro; mount -t tmpfs tmpfs /ro; echo keep >/ro/f; mkdir /ro/d; mount -o remount,ro /ro")
	want := map[string]string{}
	for _, id := range []string{"/ro/new", "/ro/x/y", "/ro/r", "/ro/c", "/ro/a", "/ro/l", "managed", "edit", "append", "line", "absent", "absent dir", "mode", "touch"} {
		want[id] = `(?i)read-only file system`
	}
	b.apply(`
/ro/new: {file.managed: [contents: x]}
/ro/x/y: {file.directory: [makedirs: True]}
/ro/r: {file.recurse: [source: salt://rec]}
/ro/c: {file.copy: [source: /etc/hostname]}
/ro/a: {archive.extracted: [source: 'salt://a.tar', enforce_toplevel: False]}
/ro/l: {file.symlink: [target: /x]}
managed: {file.managed: [name: /ro/f, contents: x]}
edit: {file.replace: [name: /ro/f, pattern: keep, repl: x, backup: False]}
append: {file.append: [name: /ro/f, text: x]}
line: {file.line: [name: /ro/f, content: x, mode: insert, location: end]}
absent: {file.absent: [name: /ro/f]}
absent dir: {file.absent: [name: /ro/d]}
mode: {file.directory: [name: /ro/d, mode: '0700']}
touch: {file.touch: [name: /ro/f]}
same: {file.managed: [name: /ro/f, contents: keep]}
`, want)
}

// accounts that there are not: a plan says so as the run does, unless something before it
// may make them.
func (b *badMachine) accounts() {
	want := map[string]string{"/tmp/o2": "Group nosuch is not available", "new": "not present: nosuch", "cron": "user `nosuch' unknown", "key": "Failed to add the ssh key",
		"cron env": "user `nosuch' unknown", "cron no env": "user `nosuch' unknown", "cron file": "Could not identify group for user nosuch", "gid": "Failed to create new user newgid", "group": "Group 'nosuch' is not available"}
	for _, id := range []string{"/tmp/o1", "/tmp/o3", "/tmp/o4", "/tmp/o5", "/tmp/o6", "/tmp/o7", "/tmp/o9", "cmd", "script", "git", "clone", "init", "config"} {
		want[id] = `User '?nosuch'? (is not available|does not exist)`
	}
	b.m.Write("/srv/salt/a.sh", "#!/bin/sh\n")
	sls := `
/tmp/o1: {file.managed: [contents: x, user: nosuch]}
/tmp/o2: {file.managed: [contents: x, group: nosuch]}
/tmp/o3: {file.directory: [user: nosuch]}
/tmp/o4: {file.recurse: [source: salt://rec, user: nosuch]}
/tmp/o5: {file.symlink: [target: /x, user: nosuch]}
/tmp/o6: {file.copy: [source: /etc/hostname, user: nosuch]}
/tmp/o7: {archive.extracted: [source: 'salt://a.tar', user: nosuch]}
/tmp/o9: {file.symlink: [target: /x, user: nosuch, makedirs: True]}
cmd: {cmd.run: [name: id, runas: nosuch]}
group: {cmd.run: [name: id, group: nosuch]}
script: {cmd.script: [name: 'salt://a.sh', runas: nosuch]}
cron env: {cron.env_present: [name: A, value: b, user: nosuch]}
cron no env: {cron.env_absent: [name: A, user: nosuch]}
cron file: {cron.file: [name: 'salt://a.tar', user: nosuch]}
clone: {git.cloned: [name: /nosuch, target: /tmp/o8, user: nosuch]}
init: {git.present: [name: /tmp/o8, user: nosuch]}
config: {git.config_set: [name: a.b, value: c, global: True, user: nosuch]}
gid: {user.present: [name: newgid, gid: nosuch]}
cron: {cron.present: [name: id, user: nosuch]}
git: {git.latest: [name: /nosuch, target: /tmp/o8, user: nosuch]}
key: {ssh_auth.present: [user: nosuch, enc: ssh-ed25519, name: AAAAC3NzaC1lZDI1NTE5AAAAIEbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb]}
new: {user.present: [name: newuser, groups: [nosuch]]}
`
	b.apply(sls, maps.Clone(want), "test=True")
	b.apply(sls, want)
	if got := b.m.Run("sh", "-c", "ls -d /tmp/o* 2>/dev/null; grep -e newuser -e newgid /etc/passwd; true"); got != "" {
		b.t.Errorf("left behind: %s", got)
	}
	for before, coming := range map[string]bool{
		"cmd.run: [name: useradd nosuch]": true, "user.present: [name: nosuch]": true, "file.managed: [name: /etc/passwd, contents: x]": true,
		"user.present: [name: other]": false, "file.managed: [name: /tmp/o0, contents: x]": false, "test.nop: []": false,
	} {
		b.m.Write("/srv/salt/bad.sls", "before: {"+before+"}\n"+strings.Split(sls, "\n")[1])
		r := b.m.Try("", gosaltCall, "--out=json", "state.apply", "bad", "test=True")
		if told := !strings.Contains(r.Stdout, "User nosuch is not available"); told != coming {
			b.t.Errorf("after %s the user is to come: %v, want %v: %s", before, told, coming, r.Stdout)
		}
	}
}

// arguments that are not what a state takes.
func (b *badMachine) arguments() {
	b.apply(`
mode: {file.managed: [name: /tmp/arg, contents: x, mode: rwx]}
makedirs: {file.directory: [name: /tmp/arg, makedirs: maybe]}
pkgs: {pkg.installed: [pkgs: vim]}
env: {cmd.run: [name: 'true', env: [a, b]]}
timeout: {cmd.run: [name: 'true', timeout: soon]}
cwd: {cmd.run: [name: 'true', cwd: /nonexistent]}
relative: {file.managed: [name: a/b, contents: x]}
unknown: {user.present: [name: x, shel: /bin/sh]}
function: {file.mangaed: [name: /tmp/arg]}
module: {fil.managed: [name: /tmp/arg]}
requisite: {user.present: [name: x, requrie: [{file: mode}]]}
minute: {cron.present: [name: 'true', minute: 99]}
`, map[string]string{
		"mode": `mode "rwx": an octal number such as 0644 is expected`, "makedirs": `'makedirs': expected true or false, got str 'maybe'`,
		"pkgs": "Invalidly formatted 'pkgs'", "env": "'env': expected a map, or a list of maps, got list", "timeout": "timeout soon must be a number",
		"cwd": `"/nonexistent" is not available`, "relative": "a/b is not an absolute path", "unknown": "'shel' is an invalid keyword argument for 'user.present'. Did you mean 'shell'",
		"function": "Did you mean 'file.managed'", "module": "Did you mean 'file.managed'", "requisite": "'requrie' .* Did you mean 'require'", "minute": "bad minute",
	})
	// Functions that take any argument, and do not look at it.
	b.m.Write("/srv/salt/bad.sls", "dir: {file.directory: [name: /tmp/arg, mod: 755]}\ncmd: {cmd.run: [name: 'true', cwdd: /]}\nhold: {pkg.held: [replce: True]}\n")
	r := b.m.Try("", gosaltCall, "state.apply", "bad", "test=True")
	for k, near := range map[string]string{"mod": "mode", "cwdd": "cwd", "replce": "replace"} {
		if !regexp.MustCompile(`'` + k + `' is no argument of [a-z.]+: it is not looked at. Did you mean '` + near + `'\?`).MatchString(strings.Join(strings.Fields(r.Stdout), " ")) {
			b.t.Errorf("%s is not told: %s", k, r.Stdout)
		}
	}
	b.m.Write("/srv/salt/bad.sls", "nop: {test.nop: [requrie: [{file: x}]]}\n")
	if r = b.m.Try("", gosaltCall, "state.apply", "bad"); r.Code != 0 || !regexp.MustCompile(`(?s)Warnings: 'requrie' is no argument of test.nop and no requisite\.\s+Did\s+you\s+mean\s+'require'\?`).MatchString(r.Stdout) {
		b.t.Errorf("%d %s", r.Code, r.Stdout)
	}
}

// interrupted: a command that hangs is ended with all that it has started, by its timeout
// and by who interrupts the run. What came before is told.
func (b *badMachine) interrupted() {
	b.apply("hang: {cmd.run: [name: 'sleep 4321 & sleep 4321', timeout: 1]}\nnext: {test.nop: []}\n", map[string]string{"hang": `Command "sleep`})
	b.m.Write("/srv/salt/bad.sls", `
/tmp/first: {file.managed: [contents: x]}
hang: {cmd.run: [name: 'touch /tmp/begun; sleep 4321 & sleep 4321']}
/tmp/last: {file.managed: [contents: x]}
`)
	for _, end := range []struct {
		sig  syscall.Signal
		args []string
		code int
	}{{syscall.SIGINT, nil, 1}, {syscall.SIGTERM, []string{"--retcode-passthrough"}, 2}, {syscall.SIGINT, []string{"--strict"}, 130}} {
		b.m.Run("rm", "-f", "/tmp/first", "/tmp/begun")
		cmd := b.m.Command(append([]string{gosaltCall, "--no-color", "state.apply", "bad"}, end.args...)...)
		var out strings.Builder
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Start(); err != nil {
			b.t.Fatal(err)
		}
		if !testproc.Until(testproc.Patience, func() bool { _, err := os.Stat(b.m.Path("/tmp/begun")); return err == nil }) {
			b.t.Fatalf("it does not begin: %s", out.String())
		}
		child, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", cmd.Process.Pid)) // of nsenter
		if err != nil {
			b.t.Fatal(err)
		}
		pid, err := strconv.Atoi(strings.TrimSpace(string(child)))
		if err != nil {
			b.t.Fatal(err)
		}
		if err := syscall.Kill(pid, end.sig); err != nil {
			b.t.Fatal(err)
		}
		_ = cmd.Wait()
		if code := cmd.ProcessState.ExitCode(); code != end.code {
			b.t.Errorf("%v: exit code %d, want %d", end.sig, code, end.code)
		}
		for _, re := range []string{`at="salt://bad.sls, line 3"`, `interrupted: .* states=2 of=3`, `File /tmp/first updated`, `Comment: \w+ signal received`, `Succeeded: 1 \(changed=1\)\nFailed:    1`, `Exiting gracefully`} {
			if !regexp.MustCompile(re).MatchString(out.String()) {
				b.t.Errorf("%v: %s is not told: %s", end.sig, re, out.String())
			}
		}
		if left := b.m.Try("", "sh", "-c", "pgrep -f 'sleep 432[1]'; ls /tmp/last 2>/dev/null").Stdout; left != "" {
			b.t.Errorf("%v: left behind: %s", end.sig, left)
		}
	}
}

const lockPackages = `
import fcntl, sys
held = []
for p in ('/var/lib/dpkg/lock-frontend', '/var/lib/dpkg/lock'):
    f = open(p, 'w')
    fcntl.lockf(f, fcntl.LOCK_EX)
    held.append(f)
print('locked', flush=True)
sys.stdin.read()
`

// locked: another package manager is at work. It is waited for, and the log says for whom.
func (b *badMachine) locked() {
	for _, prog := range []string{"dpkg-deb", "apt-get"} {
		if _, err := exec.LookPath(prog); err != nil {
			b.t.Skip(err)
		}
	}
	repo, err := os.ReadFile("testdata/conform/repo.sh")
	if err != nil {
		b.t.Fatal(err)
	}
	b.m.Write("/tmp/repo.sh", string(repo))
	b.m.Run("sh", "-e", "/tmp/repo.sh", "one")
	b.m.Write("/tmp/lock.py", lockPackages)
	holder := b.m.Command("python3", "/tmp/lock.py")
	in, err := holder.StdinPipe()
	if err != nil {
		b.t.Fatal(err)
	}
	out, err := holder.StdoutPipe()
	if err != nil {
		b.t.Fatal(err)
	}
	if err := holder.Start(); err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = in.Close(); _ = holder.Wait() }()
	if _, err := out.Read(make([]byte, 10)); err != nil {
		b.t.Fatal(err)
	}
	b.m.Write("/srv/salt/bad.sls", "one: {pkg.installed: [refresh: False]}\n")
	cmd := b.m.Command("sh", "-c", gosaltCall+" --retcode-passthrough state.apply bad >/tmp/out 2>&1")
	if err := cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	waits := regexp.MustCompile(`waiting for another package manager holder="python3 \(process \d+\)" lock=/var/lib/dpkg/lock-frontend`)
	if !testproc.Until(testproc.Patience, func() bool { return waits.MatchString(b.m.Try("", "cat", "/tmp/out").Stdout) }) {
		b.t.Errorf("it does not say for whom it waits: %s", b.m.Read("/tmp/out"))
	}
	_ = in.Close()
	if err := cmd.Wait(); err != nil || strings.Contains(b.m.Read("/tmp/out"), "ERROR") || !strings.Contains(b.m.Read("/tmp/out"), "Succeeded: 1 (changed=1)") {
		b.t.Errorf("%v: %s", err, b.m.Read("/tmp/out"))
	}
}
