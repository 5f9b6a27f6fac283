package config

import "time"

// Pillar are the options of compiling pillars, which masters do, and minions that have
// none (file_client: local).
type Pillar struct {
	// PillarRoots are the directories of each environment's pillar.
	PillarRoots map[string][]string `yaml:"pillar_roots"` // base: [/srv/pillar, /srv/spm/pillar]

	// PillarEnv is the only environment of the pillar to be used.
	PillarEnv string `yaml:"pillarenv"` // none

	// PillarEnvFromSaltEnv takes saltenv for pillarenv, where that is not given.
	PillarEnvFromSaltEnv bool `yaml:"pillarenv_from_saltenv"` // False

	// PillarSourceMergingStrategy says how values of several files are put together:
	// smart, recurse, aggregate, overwrite, list or none.
	PillarSourceMergingStrategy string `yaml:"pillar_source_merging_strategy"` // smart

	// PillarMergeLists appends to lists where they would be replaced.
	PillarMergeLists bool `yaml:"pillar_merge_lists"` // False

	// PillarIncludesOverrideSLS lets values of included files count above those of the
	// file that includes them.
	PillarIncludesOverrideSLS bool `yaml:"pillar_includes_override_sls"` // False

	// PillarOpts puts the master's options into each pillar, as master.
	PillarOpts bool `yaml:"pillar_opts"` // False

	// PillarSafeRenderError tells minions only that a file failed; why stands in the
	// master's log.
	PillarSafeRenderError *bool `yaml:"pillar_safe_render_error"` // True

	// PillarRaiseOnMissing makes pillar.get fail for a key that is not there, where it
	// is given no default.
	PillarRaiseOnMissing bool `yaml:"pillar_raise_on_missing"` // False

	// PillarCache keeps compiled pillars of minions and serves them until they are too
	// old, or the minion refreshes its pillar.
	PillarCache bool `yaml:"pillar_cache"` // False

	// PillarCacheTTL is how long, in seconds.
	PillarCacheTTL time.Duration `yaml:"pillar_cache_ttl" unit:"s"` // 3600

	// PillarCacheBackend is where: disk or memory.
	PillarCacheBackend string `yaml:"pillar_cache_backend"` // disk

	// ExtPillar are the sources of values beside the files, in their order: a list of
	// maps, each a name and its settings.
	ExtPillar any `yaml:"ext_pillar"` // none

	// ExtPillarFirst asks them before the files, which see their values.
	ExtPillarFirst bool `yaml:"ext_pillar_first"` // False

	// ExcludeExtPillar are names of sources that are left out.
	ExcludeExtPillar []string `yaml:"exclude_ext_pillar"` // none

	// OnDemandExtPillar are names of sources that minions may ask for (pillar.ext).
	OnDemandExtPillar []string `yaml:"on_demand_ext_pillar"` // [libvirt, virtkey]

	// DecryptPillar are keys whose values are decrypted once the pillar is put together:
	// a list of keys, or of maps of a key and gpg or age.
	DecryptPillar any `yaml:"decrypt_pillar"` // none

	// DecryptPillarDelimiter stands between nested keys there.
	DecryptPillarDelimiter string `yaml:"decrypt_pillar_delimiter"` // :

	// DecryptPillarDefault is what keys without one are decrypted with.
	DecryptPillarDefault string `yaml:"decrypt_pillar_default"` // gpg

	// DecryptPillarRenderers are what is allowed there.
	DecryptPillarRenderers []string `yaml:"decrypt_pillar_renderers"` // [gpg, age]: Salt has no age

	// GPGKeyDir is gpg's home directory, with the secret keys that open values.
	GPGKeyDir string `yaml:"gpg_keydir"` // gpgkeys beside the configuration file

	// GPGDecryptMustSucceed makes a value that gpg cannot open an error of the pillar.
	// Without it the value stays encrypted.
	GPGDecryptMustSucceed bool `yaml:"gpg_decrypt_must_succeed"` // True, as in Salt 3007: a password must not be replaced by its encrypted text

	// GPGCache keeps opened values in memory.
	GPGCache bool `yaml:"gpg_cache"` // False

	// GPGCacheTTL is how long, in seconds.
	GPGCacheTTL time.Duration `yaml:"gpg_cache_ttl" unit:"s"` // 86400

	// GPGCacheBackend is noted only: opened values are never written to a disk.
	GPGCacheBackend string `yaml:"gpg_cache_backend"` // disk

	// AgeIdentityFile is a file, or a list of files, with age's identities, which open
	// values. gosalt's own.
	AgeIdentityFile []string `yaml:"age_identity_file" opt:"text"` // none
}

// defaultPillar is Pillar with nothing set.
func defaultPillar() Pillar {
	return Pillar{
		PillarRoots:                 map[string][]string{"base": {"/srv/pillar", "/srv/spm/pillar"}},
		PillarSourceMergingStrategy: "smart",
		PillarCacheTTL:              time.Hour, PillarCacheBackend: "disk",
		OnDemandExtPillar:      []string{"libvirt", "virtkey"},
		DecryptPillar:          []any{},
		DecryptPillarDelimiter: ":", DecryptPillarDefault: "gpg", DecryptPillarRenderers: []string{"gpg", "age"},
		GPGDecryptMustSucceed: true, GPGCacheTTL: 24 * time.Hour, GPGCacheBackend: "disk",
	}
}
