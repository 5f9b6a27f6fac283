package runners

import (
	"bufio"
	"context"
	"os"
	"strings"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/master/jobs"
	"github.com/gosalt/gosalt/protocol/wire"
)

func registerNetwork(r *module.Registry) {
	module.Register(r, "network.wol", networkWol)
	module.Register(r, "network.wollist", networkWollist)
	module.Register(r, "network.wolmatch", networkWolmatch)
}

type wolArgs struct {
	Bcast    string `default:"255.255.255.255"` // The address that the packet is sent to.
	Destport int    `default:"9"`               // The port.
}

type networkWolArgs struct {
	MAC string `arg:"mac"` // The hardware address of the machine: 08-00-27-13-69-77.
	wolArgs
}

type networkWollistArgs struct {
	Maclist string // A file on the master with a hardware address in each line.
	wolArgs
}

type networkWolmatchArgs struct {
	Tgt     any    // Which minions, by the grains they were last seen with.
	TgtType string `default:"glob"` // How tgt is to be read.
	wolArgs
}

// wake sends the packet that wakes a machine, as network.wol of a minion does.
func wake(ctx context.Context, mac string, a wolArgs) error {
	res := callOf(ctx).r.master.Execute(ctx, "", "network.wol", []any{mac, a.Bcast, int64(a.Destport)}, nil)
	return res.Err
}

// networkWol wakes a machine by its hardware address (Wake-on-LAN).
//
//	gosalt-run network.wol 08-00-27-13-69-77
//	gosalt-run network.wol 080027136977 255.255.255.255 7
func networkWol(ctx context.Context, _ *module.Call, a networkWolArgs) (bool, error) {
	err := wake(ctx, a.MAC, a.wolArgs)
	return err == nil, err
}

// networkWollist wakes the machines whose hardware addresses are in a file.
//
//	gosalt-run network.wollist /path/to/maclist
func networkWollist(ctx context.Context, c *module.Call, a networkWollistArgs) ([]any, error) {
	out := []any{}
	f, err := os.Open(a.Maclist)
	if err != nil {
		return nil, module.Failf("%w", err)
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		mac := strings.TrimSpace(s.Text())
		if mac == "" {
			continue
		}
		if err := wake(ctx, mac, a.wolArgs); err != nil {
			return nil, err
		}
		c.Progress("Waking up " + mac)
		out = append(out, mac)
	}
	return out, nil
}

// networkWolmatch wakes minions by the hardware addresses that the master last saw in
// their grains.
//
//	gosalt-run network.wolmatch 'web*'
func networkWolmatch(ctx context.Context, _ *module.Call, a networkWolmatchArgs) ([]any, error) {
	all, err := cached(ctx, a.Tgt, a.TgtType, func(d jobs.MinionData) []byte { return d.Grains })
	if err != nil {
		return nil, err
	}
	out := []any{}
	for _, v := range all.Strings() {
		grains, _ := v.(*wire.Map)
		for iface, v := range grains.Map("hwaddr_interfaces").Strings() {
			mac, ok := v.(string)
			if !ok || iface == "lo" {
				continue
			}
			mac = strings.TrimSpace(mac)
			if err := wake(ctx, mac, a.wolArgs); err != nil {
				return nil, err
			}
			out = append(out, mac)
		}
	}
	return out, nil
}
