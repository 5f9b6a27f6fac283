package modules

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gosalt/gosalt/internal/host"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

func init() {
	register("shadow.default_hash", shadowDefaultHash)
	register("shadow.info", shadowInfo)
	register("shadow.list_users", shadowListUsers)
	register("shadow.set_password", shadowSetPassword)
	register("shadow.del_password", shadowDelPassword)
	register("shadow.lock_password", shadowLockPassword)
	register("shadow.unlock_password", shadowUnlockPassword)
	register("shadow.set_inactdays", shadowSetInactdays)
	register("shadow.set_maxdays", shadowSetMaxdays)
	register("shadow.set_mindays", shadowSetMindays)
	register("shadow.set_warndays", shadowSetWarndays)
	register("shadow.set_date", shadowSetDate)
	register("shadow.set_expire", shadowSetExpire)
	register("shadow.gen_password", shadowGenPassword)
}

// shadowKeys are the fields of /etc/shadow by Salt's names, in their order.
var shadowKeys = []string{"name", "passwd", "lstchg", "min", "max", "warn", "inact", "expire"}

// shadowDefaultHash returns what stands for a password that nothing matches: "!".
//
//	gosalt '*' shadow.default_hash
func shadowDefaultHash(ctx context.Context, c *module.Call, a noArgs) (string, error) {
	return "!", nil
}

// shadowInfo returns what /etc/shadow says of a user; empty texts where there is none.
//
//	gosalt '*' shadow.info root
func shadowInfo(ctx context.Context, c *module.Call, a userNameArgs) (*wire.Map, error) {
	return shadowOf(hostBelow(c, a.Root), pytext.Str(a.Name))
}

func shadowOf(h *host.Host, name string) (*wire.Map, error) {
	f, err := h.Account("shadow", name, 2)
	if err != nil {
		return nil, systemError(err, "")
	}
	m := wire.NewMap()
	for i, key := range shadowKeys {
		switch {
		case f == nil:
			m.Set(key, "")
		case i < 2:
			m.Set(key, f[i])
		default:
			n := int64(-1)
			if i < len(f) {
				if v, err := strconv.ParseInt(f[i], 10, 64); err == nil {
					n = v
				}
			}
			m.Set(key, n)
		}
	}
	return m, nil
}

// shadowListUsers lists the names in /etc/shadow.
//
//	gosalt '*' shadow.list_users
func shadowListUsers(ctx context.Context, c *module.Call, a userListUsersArgs) ([]string, error) {
	all, err := hostBelow(c, a.Root).Accounts("shadow", 2)
	if err != nil {
		return nil, systemError(err, "/etc/shadow")
	}
	names := []string{}
	for _, f := range all {
		names = append(names, f[0])
	}
	slices.Sort(names)
	return names, nil
}

type shadowSetPasswordArgs struct {
	Name       string  // Name of the user.
	Password   string  // The hash of the password, as shadow.gen_password makes it.
	UseUsermod any     `default:"False"` // Let usermod do it, which is shown the hash.
	Root       *string `default:"None"`  // Directory to work below.
}

// shadowSetPassword gives a user a password by its hash.
//
//	gosalt '*' shadow.set_password root '$1$UYCIxa628.9qXjpQCjM4a..'
func shadowSetPassword(ctx context.Context, c *module.Call, a shadowSetPasswordArgs) (any, error) {
	if f, err := passwdLine(c.Host, a.Name); f == nil || err != nil {
		c.Log.Warn("no password set: there is no such user", "user", a.Name)
		return false, err
	}
	h := hostBelow(c, a.Root)
	if strings.ContainsAny(a.Password, ":\n\r") {
		return nil, module.Invalidf("password: a hash has no colon and no line break")
	}
	if module.Truth(a.UseUsermod) && pytext.Str(a.UseUsermod) != "false" {
		_, err := c.Call(ctx, "cmd.run", []any{append(withRoot([]any{"usermod"}, "-R", a.Root), "-p", a.Password, a.Name)},
			wire.NewMap("python_shell", false, "output_loglevel", "quiet"))
		if err != nil {
			return nil, err
		}
	} else {
		if !h.IsFile("/etc/shadow") {
			return wire.NewMap(), nil
		}
		if err := editShadow(h, a.Name, a.Password); err != nil {
			return nil, systemError(err, "/etc/shadow")
		}
	}
	info, err := shadowOf(h, a.Name)
	return err == nil && info.Text("passwd") == a.Password, err
}

