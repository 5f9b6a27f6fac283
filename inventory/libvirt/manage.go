package libvirt

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	lv "github.com/digitalocean/go-libvirt"
	"github.com/google/uuid"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/inventory"
)

var _ inventory.Machines = (*provider)(nil)

const (
	stopTime = time.Minute // that a system gets to shut down by itself
	pollTime = 500 * time.Millisecond
	// diskTime is how long a volume may take to be made or removed, where the pool is slow,
	// and startTime a machine to begin.
	diskTime  = 2 * time.Minute
	startTime = time.Minute
)

// Not at the start of every program.
var (
	nameForm = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$`) })
	sizeForm = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^([1-9][0-9]{0,3})x([1-9][0-9]{0,7})$`) })
)

// extras are the keys of a profile that only libvirt has.
var extras = []string{"uri", "pool", "disk", "bridge", "machine", "arch", "cpu", "type", "kernel", "initrd", "cmdline"}

// plan is a Spec that was found right.
type plan struct {
	inventory.Spec
	h             *host
	id            lv.UUID
	cpus, mib     int
	pool          string
	disk          uint64 // bytes, 0 is as large as the image
	bridge        string
	machine, arch string
	cpu           string
	kind          string // kvm or qemu, "" for what the host has
	// A kernel that is booted in the place of the image's own: paths on the host.
	kernel, initrd, cmdline string
}

func (p *provider) plan(s inventory.Spec) (*plan, error) {
	bad := func(format string, args ...any) error {
		return &inventory.Error{Source: p.env.Source, Kind: "libvirt", Reason: inventory.BadConfig, Msg: fmt.Sprintf(format, args...)}
	}
	pl := &plan{Spec: s, h: p.hosts[0], id: lv.UUID(uuid.New()), cpus: 1, mib: 1024, pool: "default"}
	if !nameForm().MatchString(s.Name) {
		return nil, bad("name %q: letters, digits, dots, dashes and underscores are expected", s.Name)
	}
	if s.Image == "" {
		return nil, bad("image is missing: the name of a volume, or the path of a file on the host")
	}
	if s.Size != "" {
		m := sizeForm().FindStringSubmatch(s.Size)
		if m == nil {
			return nil, bad("size %q: CPUs and MiB are expected, as 2x1024", s.Size)
		}
		pl.cpus, _ = strconv.Atoi(m[1])
		pl.mib, _ = strconv.Atoi(m[2])
	}
	for k, v := range s.Extra.Strings() {
		text := fmt.Sprint(v)
		switch k {
		case "uri":
			i := slices.IndexFunc(p.hosts, func(h *host) bool { return h.uri == text })
			if i < 0 {
				return nil, bad("uri %q is none of the source's", text)
			}
			pl.h = p.hosts[i]
		case "pool":
			pl.pool = text
		case "disk":
			n, err := strconv.ParseUint(strings.TrimSuffix(text, "G"), 10, 20)
			if err != nil || n == 0 {
				return nil, bad("disk %q: a number of GiB is expected", text)
			}
			pl.disk = n << 30
		case "bridge":
			pl.bridge = text
		case "machine":
			pl.machine = text
		case "arch":
			pl.arch = text
		case "cpu":
			pl.cpu = text
		case "kernel":
			pl.kernel = text
		case "initrd":
			pl.initrd = text
		case "cmdline":
			pl.cmdline = text
		case "type":
			if pl.kind = text; text != "kvm" && text != "qemu" {
				return nil, bad("type %q: kvm, or qemu, which emulates and is slow, is expected", text)
			}
		default:
			near := ""
			if n := module.Nearest(k, extras); n != "" {
				near = fmt.Sprintf("; is it %q?", n)
			}
			return nil, bad("extra: a profile of libvirt has no %q%s (there are %s)", k, near, strings.Join(extras, ", "))
		}
	}
	if pl.kernel == "" && pl.initrd+pl.cmdline != "" {
		return nil, bad("extra: initrd and cmdline are for a kernel, and kernel is missing")
	}
	if pl.bridge != "" && s.Network != "" {
		return nil, bad("network and bridge are both given")
	}
	if s.Key != "" && !strings.Contains(s.Key, " ") {
		return nil, bad("key has to be the text of a public key: libvirt knows none by name")
	}
	return pl, nil
}

