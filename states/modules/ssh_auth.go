package modules

import (
	"context"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"

	"github.com/gosalt/gosalt/internal/lazyre"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
	"github.com/gosalt/gosalt/states"
)

func init() {
	register("ssh_auth.present", sshAuthPresent)
	register("ssh_auth.absent", sshAuthAbsent)
	register("ssh_auth.manage", sshAuthManage)
}

type sshAuthArgs struct {
	Name                string // The key: alone, with its comment, or a whole line of authorized_keys.
	User                string // Whose file.
	Enc                 string `default:"ssh-rsa"`              // Kind of the key: ssh-rsa, ed25519, ecdsa and so on.
	Comment             string `default:""`                     // Comment behind it.
	Source              string `default:""`                     // A file with keys, in place of the name: salt:// or another address.
	Options             any    `default:"None"`                 // Options before it, a list.
	Config              string `default:".ssh/authorized_keys"` // The file; below the home directory, %h and %u stand for it and for the user.
	FingerprintHashType any    `default:"None"`                 // Hash of fingerprints.
}

type sshAuthPresentArgs struct {
	sshAuthArgs
	Kwargs *wire.Map `arg:"**" read:"-"` // Not looked at.
}

// wholeKey is a key with its kind, with options before and a comment behind it.
var wholeKey = lazyre.New(`^(.*?)\s?((?:sk-)?(?:ssh-|ecds)[\w@.-]+\s.+)$`)

// read takes the name apart: the key, and what of options, kind and comment stands there.
func (a *sshAuthArgs) read(name string) (key string) {
	cut := func(s string, n int) []string {
		var out []string
		for s = strings.TrimSpace(s); s != "" && len(out) < n-1; {
			i := strings.IndexAny(s, " \t")
			if i < 0 {
				break
			}
			out, s = append(out, s[:i]), strings.TrimSpace(s[i:])
		}
		if s != "" {
			out = append(out, s)
		}
		return out
	}
	m := wholeKey.FindStringSubmatch(name)
	if m == nil {
		parts := cut(name, 2)
		if len(parts) == 0 {
			return ""
		}
		if len(parts) == 2 {
			a.Comment = parts[1]
		}
		return parts[0]
	}
	if m[1] != "" {
		var options []any
		for _, o := range strings.Split(m[1], ",") {
			options = append(options, o)
		}
		a.Options = options
	}
	parts := cut(m[2], 3)
	a.Enc = parts[0]
	if len(parts) > 2 {
		a.Comment = parts[2]
	}
	return parts[1]
}

func (a *sshAuthArgs) options() []any {
	if l := listOf(a.Options); l != nil {
		return l
	}
	return []any{}
}

// keyFile tells of each key of the source what is to be done; what is wrong is err.
func (a *sshAuthArgs) keyFile(ctx context.Context, c *states.Call) (*wire.Map, error) {
	v, err := c.Call.Call(ctx, "ssh.check_key_file", args(a.User, a.Source, a.Config), wire.NewMap("saltenv", c.Env, "fingerprint_hash_type", a.FingerprintHashType))
	if err != nil {
		return nil, err
	}
	keys, _ := v.(*wire.Map)
	if why, ok := c.Context("ssh_auth.error").(string); ok && keys.Len() == 0 && why != "" {
		c.SetContext("ssh_auth.error", nil)
		return nil, module.Failf("%s", why)
	}
	return keys, nil
}

func (a *sshAuthArgs) check(ctx context.Context, c *states.Call, key string) (string, error) {
	v, err := c.Call.Call(ctx, "ssh.check_key", args(a.User, key, a.Enc, a.Comment, a.options()), wire.NewMap("config", a.Config, "fingerprint_hash_type", a.FingerprintHashType))
	return pytext.Str(v), err
}

// sshAuthPresent lets a key, or the keys of a file, log in as a user.
func sshAuthPresent(ctx context.Context, c *states.Call, args sshAuthPresentArgs) (*states.Plan, error) {
	return args.present(ctx, c)
}

const (
	noKeyAdded = "Failed to add the ssh key. Is the home directory available, and/or does the key file exist?"
	invalidKey = "Invalid public ssh key, most likely has spaces or invalid syntax"
)

