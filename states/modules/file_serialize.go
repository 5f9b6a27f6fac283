package modules

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gosalt/gosalt/internal/dictmerge"
	"github.com/gosalt/gosalt/internal/host"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/internal/render/saltyaml"
	"github.com/gosalt/gosalt/protocol/wire"
	"github.com/gosalt/gosalt/states"
)

func init() {
	register("file.serialize", fileSerialize)
	register("file.decode", fileDecode)
}

type fileSerializeArgs struct {
	Name             string    // Path of the file.
	Dataset          any       `default:"None"`            // The data.
	DatasetPillar    any       `default:"None"`            // Key of the pillar with the data.
	User             any       `default:"None"`            // Owner, by name or number.
	Group            any       `default:"None"`            // Group, by name or number.
	Mode             any       `default:"None"`            // Permissions in octal.
	Backup           any       `default:""`                // minion keeps the old file below the cache directory.
	Makedirs         bool      `default:"False"`           // Make the directories above that are missing.
	ShowChanges      bool      `default:"True"`            // Show the difference.
	Create           bool      `default:"True"`            // Make the file where there is none.
	MergeIfExists    bool      `default:"False"`           // Lay the data over those that the file has.
	Encoding         any       `default:"None"`            // Encoding of the file; with one, characters are not escaped.
	EncodingErrors   string    `default:"strict"`          // What becomes of characters that the encoding has not.
	Serializer       any       `default:"None"`            // yaml, json, toml, configparser, plist, keyvalue, msgpack or python; yaml by default.
	SerializerOpts   any       `default:"None"`            // Options of the serializer, such as indent, as a list of maps.
	DeserializerOpts any       `default:"None"`            // Options for reading the file, with merge_if_exists.
	Kwargs           *wire.Map `arg:"**" read:"formatter"` // formatter: the same as serializer.
}

// serializers are Salt's, with whether they read, too.
var serializers = map[string]bool{"yaml": true, "json": true, "toml": true, "configparser": true, "plist": true, "msgpack": true, "keyvalue": true, "python": false, "yamlex": true}

// fileSerialize makes a file hold data, written as YAML, JSON or another format.
func fileSerialize(ctx context.Context, c *states.Call, a fileSerializeArgs) (*states.Plan, error) {
	name := expandUser(c, a.Name)
	p := &states.Plan{Name: name}
	if name == "" {
		return nil, module.Failf("Must provide name to file.serialize")
	}
	if !a.Create && !c.Host.IsFile(name) {
		p.Fine = fmt.Sprintf("File %s is not present and is not set for creation", name)
		return p, nil
	}
	formatter := get(a.Kwargs, "formatter")
	if module.Truth(a.Serializer) && module.Truth(formatter) {
		return p, module.Failf("Only one of serializer and formatter are allowed")
	}
	kind := "yaml"
	for _, v := range []any{formatter, a.Serializer} {
		if module.Truth(v) {
			kind = strings.ToLower(pytext.Str(v))
		}
	}
	data, err := serializeData(ctx, c, &a)
	if err != nil {
		return p, err
	}
	reads, known := serializers[kind]
	if !known {
		return p, module.Failf("The %s serializer could not be found. It either does not exist or its prerequisites are not installed.", kind)
	}
	var before, merged *wire.Map
	switch {
	case a.MergeIfExists && c.Host.IsFile(name):
		if !reads {
			return p, module.Failf("merge_if_exists is not supported for the %s serializer", kind)
		}
		old, err := readData(ctx, c, name, kind, optionsOf(a.DeserializerOpts))
		if err != nil {
			return p, module.Failf("Failed to deserialize existing data: %s", inFile(message(err), name))
		}
		if old == nil {
			break
		}
		joined, err := dictmerge.Merge(old, data, dictmerge.Options{Strategy: "recurse"})
		if err != nil {
			return p, err
		}
		if pytext.Equal(old, joined) {
			p.Fine = fmt.Sprintf("The file %s is in the correct state", name)
			return p, nil
		}
		data = joined
		before, _ = old.(*wire.Map)
		merged, _ = joined.(*wire.Map)
	case !a.MergeIfExists && module.Truth(a.DeserializerOpts):
		p.Warnings = append(p.Warnings, "The 'deserializer_opts' option is ignored unless merge_if_exists is set to True.")
	}
	contents, err := writeData(ctx, c, kind, data, optionsOf(a.SerializerOpts), module.Truth(a.Encoding))
	if err != nil {
		return p, err
	}
	return p, a.plan(ctx, c, p, name, contents, before, merged)
}

