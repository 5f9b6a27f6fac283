package join

import (
	"context"
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gosalt/gosalt/internal/imds"
	"github.com/gosalt/gosalt/internal/yamlarg"
	"github.com/gosalt/gosalt/protocol/wire"
)

func policies(t *testing.T, text string) (map[string]*Policy, error) {
	t.Helper()
	v, err := yamlarg.Load(text)
	if err != nil {
		t.Fatal(err)
	}
	return ParsePolicies(v.(*wire.Map))
}

func TestPolicies(t *testing.T) {
	for text, want := range map[string]string{
		"{aws: {accounts: ['012345678901']}}":                                 "",
		"{aws: {accounts: ['012345678901'], inventory: false, max_age: 30m}}": "",
		"{aws: {inventory: false}}":                                           "every customer of that cloud could join",
		"{aws: {accounts: ['1'], max_age: 1d}}":                               "",
		"{aws: {accounts: ['1'], max_age: 1d12h}}":                            "",
		"{aws: {accounts: ['1'], max_age: '3600'}}":                           "",
		"{aws: {accounts: ['1'], max_age: -1}}":                               "max_age: a time in seconds",
		"{aws: {accounts: ['1'], max_age: 1d-1h}}":                            "",
		"{aws: {accounts: ['x1']}}":                                           "digits expected",
		"{aws: {accounts: ['1'], region: x}}":                                 "region: there is no such option",
		"{aws: {accounts: ['1'], max_age: soon}}":                             "max_age: a time in seconds",
		"{aws: {accounts: ['1'], inventory: maybe}}":                          "inventory: expected True or False",
		"{aws: yes}":  "aws: a map expected",
		"{azure: {}}": `no cloud is called "azure"`,
	} {
		_, err := policies(t, text)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, expected %q", text, err, want)
		}
	}
}

// Amazon's certificates are all there, and can be used.
func TestAmazonCertificates(t *testing.T) {
	c, err := amazonCerts()
	if err != nil {
		t.Fatal(err)
	}
	for _, region := range []string{"us-east-1", "eu-central-1", "cn-north-1", "us-gov-west-1", "eusc-de-east-1"} {
		if c.byRegion[region] == nil {
			t.Errorf("%s has no certificate", region)
		}
	}
	if len(c.byRegion) != 39 {
		t.Errorf("%d regions", len(c.byRegion))
	}
}

type cloudTest struct {
	*Clouds
	signer, stranger *imds.Signer
	found            map[string]*Found
	dir              string
}