// named fills in what the inventory does in lists: whose error it is.
func (p *provider) named(err error) error {
	var e *inventory.Error
	if errors.As(err, &e) {
		e.Source, e.Kind = p.env.Source, "libvirt"
	}
	return err
}

// Create implements inventory.Machines: a volume upon the image, a disk for cloud-init, and
// a domain with both, which is started.
func (p *provider) Create(ctx context.Context, s inventory.Spec, progress func(string)) (m inventory.Machine, err error) {
	defer func() { err = p.named(err) }()
	pl, err := p.plan(s)
	if err != nil {
		return m, err
	}
	c, err := pl.h.connect(ctx)
	if err != nil {
		return m, err
	}
	defer c.close()
	pool, err := c.pool(ctx, pl.pool)
	if err != nil {
		return m, err
	}
	if err := c.network(ctx, pl); err != nil {
		return m, err
	}
	img, err := c.image(ctx, pool, pl)
	if err != nil {
		return m, err
	}
	kind, err := c.hypervisor(ctx, pl, progress)
	if err != nil {
		return m, err
	}
	disk, cd := volumeName(pl, ".qcow2"), volumeName(pl, "-seed.iso")
	// What was made before the domain is there would belong to nobody.
	undo := func(cause error) (inventory.Machine, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), callTime)
		defer cancel()
		if c2, err := pl.h.connect(ctx); err == nil {
			defer c2.close()
			for _, name := range []string{disk, cd} {
				c2.deleteVolume(ctx, pool, name)
			}
		}
		return m, cause
	}
	progress("making the disk " + disk + " upon " + img.path)
	if err := s.Begins(pl.volumeThing(disk)); err != nil {
		return m, err
	}
	path, err := c.createVolume(ctx, pool, volumeXML(disk, "qcow2", max(pl.disk, img.size), &img))
	if err != nil {
		return undo(err)
	}
	made := []string{path}
	seedPath := ""
	if len(pl.UserData) > 0 || pl.Key != "" {
		progress("making the disk for cloud-init")
		iso := seed(pl)
		if err := s.Begins(pl.volumeThing(cd)); err != nil {
			return undo(err)
		}
		if seedPath, err = c.createVolume(ctx, pool, volumeXML(cd, "raw", uint64(len(iso)), nil)); err != nil {
			return undo(err)
		}
		made = append(made, seedPath)
		var vol lv.StorageVol
		err = c.call(ctx, "StorageVolLookupByPath", callTime, func() (err error) { vol, err = c.l.StorageVolLookupByPath(seedPath); return })
		if err == nil {
			err = c.call(ctx, "StorageVolUpload", callTime, func() error { return c.l.StorageVolUpload(vol, bytes.NewReader(iso), 0, uint64(len(iso)), 0) })
		}
		if err != nil {
			return undo(err)
		}
	}
	if err := s.Begins(pl.domainThing()); err != nil {
		return undo(err)
	}
	var dom lv.Domain
	text := domainXML(pl, kind, path, seedPath, made)
	if err := c.call(ctx, "DomainDefineXML", callTime, func() (err error) { dom, err = c.l.DomainDefineXML(text); return }); err != nil {
		return undo(nameTaken(err, pl.Name))
	}
	m = inventory.Machine{ID: uuidText(pl.id), Label: pl.Name, Scope: pl.h.scope, State: inventory.Stopped}
	progress("starting " + pl.Name)
	if err := c.call(ctx, "DomainCreate", startTime, func() error { return c.l.DomainCreate(dom) }); err != nil {
		return m, cannotStart(err, pl)
	}
	got, err := p.machine(ctx, c, dom)
	if err != nil {
		return m, err
	}
	return got, nil
}

// image is what a new disk is put upon.
type image struct {
	path, format string
	size         uint64
}

