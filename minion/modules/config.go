package modules

import (
	"context"
	"slices"
	"strings"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/internal/target"
	"github.com/gosalt/gosalt/protocol/wire"
)

func init() {
	register("config.get", configGet)
	register("config.option", configOption)
	register("config.merge", configMerge)
	register("config.dot_vals", configDotVals)
	register("config.items", configItems)
	register("config.backup_mode", configBackupMode)
	register("config.manage_mode", configManageMode)
	register("config.valid_fileproto", configValidFileproto)
	planned("The script installs Salt. A gosalt minion is one program: copy it, or its package, to the machine.", "config.gather_bootstrap_script")
}

// configDefaults are the values that config.get and its kin fall back to, as Salt
// has them: settings of modules that no configuration file need name.
func configDefaults() *wire.Map {
	return wire.NewMap(
		"mongo.db", "salt", "mongo.password", "", "mongo.port", int64(27017), "mongo.user", "",
		"redis.db", "0", "redis.host", "salt", "redis.port", int64(6379),
		"test.foo", "unconfigured",
		"ca.cert_base_path", "/etc/pki",
		"solr.cores", []any{}, "solr.host", "localhost", "solr.port", "8983", "solr.baseurl", "/solr",
		"solr.type", "master", "solr.request_timeout", nil, "solr.init_script", "/etc/rc.d/solr",
		"solr.dih.import_options", wire.NewMap("clean", false, "optimize", true, "commit", true, "verbose", false),
		"solr.backup_path", nil, "solr.num_backups", int64(1),
		"poudriere.config", "/usr/local/etc/poudriere.conf", "poudriere.config_dir", "/usr/local/etc/poudriere.d",
		"ldap.uri", "", "ldap.server", "localhost", "ldap.port", "389", "ldap.tls", false, "ldap.no_verify", false,
		"ldap.anonymous", true, "ldap.scope", int64(2), "ldap.attrs", nil, "ldap.binddn", "", "ldap.bindpw", "",
		"hosts.file", hostsFile(),
		"aliases.file", "/etc/aliases",
		"virt", wire.NewMap("tunnel", false, "images", "/srv/salt-images"),
		"docker.exec_driver", "docker-exec",
		"docker.compare_container_networks", wire.NewMap(
			"static", []any{"Aliases", "Links", "IPAMConfig"},
			"automatic", []any{"IPAddress", "Gateway", "GlobalIPv6Address", "IPv6Gateway"}),
	)
}

// configOpts is the minion's configuration as functions see it: grains and pillar
// are entries of it.
func configOpts(c *module.Call) *wire.Map {
	opts := c.Opts.Clone()
	opts.Set("grains", c.Grains())
	opts.Set("pillar", c.Pillar())
	return opts
}

// masterOpts is what the master tells of its own configuration (pillar_opts).
func masterOpts(c *module.Call) *wire.Map { return c.Pillar().Map("master") }

type configGetArgs struct {
	Key        string  // Name of the setting, with : between those of nested ones.
	Default    any     `default:""`      // What is returned where there is no such setting.
	Delimiter  string  `default:":"`     // What stands between the names of nested settings.
	Merge      *string `default:"None"`  // Look in all places merged into one: recurse merges maps, overwrite replaces them.
	OmitOpts   bool    `default:"False"` // Leave the minion's configuration out.
	OmitPillar bool    `default:"False"` // Leave the pillar out.
	OmitMaster bool    `default:"False"` // Leave the master's configuration out.
	OmitGrains bool    `default:"False"` // Leave the grains out.
}

// configGet returns a setting from the first place that has it: the minion's
// configuration, its grains, its pillar, the master's configuration (where the
// master sends that with pillar_opts), and what modules default to.
//
//	gosalt '*' config.get pkg:apache
//	gosalt '*' config.get lxc.container_profile:centos merge=recurse
func configGet(ctx context.Context, c *module.Call, a configGetArgs) (any, error) {
	if a.Merge != nil {
		return configGetMerged(c, a)
	}
	places := []struct {
		omit bool
		data func() *wire.Map
	}{
		{a.OmitOpts, func() *wire.Map { return configOpts(c) }},
		{a.OmitGrains, c.Grains},
		{a.OmitPillar, c.Pillar},
		{a.OmitMaster, func() *wire.Map { return masterOpts(c) }},
		{false, configDefaults},
	}
	for _, p := range places {
		if p.omit {
			continue
		}
		if v, ok := target.Traverse(p.data(), a.Key, a.Delimiter); ok {
			return secretStored(c, v)
		}
	}
	return a.Default, nil
}