// inFile is what a deserializer says, with the file that its text is from.
func inFile(msg, name string) string {
	msg = strings.TrimPrefix(msg, "DeserializationError: ")
	return strings.NewReplacer("'<???>'", pytext.Repr(name), `"<unicode string>"`, `"`+name+`"`).Replace(msg)
}

// serializeData is the data of the arguments.
func serializeData(ctx context.Context, c *states.Call, a *fileSerializeArgs) (any, error) {
	data := a.Dataset
	switch {
	case module.Truth(a.Dataset) && module.Truth(a.DatasetPillar):
		return nil, module.Failf("Only one of 'dataset' and 'dataset_pillar' is permitted")
	case module.Truth(a.DatasetPillar):
		var err error
		if data, err = c.Call.Call(ctx, "pillar.get", args(a.DatasetPillar), nil); err != nil {
			return nil, err
		}
	}
	if data == nil {
		return nil, module.Failf("Neither 'dataset' nor 'dataset_pillar' was defined")
	}
	return data, nil
}

// optionsOf reads options, which are a map, a list of maps and names, or such a list as YAML.
func optionsOf(v any) *wire.Map {
	m := wire.NewMap()
	if s, ok := v.(string); ok { // a list of maps as YAML
		if v, _ = saltyaml.Load(s); v == s {
			return m
		}
	}
	for _, e := range listOf(v) {
		switch one := e.(type) {
		case *wire.Map:
			for k, x := range one.All() {
				m.SetAny(k, x)
			}
		case string: // a name alone has no value
			m.Set(one, nil)
		}
	}
	return m
}

// readOptions are the options of serializers for reading; those that Python code alone can
// give count as known.
var readOptions = map[string]struct {
	what  string
	known []string
}{
	"json":  {"JSONDecoder.__init__()", []string{"cls", "object_hook", "parse_float", "parse_int", "parse_constant", "strict", "object_pairs_hook"}},
	"yaml":  {"load()", []string{"Loader"}},
	"plist": {"load()", []string{"fmt", "dict_type"}},
}

// readData reads the data of a file; nil where it holds none.
func readData(ctx context.Context, c *states.Call, name, kind string, opts *wire.Map) (any, error) {
	if o, ok := readOptions[kind]; ok {
		for k := range opts.Strings() {
			if !slices.Contains(o.known, k) {
				return nil, fmt.Errorf("%s got an unexpected keyword argument '%s'", o.what, k)
			}
		}
	}
	switch kind {
	case "yamlex":
		kind = "yaml"
	case "json", "yaml", "plist":
		opts = nil // none of theirs changes what is read
	}
	f, err := c.Host.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, large, err := readUpTo(f, maxText)
	if err == nil && large {
		err = fmt.Errorf("it is larger than %d MB", maxText>>20)
	}
	if err != nil {
		return nil, err
	}
	var text any = string(b)
	if kind == "plist" || kind == "msgpack" {
		text = b
	}
	return c.Call.Call(ctx, "slsutil.deserialize", args(kind, text), opts)
}

