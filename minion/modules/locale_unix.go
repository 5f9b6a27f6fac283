//go:build unix

package modules

import (
	"context"
	"os"
	"regexp"
	"strings"

	"github.com/gosalt/gosalt/internal/lazyre"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pyre"
	"github.com/gosalt/gosalt/protocol/wire"
)

func init() {
	register("locale.list_avail", localeListAvail)
	register("locale.get_locale", localeGetLocale)
	register("locale.set_locale", localeSetLocale)
	register("locale.avail", localeAvail)
	register("locale.gen_locale", localeGenLocale)
}

// localeParts are those of "de_DE.UTF-8@euro UTF-8".
type localeParts struct{ language, territory, codeset, modifier, charmap string }

func splitLocale(s string) (p localeParts) {
	s, p.charmap, _ = strings.Cut(s, " ")
	s, p.modifier, _ = strings.Cut(s, "@")
	s, p.codeset, _ = strings.Cut(s, ".")
	p.language, p.territory, _ = strings.Cut(s, "_")
	return p
}

func (p localeParts) String() string {
	s := p.language
	for _, part := range [][2]string{{"_", p.territory}, {".", p.codeset}, {"@", p.modifier}, {" ", p.charmap}} {
		if part[1] != "" {
			s += part[0] + part[1]
		}
	}
	return s
}

// normalLocale is a name as locale -a has it: de_DE.utf8.
func normalLocale(s string) string {
	p := splitLocale(s)
	p.territory = strings.ToUpper(p.territory)
	p.codeset = strings.ReplaceAll(strings.ToLower(p.codeset), "-", "")
	p.charmap = ""
	return p.String()
}

// localeListAvail lists the locales that can be used.
//
//	gosalt '*' locale.list_avail
func localeListAvail(ctx context.Context, c *module.Call, a noArgs) ([]string, error) {
	v, err := c.Call(ctx, "cmd.run", []any{"locale -a"}, nil)
	s, _ := v.(string)
	return strings.Split(s, "\n"), err
}

// localeFile is where this system keeps its locale, and the variable in there.
func localeFile(c *module.Call) (file, name string, err error) {
	family := c.Grains().Text("os_family")
	switch {
	case strings.Contains(family, "Debian"):
		return "/etc/default/locale", "LANG", nil
	case strings.Contains(family, "Suse") && !systemdBooted(c):
		return "/etc/sysconfig/language", "RC_LANG", nil
	case strings.Contains(family, "RedHat") && !systemdBooted(c):
		return "/etc/sysconfig/i18n", "LANG", nil
	case systemdBooted(c):
		return "/etc/locale.conf", "LANG", nil
	}
	return "", "", module.Failf(`Error: "%s" is unsupported!`, c.Grains().Text("oscodename"))
}

var localeLine = lazyre.New(`(?m)^(?:LANG|RC_LANG)=(.*)$`)

// localeGetLocale returns the system's locale.
//
//	gosalt '*' locale.get_locale
func localeGetLocale(ctx context.Context, c *module.Call, a noArgs) (string, error) {
	file, _, err := localeFile(c)
	if err != nil {
		return "", err
	}
	b, err := c.Host.ReadFile(file)
	if err != nil {
		return "", nil
	}
	m := localeLine.FindStringSubmatch(string(b))
	if m == nil {
		return "", nil
	}
	return strings.Trim(strings.TrimSpace(m[1]), `"'`), nil
}

type localeArgs struct {
	Locale string // Name of the locale: en_US.UTF-8.
}

// localeSetLocale sets the system's locale.
//
//	gosalt '*' locale.set_locale 'en_US.UTF-8'
func localeSetLocale(ctx context.Context, c *module.Call, a localeArgs) (bool, error) {
	if systemdBooted(c) {
		if v, err := c.Call(ctx, "cmd.which", []any{"localectl"}, nil); err == nil && v != nil {
			words := []any{"localectl", "set-locale"}
			if file, _, err := localeFile(c); err == nil { // the other variables stay
				if b, err := c.Host.ReadFile(file); err == nil {
					for _, m := range regexp.MustCompile(`(?m)^(L[A-Z_]+)=(.*)$`).FindAllStringSubmatch(string(b), -1) {
						if m[1] != "LANG" {
							words = append(words, m[1]+"="+strings.Trim(strings.TrimSpace(m[2]), `"'`))
						}
					}
				}
			}
			code, err := c.Call(ctx, "cmd.retcode", []any{append(words, "LANG="+a.Locale)}, wire.NewMap("python_shell", false))
			return code == int64(0), err
		}
	}
	file, name, err := localeFile(c)
	if err != nil {
		return false, err
	}
	if name == "LANG" && strings.HasPrefix(file, "/etc/default") {
		v, err := c.Call(ctx, "cmd.which", []any{"update-locale"}, nil)
		if err != nil {
			return false, err
		}
		program, ok := v.(string)
		if !ok {
			return false, module.Failf(`Cannot set locale: "update-locale" was not found.`)
		}
		if _, err := c.Call(ctx, "cmd.run", []any{program}, nil); err != nil { // it makes the file
			return false, err
		}
	}
	if !c.Host.Exists(file) {
		if err := c.Host.WriteFile(file, nil); err != nil {
			return false, module.Failf("%w", err)
		}
	}
	_, err = c.Call(ctx, "file.replace", []any{file, "^" + name + "=.*", name + `="` + a.Locale + `"`}, wire.NewMap("append_if_not_found", true))
	return err == nil, err
}

