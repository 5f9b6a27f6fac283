package join

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gosalt/gosalt/internal/config"
	"github.com/gosalt/gosalt/internal/target"
	"github.com/gosalt/gosalt/protocol/wire"
)

// CloudDir is the directory below pki_dir that says which machines of a cloud have joined.
const CloudDir = "join_cloud"

// Found is what an inventory knows of a machine.
type Found struct {
	Name  string       // the name that it goes by here
	Addrs []netip.Addr // all that it has
}

// Lookup finds a machine of a cloud ("aws") by its id there. Nil without an error is one
// that no configured source has, a moment ago at the latest.
type Lookup func(ctx context.Context, cloud, id string) (*Found, error)

// Identity is what a cloud says, signed, of one of its machines.
type Identity struct {
	Cloud   string // "aws"
	ID      string // "i-0123456789abcdef0"
	Account string
	Region  string
	Private netip.Addr
	Started time.Time // when it was last started
}

// Policy is the option autosign_cloud, for one cloud.
type Policy struct {
	Accounts     []string      // of which a machine has to be
	Regions      []string      // globs; none: all
	MaxAge       time.Duration // since its start; 0: any
	Inventory    bool          // it has to be in the inventory
	CheckAddress bool          // the request has to come from its own address
	MinionID     []string      // names that it may take, with {instance_id} and the like
	Certificates []string      // files in the place of the cloud's own
}

// ParsePolicies reads autosign_cloud: {aws: {accounts: [...], ...}}.
func ParsePolicies(cfg *wire.Map) (map[string]*Policy, error) {
	out := map[string]*Policy{}
	for cloud, v := range cfg.Strings() {
		if cloud != "aws" {
			return nil, fmt.Errorf("autosign_cloud: no cloud is called %q: aws expected", cloud)
		}
		m, ok := v.(*wire.Map)
		if !ok {
			return nil, fmt.Errorf("autosign_cloud: %s: a map expected, not %s", cloud, wire.TypeName(v))
		}
		p, err := parsePolicy(m)
		if err != nil {
			return nil, fmt.Errorf("autosign_cloud: %s: %w", cloud, err)
		}
		out[cloud] = p
	}
	return out, nil
}

