package modules

import (
	"context"
	"fmt"
	"io"
	"slices"
	"sort"
	"strings"

	"github.com/gosalt/gosalt/internal/host"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
	"github.com/gosalt/gosalt/states"
)

func init() {
	register("pkgrepo.managed", pkgrepoManaged)
	register("pkgrepo.absent", pkgrepoAbsent)
}

type pkgrepoManagedArgs struct {
	Name   string    // The source: with apt the whole line of sources.list, with dnf and zypper its short name.
	Ppa    any       `default:"None"` // Archive of Launchpad in place of the name: owner/name (Ubuntu).
	Copr   any       `default:"None"` // Project of Copr in place of the name (Fedora).
	Aptkey bool      `default:"True"` // Put keys into the keyring of all sources with apt-key, where that is there.
	Kwargs *wire.Map `arg:"**"`       // file, comps, dist, architectures, comments, key_url, key_text, keyid, keyserver, disabled, enabled, refresh, clean_file, allow_insecure_key; humanname, baseurl, mirrorlist, gpgcheck, gpgkey and other options (dnf, zypper).
}

// pkgrepoManaged makes sure that a source of packages is configured.
func pkgrepoManaged(ctx context.Context, c *states.Call, a pkgrepoManagedArgs) (*states.Plan, error) {
	kw := a.Kwargs.Clone()
	if kw == nil {
		kw = wire.NewMap()
	}
	family, system := c.Grains().Text("os_family"), c.Grains().Text("os")
	if !c.Call.Has("pkg.get_repo") {
		return decided(false, "Repo management not implemented on this platform"), nil
	}
	if kw.Has("repo") {
		return decided(false, "'repo' is not a supported argument for this state. The 'name' argument is probably what was intended."), nil
	}
	enabled, disabled := get(kw, "enabled"), get(kw, "disabled")
	kw.Delete("enabled")
	kw.Delete("disabled")
	if enabled != nil && disabled != nil {
		return decided(false, "Only one of enabled/disabled is allowed"), nil
	}
	var warnings []string
	off := isTrue(disabled) || enabled != nil && !isTrue(enabled)
	insecure := !kw.Has("allow_insecure_key") || module.Truth(get(kw, "allow_insecure_key"))
	kw.Delete("allow_insecure_key")
	if strings.HasPrefix(strings.TrimSpace(kw.Text("key_url")), "http:") && !insecure {
		return decided(false, "Cannot have 'key_url' using http with 'allow_insecure_key' set to True"), nil
	}
	repo := a.Name
	if system == "Ubuntu" || system == "Mint" {
		if a.Ppa != nil {
			repo = "ppa:" + strings.TrimPrefix(pytext.Str(a.Ppa), "ppa:")
		}
		kw.Set("disabled", off)
	} else if family == "Debian" && off {
		warnings = append(warnings, "disabled and enabled have no effect on Debian, as with Salt: remove the source with pkgrepo.absent")
	}
	if family == "Debian" && kw.Has("signedby") {
		warnings = append(warnings, "signedby has no effect, as with Salt: it belongs into the name, as [signed-by=/etc/apt/keyrings/NAME.gpg]")
	}
	kw.Set("name", a.Name)
	if family == "RedHat" || family == "Suse" {
		if a.Copr != nil && family == "RedHat" {
			repo = "copr:" + pytext.Str(a.Copr)
		}
		if human, ok := kw.Get("humanname"); ok {
			kw.Delete("humanname")
			kw.Set("name", human)
		}
		kw.Set("enabled", !off)
	}
	call := func(ctx context.Context, fun string, kwargs *wire.Map) (*wire.Map, error) {
		v, err := c.Call.Call(ctx, fun, []any{repo}, kwargs)
		m, _ := v.(*wire.Map)
		return m, err
	}
	pre, err := call(ctx, "pkg.get_repo", kw)
	if err != nil {
		return decided(false, "Failed to examine repo '%s': %s", a.Name, message(err)), nil
	}
	want := kw
	if family == "Debian" {
		if want, err = call(ctx, "pkg.expand_repo_def", kw); err != nil {
			return nil, err
		}
	}
	there := pre.Len() > 0
	if there {
		pre, want = pre.Clone(), want.Clone()
		pre.Delete("file")
		want.Delete("file")
		if sameRepo(family, want, pre, kw) {
			p := decided(true, "Package repo '%s' already configured", a.Name)
			p.Warnings = warnings
			return p, nil
		}
	}
	if there && c.Test && family == "Debian" {
		same, err := leavesRepo(ctx, c, repo, kw, pre)
		if err != nil {
			return nil, err
		}
		if same {
			comment := "Package repo '%s' already configured"
			if module.Truth(get(pre, "disabled")) {
				comment = "Package repo '%s' is there as a comment and stays one: on Debian a run does not turn it on, as with Salt. Remove it with pkgrepo.absent first"
			}
			p := decided(true, comment, a.Name)
			p.Warnings = warnings
			return p, nil
		}
	}
	if there && c.Test && family == "RedHat" && sameRepo(family, written(want, pre), pre, kw) {
		p := decided(true, "Package repo '%s' already configured", a.Name)
		p.Warnings = warnings
		return p, nil
	}
	if c.Test {
		if why := refusedRepo(ctx, c, repo, kw, there, a.Aptkey); why != "" {
			return decided(false, "Failed to configure repo '%s': %s", a.Name, why), nil
		}
	}
	differs := func(now *wire.Map) *wire.Map {
		changes := wire.NewMap()
		for k := range want.Strings() {
			if !pytext.Equal(get(now, k), get(pre, k)) {
				changes.Set(k, change(get(pre, k), get(now, k)))
			}
		}
		return changes
	}
	p := &states.Plan{Warnings: warnings, Would: fmt.Sprintf("Package repo '%s' would be configured. This may cause pkg states to behave differently than stated "+
		"if this action is repeated without test=True, due to the differences in the configured repositories.", a.Name)}
	foreseen := wire.NewMap("repo", a.Name)
	if there {
		foreseen = differs(want)
	}
	p.Do(foreseen, func(ctx context.Context, r *states.Result) error {
		r.SetChanges(nil)
		fail := func(what string, err error) error {
			return module.Failf("Failed to %s repo '%s': %s", what, a.Name, message(err))
		}
		if module.Truth(get(kw, "clean_file")) && kw.Text("file") != "" {
			if err := c.Host.Replace(kw.Text("file"), host.Keep, c.Umask, func(io.Writer) error { return nil }); err != nil {
				return fail("configure", err)
			}
		}
		mod := kw.Clone()
		if family == "Debian" {
			mod.Set("saltenv", c.Env)
			mod.Set("aptkey", a.Aptkey)
		}
		if _, err := call(ctx, "pkg.mod_repo", mod); err != nil {
			return fail("configure", err)
		}
		post, err := call(ctx, "pkg.get_repo", kw)
		if err != nil {
			return fail("confirm config of", err)
		}
		if there {
			r.SetChanges(differs(post))
		} else {
			r.Change("repo", repo)
		}
		r.Comment = fmt.Sprintf("Configured package repo '%s'", a.Name)
		return nil
	})
	return p, nil
}

