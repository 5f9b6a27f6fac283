package providers

import (
	"github.com/gosalt/gosalt/inventory"
	"github.com/gosalt/gosalt/inventory/dns"
)

func init() { kinds["dns"] = func() inventory.Kind { return dns.Kind } }
