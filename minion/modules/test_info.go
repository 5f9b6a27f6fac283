package modules

import (
	"context"
	"crypto/md5"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha3"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"hash"
	"maps"
	"math/big"
	"runtime"
	"slices"
	"strings"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/version"
	"github.com/gosalt/gosalt/protocol/wire"
)

func init() {
	register("test.version", testVersion)
	register("test.versions_information", testVersionsInformation)
	register("test.versions_report", testVersionsReport)
	alias("test.versions", "test.versions_report")
	register("test.conf_test", testConfTest)
	register("test.get_opts", testGetOpts)
	register("test.opts_pkg", testOptsPkg)
	register("test.module_report", testModuleReport)
	register("test.provider", testProvider)
	register("test.providers", testProviders)
	register("test.not_loaded", testNotLoaded)
	register("test.random_hash", testRandomHash)
	register("test.rand_str", testRandStr)
}

// testVersion returns the version of Salt that the minion answers as. The grain
// gosaltversion and test.versions_report have gosalt's own.
//
//	gosalt '*' test.version
func testVersion(ctx context.Context, c *module.Call, a noArgs) (string, error) {
	return version.Salt, nil
}

// testVersionsInformation returns the versions of gosalt, of what it is built from,
// and of the system.
//
//	gosalt '*' test.versions_information
func testVersionsInformation(ctx context.Context, c *module.Call, a noArgs) (*wire.Map, error) {
	return versions(c), nil
}

// testVersionsReport returns test.versions_information as a text.
//
//	gosalt '*' test.versions_report
func testVersionsReport(ctx context.Context, c *module.Call, a noArgs) (string, error) {
	info := versions(c)
	width := 0
	for _, section := range info.Strings() {
		for name := range section.(*wire.Map).Strings() {
			width = max(width, len(name))
		}
	}
	var sections []string
	for title, section := range info.Strings() {
		lines := []string{title + ":"}
		for name, v := range section.(*wire.Map).Strings() {
			lines = append(lines, fmt.Sprintf("%*s: %s", width, name, v))
		}
		sections = append(sections, strings.Join(lines, "\n"))
	}
	return strings.Join(sections, "\n \n"), nil
}

func versions(c *module.Call) *wire.Map {
	deps := wire.NewMap()
	linked := version.Dependencies()
	for _, name := range slices.Sorted(maps.Keys(linked)) {
		deps.Set(name, linked[name])
	}
	g := c.Grains()
	dist := strings.TrimSpace(strings.ToLower(g.Text("os")) + " " + g.Text("osrelease") + " " + g.Text("oscodename"))
	return wire.NewMap(
		"Salt Version", wire.NewMap("Salt", version.Salt, "gosalt", version.Gosalt()),
		"Go Version", wire.NewMap("Go", strings.TrimPrefix(runtime.Version(), "go")),
		"Dependency Versions", deps,
		"System Versions", wire.NewMap(
			"dist", dist,
			"locale", "utf-8",
			"machine", g.Text("cpuarch"),
			"release", g.Text("kernelrelease"),
			"system", g.Text("kernel"),
			"version", strings.TrimSpace(g.Text("osfullname")+" "+g.Text("osrelease")+" "+g.Text("oscodename")),
		),
	)
}

// testConfTest returns the value of test.foo in the minion's configuration,
// "unconfigured" where there is none.
//
//	gosalt '*' test.conf_test
func testConfTest(ctx context.Context, c *module.Call, a noArgs) (any, error) {
	if v, ok := c.Opts.Get("test.foo"); ok {
		return v, nil
	}
	return "unconfigured", nil
}

// testGetOpts returns the minion's configuration.
//
//	gosalt '*' test.get_opts
func testGetOpts(ctx context.Context, c *module.Call, a noArgs) (*wire.Map, error) {
	return c.Opts, nil
}

// testOptsPkg returns the minion's configuration with its grains.
//
//	gosalt '*' test.opts_pkg
func testOptsPkg(ctx context.Context, c *module.Call, a noArgs) (*wire.Map, error) {
	ret := c.Opts.Clone()
	ret.Set("grains", c.Grains())
	return ret, nil
}