func parsePolicy(m *wire.Map) (*Policy, error) {
	p := &Policy{MaxAge: time.Hour, Inventory: true, MinionID: []string{"{instance_id}", "{name}"}}
	for key, v := range m.Strings() {
		var err error
		switch key {
		case "accounts":
			p.Accounts, err = textList(v)
		case "regions":
			p.Regions, err = textList(v)
		case "minion_id":
			p.MinionID, err = textList(v)
		case "certificates":
			p.Certificates, err = textList(v)
		case "max_age":
			p.MaxAge, err = age(v)
		case "inventory":
			p.Inventory, err = yesNo(v)
		case "check_address":
			p.CheckAddress, err = yesNo(v)
		default:
			err = errors.New("there is no such option: accounts, regions, minion_id, certificates, max_age, inventory and check_address are")
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
	}
	if len(p.Accounts) == 0 && !p.Inventory {
		return nil, errors.New("neither accounts nor inventory say whose machines are meant: every customer of that cloud could join")
	}
	for _, a := range p.Accounts {
		if a == "" || strings.Trim(a, "0123456789") != "" {
			return nil, fmt.Errorf("accounts: %q: digits expected, in quotes, so that leading zeroes stay", a)
		}
	}
	for _, g := range slices.Concat(p.Regions, p.MinionID) {
		if _, err := target.Parse(g, "glob", target.Options{}); err != nil {
			return nil, fmt.Errorf("%q: %w", g, err)
		}
	}
	return p, nil
}

func textList(v any) ([]string, error) {
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	var out []string
	for _, e := range list {
		switch e := e.(type) {
		case string:
			out = append(out, e)
		case int64:
			out = append(out, strconv.FormatInt(e, 10))
		default:
			return nil, fmt.Errorf("a list of texts expected, not one with %s", wire.TypeName(e))
		}
	}
	return out, nil
}

func yesNo(v any) (bool, error) {
	b, ok := v.(bool)
	if !ok {
		return false, fmt.Errorf("expected True or False, not %s", wire.TypeName(v))
	}
	return b, nil
}

func age(v any) (time.Duration, error) {
	switch v := v.(type) {
	case int64:
		if v >= 0 && v < 1<<31 {
			return time.Duration(v) * time.Second, nil
		}
	case string:
		if d, ok := config.ParseDuration(v); ok && d >= 0 {
			return d, nil
		}
		if n, err := strconv.ParseUint(strings.TrimSpace(v), 10, 31); err == nil {
			return time.Duration(n) * time.Second, nil
		}
	}
	return 0, fmt.Errorf("a time in seconds, or as 30m, 2h or 1d, expected")
}

// Clouds accepts machines by what their cloud says of them. Its methods may be called
// concurrently.
type Clouds struct {
	claims
	policies map[string]*Policy
	aws      *awsCerts
	lookup   Lookup // nil: there is no inventory
	now      func() time.Time
}

// OpenClouds makes what autosign_cloud says. confDir is where paths of certificates begin.
func OpenClouds(pkiDir, confDir string, policies map[string]*Policy, lookup Lookup, now func() time.Time) (*Clouds, error) {
	if now == nil {
		now = time.Now
	}
	c := &Clouds{claims: claims{dir: filepath.Join(pkiDir, CloudDir)}, policies: policies, lookup: lookup, now: now}
	if err := privateDir(c.dir); err != nil {
		return nil, fmt.Errorf("autosign_cloud: %w", err)
	}
	if p := policies["aws"]; p != nil {
		var err error
		if c.aws, err = loadAWSCerts(confDir, p.Certificates); err != nil {
			return nil, fmt.Errorf("autosign_cloud: aws: certificates: %w", err)
		}
	}
	return c, nil
}

// Check tells who a document says that the minion is, and whether that may join. It
// returns ErrUnproven with a cause for a document that is not the cloud's, and a *Refusal
// for a machine that may not join, or not yet.
func (c *Clouds) Check(ctx context.Context, r *wire.Join, from netip.Addr, u Use) (*Identity, error) {
	p := c.policies[string(r.How)]
	if p == nil {
		return nil, refuse(wire.Forbidden, "this master accepts no machines by %s (autosign_cloud): use a join token", r.How)
	}
	who, err := c.aws.verify(r.Document)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnproven, err)
	}
	if err := c.allowed(ctx, p, who, r.ID, from); err != nil {
		return who, err
	}
	switch old, err := c.use(who.claim()); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return who, err
	default:
		if _, err := c.use(who.claim() + ".done"); err == nil || !u.same(old) {
			return who, refuse(wire.Forbidden, "%s has joined already, as %s on %s: if it is to join anew: gosalt-key --forget-cloud %s/%s",
				who.ID, old.ID, old.At.Format(time.RFC3339), who.Cloud, who.ID)
		}
	}
	return who, nil
}

func (i *Identity) claim() string { return i.Cloud + "." + i.ID }

