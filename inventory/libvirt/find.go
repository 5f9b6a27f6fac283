package libvirt

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"slices"
	"strings"

	lv "github.com/digitalocean/go-libvirt"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/inventory"
)

// hinted puts a hint to an error of libvirt that has none.
func hinted(err error, format string, args ...any) error {
	var e *inventory.Error
	if errors.As(err, &e) && e.Hint == "" {
		e.Hint = fmt.Sprintf(format, args...)
	}
	return err
}

// oneOf is the hint to a name that there is not.
func oneOf(what, name string, names []string) string {
	slices.Sort(names)
	switch near := module.Nearest(name, names); {
	case near != "":
		return fmt.Sprintf("is it %s?", near)
	case len(names) == 0:
		return "there are no " + what
	case len(names) > 20:
		return fmt.Sprintf("there are %d %s, as %s", len(names), what, names[0])
	}
	return "there are the " + what + " " + strings.Join(names, ", ")
}

// pool finds a pool that can be used.
func (c *conn) pool(ctx context.Context, name string) (lv.StoragePool, error) {
	pool, err := ask(ctx, c, "StoragePoolLookupByName", callTime, func() (lv.StoragePool, error) { return c.l.StoragePoolLookupByName(name) })
	if isCode(err, lv.ErrNoStoragePool) {
		if names, more := ask(ctx, c, "ConnectListAllStoragePools", callTime, func() (names []string, err error) {
			pools, _, err := c.l.ConnectListAllStoragePools(1, 0)
			for _, p := range pools {
				names = append(names, p.Name)
			}
			return names, err
		}); more == nil {
			return pool, hinted(err, "see pool in extra: %s", oneOf("pools", name, names))
		}
	}
	if err != nil {
		return pool, err
	}
	active := int32(1)
	if err := c.call(ctx, "StoragePoolIsActive", callTime, func() (err error) { active, err = c.l.StoragePoolIsActive(pool); return }); err == nil && active == 0 {
		return pool, &inventory.Error{Scope: c.h.scope, Call: "StoragePoolIsActive", Reason: inventory.NotFound, Msg: fmt.Sprintf("the pool %s is not active", name), Hint: "virsh pool-start " + name}
	}
	return pool, nil
}

// network tells whether there is the network of a plan, before anything is made.
func (c *conn) network(ctx context.Context, pl *plan) error {
	if pl.bridge != "" || pl.Network == userNetwork {
		return nil
	}
	name := pl.Network
	if name == "" {
		name = "default"
	}
	active := int32(1)
	err := c.call(ctx, "NetworkLookupByName", callTime, func() error {
		n, err := c.l.NetworkLookupByName(name)
		if err == nil {
			active, err = c.l.NetworkIsActive(n)
		}
		return err
	})
	if isCode(err, lv.ErrNoNetwork) {
		names, more := ask(ctx, c, "ConnectListAllNetworks", callTime, func() (names []string, err error) {
			nets, _, err := c.l.ConnectListAllNetworks(1, 0)
			for _, n := range nets {
				names = append(names, n.Name)
			}
			return names, err
		})
		if more != nil { // which there are is not known
			return hinted(err, "see network in the profile")
		}
		return hinted(err, "see network in the profile: %s", oneOf("networks", name, names))
	}
	if err == nil && active == 0 {
		return &inventory.Error{Scope: c.h.scope, Call: "NetworkIsActive", Reason: inventory.NotFound, Msg: fmt.Sprintf("the network %s is not active", name), Hint: "virsh net-start " + name}
	}
	return err
}

// noImage is the error of an image that there is not.
func (c *conn) noImage(ctx context.Context, pool lv.StoragePool, pl *plan, err error) error {
	if !isCode(err, lv.ErrNoStorageVol) {
		return err
	}
	where := "image has to be a volume of the pool " + pl.pool + ", or the path of a volume of any pool; virsh pool-refresh " + pl.pool + " finds new files"
	names, more := ask(ctx, c, "StoragePoolListAllVolumes", callTime, func() (names []string, err error) {
		vols, _, err := c.l.StoragePoolListAllVolumes(pool, 1, 0)
		for _, v := range vols {
			names = append(names, v.Name)
		}
		return names, err
	})
	if more != nil { // which there are is not known
		return hinted(err, "%s", where)
	}
	return hinted(err, "%s; %s", oneOf("volumes", pl.Image, names), where)
}