func (a sshAuthArgs) present(ctx context.Context, c *states.Call) (*states.Plan, error) {
	p := &states.Plan{}
	key := a.Name
	if a.Source == "" {
		if key = a.read(a.Name); key == "" {
			return p, module.Failf("name holds no key")
		}
	}
	do := func(ctx context.Context, r *states.Result) error {
		word, err := a.set(ctx, c, key)
		if err != nil {
			return err
		}
		switch word {
		case "replace":
			r.Change(key, "Updated")
			r.Comment = fmt.Sprintf("The authorized host key %s for user %s was updated", key, a.User)
		case "no change":
			r.Comment = fmt.Sprintf("The authorized host key %s is already present for user %s", key, a.User)
		case "new":
			r.Change(key, "New")
			r.Comment = fmt.Sprintf("The authorized host key %s for user %s was added", key, a.User)
		case "no key":
			return module.Failf("Failed to add the ssh key. Source file %s is missing", a.Source)
		case "fail":
			if why, ok := c.Context("ssh_auth.error").(string); ok && why != "" {
				c.SetContext("ssh_auth.error", nil)
				return module.Failf("%s", why)
			}
			return module.Failf(noKeyAdded)
		case "invalid", "Invalid public key":
			return module.Failf(invalidKey)
		}
		return nil
	}
	if c.Test && a.Source != "" {
		if there, err := a.fetched(ctx, c); err != nil || !there {
			return p, module.Failf("Failed to add the ssh key. Source file %s is missing", a.Source)
		}
		keys, err := a.keyFile(ctx, c)
		if err != nil {
			return p, err
		}
		p.Fine = fmt.Sprintf("All host keys in file %s are already present", a.Source)
		for k, v := range keys.Strings() {
			if v != "exists" {
				p.Would += fmt.Sprintf("Set to %s: %s\n", pytext.Str(v), k)
			}
		}
		if p.Would != "" {
			if lacksUser(c, a.User) {
				return p, module.Failf(noKeyAdded)
			}
			p.Do(nil, do)
		}
		return p, nil
	}
	if c.Test {
		word, err := a.check(ctx, c, key)
		if err != nil {
			return p, err
		}
		p.Fine = fmt.Sprintf("The authorized host key %s is already present for user %s", key, a.User)
		if word != "exists" {
			if lacksUser(c, a.User) {
				return p, module.Failf(noKeyAdded)
			}
			if _, err := base64.StdEncoding.DecodeString(key); err != nil || len(strings.Fields(key)) != 1 {
				return p, module.Failf(invalidKey)
			}
			p.Would = fmt.Sprintf("Key %s for user %s is set to be %s", key, a.User, map[string]string{"add": "added", "update": "updated"}[word])
			p.Do(nil, do)
		}
		return p, nil
	}
	p.Do(nil, do)
	return p, nil
}

// set has the key, or those of the source, set; the answer is a word.
func (a *sshAuthArgs) set(ctx context.Context, c *states.Call, key string) (string, error) {
	kwargs := wire.NewMap("config", a.Config, "fingerprint_hash_type", a.FingerprintHashType)
	if a.Source == "" {
		kwargs.Set("enc", a.Enc)
		kwargs.Set("comment", a.Comment)
		kwargs.Set("options", a.options())
		v, err := c.Call.Call(ctx, "ssh.set_auth_key", args(a.User, key), kwargs)
		return pytext.Str(v), err
	}
	if there, err := a.fetched(ctx, c); err != nil || !there {
		return "no key", err
	}
	kwargs.Set("saltenv", c.Env)
	kwargs.Set("options", a.Options)
	v, err := c.Call.Call(ctx, "ssh.set_auth_key_from_file", args(a.User, a.Source), kwargs)
	return pytext.Str(v), err
}

// fetched tells whether the source is there.
func (a *sshAuthArgs) fetched(ctx context.Context, c *states.Call) (bool, error) {
	v, err := c.Call.Call(ctx, "cp.cache_file", args(a.Source), wire.NewMap("saltenv", c.Env))
	return module.Truth(v), err
}

