package ec2

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/gosalt/gosalt/inventory"
	"github.com/gosalt/gosalt/protocol/wire"
)

var states = map[types.InstanceStateName]inventory.State{
	types.InstanceStateNamePending:      inventory.Starting,
	types.InstanceStateNameRunning:      inventory.Running,
	types.InstanceStateNameShuttingDown: inventory.Stopping,
	types.InstanceStateNameStopping:     inventory.Stopping,
	types.InstanceStateNameStopped:      inventory.Stopped,
	types.InstanceStateNameTerminated:   inventory.Gone,
}

// machineOf is an instance in the words of an inventory. Nothing of it points into the
// page that it came on.
func machineOf(region string, r *types.Reservation, i *types.Instance) inventory.Machine {
	m := inventory.Machine{
		ID: aws.ToString(i.InstanceId), Scope: region, Region: region, State: inventory.Unknown,
		Account: aws.ToString(r.OwnerId), Type: string(i.InstanceType), Image: aws.ToString(i.ImageId),
	}
	a := wire.NewMap()
	set := func(name string, v *string) {
		if s := aws.ToString(v); s != "" {
			a.Set(name, s)
		}
	}
	text := func(name, v string) { set(name, &v) }
	flag := func(name string, v *bool) {
		if v != nil {
			a.Set(name, *v)
		}
	}
	if i.State != nil {
		text("state", string(i.State.Name))
		if s, ok := states[i.State.Name]; ok {
			m.State = s
		}
	}
	if i.StateReason != nil {
		set("state_reason", i.StateReason.Message)
	}
	set("state_transition_reason", i.StateTransitionReason)
	if i.Placement != nil {
		m.Zone = aws.ToString(i.Placement.AvailabilityZone)
		set("zone_id", i.Placement.AvailabilityZoneId)
		set("placement_group", i.Placement.GroupName)
		set("host_id", i.Placement.HostId)
		text("tenancy", string(i.Placement.Tenancy))
	}
	if i.LaunchTime != nil {
		m.Created = *i.LaunchTime
		a.Set("launch_time", i.LaunchTime.UTC().Format(time.RFC3339))
	}
	if len(i.Tags) > 0 {
		m.Tags = make(map[string]string, len(i.Tags))
		for _, t := range i.Tags {
			m.Tags[aws.ToString(t.Key)] = aws.ToString(t.Value)
		}
		m.Label = m.Tags["Name"]
	}
	var groupIDs []any
	group := func(g types.GroupIdentifier) {
		if id := aws.ToString(g.GroupId); id != "" && !slices.Contains(groupIDs, any(id)) {
			groupIDs = append(groupIDs, id)
			m.Groups = append(m.Groups, cmp.Or(aws.ToString(g.GroupName), id))
		}
	}
	for _, g := range i.SecurityGroups {
		group(g)
	}

	addr := func(list *[]netip.Addr, s *string) {
		if ip, err := netip.ParseAddr(aws.ToString(s)); err == nil && !slices.Contains(*list, ip) {
			*list = append(*list, ip)
		}
	}
	name := func(s *string) {
		if n := aws.ToString(s); n != "" && !slices.Contains(m.DNS, n) {
			m.DNS = append(m.DNS, n)
		}
	}
	// Addresses of an IPv6 range that belongs to the network alone are private, others can
	// be reached from wherever the network's rules let them.
	addr6 := func(s *string) {
		if ip, err := netip.ParseAddr(aws.ToString(s)); err == nil && (ip.IsPrivate() || ip.IsLinkLocalUnicast()) {
			addr(&m.Private, s)
		} else {
			addr(&m.Public, s)
		}
	}
	addr(&m.Private, i.PrivateIpAddress)
	addr(&m.Public, i.PublicIpAddress)
	name(i.PublicDnsName) // inside of the network it leads to the private address
	name(i.PrivateDnsName)
	interfaces := slices.Clone(i.NetworkInterfaces)
	slices.SortStableFunc(interfaces, func(a, b types.InstanceNetworkInterface) int { return cmp.Compare(place(a), place(b)) })
	var shown []any
	for _, n := range interfaces {
		addr(&m.Private, n.PrivateIpAddress)
		own := wire.NewMap()
		put := func(name string, v *string) {
			if s := aws.ToString(v); s != "" {
				own.Set(name, s)
			}
		}
		put("id", n.NetworkInterfaceId)
		put("subnet_id", n.SubnetId)
		put("vpc_id", n.VpcId)
		put("mac", n.MacAddress)
		private, public := []any{}, []any{}
		for _, ip := range n.PrivateIpAddresses {
			addr(&m.Private, ip.PrivateIpAddress)
			private = append(private, aws.ToString(ip.PrivateIpAddress))
			if as := ip.Association; as != nil {
				for _, s := range []*string{as.PublicIp, as.CarrierIp} {
					if aws.ToString(s) != "" {
						addr(&m.Public, s)
						public = append(public, aws.ToString(s))
					}
				}
				name(as.PublicDnsName)
			}
			name(ip.PrivateDnsName)
		}
		if as := n.Association; as != nil {
			addr(&m.Public, as.PublicIp)
			addr(&m.Public, as.CarrierIp)
		}
		for _, ip := range n.Ipv6Addresses {
			addr6(ip.Ipv6Address)
			public = append(public, aws.ToString(ip.Ipv6Address))
		}
		for _, g := range n.Groups {
			group(g)
		}
		own.Set("private", private)
		own.Set("public", public)
		shown = append(shown, own)
	}
	addr6(i.Ipv6Address)

	set("vpc_id", i.VpcId)
	set("subnet_id", i.SubnetId)
	if groupIDs != nil {
		a.Set("security_group_ids", groupIDs)
	}
	text("platform", cmp.Or(aws.ToString(i.PlatformDetails), string(i.Platform), "Linux/UNIX"))
	text("architecture", string(i.Architecture))
	text("lifecycle", cmp.Or(string(i.InstanceLifecycle), "on-demand"))
	set("spot_request_id", i.SpotInstanceRequestId)
	set("key_name", i.KeyName)
	if i.IamInstanceProfile != nil {
		set("instance_profile", i.IamInstanceProfile.Arn)
	}
	set("reservation_id", r.ReservationId)
	set("requester_id", r.RequesterId)
	text("hypervisor", string(i.Hypervisor))
	text("virtualization", string(i.VirtualizationType))
	text("boot_mode", string(i.CurrentInstanceBootMode))
	text("root_device_type", string(i.RootDeviceType))
	set("root_device", i.RootDeviceName)
	flag("ebs_optimized", i.EbsOptimized)
	if i.CpuOptions != nil && i.CpuOptions.CoreCount != nil {
		a.Set("cpu_cores", int64(*i.CpuOptions.CoreCount))
		a.Set("cpu_threads_per_core", int64(aws.ToInt32(i.CpuOptions.ThreadsPerCore)))
	}
	if i.Monitoring != nil {
		text("monitoring", string(i.Monitoring.State))
	}
	if i.MetadataOptions != nil {
		text("metadata_tokens", string(i.MetadataOptions.HttpTokens))
	}
	var volumes []any
	for _, b := range i.BlockDeviceMappings {
		if b.Ebs != nil {
			volumes = append(volumes, wire.NewMap("device", aws.ToString(b.DeviceName), "volume_id", aws.ToString(b.Ebs.VolumeId),
				"delete_on_termination", aws.ToBool(b.Ebs.DeleteOnTermination)))
		}
	}
	if volumes != nil {
		a.Set("volumes", volumes)
	}
	if shown != nil {
		a.Set("interfaces", shown)
	}
	m.Attrs = a
	return m
}

// place is where an interface is in the machine: the first has the address that it is
// known by.
func place(n types.InstanceNetworkInterface) int32 {
	if n.Attachment == nil {
		return 1 << 30
	}
	return aws.ToInt32(n.Attachment.NetworkCardIndex)<<16 + aws.ToInt32(n.Attachment.DeviceIndex)
}
