// Package yaml11 types plain YAML scalars as PyYAML with Salt's loader does: by YAML
// 1.1, where yes is true and 1:30 is ninety, with Salt's exception that 0644 is six
// hundred and forty-four (salt.utils.yamlloader).
package yaml11

import "github.com/gosalt/gosalt/internal/pytext"

// Resolve types a scalar that stands without quotes: nil, bool, int64, uint64 (above
// the largest int64), float64 or string. A whole number beyond 64 bits is the text of
// its digits, and what only looks like a number ("0x_") stays as it is.
func Resolve(s string) any {
	read := Int
	switch pytext.YAMLTag(s) {
	case "null":
		return nil
	case "bool":
		read = Bool
	case "float":
		read = Float
	case "int":
	default:
		return s
	}
	v, err := read(s)
	if err != nil {
		return s
	}
	return v
}