func openClouds(t *testing.T, policy string) *cloudTest {
	t.Helper()
	ct := &cloudTest{found: map[string]*Found{}, dir: t.TempDir()}
	var err error
	if ct.signer, err = imds.NewSigner(); err != nil {
		t.Fatal(err)
	}
	if ct.stranger, err = imds.NewSigner(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(ct.dir, "aws.pem"), ct.signer.PEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := policies(t, policy)
	if err != nil {
		t.Fatal(err)
	}
	ct.Clouds, err = OpenClouds(ct.dir, ct.dir, p, func(_ context.Context, cloud, id string) (*Found, error) {
		if id == "i-0bad0bad0bad0bad0" {
			return nil, errors.New("no answer")
		}
		return ct.found[cloud+"/"+id], nil
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return ct
}

func (ct *cloudTest) check(t *testing.T, s *imds.Signer, d imds.Document, id wire.MinionID) (*Identity, error) {
	t.Helper()
	der, err := s.Sign(d)
	if err != nil {
		t.Fatal(err)
	}
	return ct.Check(t.Context(), &wire.Join{ID: id, How: wire.JoinAWS, Document: der}, netip.MustParseAddr("10.0.0.5"), use(id))
}

func TestCloud(t *testing.T) {
	const id = "i-0123456789abcdef0"
	ct := openClouds(t, "{aws: {accounts: ['012345678901'], regions: ['eu-*'], certificates: aws.pem, check_address: true}}")
	ct.found["aws/"+id] = &Found{Name: "web1", Addrs: []netip.Addr{netip.MustParseAddr("10.0.0.5")}}
	for _, row := range []struct {
		name   string
		change func(*imds.Document)
		id     wire.MinionID
		want   string
		later  bool
	}{
		{"by its id", nil, id, "", false},
		{"by its name", nil, "web1", "", false},
		{"by another name", nil, "db1", "may join as i-0123456789abcdef0 or web1, and not as db1", false},
		{"account", func(d *imds.Document) { d.AccountID = "999999999999" }, id, "account 999999999999 is not among", false},
		{"region", func(d *imds.Document) { d.Region = "us-east-1" }, id, "region us-east-1 is not among", false},
		{"old", func(d *imds.Document) { d.PendingTime = time.Now().Add(-2 * time.Hour) }, id, "was started 2h0m0s ago, and only machines of the last 1h0m0s may join", false},
		{"future", func(d *imds.Document) { d.PendingTime = time.Now().Add(time.Hour) }, id, "set the master's clock", false},
		{"not known yet", func(d *imds.Document) { d.InstanceID = "i-00000000000000001" }, "i-00000000000000001", "is not in the master's inventory, or not yet", true},
		{"inventory fails", func(d *imds.Document) { d.InstanceID = "i-0bad0bad0bad0bad0" }, "i-0bad0bad0bad0bad0", "inventory cannot be asked", true},
	} {
		d := imds.New(id)
		if row.change != nil {
			row.change(&d)
		}
		_, err := ct.check(t, ct.signer, d, row.id)
		var r *Refusal
		switch {
		case row.want == "" && err != nil, row.want != "" && (!errors.As(err, &r) || !strings.Contains(r.Msg, row.want) || r.Later != row.later):
			t.Errorf("%s: %v, expected %q", row.name, err, row.want)
		}
	}
	ct.found["aws/"+id].Addrs = nil
	if _, err := ct.check(t, ct.signer, imds.New(id), id); err == nil || !strings.Contains(err.Error(), "came from 10.0.0.5, which is no address of") {
		t.Error(err)
	}
}

// What the cloud has not signed, or not so, proves nothing.
func TestCloudUnproven(t *testing.T) {
	const id = "i-0123456789abcdef0"
	ct := openClouds(t, "{aws: {accounts: ['012345678901'], certificates: aws.pem}}")
	odd := func(f func(*imds.Document)) imds.Document {
		d := imds.New(id)
		f(&d)
		return d
	}
	for name, d := range map[string]imds.Document{
		"id with a path": odd(func(d *imds.Document) { d.InstanceID = "i-0123456789abcdef0/../../x" }),
		"no account":     odd(func(d *imds.Document) { d.AccountID = "" }),
		"no time":        odd(func(d *imds.Document) { d.PendingTime = time.Time{} }),
	} {
		if who, err := ct.check(t, ct.signer, d, id); !errors.Is(err, ErrUnproven) || who != nil {
			t.Errorf("%s: %v, %v", name, who, err)
		}
	}
	if who, err := ct.check(t, ct.stranger, imds.New(id), id); !errors.Is(err, ErrUnproven) || who != nil {
		t.Errorf("a stranger's signature: %v, %v", who, err)
	}
	der, err := ct.signer.Sign(imds.New(id))
	if err != nil {
		t.Fatal(err)
	}
	// Each byte of what is signed counts.
	at := strings.Index(string(der), "012345678901")
	for i := at; i < at+12; i++ {
		b := append([]byte(nil), der...)
		b[i] ^= 1
		if _, err := ct.aws.verify(b); err == nil {
			t.Fatalf("changed at %d it is taken", i)
		}
	}
	// Amazon's certificates do not vouch for what another has signed.
	amazon, err := amazonCerts()
	if err != nil {
		t.Fatal(err)
	}
	if who, err := amazon.verify(der); err == nil || who != nil {
		t.Errorf("%v, %v", who, err)
	}
}

func FuzzVerify(f *testing.F) {
	s, err := imds.NewSigner()
	if err != nil {
		f.Fatal(err)
	}
	der, err := s.Sign(imds.New("i-0123456789abcdef0"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(der)
	f.Add([]byte{0x30, 0x80, 0, 0})
	certs := &awsCerts{}
	f.Fuzz(func(t *testing.T, b []byte) {
		if who, err := certs.verify(b); err == nil || who != nil {
			t.Fatalf("%v is taken without any certificate", who)
		}
	})
}

// A machine joins once, until somebody says otherwise.
func TestCloudOnce(t *testing.T) {
	const id = "i-0123456789abcdef0"
	ct := openClouds(t, "{aws: {accounts: ['012345678901'], certificates: aws.pem, inventory: false, minion_id: '*'}}")
	who, err := ct.check(t, ct.signer, imds.New(id), "web1")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ct.Claim(who, use("web1")); err != nil {
		t.Fatal(err)
	}
	if _, err := ct.Claim(who, use("web2")); err == nil {
		t.Error("two minions by one machine")
	}
	// The master was killed before the key was accepted, and is asked again.
	if _, err := ct.check(t, ct.signer, imds.New(id), "web1"); err != nil {
		t.Error(err)
	}
	done, err := ct.Claim(who, use("web1"))
	if err != nil {
		t.Fatal(err)
	}
	if err := done(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []wire.MinionID{"web1", "web2"} {
		if _, err := ct.check(t, ct.signer, imds.New(id), name); err == nil || !strings.Contains(err.Error(), "has joined already, as web1") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := ForgetCloud(ct.dir, "aws/../x"); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if err := ForgetCloud(ct.dir, "aws/i-0fffffffff"); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	// What cannot be forgotten whole can be tried again.
	mark := filepath.Join(ct.dir, CloudDir, "aws."+id+".done")
	if err := errors.Join(os.Rename(mark, mark+"~"), os.MkdirAll(filepath.Join(mark, "x"), 0o700)); err != nil {
		t.Fatal(err)
	}
	if err := ForgetCloud(ct.dir, "aws/"+id); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if err := errors.Join(os.RemoveAll(mark), os.Rename(mark+"~", mark)); err != nil {
		t.Fatal(err)
	}
	if err := ForgetCloud(ct.dir, "aws/"+id); err != nil {
		t.Fatal(err)
	}
	if _, err := ct.check(t, ct.signer, imds.New(id), "web2"); err != nil {
		t.Error(err)
	}
}
