package grains

import (
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/gosalt/gosalt/internal/lazyre"
	"github.com/gosalt/gosalt/protocol/wire"
)

// distribution makes the grains os, os_family, osrelease and their kin. The rules
// and their oddities are Salt's, where it runs from its packages, without Python's
// lsb_release: see testdata/distributions.json for what comes of them.
func (c *collector) distribution() *wire.Map {
	g := c.lsbRelease()
	release, found := c.osRelease()
	if found {
		fromOSRelease(g, release)
	}
	g.Delete("osrelease")
	c.distributionID(g, release, found)

	name, number, codename := c.releaseFile(release)
	if !g.Has("osfullname") {
		if strings.HasPrefix(strings.ToLower(g.Text("lsb_distrib_id")), "nilrt") {
			g.Set("osfullname", "nilrt")
		} else {
			g.Set("osfullname", strings.TrimSpace(either(g, "lsb_distrib_id", name)))
		}
	}
	lsbName := g.Text("lsb_distrib_codename")
	if strings.Contains(lsbName, "CentOS Linux 7") || strings.Contains(lsbName, "CentOS Linux 8") {
		g.Delete("lsb_distrib_release") // only the major number; the release file has all
	}
	g.Set("osrelease", strings.TrimSpace(either(g, "lsb_distrib_release", number)))
	if short := g.Text("os"); lsbName != "" && containsAny(short, "Rocky", "AlmaLinux", "AstraLinuxSE") {
		if _, inside, ok := strings.Cut(lsbName, "("); ok {
			inside, _, _ = strings.Cut(inside, ")")
			if words := strings.Fields(inside); short == "AstraLinuxSE" && len(words) > 0 {
				inside = strings.ToLower(words[0])
			}
			g.Set("lsb_distrib_codename", inside)
		}
	}
	oscodename := strings.TrimSpace(g.Text("lsb_distrib_codename"))
	if oscodename == "" || strings.Contains(oscodename, "Red Hat") {
		oscodename = codename
	}
	g.Set("oscodename", oscodename)
	if !g.Has("os") {
		g.Set("os", osName(g.Text("osfullname"), ""))
	}
	family, ok := osFamilies[g.Text("os")]
	if !ok {
		family = g.Text("os")
	}
	g.Set("os_family", family)
	return g
}

// either is the text of a grain where there is one, though it be empty.
func either(g *wire.Map, key, otherwise string) string {
	if g.Has(key) {
		return g.Text(key)
	}
	return otherwise
}

func containsAny(s string, parts ...string) bool {
	return slices.ContainsFunc(parts, func(p string) bool { return strings.Contains(s, p) })
}

// releaseNumbers are the grains that are made of osrelease.
func releaseNumbers(g *wire.Map) {
	release := g.Text("osrelease")
	if release == "" {
		return
	}
	info := []any{}
	for part := range strings.SplitSeq(release, ".") {
		if n, err := strconv.ParseInt(part, 10, 64); err == nil && isDigits(part) {
			info = append(info, n)
		} else {
			info = append(info, part)
		}
	}
	g.Set("osrelease_info", info)
	first := ""
	switch v := info[0].(type) {
	case int64:
		g.Set("osmajorrelease", v)
		first = strconv.FormatInt(v, 10)
	case string:
		first = v
	}
	short, name := g.Text("os"), g.Text("osfullname")
	switch short {
	case "Debian", "FreeBSD", "OpenBSD", "NetBSD", "Mac", "Raspbian":
		name = short
	case "Ubuntu", "Pop":
		first = release
	}
	g.Set("osfinger", name+"-"+first)
}

func isDigits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

var lsbLine = lazyre.New(`^(DISTRIB_(?:ID|RELEASE|CODENAME|DESCRIPTION))=['"]?([\w\s.\-]+)`)

// lsbRelease reads /etc/lsb-release.
func (c *collector) lsbRelease() *wire.Map {
	g := wire.NewMap()
	for line := range strings.Lines(c.read("/etc/lsb-release")) {
		if m := lsbLine.FindStringSubmatch(strings.TrimRight(line, "\n")); m != nil {
			g.Set("lsb_"+strings.ToLower(m[1]), strings.TrimRight(m[2], " \t"))
		}
	}
	return g
}

var (
	osReleaseLine   = lazyre.New(`^([a-zA-Z0-9_]+)=(.*)$`)
	osReleaseEscape = lazyre.New("\\\\([\\\\$\"'`])")
)

