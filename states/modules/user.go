package modules

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
	"github.com/gosalt/gosalt/states"
)

func init() {
	register("user.present", userPresent)
	register("user.absent", userAbsent)
}

type userPresentArgs struct {
	Name            string // Name of the user.
	Uid             any    `default:"None"`  // Its number; the next that is free.
	Gid             any    `default:"None"`  // Its own group, by name or number.
	Usergroup       *bool  `default:"None"`  // Make a group of its name; False: do not.
	Groups          any    `default:"None"`  // Further groups; they have to be there.
	OptionalGroups  any    `default:"None"`  // Further groups that may be missing.
	RemoveGroups    bool   `default:"True"`  // Take it out of other groups.
	Home            any    `default:"None"`  // Its home directory.
	Createhome      bool   `default:"True"`  // Make its home directory.
	PersistHome     bool   `default:"False"` // When the home directory is another one, move what is in the old.
	Password        any    `default:"None"`  // The hash of its password, or with hash_password the password.
	HashPassword    bool   `default:"False"` // The password is hashed here.
	EnforcePassword bool   `default:"True"`  // Set the password of a user that has one, too.
	EmptyPassword   bool   `default:"False"` // No password is asked for.
	Shell           any    `default:"None"`  // Its shell.
	Unique          bool   `default:"True"`  // False: the number may be one that is in use.
	System          bool   `default:"False"` // A number of the range for the system.
	Fullname        any    `default:"None"`  // Its full name.
	Roomnumber      any    `default:"None"`  // Its room.
	Workphone       any    `default:"None"`  // Its telephone at work.
	Homephone       any    `default:"None"`  // Its telephone at home.
	Other           any    `default:"None"`  // What else is to be said.
	Loginclass      any    `default:"None"`  // Without effect: the BSDs have those.
	Date            any    `default:"None"`  // Day of the last change of its password, in days since 1970.
	Mindays         any    `default:"None"`  // Days before the password can be changed again.
	Maxdays         any    `default:"None"`  // Days after which the password expires.
	Inactdays       any    `default:"None"`  // Days for which an expired password still lets in.
	Warndays        any    `default:"None"`  // Days of warning before the password expires.
	Expire          any    `default:"None"`  // Day on which the account expires, in days since 1970.
	WinHomedrive    any    `default:"None"`  // On Windows.
	WinProfile      any    `default:"None"`  // On Windows.
	WinLogonscript  any    `default:"None"`  // On Windows.
	WinDescription  any    `default:"None"`  // On Windows.
	Nologinit       bool   `default:"False"` // Leave it out of the logs of logins, whose files grow with high numbers.
	AllowUidChange  bool   `default:"False"` // A user that is there may get another number; its files keep the old.
	AllowGidChange  bool   `default:"False"` // A user that is there may get another group of its own; its files keep the old.
	PasswordLock    any    `default:"None"`  // Lock the password; False: unlock it.
}

// redactedText stands for passwords in results.
const redactedText = "XXX-REDACTED-XXX"

// account is one call of user.present.
type account struct {
	c        *states.Call
	a        *userPresentArgs
	password string
	gid      any // of the group that the user is to have
	optional []any
}