// sshAuthAbsent takes a key, or the keys of a file, away from a user.
func sshAuthAbsent(ctx context.Context, c *states.Call, a sshAuthArgs) (*states.Plan, error) {
	p := &states.Plan{}
	key := a.Name
	if a.Source == "" {
		key = a.read(a.Name)
	}
	do := func(ctx context.Context, r *states.Result) error {
		fun, what := "ssh.rm_auth_key", key
		kwargs := wire.NewMap("config", a.Config, "fingerprint_hash_type", a.FingerprintHashType)
		if a.Source != "" {
			if there, err := a.fetched(ctx, c); err != nil || !there {
				return err
			}
			fun, what = "ssh.rm_auth_key_from_file", a.Source
			kwargs.Set("saltenv", c.Env)
		}
		v, err := c.Call.Call(ctx, fun, args(a.User, what), kwargs)
		if err != nil {
			return err
		}
		r.Comment = pytext.Str(v)
		if r.Comment == "Key removed" {
			r.Change(key, "Removed")
		}
		return nil
	}
	if c.Test && a.Source != "" {
		keys, err := a.keyFile(ctx, c)
		if err != nil {
			return p, err
		}
		p.Fine = fmt.Sprintf("All host keys in file %s are already absent", a.Source)
		for k, v := range keys.Strings() {
			if v != "add" {
				p.Would += fmt.Sprintf("Set to remove: %s\n", k)
			}
		}
		if p.Would != "" {
			p.Do(nil, do)
		}
		return p, nil
	}
	if c.Test {
		a.Enc = "ssh-rsa" // the run goes by the key alone
		word, err := a.check(ctx, c, key)
		if err != nil {
			return p, err
		}
		p.Fine = "Key is already absent"
		if word != "add" {
			p.Would = fmt.Sprintf("Key %s for user %s is set for removal", key, a.User)
			p.Do(nil, do)
		}
		return p, nil
	}
	p.Do(nil, do)
	return p, nil
}

type sshAuthManageArgs struct {
	Name                string    // Not looked at.
	SSHKeys             []string  `arg:"ssh_keys"` // The keys, as ssh_auth.present takes them.
	User                string    // Whose file.
	Enc                 string    `default:"ssh-rsa"`              // Kind of the keys that do not name theirs.
	Comment             string    `default:""`                     // Comment of those that have none.
	Source              string    `default:""`                     // A file with keys.
	Options             any       `default:"None"`                 // Options of those that have none.
	Config              string    `default:".ssh/authorized_keys"` // The file.
	FingerprintHashType any       `default:"None"`                 // Hash of fingerprints.
	Kwargs              *wire.Map `arg:"**" read:"-"`              // Not looked at.
}

// sshAuthManage lets these keys log in as a user, and no others.
func sshAuthManage(ctx context.Context, c *states.Call, a sshAuthManageArgs) (*states.Plan, error) {
	v, err := c.Call.Call(ctx, "ssh.auth_keys", nil, wire.NewMap("user", a.User, "config", a.Config, "fingerprint_hash_type", a.FingerprintHashType))
	if err != nil {
		return nil, err
	}
	var wanted, remove []string
	for _, k := range a.SSHKeys {
		wanted = append(wanted, strings.Split(k, " ")...)
	}
	have, _ := v.(*wire.Map)
	for k := range have.Strings() {
		if !slices.Contains(wanted, k) {
			remove = append(remove, k)
		}
	}
	one := func(name string) sshAuthArgs {
		return sshAuthArgs{name, a.User, a.Enc, a.Comment, a.Source, a.Options, a.Config, a.FingerprintHashType}
	}
	work := func(ctx context.Context, r *states.Result) error {
		r.Set("name", "") // as in Salt
		r.Comment = ""
		changes := wire.NewMap()
		for _, k := range remove {
			if c.Test {
				r.Comment, r.Result = k+" Key set for removal", nil
				continue
			}
			p, err := sshAuthAbsent(ctx, c, one(k))
			if err != nil {
				return err
			}
			changes.Set(k, states.Settle(ctx, p, false).Comment)
		}
		for _, k := range a.SSHKeys {
			p, err := one(k).present(ctx, c)
			if err != nil {
				return err
			}
			got := states.Settle(ctx, p, c.Test)
			for key, v := range got.Changes.All() {
				changes.SetAny(key, v)
			}
			if got.Changes.Len() == 0 {
				r.Comment = strings.TrimSpace(r.Comment + "\n" + got.Comment)
			}
			if got.Result != true {
				r.Result = got.Result
			}
		}
		r.SetChanges(changes)
		return nil
	}
	if c.Test {
		r := &states.Result{Result: true, Changes: wire.NewMap()}
		if err := work(ctx, r); err != nil {
			return nil, err
		}
		p := states.Decided(r.Result, r.Changes, r.Comment).Set("name", "")
		p.Do(nil, work)
		return p, nil
	}
	p := &states.Plan{}
	p.Do(nil, work)
	return p, nil
}