func (c *Clouds) allowed(ctx context.Context, p *Policy, who *Identity, id wire.MinionID, from netip.Addr) error {
	if len(p.Accounts) > 0 && !slices.Contains(p.Accounts, who.Account) {
		return refuse(wire.Forbidden, "account %s is not among those whose machines this master accepts", who.Account)
	}
	if len(p.Regions) > 0 && !slices.ContainsFunc(p.Regions, func(g string) bool { return globs(g, who.Region) }) {
		return refuse(wire.Forbidden, "region %s is not among those whose machines this master accepts", who.Region)
	}
	switch age := c.now().Sub(who.Started); {
	case age < -5*time.Minute:
		return refuse(wire.Expired, "%s was started at %s, which by the master's clock is still to come: set the master's clock", who.ID, who.Started.Format(time.RFC3339))
	case p.MaxAge > 0 && age > p.MaxAge:
		return refuse(wire.Expired, "%s was started %s ago, and only machines of the last %s may join (max_age): use a join token", who.ID, age.Round(time.Second), p.MaxAge)
	}
	var found *Found
	if c.lookup != nil {
		var err error
		if found, err = c.lookup(ctx, who.Cloud, who.ID); err != nil && p.Inventory {
			return &Refusal{Kind: wire.Busy, Later: true, Msg: fmt.Sprintf("the master's inventory cannot be asked for %s now: see the master's log", who.ID)}
		}
	}
	if p.Inventory && c.lookup == nil {
		return refuse(wire.Forbidden, "this master has no inventory to find %s in: configure one, or set inventory: False in autosign_cloud", who.ID)
	}
	if p.Inventory && found == nil {
		return &Refusal{Kind: wire.Unknown, Later: true, Msg: fmt.Sprintf("%s is not in the master's inventory, or not yet", who.ID)}
	}
	if p.CheckAddress {
		addrs := []netip.Addr{who.Private}
		if found != nil {
			addrs = append(addrs, found.Addrs...)
		}
		if !slices.Contains(addrs, from.Unmap()) {
			return refuse(wire.Forbidden, "the request came from %s, which is no address of %s (check_address)", from.Unmap(), who.ID)
		}
	}
	return nameAllowed(p, who, found, id)
}

func nameAllowed(p *Policy, who *Identity, found *Found, id wire.MinionID) error {
	name := ""
	if found != nil {
		name = found.Name
	}
	var may []string
	for _, t := range p.MinionID {
		if strings.Contains(t, "{name}") && name == "" {
			continue
		}
		g := strings.NewReplacer("{instance_id}", who.ID, "{account}", who.Account, "{region}", who.Region,
			"{private_ip}", Plain(who.Private.String()), "{name}", Plain(name)).Replace(t)
		if globs(g, string(id)) {
			return nil
		}
		may = append(may, g)
	}
	return refuse(wire.Forbidden, "%s may join as %s, and not as %s: see --id", who.ID, strings.Join(may, " or "), id)
}

// Plain is the pattern that means a text alone: one with a star in it is no glob.
func Plain(text string) string {
	return strings.NewReplacer("[", "[[]", "*", "[*]", "?", "[?]").Replace(text)
}

func globs(pattern, text string) bool {
	t, err := target.Parse(pattern, "glob", target.Options{})
	if err != nil {
		return false
	}
	ok, err := t.Match(target.Subject{ID: text})
	return ok && err == nil
}

// Claim notes that a machine has joined, once and for good, and returns what is to be
// called when its key is accepted.
func (c *Clouds) Claim(who *Identity, u Use) (done func() error, err error) {
	err = c.take(who.claim(), u)
	if errors.Is(err, fs.ErrExist) {
		old, rerr := c.use(who.claim())
		if rerr != nil {
			return nil, rerr
		}
		if !u.same(old) {
			return nil, refuse(wire.Forbidden, "%s has just joined as %s", who.ID, old.ID)
		}
		err = nil
	}
	if err != nil {
		return nil, err
	}
	return func() error {
		if err := c.take(who.claim()+".done", u); !errors.Is(err, fs.ErrExist) {
			return err
		}
		return nil
	}, nil
}

// ForgetCloud lets a machine, as "aws/i-0123456789abcdef0", join anew. fs.ErrNotExist is one
// that has not joined.
func ForgetCloud(pkiDir, machine string) error {
	cloud, id, ok := strings.Cut(machine, "/")
	if !ok || cloud != "aws" || !awsInstance.MatchString(id) {
		return fmt.Errorf("%q: a cloud and a machine expected, as aws/i-0123456789abcdef0", machine)
	}
	c := claims{dir: filepath.Join(pkiDir, CloudDir)}
	who := Identity{Cloud: cloud, ID: id}
	if _, err := c.use(who.claim()); err != nil {
		return err
	}
	// The claim goes last: as long as it is there, this can be done again.
	if err := c.remove(who.claim() + ".done"); err != nil {
		return err
	}
	return c.remove(who.claim())
}