// leavesRepo tells whether a run would leave a source of apt as it is, though it is not as
// it is asked for: what pkg.mod_repo does not look at stays.
func leavesRepo(ctx context.Context, c *states.Call, repo string, kw, pre *wire.Map) (bool, error) {
	kw = kw.Clone()
	kw.Delete("uri")
	if !kw.Has("disabled") {
		kw.Set("disabled", get(pre, "disabled"))
	}
	v, err := c.Call.Call(ctx, "pkg.expand_repo_def", []any{repo}, kw)
	then, _ := v.(*wire.Map)
	for _, key := range []string{"comps", "disabled", "dist", "type", "uri", "architectures", "signedby"} {
		if err != nil || !pytext.Equal(get(then, key), get(pre, key)) {
			return false, err
		}
	}
	if comments := get(kw, "comments"); comments != nil {
		_, have, _ := strings.Cut(strings.TrimPrefix(pre.Text("line"), "#"), "#")
		return strings.TrimSpace(have) == commentWords(comments), nil
	}
	return true, nil
}

// written are the options of a source that dnf's file shows: those that are to be taken away
// and are not there, and where the file is, show nowhere.
func written(want, pre *wire.Map) *wire.Map {
	left := want.Clone()
	left.Delete("basedir")
	for k, v := range want.Strings() {
		if (v == nil || v == "") && !pre.Has(k) {
			left.Delete(k)
		}
	}
	return left
}

// sameRepo tells whether a source is as it should be.
func sameRepo(family string, want, pre, kw *wire.Map) bool {
	rpm := family == "RedHat" || family == "Suse"
	for k, v := range want.Strings() {
		have, ok := pre.Get(k)
		if !ok {
			if k == "enabled" && family == "RedHat" && isTrue(v) {
				continue // it is where nothing is said
			}
			return false
		}
		_, one := v.(bool)
		_, other := have.(bool)
		switch {
		case rpm && k != "comps" && k != "comments" && k != "architectures":
			if one || other { // 1 is True
				if isTrue(v) != isTrue(have) {
					return false
				}
			} else if pytext.Str(v) != pytext.Str(have) {
				return false
			}
		case k == "comments" && family == "RedHat":
			if !slices.Equal(repoComments(v), repoComments(have)) {
				return false
			}
		case k == "comps":
			if !sameSet(v, have) {
				return false
			}
		case k == "line":
			if module.Truth(get(want, "disabled")) {
				continue
			}
			line, comment, _ := strings.Cut(pytext.Str(have), "#")
			if !slices.Equal(sortedLine(pytext.Str(v)), sortedLine(line)) {
				return false
			}
			if c := get(kw, "comments"); c != nil && strings.TrimSpace(comment) != commentWords(c) {
				return false
			}
		case k == "architectures" && module.Truth(v):
			if !sameSet(v, have) {
				return false
			}
		case pytext.Str(v) != pytext.Str(have):
			return false
		}
	}
	return true
}