// noSpace says what a pool has left, where a volume could not be made in it.
func (c *conn) noSpace(ctx context.Context, pool lv.StoragePool, err error) error {
	text := err.Error()
	if !strings.Contains(text, "space") && !strings.Contains(text, "greater than available") && !strings.Contains(text, "No space") {
		return err
	}
	var free uint64
	if c.call(ctx, "StoragePoolGetInfo", callTime, func() (err error) { _, _, _, free, err = c.l.StoragePoolGetInfo(pool); return }) != nil {
		return err
	}
	return hinted(err, "the pool %s has %.1f GiB left; see disk and pool in extra", pool.Name, float64(free)/(1<<30))
}

// nameTaken says whose name it is that a new machine cannot have.
func nameTaken(err error, name string) error {
	if isCode(err, lv.ErrOperationFailed, lv.ErrDomExist) && strings.Contains(err.Error(), "already") {
		var e *inventory.Error
		errors.As(err, &e)
		e.Reason = inventory.BadConfig
		return hinted(err, "libvirt has a machine %s that is none of this master's: take another name", name)
	}
	return err
}

// cannotStart says what keeps a machine from starting.
func cannotStart(err error, pl *plan) error {
	text := err.Error()
	switch {
	case strings.Contains(text, "Cannot allocate memory"), strings.Contains(text, "cannot set up guest memory"):
		return hinted(err, "the host has not %d MiB of memory left: see size in the profile", pl.mib)
	case strings.Contains(text, "KVM"), strings.Contains(text, "/dev/kvm"):
		return hinted(err, "KVM is not to be used there; type: qemu in extra emulates it, which is slow")
	case strings.Contains(text, "Permission denied"):
		return hinted(err, "the user that libvirt's machines run as has to be able to read the image, and the directories above it")
	}
	return err
}

// hypervisor is the type of the domain: kvm where the host has it.
func (c *conn) hypervisor(ctx context.Context, pl *plan, progress func(string)) (string, error) {
	driver, _, _ := strings.Cut(string(pl.h.driver), ":")
	if driver != "qemu" {
		if pl.kind != "" {
			return "", &inventory.Error{Scope: c.h.scope, Reason: inventory.BadConfig, Msg: fmt.Sprintf("type in extra is for qemu, not for %s", driver)}
		}
		return driver, nil
	}
	if pl.kind != "" {
		return pl.kind, nil
	}
	var text string
	if err := c.call(ctx, "ConnectGetCapabilities", callTime, func() (err error) { text, err = c.l.ConnectGetCapabilities(); return }); err != nil {
		return "", err
	}
	var caps struct {
		Host struct {
			CPU struct {
				Arch string `xml:"arch"`
			} `xml:"cpu"`
		} `xml:"host"`
		Guest []struct {
			Arch struct {
				Name   string `xml:"name,attr"`
				Domain []struct {
					Type string `xml:"type,attr"`
				} `xml:"domain"`
			} `xml:"arch"`
		} `xml:"guest"`
	}
	if err := xml.Unmarshal([]byte(text), &caps); err != nil {
		return "", &inventory.Error{Scope: c.h.scope, Call: "ConnectGetCapabilities", Reason: inventory.BadAnswer, Err: err}
	}
	arch := pl.arch
	if arch == "" {
		arch = caps.Host.CPU.Arch
	}
	emulated := false
	for _, g := range caps.Guest {
		if g.Arch.Name != arch {
			continue
		}
		for _, d := range g.Arch.Domain {
			switch d.Type {
			case "kvm":
				return "kvm", nil
			case "qemu":
				emulated = true
			}
		}
	}
	if !emulated {
		return "", &inventory.Error{Scope: c.h.scope, Call: "ConnectGetCapabilities", Reason: inventory.NotFound, Msg: "the host has no program that runs machines of " + arch, Hint: "is qemu-system-x86 (or that of the architecture) installed there?"}
	}
	progress("the host has no KVM for " + arch + ": the machine is emulated, which is slow")
	return "qemu", nil
}