func (c *conn) image(ctx context.Context, pool lv.StoragePool, pl *plan) (image, error) {
	var vol lv.StorageVol
	var err error
	if strings.HasPrefix(pl.Image, "/") {
		err = c.call(ctx, "StorageVolLookupByPath", callTime, func() (err error) { vol, err = c.l.StorageVolLookupByPath(pl.Image); return })
	} else {
		err = c.call(ctx, "StorageVolLookupByName", callTime, func() (err error) { vol, err = c.l.StorageVolLookupByName(pool, pl.Image); return })
	}
	if err != nil {
		return image{}, c.noImage(ctx, pool, pl, err)
	}
	var text string
	if err := c.call(ctx, "StorageVolGetXMLDesc", callTime, func() (err error) { text, err = c.l.StorageVolGetXMLDesc(vol, 0); return }); err != nil {
		return image{}, err
	}
	var x struct {
		Capacity struct {
			Unit  string `xml:"unit,attr"`
			Value uint64 `xml:",chardata"`
		} `xml:"capacity"`
		Target struct {
			Path   string `xml:"path"`
			Format struct {
				Type string `xml:"type,attr"`
			} `xml:"format"`
		} `xml:"target"`
	}
	if err := xml.Unmarshal([]byte(text), &x); err != nil || x.Target.Path == "" {
		return image{}, &inventory.Error{Scope: c.h.scope, Call: "StorageVolGetXMLDesc", Reason: inventory.BadAnswer, Msg: "the description of the image " + pl.Image + " says no path", Err: err}
	}
	unit := uint64(1)
	if x.Capacity.Unit != "" {
		unit = units[x.Capacity.Unit]
	}
	img := image{path: x.Target.Path, format: x.Target.Format.Type, size: x.Capacity.Value * unit}
	if img.format == "" {
		img.format = "raw"
	}
	return img, nil
}

func (c *conn) createVolume(ctx context.Context, pool lv.StoragePool, text string) (string, error) {
	path, err := ask(ctx, c, "StorageVolCreateXML", diskTime, func() (string, error) {
		vol, err := c.l.StorageVolCreateXML(pool, text, 0)
		if err != nil {
			return "", err
		}
		return c.l.StorageVolGetPath(vol)
	})
	if err != nil {
		return "", c.noSpace(ctx, pool, err)
	}
	return path, nil
}

// deleteVolume removes a volume of a pool; one that is gone is no error.
func (c *conn) deleteVolume(ctx context.Context, pool lv.StoragePool, name string) error {
	return c.delete(ctx, func() (lv.StorageVol, error) { return c.l.StorageVolLookupByName(pool, name) })
}

// deleteFile removes a volume by its path; one that is gone is no error.
func (c *conn) deleteFile(ctx context.Context, path string) error {
	return c.delete(ctx, func() (lv.StorageVol, error) { return c.l.StorageVolLookupByPath(path) })
}

func (c *conn) delete(ctx context.Context, find func() (lv.StorageVol, error)) error {
	err := c.call(ctx, "StorageVolDelete", diskTime, func() error {
		vol, err := find()
		if err != nil {
			return err
		}
		return c.l.StorageVolDelete(vol, 0)
	})
	if isCode(err, lv.ErrNoStorageVol) {
		return nil
	}
	return err
}

// with finds a domain on any host and does something with it. None is no error.
func (p *provider) with(ctx context.Context, id string, f func(c *conn, d lv.Domain) error) (found bool, err error) {
	defer func() { err = p.named(err) }()
	u, ok := parseUUID(id)
	if !ok {
		return false, &inventory.Error{Call: "DomainLookupByUUID", Reason: inventory.NotFound, Msg: fmt.Sprintf("%q is no UUID", id)}
	}
	var failed error
	for _, h := range p.hosts {
		c, err := h.connect(ctx)
		if err != nil {
			failed = err
			continue
		}
		defer c.close()
		var d lv.Domain
		err = c.call(ctx, "DomainLookupByUUID", callTime, func() (err error) { d, err = c.l.DomainLookupByUUID(u); return })
		if isCode(err, lv.ErrNoDomain) {
			continue
		}
		if err != nil {
			return false, err
		}
		return true, f(c, d)
	}
	return false, failed
}

