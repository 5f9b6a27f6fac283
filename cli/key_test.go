package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gosalt/gosalt/protocol/seal"
	"github.com/gosalt/gosalt/protocol/wire"
)

// memKeys is a key store in memory.
type memKeys struct {
	keys    map[KeyState]map[wire.MinionID]string
	rotated int
	forgot  [][]wire.MinionID
	fail    error
}

func (m *memKeys) List(s KeyState) ([]wire.MinionID, error) {
	var ids []wire.MinionID
	for id := range m.keys[s] {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids, m.fail
}

func (m *memKeys) Read(s KeyState, id wire.MinionID) (string, error) { return m.keys[s][id], nil }

func (m *memKeys) Move(id wire.MinionID, from, to KeyState) error {
	if m.keys[to] == nil {
		m.keys[to] = map[wire.MinionID]string{}
	}
	m.keys[to][id] = m.keys[from][id]
	delete(m.keys[from], id)
	return nil
}

func (m *memKeys) Delete(s KeyState, id wire.MinionID) error { delete(m.keys[s], id); return nil }

func (m *memKeys) Forget(keep []wire.MinionID) error { m.forgot = append(m.forgot, keep); return nil }

func (m *memKeys) RotateAES() error { m.rotated++; return nil }

const testPEM = `-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAqfD5w3ysvkOen02hKsOl
B5lAyF8vG2CiqOxxo5XRv88we6O/Mo3aeUvm6GRl+dVFBDnkhFxzTBDYB9xvwAEV
md27D5Ttlb7/5o9cosVNt0iQd7fD0T+NHDuS2b9ZjuKVDqt5alQD76gVh0iH0nSe
1wPj7YE7adi378f7yP0CaPT89bU8N7d2LzQKP3EmRo8Dj28mqTU0nFU3llOLdgh2
EpsJCMOaYfn/NNIXeDqogU/xDI/KwpuICogW0uy/0OWBkjtpVYvCGI3vV9cuP0n4
5jwLBN3ugvgcgKzwmrInjTbkXMSFiSzfGeilpFumxMLB97qqI3E89BLi5rBcbV+4
bwIDAQAB
-----END PUBLIC KEY-----`

func newKeys() *memKeys {
	return &memKeys{keys: map[KeyState]map[wire.MinionID]string{
		KeyAccepted: {"alpha": testPEM, "beta": testPEM},
		KeyPending:  {"web2": testPEM, "Web1": testPEM, "bad": "no key"},
		KeyRejected: {"old": testPEM},
		KeyDenied:   {"alpha": testPEM},
	}}
}

func runKeys(t *testing.T, store *memKeys, stdin string, args ...string) (code int, out, err string) {
	t.Helper()
	io, stdout, stderr := testIO("gosalt-key", stdin, nil)
	dir := t.TempDir()
	o, e := ParseKey(io, append([]string{"-c", dir}, args...))
	if e != nil {
		code = io.Fail(e)
	} else {
		code = RunKey(context.Background(), io, o, KeyEnv{Store: store, Conf: wire.NewMap("pki_dir", dir)})
	}
	return code, stdout.String(), stderr.String()
}

func TestKeyActions(t *testing.T) {
	const listing = "Accepted Keys:\nalpha\nbeta\nDenied Keys:\nalpha\nUnaccepted Keys:\nWeb1\nbad\nweb2\nRejected Keys:\nold\n"
	finger, err := seal.Fingerprint(testPEM, "sha256")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		args  string
		stdin string
		code  int
		out   string
		err   string
		left  string // "state/id" of what is there afterwards, when it changed
	}{
		{name: "no action lists all", args: "", out: listing},
		{name: "list all", args: "-L", out: listing},
		{name: "list one state", args: "-l acc", out: "Accepted Keys:\nalpha\nbeta\n"},
		{name: "list as json", args: "-l un --out=json", out: "{\n    \"minions_pre\": [\n        \"bad\",\n        \"Web1\",\n        \"web2\"\n    ]\n}\n"},
		{name: "list all as yaml", args: "-l all --out=yaml", out: "minions:\n- alpha\n- beta\nminions_denied:\n- alpha\nminions_pre:\n- bad\n- Web1\n- web2\nminions_rejected:\n- old\n"},
		{name: "accept one", args: "-a web2 -y", out: "The following keys are going to be accepted:\nUnaccepted Keys:\nweb2\nKey for minion web2 accepted.\n", left: "minions/web2"},
		{name: "accept asks", args: "-a web*", stdin: "\n", out: "The following keys are going to be accepted:\nUnaccepted Keys:\nweb2\nProceed? [n/Y] Key for minion web2 accepted.\n", left: "minions/web2"},
		{name: "accept refused", args: "-a web*", stdin: "no\n", out: "The following keys are going to be accepted:\nUnaccepted Keys:\nweb2\nProceed? [n/Y] ", left: "minions_pre/web2"},
		{name: "several patterns", args: "-a Web*,web* -y", out: "The following keys are going to be accepted:\nUnaccepted Keys:\nWeb1\nweb2\nKey for minion Web1 accepted.\nKey for minion web2 accepted.\n", left: "minions/Web1"},
		{name: "no match", args: "-a nomatch", out: "The key glob 'nomatch' does not match any unaccepted keys.\n"},
		{name: "no match when strict", args: "-a nomatch --strict", code: 65, out: "The key glob 'nomatch' does not match any unaccepted keys.\n"},
		{name: "no match among more states", args: "-r nomatch --include-accepted --include-denied", out: "The key glob 'nomatch' does not match any unaccepted, accepted or denied keys.\n"},
		{name: "accept rejected needs include", args: "-a old", out: "The key glob 'old' does not match any unaccepted keys.\n"},
		{name: "accept rejected", args: "-a old -y --include-all", out: "The following keys are going to be accepted:\nRejected Keys:\nold\nKey for minion old accepted.\n", left: "minions/old"},
		{name: "accept invalid key", args: "-a bad -y", code: 1, out: "The following keys are going to be accepted:\nUnaccepted Keys:\nbad\n", err: "Unable to accept invalid key for bad.", left: "minions_pre/bad"},
		{name: "reject accepted", args: "-r alpha -y --include-accepted", out: "The following keys are going to be rejected:\nAccepted Keys:\nalpha\nKey for minion alpha rejected.\n", left: "minions_rejected/alpha"},
		{name: "delete asks with no as default", args: "-d beta", stdin: "\n", out: "The following keys are going to be deleted:\nAccepted Keys:\nbeta\nProceed? [N/y] ", left: "minions/beta"},
		{name: "delete", args: "-d beta", stdin: "Y\n", out: "The following keys are going to be deleted:\nAccepted Keys:\nbeta\nProceed? [N/y] Key for minion beta deleted.\n", left: "!minions/beta"},
		{name: "delete in all states", args: "-d alpha -y", out: "The following keys are going to be deleted:\nAccepted Keys:\nalpha\nDenied Keys:\nalpha\nKey for minion alpha deleted.\nKey for minion alpha deleted.\n", left: "!minions_denied/alpha"},
		{name: "delete without a match", args: "-d nomatch -y", out: "The key glob 'nomatch' does not match any unaccepted keys.\n"},
		{name: "delete all with arguments", args: "-D extra", err: "Error: Delete all takes no arguments. Use -d to delete specified keys\n"},
		{name: "finger", args: "-f beta", out: "Accepted Keys:\nbeta:  " + finger + "\n"},
		{name: "finger of nothing", args: "-f nomatch"},
		{name: "print", args: "-p beta", out: "Accepted Keys:\nbeta:  " + testPEM + "\n"},
		{name: "print of nothing", args: "-p nomatch"},
		{name: "end of input", args: "-a web2", out: "The following keys are going to be accepted:\nUnaccepted Keys:\nweb2\nProceed? [n/Y] ", err: "Error: EOF when reading a line\n", left: "minions_pre/web2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			store := newKeys()
			code, out, stderr := runKeys(t, store, c.stdin, strings.Fields(c.args)...)
			if code != c.code || out != c.out || !strings.HasPrefix(stderr, c.err) || c.err == "" && stderr != "" {
				t.Errorf("code %d\n%s\n%s\nexpected:\n%s", code, out, stderr, c.out)
			}
			if c.left != "" {
				place, gone := strings.CutPrefix(c.left, "!")
				state, id, _ := strings.Cut(place, "/")
				if _, ok := store.keys[KeyState(state)][wire.MinionID(id)]; ok == gone {
					t.Errorf("afterwards: %v", store.keys)
				}
			}
		})
	}
}

