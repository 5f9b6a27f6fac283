package ec2

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"encoding/base64"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/gosalt/gosalt/inventory"
)

// extra are the keys of a profile that only EC2 knows.
var extra = []inventory.Option{
	{Name: "region", Type: inventory.Text, Doc: "Region to make it in; default: the only one of the source, or the default one."},
	{Name: "zone", Type: inventory.Text, Doc: "Availability zone; default: AWS chooses."},
	{Name: "security_groups", Type: inventory.List, Doc: "Security groups, by id or name; default: the network's default one."},
	{Name: "public_ip", Type: inventory.Bool, Doc: "Whether it gets a public address; default: as the subnet says."},
	{Name: "private_ip", Type: inventory.Text, Doc: "Its private address; default: any of the subnet."},
	{Name: "disk", Type: inventory.Number, Doc: "Size of the root volume in GiB; default: as the image says."},
	{Name: "volume_type", Type: inventory.Text, Doc: "Type of the root volume, as gp3; default: as the image says."},
	{Name: "encrypted", Type: inventory.Bool, Doc: "Encrypt the root volume; default: as the account says."},
	{Name: "instance_profile", Type: inventory.Text, Doc: "IAM instance profile, by name or ARN; none by default."},
	{Name: "image_owners", Type: inventory.List, Doc: "Owners of an image that is given by its name; default: self, amazon."},
	{Name: "spot", Type: inventory.Bool, Doc: "Make a spot instance; default false."},
	{Name: "metadata_tokens", Type: inventory.Text, Doc: "required or optional: whether the metadata service demands tokens; default required."},
	{Name: "client_token", Type: inventory.Text, Doc: "Token of the request: the same one makes no second instance; default: the record of vm.create, or a new one."},
}

const maxUserData = 16 << 10

// readExtra reads the provider's own keys.
func readExtra(spec inventory.Spec, source string) (*inventory.Values, error) {
	x, err := inventory.ReadValues(source, spec.Extra, extra)
	if err != nil {
		return nil, err
	}
	var bad []string
	say := func(format string, args ...any) { bad = append(bad, fmt.Sprintf(format, args...)) }
	if spec.Image == "" {
		say("image is missing: an id (ami-…), a name, or resolve:ssm: and a parameter")
	}
	if spec.Size == "" {
		say("size is missing: an instance type, as t3.micro")
	}
	if a := x.Text("private_ip"); a != "" {
		if _, err := netip.ParseAddr(a); err != nil {
			say("private_ip: %q is no address", a)
		}
	}
	if t := x.Text("metadata_tokens"); t != "" && t != "required" && t != "optional" {
		say("metadata_tokens has to be required or optional, not %q", t)
	}
	if x.Has("disk") && (x.Number("disk") < 1 || x.Number("disk") > 65536) {
		say("disk has to be 1 to 65536 GiB")
	}
	if n := len(x.Text("client_token")); n > 64 {
		say("client_token may have 64 characters, not %d", n)
	}
	if len(spec.Tags) > 48 {
		say("%d tags are more than the 50 that EC2 takes, two of which are needed here", len(spec.Tags))
	}
	for k, v := range spec.Tags {
		switch {
		case k == "" || utf8.RuneCountInString(k) > 127 || utf8.RuneCountInString(v) > 255:
			say("tag %q: keys may have 127 characters and values 255", k)
		case strings.HasPrefix(strings.ToLower(k), "aws:"):
			say("tag %q: aws: is for AWS alone", k)
		}
	}
	if len(bad) > 0 {
		return nil, &inventory.Error{Source: source, Kind: "ec2", Reason: inventory.BadConfig, Msg: strings.Join(bad, "; ")}
	}
	return x, nil
}

// regionToMakeIn is where a machine is made.
func (p *Provider) regionToMakeIn(ctx context.Context, s *session, want string) (string, *inventory.Error) {
	if want != "" {
		if !regionName().MatchString(want) {
			return "", &inventory.Error{Reason: inventory.BadConfig, Msg: fmt.Sprintf("region: %q cannot be the name of a region", want)}
		}
		return want, nil
	}
	if len(p.regions) == 1 && !isPattern(p.regions[0]) {
		return p.regions[0], nil
	}
	if s.region != "" {
		return s.region, nil
	}
	return "", &inventory.Error{Reason: inventory.BadConfig, Msg: "there is no region to make a machine in", Hint: "say region: in the profile; the source has " + cmp.Or(strings.Join(p.regions, ", "), "none")}
}

