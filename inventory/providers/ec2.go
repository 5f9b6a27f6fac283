//go:build !no_ec2

package providers

import (
	"github.com/gosalt/gosalt/inventory"
	"github.com/gosalt/gosalt/inventory/ec2"
)

func init() { kinds["ec2"] = func() inventory.Kind { return ec2.Kind } }
