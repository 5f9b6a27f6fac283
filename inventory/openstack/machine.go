package openstack

import (
	"cmp"
	"encoding/json"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/servers"

	"github.com/gosalt/gosalt/inventory"
	"github.com/gosalt/gosalt/protocol/wire"
)

// states are Nova's. A server that is resized or rescued is not the system that is meant,
// for a while.
var states = map[string]inventory.State{
	"ACTIVE": inventory.Running, "PASSWORD": inventory.Running, "MIGRATING": inventory.Running, "VERIFY_RESIZE": inventory.Running,
	"BUILD": inventory.Starting, "REBUILD": inventory.Starting, "REBOOT": inventory.Starting, "HARD_REBOOT": inventory.Starting,
	"RESIZE": inventory.Starting, "REVERT_RESIZE": inventory.Starting, "RESCUE": inventory.Starting,
	"SHUTOFF": inventory.Stopped, "STOPPED": inventory.Stopped, "PAUSED": inventory.Stopped, "SUSPENDED": inventory.Stopped,
	"SHELVED": inventory.Stopped, "SHELVED_OFFLOADED": inventory.Stopped,
	"DELETED": inventory.Gone, "SOFT_DELETED": inventory.Gone,
}

func stateOf(s *servers.Server) inventory.State {
	state, ok := states[s.Status]
	switch {
	case !ok && s.PowerState == servers.RUNNING:
		return inventory.Running // also one with an error of the last task
	case !ok && s.Status == "ERROR":
		return inventory.Stopped
	case !ok:
		return inventory.Unknown
	case state == inventory.Running && (s.TaskState == "powering-off" || s.TaskState == "deleting" || s.TaskState == "suspending" || s.TaskState == "shelving"):
		return inventory.Stopping
	case state == inventory.Stopped && s.TaskState == "powering-on":
		return inventory.Starting
	}
	return state
}

// machineOf is a server in the words of an inventory.
func machineOf(region string, s *servers.Server, names flavorNames) inventory.Machine {
	m := inventory.Machine{
		ID: s.ID, Label: s.Name, Scope: region, Region: region, State: stateOf(s), Account: s.TenantID, Zone: s.AvailabilityZone, Created: s.Created,
	}
	a := wire.NewMap()
	set := func(name, v string) {
		if v != "" {
			a.Set(name, v)
		}
	}
	set("state", s.Status)
	set("task_state", s.TaskState)
	set("vm_state", s.VmState)
	if s.PowerState != servers.NOSTATE {
		set("power_state", s.PowerState.String())
	}
	text := func(m map[string]any, key string) string { v, _ := m[key].(string); return v }

	flavor := text(s.Flavor, "id")
	m.Type = cmp.Or(text(s.Flavor, "original_name"), names[flavor], flavor)
	set("flavor_id", flavor)
	for _, k := range []string{"vcpus", "ram", "disk"} {
		if n, ok := whole(s.Flavor[k]); ok {
			a.Set(k, n)
		}
	}
	m.Image = text(s.Image, "id") // none when it is started from a volume

	if len(s.Metadata) > 0 || s.Tags != nil && len(*s.Tags) > 0 {
		m.Tags = maps.Clone(s.Metadata)
		if m.Tags == nil {
			m.Tags = map[string]string{}
		}
		if s.Tags != nil { // words without a value
			for _, t := range *s.Tags {
				if _, ok := m.Tags[t]; !ok {
					m.Tags[t] = ""
				}
			}
		}
	}
	for _, g := range s.SecurityGroups {
		if n := text(g, "name"); n != "" && !slices.Contains(m.Groups, n) {
			m.Groups = append(m.Groups, n)
		}
	}

	addr := func(list *[]netip.Addr, s string) {
		if ip, err := netip.ParseAddr(s); err == nil && !slices.Contains(*list, ip) {
			*list = append(*list, ip)
		}
	}
	reachable := func(s string) *[]netip.Addr {
		if ip, err := netip.ParseAddr(s); err == nil && (ip.IsPrivate() || ip.IsLoopback() || ip.IsLinkLocalUnicast()) {
			return &m.Private
		}
		return &m.Public
	}
	for _, ip := range []string{s.AccessIPv4, s.AccessIPv6} {
		addr(reachable(ip), ip)
	}
	networks := wire.NewMap()
	for _, network := range slices.Sorted(maps.Keys(s.Addresses)) {
		list, _ := s.Addresses[network].([]any)
		shown := []any{}
		for _, e := range list {
			x, _ := e.(map[string]any)
			ip := text(x, "addr")
			if text(x, "OS-EXT-IPS:type") == "floating" {
				addr(&m.Public, ip)
			} else {
				addr(reachable(ip), ip)
			}
			own := wire.NewMap("address", ip)
			if v := text(x, "OS-EXT-IPS:type"); v != "" {
				own.Set("type", v)
			}
			if v := text(x, "OS-EXT-IPS-MAC:mac_addr"); v != "" {
				own.Set("mac", v)
			}
			shown = append(shown, own)
		}
		networks.Set(network, shown)
	}
	if networks.Len() > 0 {
		a.Set("networks", networks)
	}

	set("user_id", s.UserID)
	set("key_name", s.KeyName)
	set("host", s.Host)
	set("host_id", s.HostID)
	set("hypervisor", s.HypervisorHostname)
	set("instance_name", s.InstanceName)
	set("fault", strings.Join(strings.Fields(s.Fault.Message), " "))
	if s.Locked != nil {
		a.Set("locked", *s.Locked)
	}
	if s.ServerGroups != nil && len(*s.ServerGroups) > 0 {
		var list []any
		for _, g := range *s.ServerGroups {
			list = append(list, g)
		}
		a.Set("server_groups", list)
	}
	if len(s.AttachedVolumes) > 0 {
		var list []any
		for _, v := range s.AttachedVolumes {
			list = append(list, v.ID)
		}
		a.Set("volumes", list)
	}
	if !s.LaunchedAt.IsZero() {
		set("launched", s.LaunchedAt.UTC().Format(time.RFC3339))
	}
	if !s.Updated.IsZero() {
		set("updated", s.Updated.UTC().Format(time.RFC3339))
	}
	m.Attrs = a
	return m
}

// whole is a number of a JSON document.
func whole(v any) (int64, bool) {
	switch v := v.(type) {
	case float64:
		return int64(v), v == float64(int64(v))
	case json.Number:
		n, err := v.Int64()
		return n, err == nil
	}
	return 0, false
}