// request makes the call's input.
func (l *life) request(ctx context.Context, spec inventory.Spec, x *inventory.Values) (*ec2.RunInstancesInput, *inventory.Error) {
	token := cmp.Or(x.Text("client_token"), tokenOf(spec.Tags[inventory.TagRecord]), newToken())
	in := &ec2.RunInstancesInput{
		MinCount: aws.Int32(1), MaxCount: aws.Int32(1), ClientToken: aws.String(token),
		InstanceType:    types.InstanceType(spec.Size),
		MetadataOptions: &types.InstanceMetadataOptionsRequest{HttpTokens: types.HttpTokensState(cmp.Or(x.Text("metadata_tokens"), "required")), HttpEndpoint: types.InstanceMetadataEndpointStateEnabled},
	}
	var e *inventory.Error
	var root string
	if in.ImageId, root, e = l.image(ctx, spec.Image, x.List("image_owners")); e != nil {
		return nil, e
	}
	if x.Has("disk") || x.Has("volume_type") || x.Has("encrypted") {
		if root == "" {
			return nil, &inventory.Error{Reason: inventory.BadConfig, Msg: "disk, volume_type and encrypted need an image that is given by its id or name"}
		}
		ebs := &types.EbsBlockDevice{DeleteOnTermination: aws.Bool(true), VolumeType: types.VolumeType(x.Text("volume_type"))}
		if x.Has("disk") {
			ebs.VolumeSize = aws.Int32(int32(x.Number("disk")))
		}
		if x.Has("encrypted") {
			ebs.Encrypted = aws.Bool(x.Bool("encrypted"))
		}
		in.BlockDeviceMappings = []types.BlockDeviceMapping{{DeviceName: aws.String(root), Ebs: ebs}}
	}
	if z := x.Text("zone"); z != "" {
		in.Placement = &types.Placement{AvailabilityZone: aws.String(z)}
	}
	if x.Bool("spot") {
		in.InstanceMarketOptions = &types.InstanceMarketOptionsRequest{MarketType: types.MarketTypeSpot}
	}
	if r := x.Text("instance_profile"); strings.HasPrefix(r, "arn:") {
		in.IamInstanceProfile = &types.IamInstanceProfileSpecification{Arn: aws.String(r)}
	} else if r != "" {
		in.IamInstanceProfile = &types.IamInstanceProfileSpecification{Name: aws.String(r)}
	}
	if e := l.network(ctx, in, spec.Network, x); e != nil {
		return nil, e
	}
	if len(spec.UserData) > 0 {
		data, e := packed(spec.UserData)
		if e != nil {
			return nil, e
		}
		in.UserData = aws.String(data)
	}

	tags := map[string]string{}
	maps.Copy(tags, spec.Tags)
	if spec.Name != "" {
		tags["Name"] = spec.Name
	}
	if isPublicKey(spec.Key) {
		name := keyPrefix + strings.TrimPrefix(token, keyPrefix)
		tags[keyTag] = name
		if err := spec.Begins(keyThing + name + inRegion + l.region); err != nil {
			return nil, &inventory.Error{Scope: l.region, Call: "ImportKeyPair", Err: err}
		}
		_, err := l.client.ImportKeyPair(ctx, &ec2.ImportKeyPairInput{KeyName: aws.String(name), PublicKeyMaterial: []byte(spec.Key),
			TagSpecifications: []types.TagSpecification{{ResourceType: types.ResourceTypeKeyPair, Tags: tagList(tags)}}})
		if err == nil {
			l.key = name
		} else if e := l.failed(ctx, "ImportKeyPair", err); e.Code != "InvalidKeyPair.Duplicate" { // of this very token
			return nil, e
		}
		in.KeyName = aws.String(name)
	} else if spec.Key != "" {
		in.KeyName = aws.String(spec.Key)
	}
	if len(tags) > 0 {
		for _, t := range []types.ResourceType{types.ResourceTypeInstance, types.ResourceTypeVolume, types.ResourceTypeNetworkInterface} {
			in.TagSpecifications = append(in.TagSpecifications, types.TagSpecification{ResourceType: t, Tags: tagList(tags)})
		}
	}
	return in, nil
}

// image is the id of an image, and the name of its root device where that is known.
func (l *life) image(ctx context.Context, image string, owners []string) (id *string, root string, e *inventory.Error) {
	if strings.HasPrefix(image, "resolve:ssm:") {
		return aws.String(image), "", nil
	}
	in := &ec2.DescribeImagesInput{ImageIds: []string{image}}
	byName := !strings.HasPrefix(image, "ami-")
	if byName {
		if owners == nil {
			owners = []string{"self", "amazon"}
		}
		in = &ec2.DescribeImagesInput{Owners: owners, MaxResults: aws.Int32(1000), Filters: []types.Filter{
			{Name: aws.String("name"), Values: []string{image}}, {Name: aws.String("state"), Values: []string{"available"}}}}
	}
	out, err := l.client.DescribeImages(ctx, in)
	if e := l.failed(ctx, "DescribeImages", err); e != nil {
		return nil, "", e
	}
	if len(out.Images) == 0 {
		e := &inventory.Error{Scope: l.region, Call: "DescribeImages", Reason: inventory.NotFound, Msg: fmt.Sprintf("there is no image %q here", image), Hint: "images belong to one region each"}
		if byName {
			e.Hint = "its owner is looked for among " + strings.Join(owners, ", ") + ": see image_owners"
		}
		return nil, "", e
	}
	newest := slices.MaxFunc(out.Images, func(a, b types.Image) int {
		return cmp.Compare(created(a), created(b))
	})
	if byName {
		l.say("image %s is %s", aws.ToString(newest.Name), aws.ToString(newest.ImageId))
	}
	return newest.ImageId, aws.ToString(newest.RootDeviceName), nil
}