// userPresent makes a user be there, and be as it is described.
func userPresent(ctx context.Context, c *states.Call, a userPresentArgs) (*states.Plan, error) {
	u := &account{c: c, a: &a, gid: a.Gid}
	p := &states.Plan{Fine: fmt.Sprintf("User %s is present and up to date", a.Name)}
	for _, v := range []*any{&a.Fullname, &a.Roomnumber, &a.Workphone, &a.Homephone, &a.Other} {
		if *v != nil {
			*v = pytext.Str(*v)
		}
	}
	for _, v := range []any{a.Fullname, a.Roomnumber, a.Workphone} {
		if s, ok := v.(string); ok && strings.Contains(s, ",") {
			return p, module.Failf("Unsupported char ',' in %s", s)
		}
	}
	if err := u.readGroups(ctx); err != nil {
		return p, err
	}
	if err := u.readPassword(ctx); err != nil {
		return p, err
	}
	if a.Usergroup != nil && *a.Usergroup {
		if _, err := c.Host.Group(a.Name); err == nil {
			u.gid = a.Name
		}
	}
	if lacksGroup(c, u.gid) && strings.Trim(pytext.Str(u.gid), "0123456789") != "" {
		if _, err := c.Host.User(a.Name); err != nil {
			return p, module.Failf("Failed to create new user %s: group %s does not exist", a.Name, pytext.Str(u.gid))
		}
	}
	changes, there, err := u.changes(ctx, u.gid, a.AllowUidChange, a.AllowGidChange)
	switch {
	case err != nil:
		return p, err
	case !there:
		if u.uidTaken(ctx) {
			return p, module.Failf("Failed to create new user %s", a.Name)
		}
		for _, g := range slices.Concat(listOf(a.Groups), u.optional) {
			promiseMember(c, a.Name, pytext.Str(g), true)
		}
		p.Would, p.Did = fmt.Sprintf("User %s set to be added", a.Name), fmt.Sprintf("New user %s created", a.Name)
		p.Do(nil, u.add)
	case changes.Len() > 0:
		p.Would = "The following user attributes are set to be changed:\n"
		for k, v := range changes.Strings() {
			if k == "passwd" {
				v = redactedText
			}
			p.Would += fmt.Sprintf("%s: %s\n", k, pytext.Str(v))
		}
		p.Do(nil, func(ctx context.Context, r *states.Result) error { return u.update(ctx, r, changes) })
	}
	return p, nil
}

// readGroups checks which groups there are.
func (u *account) readGroups(ctx context.Context) error {
	var missing []string
	for _, g := range listOf(u.a.Groups) {
		if _, err := u.c.Host.Group(pytext.Str(g)); err != nil && !possibleGroup(u.c, pytext.Str(g)) {
			missing = append(missing, pytext.Str(g))
		}
	}
	if len(missing) > 0 {
		return module.Failf("The following group(s) are not present: %s", strings.Join(missing, ","))
	}
	for _, g := range listOf(u.a.OptionalGroups) {
		if _, err := u.c.Host.Group(pytext.Str(g)); err != nil && !promisedGroup(u.c, pytext.Str(g)) {
			u.c.Log.Debug("optional group is not there", "group", pytext.Str(g), "user", u.a.Name)
			continue
		}
		u.optional = append(u.optional, g)
	}
	return nil
}

// algorithms are the names of shadow.gen_password for the marks of hashes.
var algorithms = map[string]string{"1": "md5", "2a": "blowfish", "5": "sha256", "6": "sha512"}

// readPassword makes the hash, with the salt of the present one, so that the same password
// is the same hash.
func (u *account) readPassword(ctx context.Context) error {
	if !module.Truth(u.a.Password) {
		return nil
	}
	u.password = pytext.Str(u.a.Password)
	if !u.a.HashPassword {
		return nil
	}
	shadow, err := mapOf(ctx, u.c, "shadow.info", u.a.Name)
	if err != nil {
		return err
	}
	kwargs := wire.NewMap()
	if parts := strings.SplitN(shadow.Text("passwd"), "$", 5); len(parts) == 4 && algorithms[parts[1]] != "" {
		kwargs = wire.NewMap("crypt_salt", parts[2], "algorithm", algorithms[parts[1]])
	}
	v, err := u.c.Call.Call(ctx, "shadow.gen_password", args(u.password), kwargs)
	if err != nil {
		return err
	}
	u.password = pytext.Str(v)
	return nil
}

// differs tells whether a value is given and another one.
func differs(want, have any) bool { return want != nil && !pytext.Equal(want, have) }