func TestKeyRotation(t *testing.T) {
	for _, c := range []struct {
		args    string
		rotated int
		kept    []wire.MinionID
	}{
		{"-d beta -y", 1, nil},
		{"-d beta -y --rotate-aes-key=False", 0, nil},
		{"-d beta -y --preserve-minions=true", 1, []wire.MinionID{"beta"}},
		{"-r web2 -y", 1, nil},
		{"-a web2 -y", 0, nil},
	} {
		store := newKeys()
		if code, _, err := runKeys(t, store, "", strings.Fields(c.args)...); code != 0 {
			t.Fatal(err)
		}
		var kept []wire.MinionID
		if len(store.forgot) > 0 {
			kept = store.forgot[0]
		}
		if store.rotated != c.rotated || !slices.Equal(kept, c.kept) {
			t.Errorf("%s: rotated %d times, kept %v", c.args, store.rotated, kept)
		}
	}
	store := newKeys()
	store.fail = errors.New("disk gone")
	if code, _, err := runKeys(t, store, "", "-L"); code != 1 || err != "Error: disk gone\n" {
		t.Errorf("%d %q", code, err)
	}
}

func TestKeyInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	io, _, stderr := testIO("gosalt-key", "", nil)
	r, w, err := os.Pipe() // nobody answers
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	io.In = r
	o, err := ParseKey(io, []string{"-c", t.TempDir(), "-a", "web2"})
	if err != nil {
		t.Fatal(err)
	}
	if code := RunKey(ctx, io, o, KeyEnv{Store: newKeys()}); code != 1 || stderr.String() != "\nExiting on CTRL-c\n" {
		t.Errorf("%d %q", code, stderr)
	}
}

