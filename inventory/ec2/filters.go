package ec2

import (
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/protocol/wire"
)

// filterNames are the filters that the reference of DescribeInstances lists. The API
// answers others with an error that does not name the right one. Besides these there is
// tag:KEY.
const filterNames = `
affinity architecture availability-zone availability-zone-id block-device-mapping.attach-time
block-device-mapping.delete-on-termination block-device-mapping.device-name block-device-mapping.status
block-device-mapping.volume-id boot-mode capacity-reservation-id
capacity-reservation-specification.capacity-reservation-preference client-token current-instance-boot-mode
dns-name ebs-optimized ena-support enclave-options.enabled hibernation-options.configured host-id hypervisor
iam-instance-profile.arn iam-instance-profile.id image-id instance-id instance-lifecycle instance-state-code
instance-state-name instance-type instance.group-id instance.group-name ip-address ipv6-address kernel-id
key-name launch-index launch-time maintenance-options.auto-recovery metadata-options.http-endpoint
metadata-options.http-protocol-ipv4 metadata-options.http-protocol-ipv6
metadata-options.http-put-response-hop-limit metadata-options.http-tokens
metadata-options.instance-metadata-tags metadata-options.state monitoring-state
network-interface.addresses.association.allocation-id network-interface.addresses.association.association-id
network-interface.addresses.association.carrier-ip network-interface.addresses.association.customer-owned-ip
network-interface.addresses.association.ip-owner-id network-interface.addresses.association.public-dns-name
network-interface.addresses.association.public-ip network-interface.addresses.primary
network-interface.addresses.private-dns-name network-interface.addresses.private-ip-address
network-interface.association.allocation-id network-interface.association.association-id
network-interface.association.carrier-ip network-interface.association.customer-owned-ip
network-interface.association.ip-owner-id network-interface.association.public-dns-name
network-interface.association.public-ip network-interface.attachment.attach-time
network-interface.attachment.attachment-id network-interface.attachment.delete-on-termination
network-interface.attachment.device-index network-interface.attachment.instance-id
network-interface.attachment.instance-owner-id network-interface.attachment.network-card-index
network-interface.attachment.status network-interface.availability-zone
network-interface.deny-all-igw-traffic network-interface.description network-interface.group-id
network-interface.group-name network-interface.ipv4-prefixes.ipv4-prefix network-interface.ipv6-address
network-interface.ipv6-addresses.ipv6-address network-interface.ipv6-addresses.is-primary-ipv6
network-interface.ipv6-native network-interface.ipv6-prefixes.ipv6-prefix network-interface.mac-address
network-interface.network-interface-id network-interface.operator.managed
network-interface.operator.principal network-interface.outpost-arn network-interface.owner-id
network-interface.private-dns-name network-interface.private-ip-address network-interface.public-dns-name
network-interface.requester-id network-interface.requester-managed network-interface.status
network-interface.source-dest-check network-interface.subnet-id network-interface.tag-key
network-interface.tag-value network-interface.vpc-id network-performance-options.bandwidth-weighting
operator.managed operator.principal outpost-arn owner-id placement-group-name placement-partition-number
platform platform-details private-dns-name private-dns-name-options.enable-resource-name-dns-a-record
private-dns-name-options.enable-resource-name-dns-aaaa-record private-dns-name-options.hostname-type
private-ip-address product-code product-code.type ramdisk-id reason requester-id reservation-id
root-device-name root-device-type source-dest-check spot-instance-request-id state-reason-code
state-reason-message subnet-id tag-key tenancy tpm-support usage-operation usage-operation-update-time
virtualization-type vpc-id
`

// maxFilterValues is the API's limit for one request.
const maxFilterValues = 200

// readFilters makes a map of filters into the API's form. It says what is wrong with each.
func readFilters(m *wire.Map) (out []types.Filter, bad []string) {
	count, names := 0, strings.Fields(filterNames)
	for name, v := range m.Strings() {
		if key, ok := strings.CutPrefix(name, "tag:"); ok {
			if key == "" {
				bad = append(bad, "filters: tag: needs the key of a tag, as tag:env")
				continue
			}
		} else if !slices.Contains(names, name) {
			s := fmt.Sprintf("filters: DescribeInstances has no filter %q", name)
			if near := module.Nearest(strings.ReplaceAll(name, "_", "-"), names); near != "" {
				s += fmt.Sprintf("; is it %q?", near)
			} else {
				s += fmt.Sprintf("; a tag is %q", "tag:"+name)
			}
			bad = append(bad, s)
			continue
		}
		list, isList := v.([]any)
		if !isList {
			list = []any{v}
		}
		f := types.Filter{Name: aws.String(name)}
		for _, e := range list {
			switch e := e.(type) {
			case string:
				f.Values = append(f.Values, e)
			case bool, int64, uint64, int, float64:
				f.Values = append(f.Values, fmt.Sprint(e))
			default:
				bad = append(bad, fmt.Sprintf("filters: %s has to be a text or a list of texts", name))
				f.Values = nil
			}
			if f.Values == nil {
				break
			}
		}
		if isList && len(list) == 0 {
			bad = append(bad, fmt.Sprintf("filters: %s has no value, so nothing could match", name))
		}
		count += len(f.Values)
		out = append(out, f)
	}
	if count > maxFilterValues {
		bad = append(bad, fmt.Sprintf("filters: %d values are more than the %d that the API takes", count, maxFilterValues))
	}
	return out, bad
}