// changes are what is not as it should be; there is whether there is such a user.
func (u *account) changes(ctx context.Context, gid any, uidMay, gidMay bool) (change *wire.Map, there bool, err error) {
	a := u.a
	user, err := mapOf(ctx, u.c, "user.info", a.Name)
	if err != nil || user.Len() == 0 {
		return nil, false, err
	}
	change = wire.NewMap()
	if module.Truth(a.Uid) && differs(a.Uid, get(user, "uid")) {
		change.Set("uid", a.Uid)
	}
	if gid != nil && differs(gid, get(user, "gid")) && !pytext.Equal(u.groupID(gid), get(user, "gid")) {
		change.Set("gid", gid)
	}
	u.groupChanges(user, gid, change)
	home := user.Text("home")
	if module.Truth(a.Home) {
		if differs(a.Home, home) {
			change.Set("home", a.Home)
		}
		home = pytext.Str(a.Home)
	}
	if a.Createhome && !u.c.Host.IsDir(home) {
		change.Set("homeDoesNotExist", home)
	}
	if module.Truth(a.Shell) && differs(a.Shell, get(user, "shell")) {
		change.Set("shell", a.Shell)
	}
	if err := u.shadowChanges(ctx, change); err != nil {
		return nil, true, err
	}
	for _, f := range []struct {
		name string
		want any
	}{{"fullname", a.Fullname}, {"roomnumber", a.Roomnumber}, {"workphone", a.Workphone}, {"homephone", a.Homephone}, {"other", a.Other}} {
		if differs(f.want, get(user, f.name)) {
			change.Set(f.name, f.want)
		}
	}
	const refused = "Changing %s (%s -> %s) not permitted, set allow_%s_change to True to force this change. Note that this will not change file ownership."
	var errs []string
	if change.Has("uid") && !uidMay {
		errs = append(errs, fmt.Sprintf(refused, "uid", pytext.Str(get(user, "uid")), pytext.Str(a.Uid), "uid"))
	}
	if change.Has("gid") && !gidMay {
		errs = append(errs, fmt.Sprintf(refused, "gid", pytext.Str(get(user, "gid")), pytext.Str(gid), "gid"))
	}
	if len(errs) > 0 {
		text := "Encountered error checking for needed changes. Additional info follows:\n"
		for _, e := range errs {
			text += "\n- " + e
		}
		return nil, true, module.Failf("%s", text)
	}
	return change, true, nil
}

// groupID is the number of a group; nil where there is none.
func (u *account) groupID(group any) any {
	if n, ok := group.(int64); ok {
		return n
	}
	if g, err := u.c.Host.Group(pytext.Str(group)); err == nil {
		return int64(g.GID)
	}
	return nil
}

// groupName is the name of a group.
func (u *account) groupName(group any) string {
	if n, ok := u.groupID(group).(int64); ok {
		return u.c.Host.GroupName(int(n))
	}
	return ""
}

// groupChanges compares the groups that a user is in with those that it is to be in. Its
// own group counts for nothing, nor does another name of the same number.
func (u *account) groupChanges(user *wire.Map, gid any, change *wire.Map) {
	a := u.a
	var have, wanted []string
	for _, g := range groupsToBe(u.c, a.Name, user.List("groups")) {
		have = append(have, pytext.Str(g))
	}
	for _, g := range slices.Concat(listOf(a.Groups), u.optional) {
		wanted = append(wanted, pytext.Str(g))
	}
	if !a.RemoveGroups || a.Groups == nil && len(u.optional) == 0 {
		wanted = append(wanted, have...)
	}
	slices.Sort(wanted)
	wanted = slices.Compact(wanted)
	own := gid
	if own == nil {
		own = get(user, "gid")
	}
	drop := func(from []string, name string) []string {
		id := u.groupID(name)
		twice := 0
		for _, g := range have {
			if id != nil && u.groupID(g) == id {
				twice++
			}
		}
		return slices.DeleteFunc(slices.Clone(from), func(g string) bool { return g == name || twice > 1 && u.groupID(g) == id })
	}
	all := have
	now, was := u.groupName(own), u.groupName(get(user, "gid"))
	if slices.Contains(have, now) || slices.Contains(wanted, now) {
		all, wanted = drop(all, now), drop(wanted, now)
	}
	if was != now && slices.Contains(all, was) {
		all = drop(all, was)
	}
	if slices.Contains(all, a.Name) && !slices.Contains(wanted, a.Name) {
		all = drop(all, a.Name)
	}
	if u.groupsDiffer(all, wanted) && (len(wanted) > 0 || a.RemoveGroups) {
		list := []any{}
		for _, g := range wanted {
			list = append(list, g)
		}
		change.Set("groups", list)
		if a.RemoveGroups {
			for _, g := range all {
				promiseMember(u.c, a.Name, g, false)
			}
		}
		for _, g := range wanted {
			promiseMember(u.c, a.Name, g, true)
		}
	}
}

