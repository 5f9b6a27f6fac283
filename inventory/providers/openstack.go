//go:build !no_openstack

package providers

import (
	"github.com/gosalt/gosalt/inventory"
	"github.com/gosalt/gosalt/inventory/openstack"
)

func init() { kinds["openstack"] = func() inventory.Kind { return openstack.Kind } }
