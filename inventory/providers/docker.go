//go:build !no_docker

package providers

import (
	"github.com/gosalt/gosalt/inventory"
	"github.com/gosalt/gosalt/inventory/docker"
)

func init() {
	kinds["docker"] = func() inventory.Kind { return docker.Kind }
	kinds["podman"] = func() inventory.Kind { return docker.PodmanKind }
}
