//go:build !no_libvirt

package providers

import (
	"github.com/gosalt/gosalt/inventory"
	"github.com/gosalt/gosalt/inventory/libvirt"
)

func init() { kinds["libvirt"] = func() inventory.Kind { return libvirt.Kind } }
