package ec2

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"path"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/inventory"
	"github.com/gosalt/gosalt/inventory/internal/cloud"
)

// List yields the instances of all regions, a page of each of a few regions at once. The
// Scope of machines and errors is the region.
func (p *Provider) List(ctx context.Context) iter.Seq2[inventory.Machine, error] {
	return func(yield func(inventory.Machine, error) bool) {
		fail := func(e *inventory.Error) bool {
			if ctx.Err() != nil {
				e = cloud.Ended(ctx, e.Call)
			}
			return yield(inventory.Machine{}, p.named(e))
		}
		s, e := p.open(ctx)
		if e != nil {
			fail(e)
			return
		}
		regions, e := p.regionNames(ctx, s)
		if e == nil && ctx.Err() != nil { // which takes no call, so nothing has told yet
			e = cloud.Ended(ctx, "DescribeInstances")
		}
		if e != nil && !fail(e) || ctx.Err() != nil {
			return
		}
		for m, err := range cloud.Scopes(ctx, regions, "DescribeInstances", p.lanes, func(ctx context.Context, region string, emit func(inventory.Machine) bool) error {
			return p.listRegion(ctx, s, region, emit)
		}) {
			if e, ok := err.(*inventory.Error); ok {
				err = p.named(e)
			}
			if !yield(m, err) {
				return
			}
		}
	}
}

func (p *Provider) named(e *inventory.Error) *inventory.Error {
	e.Kind = "ec2"
	e.Source = cmp.Or(e.Source, p.env.Source)
	return e
}

func isPattern(region string) bool { return region == "all" || strings.ContainsAny(region, "*?") }

// regionNames are the regions to list. Those that are named need no question; an error is
// of the others.
func (p *Provider) regionNames(ctx context.Context, s *session) ([]string, *inventory.Error) {
	if len(p.regions) == 0 {
		if s.region == "" {
			return nil, &inventory.Error{Reason: inventory.BadConfig, Msg: "there is no region to list",
				Hint: "say regions: [eu-west-1, …] or regions: all; neither the profile nor AWS_REGION has one, and this machine is not an instance"}
		}
		return []string{s.region}, nil
	}
	var names, patterns []string
	for _, r := range p.regions {
		if isPattern(r) {
			patterns = append(patterns, r)
		} else if !slices.Contains(names, r) {
			names = append(names, r)
		}
	}
	if len(patterns) == 0 {
		return names, nil
	}
	home := cmp.Or(s.region, "us-east-1")
	if s.region == "" && len(names) > 0 {
		home = names[0]
	}
	var out *ec2.DescribeRegionsOutput
	var last lastError
	budget := cloud.Budget{Whole: p.timeout}
	err := budget.Call(ctx, func(ctx context.Context) (err error) {
		out, err = s.client(p, home, &last).DescribeRegions(ctx, &ec2.DescribeRegionsInput{}) // of the account, enabled
		return err
	})
	if err != nil {
		e := p.apiError(ctx, s, home, "DescribeRegions", err, last.err)
		e.Scope = "" // what is not listed is not known
		if e.Reason == inventory.NotPermitted {
			e.Hint = strings.TrimPrefix(e.Hint+"; or name the regions in regions:", "; ")
		}
		return names, e
	}
	var all []string
	for _, r := range out.Regions {
		if n := aws.ToString(r.RegionName); n != "" {
			all = append(all, n)
		}
	}
	slices.Sort(all)
	var none []string
	for _, pattern := range patterns {
		hit := false
		for _, r := range all {
			if ok, _ := path.Match(pattern, r); ok || pattern == "all" {
				hit = true
				if !slices.Contains(names, r) {
					names = append(names, r)
				}
			}
		}
		if !hit {
			none = append(none, pattern)
		}
	}
	if len(none) > 0 {
		return names, &inventory.Error{Call: "DescribeRegions", Reason: inventory.NotFound,
			Msg: "no region of the account is meant by " + strings.Join(none, ", "), Hint: "enabled are " + strings.Join(all, ", ")}
	}
	return names, nil
}

// maxPages ends a listing that goes round in circles.
const maxPages = 100_000