func TestGenKeys(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	code, out, stderr := runKeys(t, newKeys(), "", "--gen-keys=alpha", "--gen-keys-dir="+dir)
	if code != 0 {
		t.Fatal(stderr)
	}
	pub, err := os.ReadFile(filepath.Join(dir, "alpha.pub"))
	if err != nil {
		t.Fatal(err)
	}
	f, err := seal.Fingerprint(string(pub), "sha256")
	if err != nil || out != "return:\n    "+f+"\n" {
		t.Errorf("%q %v", out, err)
	}
	if info, err := os.Stat(filepath.Join(dir, "alpha.pem")); err != nil || info.Mode().Perm() != 0o400 {
		t.Errorf("the private key is for its owner alone: %v %v", info, err)
	}
	if _, again, _ := runKeys(t, newKeys(), "", "--gen-keys=alpha", "--gen-keys-dir="+dir); again != out {
		t.Error("a pair that is there is not replaced")
	}
	if code, _, stderr = runKeys(t, newKeys(), "", "--gen-keys=../x", "--gen-keys-dir="+dir); code != 1 || !strings.Contains(stderr, "not a path") {
		t.Errorf("%d %q", code, stderr)
	}
}

func TestGenSignature(t *testing.T) {
	dir := t.TempDir()
	run := func(args ...string) (int, string) {
		io, stdout, stderr := testIO("gosalt-key", "", nil)
		o, err := ParseKey(io, append([]string{"-c", dir, "--gen-signature"}, args...))
		if err != nil {
			t.Fatal(err)
		}
		code := RunKey(context.Background(), io, o, KeyEnv{Store: newKeys(), Conf: wire.NewMap("pki_dir", dir)})
		return code, stdout.String() + stderr.String()
	}
	expect := func(step string, want string, args ...string) {
		t.Helper()
		if code, got := run(args...); code != 0 || !strings.HasPrefix(got, want) {
			t.Errorf("%s: %d %q", step, code, got)
		}
	}
	expect("nothing there", "return:\n    No usable private-key found\n")
	expect("named key missing", fmt.Sprintf("return:\n    Private-key %s/x does not exist\n", dir), "--priv", dir+"/x")
	expect("named public key missing", fmt.Sprintf("return:\n    Public-key %s/x does not exist\n", dir), "--pub", dir+"/x")
	master, err := seal.Generate(2048)
	if err != nil {
		t.Fatal(err)
	}
	pub := master.Public().PEM()
	if err := os.WriteFile(filepath.Join(dir, "master.pub"), []byte(pub), 0o600); err != nil {
		t.Fatal(err)
	}
	expect("made", "return:\n    True\n", "--auto-create")
	expect("there already", "return:\n    False\n")
	signPub, err := os.ReadFile(filepath.Join(dir, "master_sign.pub"))
	if err != nil {
		t.Fatal(err)
	}
	key, err := seal.ParsePublic(signPub)
	if err != nil {
		t.Fatal(err)
	}
	sig, err := os.ReadFile(filepath.Join(dir, "master_pubkey_signature"))
	if err != nil {
		t.Fatal(err)
	}
	if err := seal.VerifyMasterKey(key, seal.PKCS1v15SHA1, pub, string(sig)); err != nil {
		t.Error(err)
	}
}