// configGetMerged looks in all places at once. As in Salt it leaves none out.
func configGetMerged(c *module.Call, a configGetArgs) (any, error) {
	merge := mergeMaps
	switch *a.Merge {
	case "recurse":
	case "overwrite":
		merge = overwriteMaps
	default:
		c.Log.Warn("unknown way to merge, recurse is taken", "merge", *a.Merge)
	}
	data := configDefaults()
	for _, m := range []*wire.Map{masterOpts(c), c.Pillar(), c.Grains(), configOpts(c)} {
		data = merge(data, m)
	}
	if v, ok := target.Traverse(data, a.Key, a.Delimiter); ok {
		return secretStored(c, v)
	}
	return a.Default, nil
}

// overwriteMaps puts the entries of one map over those of another, whole.
func overwriteMaps(base, over *wire.Map) *wire.Map {
	out := base.Clone()
	for k, v := range over.All() {
		out.SetAny(k, v)
	}
	return out
}

// secretStored looks up values such as sdb://profile/key. One whose profile is not
// configured is an ordinary text, as in Salt.
func secretStored(c *module.Call, v any) (any, error) {
	uri, _ := v.(string)
	rest, ok := strings.CutPrefix(uri, "sdb://")
	if !ok {
		return v, nil
	}
	name, key, _ := strings.Cut(rest, "/")
	if key == "" {
		return v, nil
	}
	profile := c.Opts.Map(name)
	if profile.Len() == 0 {
		profile = c.Pillar().Map(name)
	}
	if !profile.Has("driver") {
		return v, nil
	}
	return nil, module.Failf("%s: stores of the kind sdb (driver %q) are not available in gosalt yet: put the value into the pillar", uri, profile.Text("driver"))
}

type configOptionArgs struct {
	Value      string // Name of the setting; a shell pattern with wildcard.
	Default    any    `default:"None"`  // What is returned where there is no such setting: "", or an empty map with wildcard.
	OmitOpts   bool   `default:"False"` // Leave the minion's configuration out.
	OmitGrains bool   `default:"False"` // Leave the grains out.
	OmitPillar bool   `default:"False"` // Leave the pillar out.
	OmitMaster bool   `default:"False"` // Leave the master's configuration out.
	OmitAll    bool   `default:"False"` // Leave all of these out: what modules default to remains.
	Wildcard   bool   `default:"False"` // Return a map of all settings whose names match.
}

// configOption returns a setting from the first place that has it, as config.get
// does, but looks at the outermost names only.
//
//	gosalt '*' config.option redis.host
//	gosalt '*' config.option '*' omit_all=True wildcard=True
func configOption(ctx context.Context, c *module.Call, a configOptionArgs) (any, error) {
	type place struct {
		omit bool
		data *wire.Map
	}
	places := []place{
		{a.OmitOpts || a.OmitAll, configOpts(c)},
		{a.OmitGrains || a.OmitAll, c.Grains()},
		{a.OmitPillar || a.OmitAll, c.Pillar()},
		{a.OmitMaster || a.OmitAll, masterOpts(c)},
		{false, configDefaults()},
	}
	places = slices.DeleteFunc(places, func(p place) bool { return p.omit })
	if !a.Wildcard {
		for _, p := range places {
			if v, ok := p.data.Get(a.Value); ok {
				return v, nil
			}
		}
		if a.Default == nil {
			return "", nil
		}
		return a.Default, nil
	}
	// The first place has the last word; what modules default to only fills gaps.
	ret := wire.NewMap()
	defaults := places[len(places)-1].data
	for _, p := range slices.Backward(places[:len(places)-1]) {
		for k, v := range p.data.Strings() {
			if globMatch(a.Value, k) {
				ret.Set(k, v)
			}
		}
	}
	for k, v := range defaults.Strings() {
		if globMatch(a.Value, k) && !ret.Has(k) {
			ret.Set(k, v)
		}
	}
	if ret.Len() == 0 && a.Default != nil {
		return a.Default, nil
	}
	return ret, nil
}

