package providers

import (
	"github.com/gosalt/gosalt/inventory"
	"github.com/gosalt/gosalt/inventory/staticfile"
)

func init() { kinds["static"] = func() inventory.Kind { return staticfile.Kind } }
