//go:build !no_hetzner

package providers

import (
	"github.com/gosalt/gosalt/inventory"
	"github.com/gosalt/gosalt/inventory/hetzner"
)

func init() { kinds["hetzner"] = func() inventory.Kind { return hetzner.Kind } }