// localeAvail tells whether a locale can be used.
//
//	gosalt '*' locale.avail 'en_US.UTF-8'
func localeAvail(ctx context.Context, c *module.Call, a localeArgs) (bool, error) {
	all, err := localeListAvail(ctx, c, noArgs{})
	if err != nil {
		return false, err
	}
	want := normalLocale(a.Locale)
	for _, name := range all {
		if normalLocale(strings.TrimSpace(name)) == want {
			return true, nil
		}
	}
	return false, nil
}

type localeGenArgs struct {
	Locale string    // Name of the locale: en_US.UTF-8; on Debian and Gentoo "en_IE.UTF-8 UTF-8", too.
	Kwargs *wire.Map `arg:"**"` // verbose=True returns what the program printed.
}

// localeGenLocale makes a locale usable.
//
//	gosalt '*' locale.gen_locale en_US.UTF-8
//	gosalt '*' locale.gen_locale 'en_IE.UTF-8 UTF-8'
func localeGenLocale(ctx context.Context, c *module.Call, a localeGenArgs) (any, error) {
	system, family := c.Grains().Text("os"), c.Grains().Text("os_family")
	debian, ubuntu, gentoo := system == "Debian", system == "Ubuntu", family == "Gentoo"
	p := splitLocale(a.Locale)
	search := p.language + "_" + p.territory
	if p.charmap == "" && !ubuntu {
		p.charmap = p.codeset
		a.Locale = p.String()
	}
	valid := false
	if debian || gentoo {
		b, err := c.Host.ReadFile("/usr/share/i18n/SUPPORTED")
		if err != nil {
			return nil, module.Failf("the locales that there are are not known: %w; is the package locales installed?", err)
		}
		for line := range strings.Lines(string(b)) {
			valid = valid || strings.TrimSuffix(line, "\n") == a.Locale
		}
	} else {
		dir := "/usr/share/i18n/locales"
		if family == "Suse" {
			dir = "/usr/share/locale"
		}
		list, err := os.ReadDir(c.Host.Path(dir))
		if err != nil {
			return nil, module.Failf(`Locale "%s" is not available.`, a.Locale)
		}
		for _, e := range list {
			valid = valid || e.Name() == search
		}
	}
	if !valid {
		c.Log.Error("the locale is not known to the system", "locale", a.Locale)
		return false, nil
	}
	if c.Host.Exists("/etc/locale.gen") {
		if _, err := c.Call(ctx, "file.replace", []any{"/etc/locale.gen", `^\s*#\s*` + pyre.Escape(a.Locale) + `\s*$`, a.Locale + "\n"}, wire.NewMap("append_if_not_found", true)); err != nil {
			return nil, err
		}
	}
	has := func(name string) bool {
		v, err := c.Call(ctx, "cmd.which", []any{name}, nil)
		return err == nil && v != nil
	}
	var words []any
	switch {
	case has("locale-gen"):
		words = []any{"locale-gen"}
		switch {
		case gentoo:
			words = append(words, "--generate", a.Locale)
		case ubuntu:
			words = append(words, normalLocale(a.Locale))
		default:
			words = append(words, a.Locale)
		}
	case has("localedef"):
		words = []any{"localedef", "--force", "-i", search, "-f", p.codeset, search + "." + p.codeset, "--quiet"}
	default:
		return nil, module.Failf(`Command "locale-gen" or "localedef" was not found on this system.`)
	}
	v, err := c.Call(ctx, "cmd.run_all", []any{words}, nil)
	if err != nil {
		return nil, err
	}
	if verbose, _ := a.Kwargs.Get("verbose"); module.Truth(verbose) {
		return v, nil
	}
	res, _ := v.(*wire.Map)
	return res.Int("retcode") == 0, nil
}
