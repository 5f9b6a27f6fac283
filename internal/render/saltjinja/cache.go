package saltjinja

import (
	"sync"

	"github.com/gosalt/gosalt/internal/render/saltyaml"
)

// yamlTexts keeps what large texts were read to: a formula loads the same defaults.yaml
// for each of its SLS. The values are never changed; templates get copies.
var yamlTexts = struct {
	sync.Mutex
	size int
	m    map[string]any
}{m: map[string]any{}}

// Texts below smallYAML are read faster than they are found; all that is kept is at most
// maxYAMLTexts long.
const (
	smallYAML    = 256
	maxYAMLTexts = 4 << 20
)

// loadYAML is saltyaml.LoadYAML with this memory.
func loadYAML(text string) (any, error) {
	if len(text) < smallYAML || len(text) > maxYAMLTexts/8 {
		return saltyaml.LoadYAML(text)
	}
	yamlTexts.Lock()
	v, ok := yamlTexts.m[text]
	yamlTexts.Unlock()
	if ok {
		return v, nil
	}
	v, err := saltyaml.LoadYAML(text)
	if err != nil {
		return nil, err
	}
	yamlTexts.Lock()
	defer yamlTexts.Unlock()
	if yamlTexts.size+len(text) > maxYAMLTexts {
		clear(yamlTexts.m)
		yamlTexts.size = 0
	}
	if _, ok := yamlTexts.m[text]; !ok {
		yamlTexts.m[text] = v
		yamlTexts.size += len(text)
	}
	return v, nil
}