// osRelease reads /etc/os-release, or /usr/lib/os-release (os-release(5)).
func (c *collector) osRelease() (fields map[string]string, found bool) {
	text := ""
	for _, p := range []string{"/etc/os-release", "/usr/lib/os-release"} {
		if c.exists(p) {
			text, found = c.read(p), true
			break
		}
	}
	if !found {
		return nil, false
	}
	fields = map[string]string{"NAME": "Linux", "ID": "linux", "PRETTY_NAME": "Linux"}
	for line := range strings.Lines(text) {
		m := osReleaseLine.FindStringSubmatch(strings.TrimRight(line, "\n"))
		if m == nil {
			continue
		}
		v := m[2]
		if n := len(v); n >= 2 && (v[0] == '"' || v[0] == '\'') && v[n-1] == v[0] {
			v = v[1 : n-1]
		}
		fields[m[1]] = osReleaseEscape.ReplaceAllString(v, "$1")
	}
	return fields, true
}

// fromOSRelease sets what os-release says by itself.
func fromOSRelease(g *wire.Map, release map[string]string) {
	family := familyID(release["ID"], release["ID_LIKE"])
	if pretty, ok := familyIDs[family]; ok {
		family = pretty
	} else if family != "" {
		family = strings.ToUpper(family[:1]) + strings.ToLower(family[1:])
	}
	g.Set("os", osName(release["NAME"], release["ID"]))
	g.Set("os_family", family)
	g.Set("oscodename", release["VERSION_CODENAME"])
	g.Set("osfullname", strings.TrimSpace(release["NAME"]))
	g.Set("osrelease", release["VERSION_ID"])
}

func familyID(id, like string) string {
	if like == "" {
		return id
	}
	ids := append([]string{id}, strings.Fields(like)...)
	if slices.Contains(ids, "debian") || slices.Contains(ids, "ubuntu") {
		return "debian"
	}
	return ids[len(ids)-1]
}

var linuxWord = lazyre.New(`(?i)[^\pL\pN_](?:gnu/)?linux`)

// osName shortens the name of a distribution: "Debian GNU/Linux" is Debian.
func osName(full, id string) string {
	if name, ok := osNamesByID[[2]string{id, full}]; ok {
		return name
	}
	name := strings.TrimSpace(linuxWord.ReplaceAllString(full, ""))
	short := strings.ToLower(strings.ReplaceAll(name, " ", ""))
	if r := []rune(short); len(r) > 10 {
		short = string(r[:10])
	}
	if known, ok := osNames[short]; ok {
		return known
	}
	return name
}

// distributionID sets the grains lsb_distrib_* where /etc/lsb-release did not.
func (c *collector) distributionID(g *wire.Map, release map[string]string, found bool) {
	switch {
	case strings.HasPrefix(strings.ToLower(g.Text("lsb_distrib_description")), "antergos"):
		g.Set("osfullname", "Antergos Linux")
	case g.Has("lsb_distrib_id"):
	case found:
		distributionIDFromOSRelease(g, release)
	case c.exists("/etc/SuSE-release"):
		suseRelease(g, c.read("/etc/SuSE-release"))
	case c.exists("/etc/altlinux-release"):
		g.Set("lsb_distrib_id", "altlinux")
		for line := range strings.Lines(c.read("/etc/altlinux-release")) {
			if w := strings.Fields(line); len(w) > 3 && w[0] == "ALT" {
				g.Set("lsb_distrib_release", w[2])
				g.Set("lsb_distrib_codename", strings.Trim(w[3], "()"))
			}
		}
	case c.exists("/etc/centos-release"):
		g.Set("lsb_distrib_id", "CentOS")
		for line := range strings.Lines(c.read("/etc/centos-release")) {
			if m := centosNumber.FindString(line); m != "" {
				g.Set("lsb_distrib_release", m)
			}
			if m := inBrackets.FindStringSubmatch(line); m != nil {
				g.Set("lsb_distrib_codename", m[1])
			}
		}
	}
}

var (
	centosNumber = lazyre.New(`\d+\.\d+`)
	inBrackets   = lazyre.New(`\((.*?)\)`)
	notDigits    = lazyre.New(`[^0-9]`)
)

func distributionIDFromOSRelease(g *wire.Map, release map[string]string) {
	g.Set("lsb_distrib_id", strings.TrimSpace(release["NAME"]))
	if v, ok := release["VERSION_ID"]; ok {
		g.Set("lsb_distrib_release", v)
	}
	if v, ok := release["VERSION_CODENAME"]; ok {
		g.Set("lsb_distrib_codename", v)
	} else {
		g.Set("lsb_distrib_codename", release["PRETTY_NAME"])
	}
	vendor, version := cpeName(release["CPE_NAME"])
	if vendor == "suse" || vendor == "opensuse" {
		g.Set("os", "SUSE")
		if release["NAME"] == "openSUSE Leap" {
			g.Set("osfullname", "Leap")
		} else if release["VERSION"] == "Tumbleweed" {
			g.Set("osfullname", release["VERSION"])
		}
		if version != "" && vendor == "opensuse" {
			g.Set("lsb_distrib_release", version)
		}
	}
	if w := strings.Fields(release["PRETTY_NAME"]); strings.TrimSpace(release["ID"]) == "mendel" && len(w) >= 3 {
		g.Set("lsb_distrib_release", w[2])
	}
}

