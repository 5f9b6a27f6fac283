package providers

import (
	"github.com/gosalt/gosalt/inventory"
	"github.com/gosalt/gosalt/inventory/ansible"
)

func init() { kinds["ansible"] = func() inventory.Kind { return ansible.Kind } }
