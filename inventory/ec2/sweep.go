package ec2

import (
	"context"
	"encoding/base64"
	"errors"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/gosalt/gosalt/inventory"
)

// What Create tells Begin: "key pair NAME in REGION", "instance with the client token TOKEN
// in REGION".
const (
	keyThing      = "key pair "
	instanceThing = "instance with the client token "
	inRegion      = " in "
)

// Get looks at one instance.
func (p *Provider) Get(ctx context.Context, id string) (inventory.Machine, error) {
	ctx, end := limit(ctx)
	defer end()
	s, e := p.open(ctx)
	if e != nil {
		return inventory.Machine{}, p.named(e)
	}
	_, m, _, e := p.find(ctx, s, id)
	if e != nil {
		return m, p.named(e)
	}
	return m, nil
}

// Sweep ends what a Create has begun: the instance of its token, and then its key pair.
func (p *Provider) Sweep(ctx context.Context, left inventory.Leftover, progress func(string)) (sure bool, err error) {
	ctx, end := limit(ctx)
	defer end()
	s, e := p.open(ctx)
	if e != nil {
		return false, p.named(e)
	}
	sure = true
	search := func(region, filter, value string) error {
		client := s.client(p, region, nil)
		out, err := client.DescribeInstances(ctx, &ec2.DescribeInstancesInput{Filters: []types.Filter{{Name: aws.String(filter), Values: []string{value}}}})
		if err != nil {
			return p.named(p.apiError(ctx, s, region, "DescribeInstances", err, nil))
		}
		found := false
		for _, r := range out.Reservations {
			for _, i := range r.Instances {
				id := aws.ToString(i.InstanceId)
				found = true
				p.homes.Store(id, region)
				if err := p.Destroy(ctx, id, progress); err != nil {
					return err
				}
			}
		}
		if !found && left.Fresh {
			sure = false
		}
		return nil
	}
	if len(left.Things) == 0 && left.Ref != "" && !left.Refused {
		regions, e := p.regionNames(ctx, s)
		if e != nil {
			return false, p.named(e)
		}
		for _, region := range regions {
			if err := search(region, "tag:"+inventory.TagRecord, left.Ref); err != nil {
				return false, err
			}
		}
	}
	var keys []string
	for _, thing := range left.Things {
		if rest, ok := strings.CutPrefix(thing, instanceThing); ok && !left.Refused {
			if token, region, ok := strings.Cut(rest, inRegion); ok {
				if err := search(region, "client-token", token); err != nil {
					return false, err
				}
			}
		}
		if rest, ok := strings.CutPrefix(thing, keyThing); ok {
			keys = append(keys, rest)
		}
	}
	for _, k := range keys {
		name, region, _ := strings.Cut(k, inRegion)
		l := &life{p: p, s: s, region: region, client: s.client(p, region, nil), progress: progress, key: name}
		if e := l.dropKey(ctx); e != nil {
			return false, p.named(e)
		}
	}
	return sure, nil
}

// Console is what the instance has written to its console. Of older types of instances the
// API has it some minutes late.
func (p *Provider) Console(ctx context.Context, id string) (text, command string, err error) {
	s, e := p.open(ctx)
	if e != nil {
		return "", "", p.named(e)
	}
	client, m, _, e := p.find(ctx, s, id)
	if e != nil {
		return "", "", p.named(e)
	}
	command = "aws ec2 get-console-output --latest --output text --region " + m.Region + " --instance-id " + id
	out, err := client.GetConsoleOutput(ctx, &ec2.GetConsoleOutputInput{InstanceId: aws.String(id), Latest: aws.Bool(true)})
	// Only newer types of instances have the latest.
	if err != nil && p.apiError(ctx, s, m.Region, "GetConsoleOutput", err, nil).Code == "UnsupportedOperation" {
		out, err = client.GetConsoleOutput(ctx, &ec2.GetConsoleOutputInput{InstanceId: aws.String(id)})
	}
	if err != nil {
		return "", command, p.named(p.apiError(ctx, s, m.Region, "GetConsoleOutput", err, nil))
	}
	b, err := base64.StdEncoding.DecodeString(aws.ToString(out.Output))
	if err != nil {
		return "", command, errors.Join(p.named(&inventory.Error{Scope: m.Region, Call: "GetConsoleOutput", Reason: inventory.BadAnswer}), err)
	}
	return string(b), command, nil
}
