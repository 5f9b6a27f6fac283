//go:build !no_kubernetes

package providers

import (
	"github.com/gosalt/gosalt/inventory"
	"github.com/gosalt/gosalt/inventory/kubernetes"
)

func init() { kinds["kubernetes"] = func() inventory.Kind { return kubernetes.Kind } }