type configMergeArgs struct {
	Value      string // Name of the setting.
	Default    any    `default:""`      // What is returned where there is no such setting.
	OmitOpts   bool   `default:"False"` // Leave the minion's configuration out.
	OmitMaster bool   `default:"False"` // Leave the master's configuration out.
	OmitPillar bool   `default:"False"` // Leave the pillar out.
}

// configMerge returns a setting with what all places have of it: of maps all
// entries, those of the minion's configuration over the master's over the pillar's;
// of lists all elements. A text is returned from the first place that has one.
//
//	gosalt '*' config.merge schedule
func configMerge(ctx context.Context, c *module.Call, a configMergeArgs) (any, error) {
	var ret any
	for _, p := range []struct {
		omit bool
		data *wire.Map
	}{{a.OmitOpts, configOpts(c)}, {a.OmitMaster, masterOpts(c)}, {a.OmitPillar, c.Pillar()}} {
		v, ok := p.data.Get(a.Value)
		if p.omit || !ok {
			continue
		}
		switch have := ret.(type) {
		case nil:
			ret = v
			if _, isText := v.(string); isText {
				return v, nil
			}
		case *wire.Map:
			if m, ok := v.(*wire.Map); ok {
				ret = overwriteMaps(m, have)
			}
		case []any:
			if l, ok := v.([]any); ok {
				ret = slices.Concat(have, l)
			}
		}
	}
	if ret == nil {
		if v, ok := configDefaults().Get(a.Value); ok {
			return v, nil
		}
		return a.Default, nil
	}
	return ret, nil
}

type configDotValsArgs struct {
	Value string // Name of a module: mysql.
}

// configDotVals returns the settings of the minion and of the master whose names
// begin with a module's name and a dot.
//
//	gosalt '*' config.dot_vals host
func configDotVals(ctx context.Context, c *module.Call, a configDotValsArgs) (*wire.Map, error) {
	ret := wire.NewMap()
	for _, m := range []*wire.Map{masterOpts(c), c.Opts} {
		for k, v := range m.Strings() {
			if strings.HasPrefix(k, a.Value+".") {
				ret.Set(k, v)
			}
		}
	}
	return ret, nil
}

// configItems returns the minion's whole configuration, with the defaults of what no
// file sets, its grains and its pillar.
//
//	gosalt '*' config.items
func configItems(ctx context.Context, c *module.Call, a noArgs) (*wire.Map, error) {
	return configOpts(c), nil
}

type configBackupModeArgs struct {
	Backup any `default:""` // Returned where it is given.
}

// configBackupMode returns how files are backed up before they change: the setting
// backup_mode, unless the caller has an own.
//
//	gosalt '*' config.backup_mode
func configBackupMode(ctx context.Context, c *module.Call, a configBackupModeArgs) (any, error) {
	if module.Truth(a.Backup) {
		return a.Backup, nil
	}
	return configOption(ctx, c, configOptionArgs{Value: "backup_mode"})
}

type configManageModeArgs struct {
	Mode any // File mode: 644, "0644", or None.
}

// configManageMode returns a file mode as a text of four digits.
//
//	gosalt '*' config.manage_mode 644
func configManageMode(ctx context.Context, c *module.Call, a configManageModeArgs) (any, error) {
	if a.Mode == nil {
		return nil, nil
	}
	mode := strings.ReplaceAll(pytext.Str(a.Mode), "0o", "0")
	mode = strings.TrimLeft(strings.Trim(strings.Trim(mode, `"`), "'"), "0")
	return strings.Repeat("0", max(0, 4-len(mode))) + mode, nil
}

type configValidFileprotoArgs struct {
	URI string // Address of a file: salt://path/to/file.
}

// configValidFileproto tells whether files can be fetched from an address of this
// kind: salt, file, http, https, ftp, swift or s3.
//
//	gosalt '*' config.valid_fileproto salt://path/to/file
func configValidFileproto(ctx context.Context, c *module.Call, a configValidFileprotoArgs) (bool, error) {
	scheme, _, ok := strings.Cut(a.URI, ":")
	return ok && slices.Contains([]string{"salt", "file", "http", "https", "ftp", "swift", "s3"}, strings.ToLower(scheme)), nil
}