// testModuleReport lists modules and functions that can be called here. Salt's
// fields on further ways to reach them are there for who reads them.
//
//	gosalt '*' test.module_report
func testModuleReport(ctx context.Context, c *module.Call, a noArgs) (*wire.Map, error) {
	names, modules := c.Functions().Names(), c.Functions().Modules()
	return wire.NewMap(
		"functions", names, "function_attrs", names, "function_subs", names,
		"modules", modules, "module_attrs", modules, "missing_attrs", []any{}, "missing_subs", []any{},
	), nil
}

type testProviderArgs struct {
	Module string // Name of a module: service.
}

// testProvider returns the name of the source that a module comes from here, "" for
// no module.
//
//	gosalt '*' test.provider service
func testProvider(ctx context.Context, c *module.Call, a testProviderArgs) (string, error) {
	return provider(c.Functions(), a.Module), nil
}

func provider(r *module.Registry, mod string) string {
	for _, name := range r.Names() {
		if strings.HasPrefix(name, mod+".") {
			return r.Lookup(name).Provider()
		}
	}
	return ""
}

// testProviders returns the modules by the name of the source that each comes from.
//
//	gosalt '*' test.providers
func testProviders(ctx context.Context, c *module.Call, a noArgs) (*wire.Map, error) {
	ret := wire.NewMap()
	for _, m := range c.Functions().Modules() {
		ret.Set(provider(c.Functions(), m), m)
	}
	return ret, nil
}

// testNotLoaded lists the modules whose names are known and of which nothing can be
// called here.
//
//	gosalt '*' test.not_loaded
func testNotLoaded(ctx context.Context, c *module.Call, a noArgs) ([]string, error) {
	have := c.Functions().Modules()
	missing := []string{}
	for _, name := range c.Functions().PlannedNames() {
		m, _, _ := strings.Cut(name, ".")
		if !slices.Contains(have, m) && !slices.Contains(missing, m) {
			missing = append(missing, m)
		}
	}
	return missing, nil
}

type testRandomHashArgs struct {
	Size     int64  `default:"9999999999"` // The largest number that is hashed.
	HashType string `default:"None"`       // md5, sha1, sha224, sha256, sha384, sha512, sha3_256 and so on: hash_type of the configuration.
}

// testRandomHash returns the hash of a random number.
//
//	gosalt '*' test.random_hash
//	gosalt '*' test.random_hash hash_type=sha512
func testRandomHash(ctx context.Context, c *module.Call, a testRandomHashArgs) (string, error) {
	name := a.HashType
	if name == "" {
		name = c.Opts.Text("hash_type")
	}
	if name == "" {
		name = "sha256"
	}
	h := newHash(name)
	if h == nil {
		return "", module.Failf("unsupported hash type %s: one of md5, sha1, sha224, sha256, sha384, sha512, "+
			"sha3_224, sha3_256, sha3_384, sha3_512 expected", name)
	}
	if a.Size < 0 {
		return "", module.Invalidf("size is %d: a positive number expected", a.Size)
	}
	n, err := rand.Int(rand.Reader, new(big.Int).Add(big.NewInt(a.Size), big.NewInt(1)))
	if err != nil {
		return "", err
	}
	h.Write([]byte(n.String()))
	return hex.EncodeToString(h.Sum(nil)), nil
}

// newHash makes a hash by its name in Python's hashlib, nil for an unknown one.
func newHash(name string) hash.Hash {
	switch name {
	case "md5":
		return md5.New()
	case "sha1":
		return sha1.New()
	case "sha224":
		return sha256.New224()
	case "sha256":
		return sha256.New()
	case "sha384":
		return sha512.New384()
	case "sha512":
		return sha512.New()
	case "sha3_224":
		return sha3.New224()
	case "sha3_256":
		return sha3.New256()
	case "sha3_384":
		return sha3.New384()
	case "sha3_512":
		return sha3.New512()
	}
	return nil
}

// testRandStr is the older name of test.random_hash.
//
//	gosalt '*' test.rand_str
func testRandStr(ctx context.Context, c *module.Call, a testRandomHashArgs) (string, error) {
	return testRandomHash(ctx, c, a)
}
