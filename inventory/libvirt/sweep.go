package libvirt

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	lv "github.com/digitalocean/go-libvirt"

	"github.com/gosalt/gosalt/inventory"
)

// What Create tells Begin: "volume NAME on URI in the pool POOL", "machine NAME on URI".
const (
	volumeBegins  = "volume "
	machineBegins = "machine "
	onHost        = " on "
	inPool        = " in the pool "
)

func (pl *plan) volumeThing(name string) string {
	return volumeBegins + name + onHost + pl.h.uri + inPool + pl.pool
}

func (pl *plan) domainThing() string { return machineBegins + pl.Name + onHost + pl.h.uri }

// mark is in the names of all volumes of a machine, and of no others: what has it may be
// removed.
func mark(ref string) string { return "-" + ref }

// volumeName is that of a volume which nobody else can have: volumes of that name belong to
// this machine, whoever made them.
func volumeName(pl *plan, suffix string) string {
	return pl.Name + mark(cmp.Or(pl.Tags[inventory.TagRecord], uuidText(pl.id))) + suffix
}

// Get implements inventory.Machines.
func (p *provider) Get(ctx context.Context, id string) (m inventory.Machine, err error) {
	found, err := p.with(ctx, id, func(c *conn, d lv.Domain) (err error) { m, err = p.machine(ctx, c, d); return err })
	if err == nil && !found {
		err = p.missing(id)
	}
	return m, err
}

// Console tells how to look at one.
func (p *provider) Console(ctx context.Context, id string) (text, command string, err error) {
	_, err = p.with(ctx, id, func(c *conn, d lv.Domain) error {
		command = "virsh -c " + redacted(c.h.uri) + " console " + d.Name
		return nil
	})
	return "", command, err
}

// flightTime is how long libvirt may take to do what it was asked for by a connection that
// has ended.
const flightTime = time.Second

// Sweep implements inventory.Machines. What libvirt was told is there at once, so it is
// sure; only the last thing may be on its way.
func (p *provider) Sweep(ctx context.Context, left inventory.Leftover, progress func(string)) (sure bool, err error) {
	defer func() { err = p.named(err) }()
	if left.Ref == "" {
		return true, nil
	}
	if len(left.Things) == 0 {
		return true, p.sweepTagged(ctx, left.Ref, progress)
	}
	// The machine goes first: it uses the volumes.
	for i, thing := range slices.Backward(left.Things) {
		last := i == len(left.Things)-1 && left.Fresh
		found, err := p.sweep(ctx, thing, left.Ref, progress)
		if err == nil && !found && last {
			t := time.NewTimer(flightTime)
			select {
			case <-ctx.Done():
				t.Stop()
				return false, inventory.Interrupted(ctx, inventory.Error{Call: "connect"})
			case <-t.C:
			}
			_, err = p.sweep(ctx, thing, left.Ref, progress)
		}
		if err != nil {
			return false, err
		}
	}
	return true, nil
}

// sweep ends one thing.
func (p *provider) sweep(ctx context.Context, thing, ref string, progress func(string)) (found bool, err error) {
	isVolume := strings.HasPrefix(thing, volumeBegins)
	name, where, ok := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(thing, volumeBegins), machineBegins), onHost)
	uri, pool, _ := strings.Cut(where, inPool)
	if !ok {
		return false, &inventory.Error{Reason: inventory.BadConfig, Msg: fmt.Sprintf("it is not known what %q is", thing)}
	}
	i := slices.IndexFunc(p.hosts, func(h *host) bool { return h.uri == uri })
	if i < 0 {
		return false, &inventory.Error{Reason: inventory.BadConfig, Msg: fmt.Sprintf("%s: the source has no such uri any more", redacted(uri)), Hint: "it has to be there until the machine is ended"}
	}
	c, err := p.hosts[i].connect(ctx)
	if err != nil {
		return false, err
	}
	defer c.close()
	if isVolume {
		if !strings.Contains(name, mark(ref)) {
			return false, &inventory.Error{Reason: inventory.BadConfig, Msg: fmt.Sprintf("the volume %s is none of this machine", name)}
		}
		var sp lv.StoragePool
		err := c.call(ctx, "StorageVolLookupByName", callTime, func() (err error) {
			if sp, err = c.l.StoragePoolLookupByName(pool); err == nil {
				_, err = c.l.StorageVolLookupByName(sp, name)
			}
			return err
		})
		if isCode(err, lv.ErrNoStorageVol, lv.ErrNoStoragePool) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		progress("removing " + name)
		return true, c.deleteVolume(ctx, sp, name)
	}
	var d lv.Domain
	err = c.call(ctx, "DomainLookupByName", callTime, func() (err error) { d, err = c.l.DomainLookupByName(name); return })
	if isCode(err, lv.ErrNoDomain) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	m, err := p.machine(ctx, c, d)
	if err != nil || m.Tags[inventory.TagRecord] != ref {
		return false, err // it is another machine of this name
	}
	return true, c.end(ctx, d, progress)
}

// sweepTagged ends the machine that has the tag, on any host.
func (p *provider) sweepTagged(ctx context.Context, ref string, progress func(string)) error {
	var errs []error
	found := false
	for m, err := range p.List(ctx) {
		if err != nil {
			errs = append(errs, err)
		} else if m.Tags[inventory.TagRecord] == ref {
			found = true
			if err := p.Destroy(ctx, m.ID, progress); err != nil {
				return err
			}
		}
	}
	if found {
		return nil
	}
	return errors.Join(errs...)
}
