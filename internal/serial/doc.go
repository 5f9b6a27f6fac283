// Package serial writes and reads data in the formats of Salt's serializers that are
// none of YAML, JSON and Python: those of Python's configparser and plistlib, lines with a
// key and a value, MsgPack, and the reading of TOML. Values are those of package wire.
package serial

import (
	"fmt"
	"slices"

	"github.com/gosalt/gosalt/protocol/wire"
)

// Writes and Reads tell whether a serializer of this name is here.
func Writes(kind string) bool {
	return kind == "configparser" || kind == "plist" || kind == "msgpack" || kind == "keyvalue"
}

// Reads tells it of reading.
func Reads(kind string) bool { return Writes(kind) || kind == "toml" || kind == "tomlmod" }

// packOptions are those of Python's msgpack. Values of files have one form: none changes it.
var packOptions = []string{"default", "use_single_float", "autoreset", "use_bin_type", "strict_types", "datetime", "unicode_errors", "buf_size", "encoding"}

// Dump writes a value: as a string, or as bytes where the format is one of bytes.
func Dump(kind string, v any, opts *wire.Map) (any, error) {
	switch kind {
	case "configparser":
		return dumpConfig(v, opts)
	case "plist":
		return dumpPlist(v, opts)
	case "keyvalue":
		return dumpKeyValue(v, opts)
	case "msgpack":
		for k := range opts.Strings() {
			if !slices.Contains(packOptions, k) {
				return nil, fmt.Errorf("__init__() got an unexpected keyword argument '%s'", k)
			}
		}
		return wire.Encode(v, wire.Local)
	}
	return nil, fmt.Errorf("serializer %q is not known", kind)
}

// Load reads a value. No data at all, where the format has a word for that, are nil.
func Load(kind string, b []byte, opts *wire.Map) (any, error) {
	switch kind {
	case "configparser":
		return loadConfig(string(b), opts)
	case "plist":
		return loadPlist(b)
	case "keyvalue":
		return loadKeyValue(string(b), opts)
	case "msgpack":
		return wire.Decode(b, wire.Local, wire.Limits{Depth: maxDepth, Elements: 1 << 22, Bytes: 256 << 20})
	case "toml", "tomlmod":
		return loadTOML(string(b))
	}
	return nil, fmt.Errorf("serializer %q is not known", kind)
}