// repoComments are comments without what marks them.
func repoComments(v any) []string {
	l, ok := v.([]any)
	if !ok {
		l = []any{v}
	}
	var out []string
	for _, e := range l {
		out = append(out, strings.TrimLeft(strings.TrimLeft(pytext.Str(e), "#"), " \t\r\n\v\f"))
	}
	return out
}

func commentWords(v any) string {
	if l, ok := v.([]any); ok {
		words := make([]string, len(l))
		for i, e := range l {
			words[i] = pytext.Str(e)
		}
		return strings.TrimSpace(strings.Join(words, " "))
	}
	return strings.TrimSpace(pytext.Str(v))
}

func sameSet(a, b any) bool {
	x, _ := a.([]any)
	y, _ := b.([]any)
	var l, r []string
	for _, e := range x {
		l = append(l, pytext.Str(e))
	}
	for _, e := range y {
		r = append(r, pytext.Str(e))
	}
	sort.Strings(l)
	sort.Strings(r)
	return slices.Equal(l, r)
}

// sortedLine has what comes after the address in order, for that does not count.
func sortedLine(line string) []string {
	words := strings.Fields(line)
	if len(words) > 3 {
		sort.Strings(words[3:])
	}
	return words
}

type pkgrepoAbsentArgs struct {
	Name   string    // The source: with apt the whole line of sources.list.
	Kwargs *wire.Map `arg:"**"` // ppa, ppa_auth (Ubuntu), keyid: remove the key, too.
}

// stripURI drops the slash at the end of an address.
func stripURI(repo string) string {
	words := strings.Fields(repo)
	for i, w := range words {
		if strings.HasPrefix(w, "http://") || strings.HasPrefix(w, "https://") || strings.HasPrefix(w, "ftp://") {
			words[i] = strings.TrimRight(w, "/")
		}
	}
	return strings.Join(words, " ")
}

// pkgrepoAbsent makes sure that a source of packages is not configured.
func pkgrepoAbsent(ctx context.Context, c *states.Call, a pkgrepoAbsentArgs) (*states.Plan, error) {
	if !c.Call.Has("pkg.get_repo") {
		return decided(false, "Repo management not implemented on this platform"), nil
	}
	name, family := a.Name, c.Grains().Text("os_family")
	if copr := a.Kwargs.Text("copr"); copr != "" && family == "RedHat" {
		name = "copr:" + strings.TrimPrefix(copr, "copr:")
	}
	keyed := get(a.Kwargs, "keyid") != nil || get(a.Kwargs, "keyid_ppa") != nil
	if keyed && !c.Call.Has("pkg.del_repo_key") {
		return decided(false, "Repo key management is not implemented for this platform"), nil
	}
	if ppa := a.Kwargs.Text("ppa"); ppa != "" && slices.Contains([]string{"Ubuntu", "Mint"}, c.Grains().Text("os")) {
		name = "ppa:" + strings.TrimPrefix(ppa, "ppa:")
	}
	strip, kw := name, a.Kwargs
	if family == "Debian" {
		strip, kw = stripURI(name), wire.NewMap("ppa_auth", get(a.Kwargs, "ppa_auth"))
	}
	v, err := c.Call.Call(ctx, "pkg.get_repo", []any{strip}, kw)
	if err != nil {
		return decided(false, "Failed to configure repo '%s': %s", name, message(err)), nil
	}
	repo, _ := v.(*wire.Map)
	if repo.Len() > 0 && family == "Debian" {
		v, err := c.Call.Call(ctx, "pkg.expand_repo_def", []any{strip}, kw)
		want, _ := v.(*wire.Map)
		if err != nil {
			return nil, err
		}
		if !sameSet(get(want, "architectures"), get(repo, "architectures")) {
			repo = nil
		}
	}
	if repo.Len() == 0 {
		return decided(true, "Package repo %s is absent", name), nil
	}
	p := &states.Plan{Would: fmt.Sprintf("Package repo '%s' will be removed. This may cause pkg states to behave differently than stated if this action is "+
		"repeated without test=True, due to the differences in the configured repositories.", name)}
	p.Do(nil, func(ctx context.Context, r *states.Result) error {
		if _, err := c.Call.Call(ctx, "pkg.del_repo", []any{strip}, kw); err != nil {
			return err
		}
		r.Change("repo", name)
		r.Comment = "Removed repo " + name
		id := get(a.Kwargs, "keyid")
		if id == nil {
			return nil
		}
		key, err := c.Call.Call(ctx, "pkg.del_repo_key", []any{strip}, wire.NewMap("keyid", id))
		if err != nil {
			r.Result = false
			r.Comment += ", but failed to remove key: " + message(err)
			return nil
		}
		r.Change("keyid", key)
		r.Comment += ", and keyid " + pytext.Str(key)
		return nil
	})
	return p, nil
}