func (p *provider) missing(id string) error {
	return p.named(&inventory.Error{Call: "DomainLookupByUUID", Reason: inventory.NotFound, Msg: "there is no machine " + id})
}

// Start implements inventory.Machines.
func (p *provider) Start(ctx context.Context, id string, progress func(string)) error {
	found, err := p.with(ctx, id, func(c *conn, d lv.Domain) error {
		n, err := c.state(ctx, d)
		if err != nil || n == lv.DomainRunning {
			return err
		}
		progress("starting " + d.Name)
		if n == lv.DomainPaused {
			return c.call(ctx, "DomainResume", callTime, func() error { return c.l.DomainResume(d) })
		}
		return c.call(ctx, "DomainCreate", startTime, func() error { return c.l.DomainCreate(d) })
	})
	if err == nil && !found {
		err = p.missing(id)
	}
	return err
}

// Stop implements inventory.Machines: it asks the system to shut down, and turns it off
// when it has not in a minute.
func (p *provider) Stop(ctx context.Context, id string, progress func(string)) error {
	found, err := p.with(ctx, id, func(c *conn, d lv.Domain) error {
		if n, err := c.state(ctx, d); err != nil || n == lv.DomainShutoff {
			return err
		}
		progress("shutting down " + d.Name)
		if err := c.call(ctx, "DomainShutdown", callTime, func() error { return c.l.DomainShutdown(d) }); err == nil {
			end := time.Now().Add(stopTime)
			for time.Now().Before(end) {
				n, err := c.state(ctx, d)
				if err != nil || n == lv.DomainShutoff {
					return err
				}
				t := time.NewTimer(pollTime)
				select {
				case <-ctx.Done():
					t.Stop()
					return inventory.Interrupted(ctx, inventory.Error{Scope: c.h.scope, Call: "DomainShutdown"})
				case <-t.C:
				}
			}
		}
		progress("turning off " + d.Name)
		return c.off(ctx, d)
	})
	if err == nil && !found {
		err = p.missing(id)
	}
	return err
}

// off turns a domain off, one that is off already, too.
func (c *conn) off(ctx context.Context, d lv.Domain) error {
	err := c.call(ctx, "DomainDestroy", callTime, func() error { return c.l.DomainDestroy(d) })
	if isCode(err, lv.ErrOperationInvalid, lv.ErrNoDomain) {
		return nil
	}
	return err
}

// Destroy implements inventory.Machines. Volumes go that Create has made for the machine;
// any others, as the image, stay.
func (p *provider) Destroy(ctx context.Context, id string, progress func(string)) error {
	_, err := p.with(ctx, id, func(c *conn, d lv.Domain) error { return c.end(ctx, d, progress) })
	return err
}

// end ends a domain with the volumes that were made for it.
func (c *conn) end(ctx context.Context, d lv.Domain, progress func(string)) error {
	x, err := c.domain(ctx, d)
	if err != nil {
		return err
	}
	progress("turning off " + d.Name)
	if err := c.off(ctx, d); err != nil {
		return err
	}
	// While the domain is there it says which volumes are its own: they go first.
	for _, v := range x.Metadata.Tags.Volume {
		progress("removing " + v)
		if err := c.deleteFile(ctx, v); err != nil {
			return err
		}
	}
	flags := lv.DomainUndefineManagedSave | lv.DomainUndefineSnapshotsMetadata | lv.DomainUndefineNvram
	err = c.call(ctx, "DomainUndefineFlags", callTime, func() error { return c.l.DomainUndefineFlags(d, flags) })
	if isCode(err, lv.ErrNoSupport, lv.ErrOperationUnsupported) || err != nil && strings.Contains(err.Error(), "unsupported flags") {
		err = c.call(ctx, "DomainUndefineFlags", callTime, func() error {
			return c.l.DomainUndefineFlags(d, lv.DomainUndefineManagedSave|lv.DomainUndefineSnapshotsMetadata)
		})
	}
	if isCode(err, lv.ErrNoDomain) {
		return nil // it was not to stay, and went when it was turned off
	}
	return err
}
