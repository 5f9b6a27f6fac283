// Package yamlarg reads one YAML value from a line of text, such as a command's
// argument or a small file of settings, into the values of protocol/wire, as Salt's
// loader reads it: by internal/render/saltyaml, with the limits of a message.
package yamlarg

import "github.com/gosalt/gosalt/internal/render/saltyaml"

// limits are those of a message (protocol/wire), which such a value goes into.
var limits = saltyaml.Limits{Bytes: 16 << 20, Depth: 64, Values: 1_000_000}

// Load reads text that holds one YAML document at most; no document is nil. An error
// is of type *saltyaml.Error and tells where the text is no YAML, or which tag or key
// is not taken.
func Load(text string) (any, error) {
	d, err := saltyaml.Parse(text, limits)
	if err != nil {
		return nil, err
	}
	return d.Value, nil
}