// editShadow puts a hash into /etc/shadow, with today as the day of the change.
func editShadow(h *host.Host, name, hash string) error {
	text, err := h.ReadFile("/etc/shadow")
	if err != nil {
		return err
	}
	day := strconv.FormatInt(time.Now().Unix()/86400, 10)
	var b strings.Builder
	found := false
	for line := range strings.Lines(string(text)) {
		f := strings.Split(strings.TrimSpace(line), ":")
		if f[0] == name {
			for len(f) < 9 {
				f = append(f, "")
			}
			f[1], f[2], found = hash, day, true
			line = strings.Join(f[:9], ":") + "\n"
		}
		b.WriteString(line)
	}
	if !found {
		if s := b.String(); s != "" && !strings.HasSuffix(s, "\n") {
			b.WriteString("\n")
		}
		b.WriteString(name + ":" + hash + ":" + day + "::::::\n")
	}
	return h.WriteFile("/etc/shadow", []byte(b.String()))
}

// passwordTool runs passwd with an option and returns what /etc/shadow says then.
func passwordTool(ctx context.Context, c *module.Call, name string, root *string, option string) (*wire.Map, error) {
	args := append(withRoot([]any{"passwd"}, "-R", root), option, name)
	if _, err := c.Call(ctx, "cmd.run", []any{args}, wire.NewMap("python_shell", false, "output_loglevel", "quiet")); err != nil {
		return nil, err
	}
	return shadowOf(hostBelow(c, root), name)
}

type shadowNameArgs struct {
	Name string  // Name of the user.
	Root *string `default:"None"` // Directory to work below.
}

// shadowDelPassword takes the password away: the user needs none.
//
//	gosalt '*' shadow.del_password username
func shadowDelPassword(ctx context.Context, c *module.Call, a shadowNameArgs) (bool, error) {
	info, err := passwordTool(ctx, c, a.Name, a.Root, "-d")
	return err == nil && info.Text("passwd") == "" && info.Text("name") == a.Name, err
}

// shadowLockPassword makes a password match nothing until it is unlocked.
//
//	gosalt '*' shadow.lock_password username
func shadowLockPassword(ctx context.Context, c *module.Call, a shadowNameArgs) (bool, error) {
	return setLock(ctx, c, a, true)
}

// shadowUnlockPassword makes a locked password match again.
//
//	gosalt '*' shadow.unlock_password username
func shadowUnlockPassword(ctx context.Context, c *module.Call, a shadowNameArgs) (bool, error) {
	return setLock(ctx, c, a, false)
}

func setLock(ctx context.Context, c *module.Call, a shadowNameArgs, lock bool) (bool, error) {
	info, err := shadowOf(hostBelow(c, a.Root), a.Name)
	if err != nil || info.Text("name") == "" {
		return false, err
	}
	if strings.HasPrefix(info.Text("passwd"), "!") == lock {
		return true, nil
	}
	option := "-u"
	if lock {
		option = "-l"
	}
	info, err = passwordTool(ctx, c, a.Name, a.Root, option)
	return err == nil && strings.HasPrefix(info.Text("passwd"), "!") == lock, err
}

// setAge changes one of the times of a password with chage. validate compares afterwards.
func setAge(ctx context.Context, c *module.Call, name, key string, value any, option string, root *string, validate bool) (bool, error) {
	info, err := shadowOf(hostBelow(c, root), name)
	if err != nil || info.Text("name") == "" {
		return false, err
	}
	if pytext.Equal(mapValue(info, key), value) {
		return true, nil
	}
	ok, _, err := accountTool(ctx, c, append(withRoot([]any{"chage"}, "-R", root), option, pytext.Str(value), name)...)
	if err != nil || !validate {
		return ok, err
	}
	info, err = shadowOf(hostBelow(c, root), name)
	return err == nil && pytext.Equal(mapValue(info, key), value), err
}