// writeData writes data; readable says that characters are not escaped.
func writeData(ctx context.Context, c *states.Call, kind string, data any, opts *wire.Map, readable bool) (any, error) {
	all := wire.NewMap()
	switch kind {
	case "yaml":
		all = wire.NewMap("default_flow_style", false)
		if readable {
			all.Set("allow_unicode", true)
		}
	case "json":
		all = wire.NewMap("indent", int64(2), "separators", []any{",", ": "}, "sort_keys", true)
	}
	for k, v := range opts.Strings() {
		all.Set(k, v)
	}
	v, err := c.Call.Call(ctx, "slsutil.serialize", args(kind, data), all)
	if s, ok := v.(string); ok && err == nil {
		return s + "\n", nil
	}
	return v, err
}

// plan plans the file; with before, its changes are told of the data, not of the text.
func (a *fileSerializeArgs) plan(ctx context.Context, c *states.Call, p *states.Plan, name string, contents any, before, merged *wire.Map) error {
	mode := a.Mode
	if mode != nil {
		mode = host.NormalMode(pytext.Str(mode))
	}
	ask := wire.NewMap("name", name, "source", nil, "source_hash", wire.NewMap(), "source_hash_name", "", "user", a.User, "group", a.Group, "mode", mode,
		"attrs", nil, "template", "", "context", nil, "defaults", nil, "saltenv", c.Env, "contents", contents, "skip_verify", false)
	v, err := dry(c).Call(ctx, "file.check_managed_changes", nil, ask)
	if err != nil {
		return err
	}
	changes, ok := v.(*wire.Map)
	if !ok {
		if pair, isPair := v.([]any); isPair && len(pair) == 2 {
			return errors.New(pytext.Str(pair[1]))
		}
		return fmt.Errorf("file.check_managed_changes answered %s", pytext.Repr(v))
	}
	p.Fine = fmt.Sprintf("The file %s is in the correct state", name)
	if !c.Test {
		p.Fine = fmt.Sprintf("File %s is in the correct state", name)
	}
	merge := before != nil && merged != nil
	if changes.Len() == 0 {
		if merge { // written alike, the data may differ
			*p = *states.Decided(true, wire.NewMap("diff", mapDiff(merged, before)), p.Fine)
			p.Name = name
		}
		return nil
	}
	if c.Test && !a.Makedirs && (lacksDir(c, filepath.Dir(name)) || !filepath.IsAbs(name) && !c.Host.Exists(name)) {
		return module.Failf("Parent directory not present")
	}
	if blocked(c, filepath.Dir(name)) != nil {
		return module.Failf("Not a directory")
	}
	p.Would = fmt.Sprintf("Dataset will be serialized and stored into %s", name)
	changes = changes.Clone()
	if !a.ShowChanges {
		changes.Set("diff", "<show_changes=False>")
	}
	if merge {
		changes.Set("diff", mapDiff(merged, before))
	}
	p.Do(changes, func(ctx context.Context, r *states.Result) error {
		v, err := wet(c).Call(ctx, "file.manage_file", nil, wire.NewMap("name", name, "sfn", "", "ret", wire.NewMap("changes", wire.NewMap(), "comment", "", "name", name, "result", true),
			"source", nil, "source_sum", wire.NewMap(), "user", a.User, "group", a.Group, "mode", mode, "attrs", nil, "saltenv", c.Env, "backup", a.Backup,
			"makedirs", a.Makedirs, "template", nil, "show_changes", a.ShowChanges, "encoding", a.Encoding, "encoding_errors", a.EncodingErrors, "contents", contents))
		if err != nil {
			return err
		}
		ret, ok := v.(*wire.Map)
		if !ok {
			return fmt.Errorf("file.manage_file answered %s", pytext.Repr(v))
		}
		answered(r, ret)
		if merge {
			r.Change("diff", mapDiff(merged, before))
		}
		return nil
	})
	return nil
}