// groupsDiffer tells whether a user is to be put into groups, or taken out of some. What
// only is another name of a group counts for nothing.
func (u *account) groupsDiffer(have, wanted []string) bool {
	var diff []string
	for _, g := range wanted {
		if !slices.Contains(have, g) {
			diff = append(diff, g)
		}
	}
	if u.a.RemoveGroups {
		for _, g := range have {
			if !slices.Contains(wanted, g) {
				diff = append(diff, g)
			}
		}
	}
	for _, d := range diff {
		id := u.groupID(d)
		if !slices.ContainsFunc(slices.Concat(have, wanted), func(g string) bool { return g != d && id != nil && u.groupID(g) == id }) {
			return true
		}
	}
	return false
}

// shadowChanges compares the password and its days.
func (u *account) shadowChanges(ctx context.Context, change *wire.Map) error {
	a, c := u.a, u.c
	if c.Functions().Lookup("shadow.info") == nil {
		return nil
	}
	shadow, err := mapOf(ctx, c, "shadow.info", a.Name)
	if err != nil {
		return err
	}
	have := shadow.Text("passwd")
	if u.password != "" && !a.EmptyPassword && have != u.password {
		none, err := text(ctx, c, "shadow.default_hash")
		if err != nil {
			return err
		}
		if have == none || a.EnforcePassword {
			change.Set("passwd", u.password)
		}
	}
	if a.EmptyPassword && have != "" {
		change.Set("empty_password", true)
	}
	for _, d := range u.days() {
		if d.want != nil && (d.name != "expire" || module.Truth(d.want)) && differs(d.want, get(shadow, d.field)) {
			change.Set(d.name, d.want)
		}
	}
	locked := strings.HasPrefix(have, "!")
	if module.Truth(a.PasswordLock) && !locked || a.PasswordLock == false && locked {
		change.Set("password_lock", a.PasswordLock)
	}
	return nil
}

// accountDay is a setting of shadow(5).
type accountDay struct {
	name, field, what string
	want              any
}

func (u *account) days() []accountDay {
	a := u.a
	return []accountDay{
		{"date", "lstchg", "last change date", a.Date}, {"mindays", "min", "minimum days", a.Mindays}, {"maxdays", "max", "maximum days", a.Maxdays},
		{"inactdays", "inact", "inactive days", a.Inactdays}, {"warndays", "warn", "warn days", a.Warndays}, {"expire", "expire", "expire days", a.Expire},
	}
}

