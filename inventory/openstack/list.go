package openstack

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/flavors"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/servers"
	"github.com/gophercloud/gophercloud/v2/openstack/utils"
	"github.com/gophercloud/gophercloud/v2/pagination"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/inventory"
	"github.com/gosalt/gosalt/inventory/internal/cloud"
)

const listCall = "GET /servers/detail"

// List yields the servers of all regions, a page of each of a few regions at once. The
// Scope of machines and errors is the region.
func (p *Provider) List(ctx context.Context) iter.Seq2[inventory.Machine, error] {
	return func(yield func(inventory.Machine, error) bool) {
		fail := func(e *inventory.Error) bool {
			if ctx.Err() != nil {
				e = cloud.Ended(ctx, cmp.Or(e.Call, listCall))
			}
			return yield(inventory.Machine{}, p.named(e))
		}
		s, e := p.open(ctx)
		if e != nil {
			fail(e)
			return
		}
		regions, e := p.regionNames(s)
		if e != nil && !fail(e) {
			return
		}
		for m, err := range cloud.Scopes(ctx, regions, listCall, p.lanes, func(ctx context.Context, region string, emit func(inventory.Machine) bool) error {
			if e := p.listRegion(ctx, s, region, emit); e != nil {
				return e
			}
			return nil
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
	e.Kind = "openstack"
	e.Source = cmp.Or(e.Source, p.env.Source)
	return e
}

// regionNames are the regions to list; an error names those that the cloud does not have.
func (p *Provider) regionNames(s *session) ([]string, *inventory.Error) {
	want := p.regions
	if len(want) == 0 && s.endpoint.Region != "" {
		want = []string{s.endpoint.Region}
	}
	if len(want) == 0 || slices.Equal(want, []string{"all"}) {
		if len(s.catalog) == 0 {
			return nil, &inventory.Error{Call: "catalog", Reason: inventory.NotFound, Msg: "the cloud names no compute service that has a " + string(cmp.Or(s.endpoint.Availability, gophercloud.AvailabilityPublic)) + " endpoint",
				Hint: "see interface, and whether the login has a project"}
		}
		return s.catalog, nil
	}
	var there, gone []string
	for _, r := range want {
		if !slices.Contains(s.catalog, r) {
			gone = append(gone, r)
		} else if !slices.Contains(there, r) {
			there = append(there, r)
		}
	}
	if gone == nil {
		return there, nil
	}
	e := &inventory.Error{Call: "catalog", Reason: inventory.NotFound, Msg: "the cloud has no compute service in region " + strings.Join(gone, ", "), Hint: "it has " + cmp.Or(strings.Join(s.catalog, ", "), "none")}
	if len(gone) == 1 {
		e.Scope = gone[0]
		if near := module.Nearest(gone[0], s.catalog); near != "" {
			e.Hint = "is it " + near + "? " + e.Hint
		}
	}
	return there, e
}

// maxPages ends a listing that goes round in circles.
const maxPages = 100_000

// listRegion hands over the servers of a region, and holds a page of them.
func (p *Provider) listRegion(ctx context.Context, s *session, region string, emit func(inventory.Machine) bool) *inventory.Error {
	endpoint := s.endpoint
	endpoint.Region = region
	client, err := openstack.NewComputeV2(s.client, endpoint)
	if err != nil {
		return &inventory.Error{Scope: region, Call: "catalog", Reason: inventory.NotFound, Msg: cloud.OneLine(err.Error()), Err: err}
	}
	budget := cloud.Budget{Whole: p.timeout}
	names := flavorNames{}
	call := "GET /" // the versions
	err = budget.Call(ctx, func(ctx context.Context) error { return negotiate(ctx, client) })
	if err == nil && client.Microversion == "" {
		call = "GET /flavors/detail"
		err = budget.Call(ctx, func(ctx context.Context) error { return names.read(ctx, client) })
	}
	if err != nil {
		return p.regionError(ctx, s, region, call, err)
	}
	query := maps.Clone(p.query)
	query.Set("limit", strconv.Itoa(p.page))
	for page := 1; ; page++ {
		// The library's own pages are decoded and encoded several times each.
		var doc struct {
			Servers []servers.Server       `json:"servers"`
			Links   []struct{ Rel string } `json:"servers_links"` // where to often leads nowhere, behind a proxy
		}
		err := budget.Call(ctx, func(ctx context.Context) error {
			_, err := client.Get(ctx, client.ServiceURL("servers", "detail")+"?"+query.Encode(), &doc, &gophercloud.RequestOpts{OkCodes: []int{200, 203}})
			return err
		})
		if err == nil && doc.Servers == nil { // a project without servers has an empty list
			return &inventory.Error{Scope: region, Call: listCall, Reason: inventory.BadAnswer, Msg: `the answer has no list "servers"`,
				Hint: "is something between here and the API that answers itself, as a proxy?"}
		}
		list, more := doc.Servers, false
		for _, l := range doc.Links {
			more = more || l.Rel == "next"
		}
		if err != nil {
			return p.regionError(ctx, s, region, listCall, err)
		}
		for i := range list {
			if list[i].ID == "" {
				return &inventory.Error{Scope: region, Call: listCall, Reason: inventory.BadAnswer, Msg: fmt.Sprintf("page %d has a server without an id", page)}
			}
			if !emit(machineOf(region, &list[i], names)) {
				return nil
			}
		}
		if !more || len(list) == 0 {
			return nil
		}
		last := list[len(list)-1].ID
		if last == query.Get("marker") || page == maxPages {
			return &inventory.Error{Scope: region, Call: listCall, Reason: inventory.BadAnswer, Msg: fmt.Sprintf("after page %d the API leads to the same page again", page)}
		}
		query.Set("marker", last)
	}
}

// regionError is apiError, and has the next listing log in anew where that may help.
func (p *Provider) regionError(ctx context.Context, s *session, region, call string, err error) *inventory.Error {
	e := p.apiError(ctx, region, call, err)
	if e.Reason == inventory.BadLogin {
		p.sessions.Forget(s)
	}
	return e
}

// Versions of Nova's API: from 2.47 on a server has its flavor with it, and tags since
// 2.26; later ones have nothing that is needed here.
const enough = "2.73"

// negotiate picks the version of the API: a cloud that does not know a version answers
// with an error.
func negotiate(ctx context.Context, client *gophercloud.ServiceClient) error {
	supported, err := utils.GetSupportedMicroversions(ctx, client)
	if err != nil {
		if ctx.Err() != nil || isNetwork(err) {
			return err
		}
		return nil // an old cloud, or one that hides this: the oldest version is always there
	}
	for _, v := range []string{enough, "2.47"} {
		if ok, err := supported.IsSupported(v); err == nil && ok {
			client.Microversion = v
			return nil
		}
	}
	return nil
}

// flavorNames are the names of flavors by their ids, where servers do not have them.
type flavorNames map[string]string

const maxFlavors = 10_000

// read asks for all flavors. One that may not has their ids instead.
func (f flavorNames) read(ctx context.Context, client *gophercloud.ServiceClient) error {
	err := flavors.ListDetail(client, flavors.ListOpts{AccessType: flavors.AllAccess}).EachPage(ctx, func(_ context.Context, pg pagination.Page) (bool, error) {
		list, err := flavors.ExtractFlavors(pg)
		for _, fl := range list {
			f[fl.ID] = fl.Name
		}
		return len(list) > 0 && len(f) < maxFlavors, err
	})
	if gophercloud.ResponseCodeIs(err, 403) || gophercloud.ResponseCodeIs(err, 404) {
		return nil
	}
	return err
}
