package gosalt_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/gosalt/gosalt/internal/testmachine"
)

// TestPlanPackages carries out saved plans of packages of which a newer version has come to
// the repository since: it is not installed, as nobody has seen it in the plan.
func TestPlanPackages(t *testing.T) {
	t.Parallel()
	testmachine.Need(t)
	for _, prog := range []string{"dpkg-deb", "apt-get"} {
		if _, err := exec.LookPath(prog); err != nil {
			t.Skip(err)
		}
	}
	m := testmachine.New(t, testmachine.Options{Bind: map[string]string{bin: "/opt/gosalt"}})
	repo, err := os.ReadFile("testdata/conform/repo.sh")
	if err != nil {
		t.Fatal(err)
	}
	m.Write("/tmp/repo.sh", string(repo))
	m.Run("sh", "-e", "/tmp/repo.sh", "one", "two", "three")
	m.Write("/etc/salt/minion", "id: machine\nfile_client: local\n")
	m.Write("/srv/salt/one.sls", "one: {pkg.installed: [refresh: False]}\n")
	m.Write("/srv/salt/two.sls", "two: {pkg.latest: []}\nthree: {pkg.installed: []}\n")
	// newer puts another version of the packages into the repository, beside the old ones.
	newer := func(version string, names ...string) {
		t.Helper()
		m.Run(append([]string{"sh", "-ec", `cd /srv/repo; v=$1; shift
for p; do
	sed -i "s/^Version: .*/Version: $v/" /tmp/b/$p/DEBIAN/control; dpkg-deb -Znone --root-owner-group -b /tmp/b/$p . >/dev/null; dpkg-deb -f ${p}_${v}_all.deb
	printf 'Filename: ./%s\nSize: %s\nSHA256: %s\n\n' ${p}_${v}_all.deb "$(stat -c %s ${p}_${v}_all.deb)" "$(sha256sum <${p}_${v}_all.deb | cut -d' ' -f1)"
done >>Packages`, "newer", version}, names...)...)
	}
	call := func(args ...string) testmachine.Result {
		return m.Try("", append([]string{"/opt/gosalt/gosalt-call", "--local", "--retcode-passthrough"}, args...)...)
	}
	ok := func(args ...string) {
		t.Helper()
		if r := call(args...); r.Code != 0 {
			t.Fatalf("%q: %s%s", args, r.Stdout, r.Stderr)
		}
	}
	refused := func(plan string, words ...string) {
		t.Helper()
		r := call("state.apply_plan", plan)
		text := r.Stdout + r.Stderr
		for _, w := range append(words, "nothing was done: the plan of") {
			if r.Code == 0 || !strings.Contains(text, w) {
				t.Errorf("%s is carried out (%d), or does not say %q: %s", plan, r.Code, w, text)
			}
		}
	}
	installed := func(want string) {
		t.Helper()
		if got := m.Run("sh", "-c", "dpkg-query -W -f '${Package} ${Version}\n' one three two 2>/dev/null || true"); got != want {
			t.Errorf("installed are %q, not %q", got, want)
		}
	}

	// Somebody has apt read its lists in between.
	ok("state.apply", "one", "--plan", "/root/one.plan", "--out=quiet")
	newer("2", "one")
	m.Run("apt-get", "update")
	refused("/root/one.plan", "the package one was: not there, to have in version 1; now: not there, to have in version 2")
	installed("")
	ok("state.apply", "one", "--plan", "/root/one.plan", "--out=quiet")
	ok("state.apply_plan", "/root/one.plan")
	installed("one 2\n")

	// It is the state that has apt read them.
	ok("state.apply", "two", "--plan", "/root/two.plan", "--out=quiet")
	newer("2", "two", "three")
	refused("/root/two.plan", "the package two was: not there, to have in version 1; now: not there, to have in version 2")
	installed("one 2\n")
	ok("state.apply", "two", "--plan", "/root/two.plan", "--out=quiet")
	ok("state.apply_plan", "/root/two.plan")
	installed("one 2\nthree 2\ntwo 2\n")

	// What the plan is to leave alone stays, though there is a newer version.
	ok("state.apply", "two", "--plan", "/root/two.plan", "--out=quiet")
	ok("state.apply_plan", "/root/two.plan")
	newer("3", "two")
	refused("/root/two.plan", "pkg.latest two")
	installed("one 2\nthree 2\ntwo 2\n")
}