func created(i types.Image) int64 {
	t, _ := time.Parse(time.RFC3339, aws.ToString(i.CreationDate))
	return t.Unix()
}

// network puts subnet, addresses and groups where the call wants them.
func (l *life) network(ctx context.Context, in *ec2.RunInstancesInput, network string, x *inventory.Values) *inventory.Error {
	var subnet, vpc *string
	if network != "" {
		q := &ec2.DescribeSubnetsInput{SubnetIds: []string{network}}
		if !strings.HasPrefix(network, "subnet-") {
			q = &ec2.DescribeSubnetsInput{Filters: []types.Filter{{Name: aws.String("tag:Name"), Values: []string{network}}}}
		}
		out, err := l.client.DescribeSubnets(ctx, q)
		if e := l.failed(ctx, "DescribeSubnets", err); e != nil {
			return e
		}
		if n := len(out.Subnets); n != 1 {
			return &inventory.Error{Scope: l.region, Call: "DescribeSubnets", Reason: inventory.NotFound, Msg: fmt.Sprintf("%d subnets are named %q", n, network), Hint: "say the id of one, as subnet-0123456789abcdef0"}
		}
		subnet, vpc = out.Subnets[0].SubnetId, out.Subnets[0].VpcId
	}
	var groups, names []string
	for _, g := range x.List("security_groups") {
		if strings.HasPrefix(g, "sg-") {
			groups = append(groups, g)
		} else {
			names = append(names, g)
		}
	}
	if len(names) > 0 {
		q := &ec2.DescribeSecurityGroupsInput{Filters: []types.Filter{{Name: aws.String("group-name"), Values: names}}}
		if vpc != nil {
			q.Filters = append(q.Filters, types.Filter{Name: aws.String("vpc-id"), Values: []string{*vpc}})
		}
		out, err := l.client.DescribeSecurityGroups(ctx, q)
		if e := l.failed(ctx, "DescribeSecurityGroups", err); e != nil {
			return e
		}
		for _, name := range names {
			var ids []string
			for _, g := range out.SecurityGroups {
				if aws.ToString(g.GroupName) == name {
					ids = append(ids, aws.ToString(g.GroupId))
				}
			}
			if len(ids) != 1 {
				return &inventory.Error{Scope: l.region, Call: "DescribeSecurityGroups", Reason: inventory.NotFound, Msg: fmt.Sprintf("%d security groups are named %q", len(ids), name), Hint: "say the id of one, as sg-0123456789abcdef0, or the network that it belongs to"}
			}
			groups = append(groups, ids[0])
		}
	}
	var ip *string
	if a := x.Text("private_ip"); a != "" {
		ip = aws.String(a)
	}
	if !x.Has("public_ip") {
		in.SubnetId, in.SecurityGroupIds, in.PrivateIpAddress = subnet, groups, ip
		return nil
	}
	in.NetworkInterfaces = []types.InstanceNetworkInterfaceSpecification{{DeviceIndex: aws.Int32(0), SubnetId: subnet, Groups: groups, PrivateIpAddress: ip,
		AssociatePublicIpAddress: aws.Bool(x.Bool("public_ip")), DeleteOnTermination: aws.Bool(true)}}
	return nil
}

// packed is user-data as the API wants it. cloud-init reads it compressed, too.
func packed(data []byte) (string, *inventory.Error) {
	if len(data) > maxUserData {
		var b bytes.Buffer
		z, _ := gzip.NewWriterLevel(&b, gzip.BestCompression)
		z.Write(data)
		z.Close()
		if b.Len() > maxUserData {
			return "", &inventory.Error{Reason: inventory.BadConfig, Msg: fmt.Sprintf("the user-data has %d bytes, compressed %d: EC2 takes %d", len(data), b.Len(), maxUserData)}
		}
		data = b.Bytes()
	}
	return base64.StdEncoding.EncodeToString(data), nil
}

// isPublicKey tells a key from the name of one.
func isPublicKey(s string) bool {
	kind, rest, _ := strings.Cut(strings.TrimSpace(s), " ")
	return rest != "" && (strings.HasPrefix(kind, "ssh-") || strings.HasPrefix(kind, "ecdsa-") || strings.HasPrefix(kind, "sk-"))
}

func tagList(m map[string]string) []types.Tag {
	var out []types.Tag
	for _, k := range slices.Sorted(maps.Keys(m)) {
		out = append(out, types.Tag{Key: aws.String(k), Value: aws.String(m[k])})
	}
	return out
}