type shadowInactdaysArgs struct {
	Name      string  // Name of the user.
	Inactdays any     // Days for which an expired password still lets in.
	Root      *string `default:"None"` // Directory to work below.
}

// shadowSetInactdays sets for how many days an expired password still lets in.
//
//	gosalt '*' shadow.set_inactdays username 7
func shadowSetInactdays(ctx context.Context, c *module.Call, a shadowInactdaysArgs) (bool, error) {
	return setAge(ctx, c, a.Name, "inact", a.Inactdays, "-I", a.Root, true)
}

type shadowMaxdaysArgs struct {
	Name    string  // Name of the user.
	Maxdays any     // Days after which a password expires.
	Root    *string `default:"None"` // Directory to work below.
}

// shadowSetMaxdays sets after how many days a password expires.
//
//	gosalt '*' shadow.set_maxdays username 90
func shadowSetMaxdays(ctx context.Context, c *module.Call, a shadowMaxdaysArgs) (bool, error) {
	return setAge(ctx, c, a.Name, "max", a.Maxdays, "-M", a.Root, true)
}

type shadowMindaysArgs struct {
	Name    string  // Name of the user.
	Mindays any     // Days before which it cannot be changed again.
	Root    *string `default:"None"` // Directory to work below.
}

// shadowSetMindays sets for how many days a password cannot be changed again.
//
//	gosalt '*' shadow.set_mindays username 7
func shadowSetMindays(ctx context.Context, c *module.Call, a shadowMindaysArgs) (bool, error) {
	return setAge(ctx, c, a.Name, "min", a.Mindays, "-m", a.Root, true)
}

type shadowWarndaysArgs struct {
	Name     string  // Name of the user.
	Warndays any     // Days of warning before it expires.
	Root     *string `default:"None"` // Directory to work below.
}

// shadowSetWarndays sets how many days before it expires a password is warned of.
//
//	gosalt '*' shadow.set_warndays username 7
func shadowSetWarndays(ctx context.Context, c *module.Call, a shadowWarndaysArgs) (bool, error) {
	return setAge(ctx, c, a.Name, "warn", a.Warndays, "-W", a.Root, true)
}

type shadowDateArgs struct {
	Name string  // Name of the user.
	Date any     // Day of the last change: days since 1970, or 2016-05-01.
	Root *string `default:"None"` // Directory to work below.
}

// shadowSetDate sets the day on which a password was changed last; 0 forces a change.
//
//	gosalt '*' shadow.set_date username 0
func shadowSetDate(ctx context.Context, c *module.Call, a shadowDateArgs) (bool, error) {
	return setAge(ctx, c, a.Name, "lstchg", a.Date, "-d", a.Root, false)
}

type shadowExpireArgs struct {
	Name   string  // Name of the user.
	Expire any     // Day: days since 1970, or 2016-05-01; -1 for never.
	Root   *string `default:"None"` // Directory to work below.
}

// shadowSetExpire sets the day on which an account expires.
//
//	gosalt '*' shadow.set_expire username -1
func shadowSetExpire(ctx context.Context, c *module.Call, a shadowExpireArgs) (bool, error) {
	return setAge(ctx, c, a.Name, "expire", a.Expire, "-E", a.Root, false)
}

type shadowGenPasswordArgs struct {
	Password  string  // The password.
	CryptSalt *string `default:"None"`   // The salt; a random one.
	Algorithm string  `default:"sha512"` // sha512, sha256, blowfish, md5 or crypt.
}

// shadowGenPassword makes the hash of a password, for shadow.set_password.
//
//	gosalt '*' shadow.gen_password 'I_am_password'
//	gosalt '*' shadow.gen_password 'I_am_password' crypt_salt='I_am_salt' algorithm=sha256
func shadowGenPassword(ctx context.Context, c *module.Call, a shadowGenPasswordArgs) (any, error) {
	kw := wire.NewMap("password", a.Password, "algorithm", a.Algorithm)
	if a.CryptSalt != nil {
		kw.Set("crypt_salt", *a.CryptSalt)
	}
	return c.Call(ctx, "random.shadow_hash", nil, kw)
}
