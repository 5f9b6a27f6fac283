package pillar

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gosalt/gosalt/internal/config"
	"github.com/gosalt/gosalt/internal/decrypt"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/internal/render"
	"github.com/gosalt/gosalt/internal/target"
	"github.com/gosalt/gosalt/protocol/wire"
)

// Decrypter opens encrypted values as the options of either side say.
func Decrypter(cfg config.Common, log *slog.Logger) *decrypt.Decrypter {
	o := decrypt.Options{GPGDir: cfg.GPGKeyDir, AgeFiles: cfg.AgeIdentityFile, Lenient: !cfg.GPGDecryptMustSucceed, Log: log}
	if o.GPGDir == "" {
		o.GPGDir = filepath.Join(filepath.Dir(cfg.ConfFile), "gpgkeys")
	}
	if cfg.GPGCache {
		o.Keep = cfg.GPGCacheTTL
	}
	return decrypt.New(o)
}

// MayDecrypt tells whether a pillar can hold values that were encrypted. It goes by what
// the configuration and the first lines of the files say, and compiles nothing: true may
// be wrong. False is where only a template decrypts, by slsutil.renderer.
func (c *Compiler) MayDecrypt(ctx context.Context) bool {
	if truth(c.cfg.Opts, "ext_pillar") || truth(c.cfg.Opts, "decrypt_pillar") || pipeDecrypts(c.cfg.Opts.Text("renderer")) {
		return true
	}
	if c.cfg.Tree == nil {
		return false
	}
	for _, env := range c.cfg.Tree.Envs() {
		if env == anyEnv {
			return true // where its files are is known when a minion asks
		}
		names, err := c.cfg.Tree.List(ctx, env)
		if err != nil {
			return true
		}
		for _, name := range names {
			if !strings.HasSuffix(name, ".sls") {
				continue
			}
			f, err := c.cfg.Tree.ReadFile(ctx, env, name)
			if err != nil {
				return true
			}
			first, _, _ := bytes.Cut(f.Data, []byte("\n"))
			if bytes.HasPrefix(first, []byte("#!")) && pipeDecrypts(string(first[2:])) {
				return true
			}
		}
	}
	return false
}

// pipeDecrypts tells whether a pipe of renderers has one that decrypts.
func pipeDecrypts(pipe string) bool {
	for part := range strings.SplitSeq(pipe, "|") {
		name, _, _ := strings.Cut(strings.TrimSpace(part), " ")
		if slices.Contains(decrypt.Names, name) {
			return true
		}
	}
	return false
}

// decrypters are the renderers gpg and age.
func (run *compilation) decrypters() map[string]render.Extra {
	out := map[string]render.Extra{}
	for _, kind := range decrypt.Names {
		out[kind] = func(ctx context.Context, s render.Source, _ string, in any) (any, error) {
			v, err := run.cfg.Decrypt.Value(ctx, in, decrypt.Request{Kind: kind, Secrets: run.secrets, Name: s.Path})
			if _, text := in.(string); text && err == nil && v != in {
				run.decoding = true
			}
			return v, err
		}
	}
	return out
}

// decryptKeys opens the parts of the pillar that the option decrypt_pillar names.
func (run *compilation) decryptKeys(pillar *wire.Map) []string {
	option, _ := run.opts.Get("decrypt_pillar")
	if !isTrue(option) {
		return nil
	}
	keys, ok := decryptOption(option)
	if !ok || len(keys) == 0 {
		return []string{"decrypt_pillar config option is malformed"}
	}
	delimiter := run.opts.Text("decrypt_pillar_delimiter")
	if delimiter == "" {
		delimiter = ":"
	}
	var errs []string
	for _, k := range keys {
		if err := run.decryptKey(pillar, k, delimiter); err != nil {
			msg := fmt.Sprintf("Failed to decrypt pillar key '%s': %v", k.key, err)
			errs = append(errs, msg)
			run.log.Error("pillar error", "error", msg)
		}
	}
	return errs
}

// decryptEntry is one entry of decrypt_pillar.
type decryptEntry struct {
	key  string
	kind string // "" is the default
}

// decryptOption reads decrypt_pillar: a map, or a list of keys and of maps of one.
func decryptOption(v any) ([]decryptEntry, bool) {
	var out []decryptEntry
	add := func(m *wire.Map) bool {
		for k, e := range m.All() {
			kind, ok := e.(string)
			if !ok && e != nil {
				return false
			}
			out = append(out, decryptEntry{pytext.Str(k), kind})
		}
		return true
	}
	switch x := v.(type) {
	case *wire.Map:
		return out, add(x) && len(out) > 0
	case []any:
		for _, e := range x {
			switch y := e.(type) {
			case *wire.Map:
				if y.Len() != 1 || !add(y) {
					return nil, false
				}
			case string:
				out = append(out, decryptEntry{key: y})
			default:
				return nil, false
			}
		}
		return out, true
	}
	return nil, false
}

func (run *compilation) decryptKey(pillar *wire.Map, k decryptEntry, delimiter string) error {
	v, ok := target.Traverse(pillar, k.key, delimiter)
	if !ok || v == nil {
		run.log.Debug("a key of decrypt_pillar is not in the pillar", "key", k.key)
		return nil
	}
	kind := k.kind
	if kind == "" {
		if kind = run.opts.Text("decrypt_pillar_default"); kind == "" {
			kind = "gpg"
		}
	}
	var valid []string
	for _, r := range run.opts.List("decrypt_pillar_renderers") {
		valid = append(valid, pytext.Str(r))
	}
	if len(valid) > 0 && !slices.Contains(valid, kind) {
		return fmt.Errorf("'%s' is not a valid decryption renderer. Valid choices are: %s", kind, strings.Join(valid, ", "))
	}
	if !slices.Contains(decrypt.Names, kind) {
		return fmt.Errorf("there is no decryption renderer '%s'", kind)
	}
	opened, err := run.cfg.Decrypt.Value(run.ctx, v, decrypt.Request{Kind: kind, Secrets: run.secrets, Name: k.key})
	if err != nil {
		var de *decrypt.Error
		if errors.As(err, &de) && len(de.Path) == 0 {
			return de.Err
		}
		return err
	}
	switch v.(type) {
	case string, []byte:
	default:
		return nil // opened where it is
	}
	parent, child := any(pillar), k.key
	if i := strings.LastIndex(k.key, delimiter); i >= 0 {
		child = k.key[i+len(delimiter):]
		if parent, ok = target.Traverse(pillar, k.key[:i], delimiter); !ok {
			return nil
		}
	}
	if m, ok := parent.(*wire.Map); ok {
		m.Set(child, opened)
	}
	return nil
}