// cpeName reads vendor and version of a CPE name: cpe:/o:opensuse:leap:15.6, or
// cpe:2.3:o:amazon:amazon_linux:2.
func cpeName(s string) (vendor, version string) {
	f := strings.Split(s, ":")
	switch {
	case len(f) > 4 && f[0] == "cpe" && strings.HasPrefix(f[1], "/"):
		return strings.ToLower(f[2]), f[4]
	case len(f) > 5 && f[0] == "cpe" && f[1] == "2.3":
		return strings.ToLower(f[3]), strings.TrimSuffix(f[5], "*")
	}
	return "", ""
}

// suseRelease reads the /etc/SuSE-release of releases before os-release.
func suseRelease(g *wire.Map, text string) {
	g.Set("lsb_distrib_id", "SUSE")
	number, patch := "", ""
	for line := range strings.Lines(text) {
		lower := strings.ToLower(line)
		switch {
		case strings.Contains(lower, "enterprise"):
			g.Set("lsb_distrib_id", "SLES")
			name, _, _ := strings.Cut(line, "(")
			g.Set("lsb_distrib_codename", strings.TrimSpace(name))
		case strings.Contains(lower, "version"):
			number = notDigits.ReplaceAllString(line, "")
		case strings.Contains(lower, "patchlevel"):
			patch = notDigits.ReplaceAllString(line, "")
		}
	}
	name := g.Text("lsb_distrib_codename")
	if patch != "" {
		number += "." + patch
		if sp := "SP" + patch; name != "" && !strings.Contains(name, sp) {
			name += " " + sp
		}
	}
	if name == "" {
		name = "n.a"
	}
	g.Set("lsb_distrib_release", number)
	g.Set("lsb_distrib_codename", name)
}

// releaseFile is what Python's module distro tells: the name, the most precise
// number and the code name, of os-release and of a file such as /etc/redhat-release.
func (c *collector) releaseFile(release map[string]string) (name, number, codename string) {
	fileName, fileNumber, fileCodename := c.etcRelease()
	name = release["NAME"]
	if name == "" {
		name = fileName
	}
	_, prettyNumber, _ := parseRelease(release["PRETTY_NAME"])
	numbers := []string{release["VERSION_ID"], fileNumber, prettyNumber}
	if release["ID"] == "debian" || slices.Contains(strings.Fields(release["ID_LIKE"]), "debian") {
		numbers = append(numbers, c.line("/etc/debian_version"))
	}
	for _, n := range numbers {
		if number == "" || strings.Count(n, ".") > strings.Count(number, ".") {
			number = n
		}
	}
	codename = fileCodename
	if m := versionCodename.FindStringSubmatch(release["VERSION"]); m != nil {
		codename = m[1] + m[2]
	}
	if v, ok := release["VERSION_CODENAME"]; ok {
		codename = v
	} else if v, ok := release["UBUNTU_CODENAME"]; ok {
		codename = v
	}
	return name, number, codename
}

var (
	versionCodename = lazyre.New(`\((\D+)\)|,\s*(\D+)`)
	releaseName     = lazyre.New(`^\w+[-_](release|version)$`)
	notReleaseFiles = []string{
		"debian_version", "lsb-release", "oem-release", "os-release", "system-release", "plesk-release", "iredmail-release",
	}
)

// etcRelease reads the first of the files /etc/*-release that names a distribution.
func (c *collector) etcRelease() (name, number, codename string) {
	files, err := os.ReadDir(c.Host.Path("/etc"))
	if err != nil {
		return "", "", ""
	}
	for _, f := range files { // in the order of their names
		base := f.Name()
		if !strings.HasSuffix(base, "release") && !strings.HasSuffix(base, "version") ||
			slices.Contains(notReleaseFiles, base) || !releaseName.MatchString(base) {
			continue
		}
		if name, number, codename = parseRelease(c.line("/etc/" + base)); name != "" {
			return name, number, codename
		}
	}
	return "", "", ""
}

// parseRelease takes "CentOS Linux release 7.9.2009 (Core)" apart. Python's module
// reads it backwards: an optional code name in brackets, then a number, then the name.
func parseRelease(line string) (name, number, codename string) {
	line = strings.TrimSpace(line)
	m := releaseText.FindStringSubmatch(line)
	if m == nil {
		return line, "", ""
	}
	return m[1], m[2], m[3]
}

var releaseText = lazyre.New(`^(.+?)(?: *release)? *(\d[\d.+\-a-z]*)(?: LTS)? *(?:\((.*)\)[^)]*)?$`)