// listRegion hands over the instances of a region, and holds a page of them.
func (p *Provider) listRegion(ctx context.Context, s *session, region string, emit func(inventory.Machine) bool) error {
	const call = "DescribeInstances"
	var last lastError
	client := s.client(p, region, &last)
	budget := cloud.Budget{Whole: p.timeout}
	in := &ec2.DescribeInstancesInput{MaxResults: aws.Int32(p.page), Filters: p.filters}
	for page := 1; ; page++ {
		var out *ec2.DescribeInstancesOutput
		err := budget.Call(ctx, func(ctx context.Context) (err error) {
			out, err = client.DescribeInstances(ctx, in)
			return err
		})
		if err != nil {
			return p.apiError(ctx, s, region, call, err, last.err)
		}
		for _, r := range out.Reservations {
			for i := range r.Instances {
				if aws.ToString(r.Instances[i].InstanceId) == "" {
					return &inventory.Error{Scope: region, Call: call, Reason: inventory.BadAnswer, Msg: fmt.Sprintf("page %d has an instance without an id", page)}
				}
				if !emit(machineOf(region, &r, &r.Instances[i])) {
					return nil
				}
			}
		}
		next := aws.ToString(out.NextToken)
		if next == "" {
			return nil
		}
		if next == aws.ToString(in.NextToken) || page == maxPages {
			return &inventory.Error{Scope: region, Call: call, Reason: inventory.BadAnswer, Msg: fmt.Sprintf("after page %d the API leads to the same page again", page)}
		}
		in.NextToken = out.NextToken
	}
}

// find looks an instance up in the regions of the source.
func (p *Provider) find(ctx context.Context, s *session, id string) (*ec2.Client, inventory.Machine, *types.Instance, *inventory.Error) {
	var regions []string
	var e *inventory.Error
	if home, ok := p.homes.Load(id); ok {
		regions = []string{home.(string)}
	} else if regions, e = p.regionNames(ctx, s); len(regions) == 0 && e != nil {
		return nil, inventory.Machine{}, nil, e
	}
	for _, region := range regions {
		client := s.client(p, region, nil)
		m, inst, fail := p.describe(ctx, s, client, region, id)
		if inst != nil {
			p.homes.Store(id, region)
			return client, m, inst, nil
		}
		if fail != nil && fail.Reason != inventory.NotFound {
			e = fail
		}
	}
	if e == nil {
		e = &inventory.Error{Call: "DescribeInstances", Reason: inventory.NotFound, Msg: fmt.Sprintf("there is no instance %s in %s", id, strings.Join(regions, ", "))}
	}
	return nil, inventory.Machine{}, nil, e
}

// describe looks at one instance.
func (p *Provider) describe(ctx context.Context, s *session, client *ec2.Client, region, id string) (inventory.Machine, *types.Instance, *inventory.Error) {
	var out *ec2.DescribeInstancesOutput
	budget := cloud.Budget{Whole: p.timeout}
	err := budget.Call(ctx, func(ctx context.Context) (err error) {
		out, err = client.DescribeInstances(ctx, &ec2.DescribeInstancesInput{InstanceIds: []string{id}})
		return err
	})
	if err != nil {
		return inventory.Machine{}, nil, p.apiError(ctx, s, region, "DescribeInstances", err, nil)
	}
	for _, r := range out.Reservations {
		for i := range r.Instances {
			if aws.ToString(r.Instances[i].InstanceId) == id {
				return machineOf(region, &r, &r.Instances[i]), &r.Instances[i], nil
			}
		}
	}
	return inventory.Machine{}, nil, &inventory.Error{Scope: region, Call: "DescribeInstances", Reason: inventory.NotFound, Msg: "there is no instance " + id}
}

// nearRegion is the name that a mistyped region most likely meant.
func nearRegion(name string) string { return module.Nearest(name, strings.Fields(someRegions)) }

func isRegion(name string) bool { return slices.Contains(strings.Fields(someRegions), name) }

// someRegions are for hints alone: which regions there are, the API says.
const someRegions = `af-south-1 ap-east-1 ap-east-2 ap-northeast-1 ap-northeast-2 ap-northeast-3 ap-south-1 ap-south-2
ap-southeast-1 ap-southeast-2 ap-southeast-3 ap-southeast-4 ap-southeast-5 ap-southeast-7 ca-central-1 ca-west-1 cn-north-1 cn-northwest-1
eu-central-1 eu-central-2 eu-north-1 eu-south-1 eu-south-2 eu-west-1 eu-west-2 eu-west-3 il-central-1 me-central-1 me-south-1 mx-central-1
sa-east-1 us-east-1 us-east-2 us-gov-east-1 us-gov-west-1 us-west-1 us-west-2`