// update makes a user that is there as it should be.
func (u *account) update(ctx context.Context, r *states.Result, change *wire.Map) error {
	a, c := u.a, u.c
	r.SetChanges(nil)
	shadow, err := mapOf(ctx, c, "shadow.info", a.Name)
	if err != nil {
		return err
	}
	before, err := mapOf(ctx, c, "user.info", a.Name)
	if err != nil {
		return err
	}
	do := func(fun string, v ...any) {
		if err == nil {
			_, err = c.Call.Call(ctx, fun, append(args(a.Name), v...), nil)
		}
	}
	if change.Has("passwd") && !a.EmptyPassword {
		do("shadow.set_password", u.password)
	}
	if change.Has("empty_password") {
		do("shadow.del_password")
	}
	if v, ok := change.Get("password_lock"); ok {
		if module.Truth(v) {
			do("shadow.lock_password")
		} else {
			do("shadow.unlock_password")
		}
	}
	if change.Has("date") {
		do("shadow.set_date", a.Date)
	}
	for _, k := range []string{"home", "homeDoesNotExist"} {
		if home, ok := change.Get(k); ok && err == nil && (k != "home" || !change.Has("homeDoesNotExist")) {
			_, err = c.Call.Call(ctx, "user.chhome", args(a.Name, home), wire.NewMap("persist", a.PersistHome))
			if err == nil && k == "homeDoesNotExist" && !c.Host.IsDir(pytext.Str(home)) {
				_, err = c.Call.Call(ctx, "file.mkdir", args(home, get(before, "uid"), get(before, "gid"), "0755"), nil)
			}
		}
	}
	for _, d := range u.days() {
		if d.name != "date" && change.Has(d.name) {
			do("shadow.set_"+d.name, d.want)
		}
	}
	for _, k := range []string{"uid", "gid", "shell", "fullname", "roomnumber", "workphone", "homephone", "other"} {
		if v, ok := change.Get(k); ok {
			if id := u.groupID(v); k == "gid" && id != nil {
				v = id
			}
			do("user.ch"+k, v)
		}
	}
	if v, ok := change.Get("groups"); ok { // last: the group of its own may be another one now
		do("user.chgroups", v, !a.RemoveGroups)
	}
	if err != nil {
		return err
	}
	return u.report(ctx, r, before, shadow)
}

// report tells what has changed, and what has not though it should.
func (u *account) report(ctx context.Context, r *states.Result, before, shadow *wire.Map) error {
	a, c := u.a, u.c
	after, err := mapOf(ctx, c, "user.info", a.Name)
	if err != nil {
		return err
	}
	changes := wire.NewMap()
	for k, v := range after.Strings() {
		if !pytext.Equal(v, get(before, k)) {
			changes.Set(k, v)
		}
	}
	if u.password == "" || shadow.Text("passwd") != u.password {
		now, err := mapOf(ctx, c, "shadow.info", a.Name)
		if err != nil {
			return err
		}
		for k, v := range now.Strings() {
			if pytext.Equal(v, get(shadow, k)) {
				continue
			}
			if k == "passwd" {
				v = redactedText
			}
			changes.Set(k, v)
		}
	}
	r.SetChanges(changes)
	r.Comment = fmt.Sprintf("User %s is present and up to date", a.Name)
	if changes.Len() > 0 {
		r.Comment = fmt.Sprintf("Updated user %s", a.Name)
	}
	left, _, err := u.changes(ctx, a.Gid, true, true)
	if err != nil {
		return err
	}
	if left.Len() > 0 {
		if left.Has("passwd") {
			left.Set("passwd", redactedText)
		}
		return module.Failf("These values could not be changed: %s", pytext.Repr(left))
	}
	return nil
}

// uidTaken tells under test=True whether another user has the number, and keeps it.
func (u *account) uidTaken(ctx context.Context) bool {
	a := u.a
	if !u.c.Test || a.Uid == nil || !a.Unique || accountsMove(u.c) {
		return false
	}
	v, err := u.c.Call.Call(ctx, "user.getent", nil, nil)
	return err == nil && slices.ContainsFunc(listOf(v), func(other any) bool {
		m, ok := other.(*wire.Map)
		return ok && m.Text("name") != a.Name && pytext.Str(get(m, "uid")) == pytext.Str(a.Uid)
	})
}

