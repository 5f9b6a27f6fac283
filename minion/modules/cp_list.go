package modules

import (
	"context"
	"slices"
	"strings"

	"github.com/gosalt/gosalt/internal/module"
)

func init() {
	register("cp.envs", cpEnvs)
	register("cp.list_master", cpListMaster)
	register("cp.list_master_dirs", cpListMasterDirs)
	register("cp.list_master_symlinks", cpListMasterSymlinks)
	register("cp.list_states", cpListStates)
}

// cpEnvs lists the environments of the file server.
//
//	gosalt '*' cp.envs
func cpEnvs(ctx context.Context, c *module.Call, _ noArgs) (any, error) {
	fc, err := fileServer(c)
	if err != nil {
		return nil, err
	}
	envs, err := fc.Envs(ctx)
	return cpListed(envs, err)
}

// cpListed is a list as it is returned: empty rather than nil.
func cpListed(list []string, err error) (any, error) {
	if err != nil {
		return nil, module.Failf("%w", err)
	}
	if list == nil {
		list = []string{}
	}
	return list, nil
}

type cpListArgs struct {
	cpEnv
	Prefix string `default:""` // Only what begins with this.
}

// cpListMaster lists the files of the master.
//
//	gosalt '*' cp.list_master
//	gosalt '*' cp.list_master prefix=web
func cpListMaster(ctx context.Context, c *module.Call, a cpListArgs) (any, error) {
	fc, err := fileServer(c)
	if err != nil {
		return nil, err
	}
	return cpListed(fc.List(ctx, a.env(c), a.Prefix))
}

// cpListMasterDirs lists the directories of the master.
//
//	gosalt '*' cp.list_master_dirs
func cpListMasterDirs(ctx context.Context, c *module.Call, a cpListArgs) (any, error) {
	fc, err := fileServer(c)
	if err != nil {
		return nil, err
	}
	return cpListed(fc.Dirs(ctx, a.env(c), a.Prefix))
}

// cpListMasterSymlinks lists the symbolic links of the master, and where they point.
//
//	gosalt '*' cp.list_master_symlinks
func cpListMasterSymlinks(ctx context.Context, c *module.Call, a cpListArgs) (any, error) {
	fc, err := fileServer(c)
	if err != nil {
		return nil, err
	}
	links, err := fc.Symlinks(ctx, a.env(c), a.Prefix)
	if err != nil {
		return nil, module.Failf("%w", err)
	}
	if links == nil {
		links = map[string]string{}
	}
	return links, nil
}

// cpListStates lists the SLS files of an environment by the names that states have
// for them.
//
//	gosalt '*' cp.list_states
func cpListStates(ctx context.Context, c *module.Call, a cpEnvArgs) (any, error) {
	fc, err := fileServer(c)
	if err != nil {
		return nil, err
	}
	files, err := fc.List(ctx, a.env(c), "")
	if err != nil {
		return nil, module.Failf("%w", err)
	}
	out := []string{}
	for _, f := range files {
		if name, ok := strings.CutSuffix(f, ".sls"); ok {
			out = append(out, strings.ReplaceAll(strings.TrimSuffix(name, "/init"), "/", "."))
		}
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}
