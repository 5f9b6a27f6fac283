package modules

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/protocol/wire"
)

func init() {
	register("minion.list", minionList)
	planned("Have the service manager do it: systemctl restart gosalt-minion.", "minion.kill", "minion.restart")
}

// minionList returns the ids of the minions whose keys the master on this machine
// has, by what became of the keys. Without a master here all lists are empty.
//
//	gosalt 'master' minion.list
func minionList(ctx context.Context, c *module.Call, a noArgs) (*wire.Map, error) {
	dir := strings.ReplaceAll(c.Opts.Text("pki_dir"), "minion", "master")
	if dir == "" {
		return nil, module.Failf("the minion has no pki_dir, beside which that of a master would be")
	}
	ret := wire.NewMap()
	for _, name := range []string{"minions", "minions_pre", "minions_rejected", "minions_denied"} {
		entries, err := os.ReadDir(c.Host.Path(filepath.Join(dir, name)))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, module.Failf("%w", err)
		}
		ids := []string{}
		for _, e := range entries {
			if e.Type().IsRegular() && !strings.HasPrefix(e.Name(), ".") {
				ids = append(ids, e.Name())
			}
		}
		slices.SortFunc(ids, func(a, b string) int { return strings.Compare(strings.ToLower(a), strings.ToLower(b)) })
		ret.Set(name, ids)
	}
	return ret, nil
}