// add makes a user.
func (u *account) add(ctx context.Context, r *states.Result) error {
	a, c := u.a, u.c
	groups := a.Groups
	if len(u.optional) > 0 {
		groups = slices.Concat(listOf(a.Groups), u.optional)
	}
	kwargs := wire.NewMap("name", a.Name, "uid", a.Uid, "gid", a.Gid, "groups", groups, "home", a.Home, "shell", a.Shell, "unique", a.Unique, "system", a.System,
		"fullname", a.Fullname, "roomnumber", a.Roomnumber, "workphone", a.Workphone, "homephone", a.Homephone, "other", a.Other, "createhome", a.Createhome,
		"nologinit", a.Nologinit, "loginclass", a.Loginclass, "usergroup", nil)
	if a.Usergroup != nil {
		kwargs.Set("usergroup", *a.Usergroup)
	}
	v, err := c.Call.Call(ctx, "user.add", nil, kwargs)
	if err != nil {
		return err
	}
	if v != true {
		return module.Failf("Failed to create new user %s", a.Name)
	}
	changes, err := mapOf(ctx, c, "user.info", a.Name)
	if err != nil {
		return err
	}
	if !a.Createhome {
		changes.Set("home", "") // the directory is not there
	}
	r.SetChanges(changes)
	var failed error
	set := func(key string, shown any, fun, what, field string, want any, v ...any) error {
		if _, err := c.Call.Call(ctx, fun, append(args(a.Name), v...), nil); err != nil {
			return err
		}
		shadow, err := mapOf(ctx, c, "shadow.info", a.Name)
		if err != nil {
			return err
		}
		if !pytext.Equal(get(shadow, field), want) {
			failed = module.Failf("User %s created but failed to %s", a.Name, what)
		}
		changes.Set(key, shown)
		r.SetChanges(changes)
		return nil
	}
	if u.password != "" && !a.EmptyPassword {
		err = set("password", redactedText, "shadow.set_password", "set password to "+redactedText, "passwd", u.password, u.password)
	}
	if err == nil && a.EmptyPassword && u.password == "" {
		err = set("password", "", "shadow.del_password", "empty password", "passwd", "")
	}
	for _, d := range u.days() {
		if err == nil && (module.Truth(d.want) || d.name == "date" && d.want != nil) {
			err = set(d.name, d.want, "shadow.set_"+d.name, fmt.Sprintf("set %s to %s", d.what, pytext.Str(d.want)), d.field, d.want, d.want)
		}
	}
	if err == nil {
		err = failed
	}
	return err
}

type userAbsentArgs struct {
	Name  string // Name of the user.
	Purge bool   `default:"False"` // Remove its home directory and its mail, too.
	Force bool   `default:"False"` // Though it is logged in.
}

// userAbsent removes a user.
func userAbsent(ctx context.Context, c *states.Call, a userAbsentArgs) (*states.Plan, error) {
	p := &states.Plan{Fine: fmt.Sprintf("User %s is not present", a.Name)}
	user, err := mapOf(ctx, c, "user.info", a.Name)
	last, changed := lastEffect(c, effect{"user", a.Name})
	if err != nil || changed && last.fun == "absent" || user.Len() == 0 && (!changed || last.fun != "present") {
		return p, err
	}
	promiseMember(c, a.Name, "", false)
	p.Would, p.Did = fmt.Sprintf("User %s set for removal", a.Name), fmt.Sprintf("Removed user %s", a.Name)
	p.Do(nil, func(ctx context.Context, r *states.Result) error {
		ok, err := truth(ctx, c, "user.delete", a.Name, a.Purge, a.Force)
		if err != nil {
			return err
		}
		if !ok {
			return module.Failf("Failed to remove user %s", a.Name)
		}
		for _, g := range user.List("groups") {
			if _, err := c.Host.Group(pytext.Str(g)); err != nil {
				r.Change(pytext.Str(g)+" group", "removed")
			}
		}
		r.Change(a.Name, "removed")
		return nil
	})
	return p, nil
}