// mapDiff tells what of a map is not as it was, by key: what is in both or only in now.
func mapDiff(now, was *wire.Map) *wire.Map {
	out := wire.NewMap()
	for k, v := range now.All() {
		old, there := was.GetAny(k)
		if !there {
			out.SetAny(k, wire.NewMap("new", v, "old", "<_null_>"))
			continue
		}
		if pytext.Equal(v, old) {
			continue
		}
		nm, ok := v.(*wire.Map)
		om, ok2 := old.(*wire.Map)
		if !ok || !ok2 {
			out.SetAny(k, wire.NewMap("new", v, "old", old))
		} else if d := mapDiff(nm, om); d.Len() > 0 {
			out.SetAny(k, d)
		}
	}
	return out
}

type fileDecodeArgs struct {
	Name           string // Path of the file.
	EncodedData    any    `default:"None"`   // The contents, in base64.
	ContentsPillar any    `default:"None"`   // Key of the pillar with them.
	EncodingType   string `default:"base64"` // Without effect: base64 is the only one.
	Checksum       string `default:"md5"`    // Hash that the file is compared by: md5, sha1, sha224, sha256, sha384, sha512.
}

// fileDecode makes a file of contents that are given in base64.
func fileDecode(ctx context.Context, c *states.Call, a fileDecodeArgs) (*states.Plan, error) {
	data := a.EncodedData
	switch {
	case !module.Truth(a.EncodedData) && !module.Truth(a.ContentsPillar):
		return nil, module.Failf("Specify either the 'encoded_data' or 'contents_pillar' argument.")
	case module.Truth(a.EncodedData) && module.Truth(a.ContentsPillar):
		return nil, module.Failf("Specify only one 'encoded_data' or 'contents_pillar' argument.")
	case module.Truth(a.ContentsPillar):
		var err error
		if data, err = c.Call.Call(ctx, "pillar.get", args(a.ContentsPillar, false), nil); err != nil {
			return nil, err
		}
		if data == false {
			return nil, module.Failf("Pillar data not found.")
		}
	}
	contents, err := decodeBase64(pytext.Str(data))
	if err != nil {
		return nil, module.Failf("the data are no base64: %w", err)
	}
	sum := hashes[a.Checksum]
	if sum == nil {
		return nil, module.Failf("checksum %q is not known: md5, sha1, sha224, sha256, sha384 or sha512 is expected", a.Checksum)
	}
	h := sum()
	h.Write(contents)
	want := hex.EncodeToString(h.Sum(nil))
	p := &states.Plan{Fine: "File is in the correct state.", Would: "File is set to be updated.", Did: "File was updated."}
	foreseen, changes := wire.NewMap(), wire.NewMap("old", nil, "new", want)
	if c.Host.IsFile(a.Name) {
		have, err := hashFile(c.Host.Path(a.Name), a.Checksum)
		if err != nil {
			return nil, err
		}
		if have == want {
			return p, nil
		}
		changes = wire.NewMap("old", have, "new", want)
		foreseen = changes
	}
	p.Do(foreseen, func(_ context.Context, r *states.Result) error {
		if !c.Host.IsDir(filepath.Dir(a.Name)) {
			return module.Failf("[Errno 2] No such file or directory: %s", pytext.Repr(a.Name))
		}
		if err := c.Host.ReplaceLinked(a.Name, host.Keep, c.Umask, writeString(string(contents))); err != nil {
			return err
		}
		r.SetChanges(changes)
		return nil
	})
	return p, nil
}

// decodeBase64 reads base64 as Python does: characters that are none of it are passed over.
func decodeBase64(s string) ([]byte, error) {
	s = strings.Map(func(r rune) rune {
		switch {
		case r >= 'A' && r <= 'Z', r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '+', r == '/', r == '=':
			return r
		}
		return -1
	}, s)
	if i := strings.IndexByte(s, '='); i >= 0 && i%4 > 1 {
		s = s[:i] + "==="[:4-i%4]
	}
	return base64.StdEncoding.DecodeString(s)
}
