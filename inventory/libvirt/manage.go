package libvirt

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	lv "github.com/digitalocean/go-libvirt"
	"github.com/google/uuid"

	"github.com/gosalt/gosalt/inventory"
)

var _ inventory.Machines = (*provider)(nil)

const (
	stopTime = time.Minute // that a system gets to shut down by itself
	pollTime = 500 * time.Millisecond
)

// Not at the start of every program.
var (
	nameForm = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$`) })
	sizeForm = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^([1-9][0-9]{0,3})x([1-9][0-9]{0,7})$`) })
)

// extras are the keys of a profile that only libvirt has.
var extras = []string{"uri", "pool", "disk", "bridge", "machine", "arch", "cpu"}

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
		default:
			return nil, bad("a profile of libvirt has no %q: there are %s", k, strings.Join(extras, ", "))
		}
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
	var pool lv.StoragePool
	if err := c.call(ctx, "StoragePoolLookupByName", callTime, func() (err error) { pool, err = c.l.StoragePoolLookupByName(pl.pool); return }); err != nil {
		return m, err
	}
	img, err := c.image(ctx, pool, pl)
	if err != nil {
		return m, err
	}
	progress("making the disk " + pl.Name + ".qcow2 upon " + img.path)
	var made []string
	// What was made before the domain is there would belong to nobody.
	undo := func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), callTime)
		defer cancel()
		if c2, err := pl.h.connect(ctx); err == nil {
			defer c2.close()
			for _, path := range made {
				c2.deleteVolume(ctx, path)
			}
		}
	}
	path, err := c.createVolume(ctx, pool, volumeXML(pl.Name+".qcow2", "qcow2", max(pl.disk, img.size), &img))
	if err != nil {
		return m, err
	}
	made = append(made, path)
	seedPath := ""
	if len(pl.UserData) > 0 || pl.Key != "" {
		progress("making the disk for cloud-init")
		iso := seed(pl)
		seedPath, err = c.createVolume(ctx, pool, volumeXML(pl.Name+"-seed.iso", "raw", uint64(len(iso)), nil))
		if err != nil {
			undo()
			return m, err
		}
		made = append(made, seedPath)
		var vol lv.StorageVol
		err = c.call(ctx, "StorageVolLookupByPath", callTime, func() (err error) { vol, err = c.l.StorageVolLookupByPath(seedPath); return })
		if err == nil {
			err = c.call(ctx, "StorageVolUpload", callTime, func() error { return c.l.StorageVolUpload(vol, bytes.NewReader(iso), 0, uint64(len(iso)), 0) })
		}
		if err != nil {
			undo()
			return m, err
		}
	}
	var dom lv.Domain
	text := domainXML(pl, path, seedPath, made)
	if err := c.call(ctx, "DomainDefineXML", callTime, func() (err error) { dom, err = c.l.DomainDefineXML(text); return }); err != nil {
		undo()
		return m, err
	}
	m = inventory.Machine{ID: uuidText(pl.id), Label: pl.Name, Scope: pl.h.scope, State: inventory.Stopped}
	progress("starting " + pl.Name)
	if err := c.call(ctx, "DomainCreate", callTime, func() error { return c.l.DomainCreate(dom) }); err != nil {
		return m, err
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
		var e *inventory.Error
		if errors.As(err, &e) && e.Reason == inventory.NotFound {
			e.Hint = "image has to be a volume of the pool " + pl.pool + ", or the path of a volume of any pool; virsh pool-refresh finds new files"
		}
		return image{}, err
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
	var path string // which a call that is given up may still write to
	err := c.call(ctx, "StorageVolCreateXML", callTime, func() error {
		vol, err := c.l.StorageVolCreateXML(pool, text, 0)
		if err == nil {
			path, err = c.l.StorageVolGetPath(vol)
		}
		return err
	})
	if isCode(err, lv.ErrStorageVolExist) || err != nil && strings.Contains(err.Error(), "already exists") {
		var e *inventory.Error
		if errors.As(err, &e) {
			e.Hint = "is there a machine of this name? what is left of one goes with virsh vol-delete"
		}
	}
	if err != nil {
		return "", err
	}
	return path, nil
}

// deleteVolume removes a volume; one that is gone is no error.
func (c *conn) deleteVolume(ctx context.Context, path string) error {
	err := c.call(ctx, "StorageVolDelete", callTime, func() error {
		vol, err := c.l.StorageVolLookupByPath(path)
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

// esc is text of XML.
func esc(s string) string {
	var b strings.Builder
	xml.EscapeText(&b, []byte(s))
	return b.String()
}

func volumeXML(name, format string, size uint64, upon *image) string {
	backing := ""
	if upon != nil {
		backing = fmt.Sprintf("<backingStore><path>%s</path><format type='%s'/></backingStore>", esc(upon.path), esc(upon.format))
	}
	return fmt.Sprintf("<volume><name>%s</name><capacity unit='bytes'>%d</capacity><target><format type='%s'/></target>%s</volume>", esc(name), size, format, backing)
}

// domainXML describes the machine. Its volumes are named in the metadata: they go with it.
func domainXML(pl *plan, disk, seed string, volumes []string) string {
	var b strings.Builder
	driver, _, _ := strings.Cut(string(pl.h.driver), ":")
	kind := driver
	if driver == "qemu" {
		kind = "kvm"
	}
	fmt.Fprintf(&b, "<domain type='%s'><name>%s</name><uuid>%s</uuid><metadata><g:tags xmlns:g='%s' image='%s'>", kind, esc(pl.Name), uuidText(pl.id), Namespace, esc(pl.Image))
	for _, k := range slices.Sorted(maps.Keys(pl.Tags)) {
		fmt.Fprintf(&b, "<g:tag name='%s'>%s</g:tag>", esc(k), esc(pl.Tags[k]))
	}
	for _, v := range volumes {
		fmt.Fprintf(&b, "<g:volume>%s</g:volume>", esc(v))
	}
	fmt.Fprintf(&b, "</g:tags></metadata><memory unit='MiB'>%d</memory><vcpu>%d</vcpu>", pl.mib, pl.cpus)
	attr := func(name, val string) string {
		if val == "" {
			return ""
		}
		return " " + name + "='" + esc(val) + "'"
	}
	fmt.Fprintf(&b, "<os><type%s%s>hvm</type><boot dev='hd'/></os><features><acpi/></features>", attr("arch", pl.arch), attr("machine", pl.machine))
	switch {
	case pl.cpu != "":
		fmt.Fprintf(&b, "<cpu mode='custom'><model>%s</model></cpu>", esc(pl.cpu))
	case kind == "kvm":
		b.WriteString("<cpu mode='host-passthrough'/>")
	}
	fmt.Fprintf(&b, "<devices><disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='%s'/><target dev='vda' bus='virtio'/></disk>", esc(disk))
	if seed != "" {
		fmt.Fprintf(&b, "<disk type='file' device='cdrom'><driver name='qemu' type='raw'/><source file='%s'/><target dev='sda' bus='sata'/><readonly/></disk>", esc(seed))
	}
	if pl.bridge != "" {
		fmt.Fprintf(&b, "<interface type='bridge'><source bridge='%s'/><model type='virtio'/></interface>", esc(pl.bridge))
	} else {
		n := pl.Network
		if n == "" {
			n = "default"
		}
		fmt.Fprintf(&b, "<interface type='network'><source network='%s'/><model type='virtio'/></interface>", esc(n))
	}
	b.WriteString("<serial type='pty'/><console type='pty'/><channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel><rng model='virtio'><backend model='random'>/dev/urandom</backend></rng></devices></domain>")
	return b.String()
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
		return c.call(ctx, "DomainCreate", callTime, func() error { return c.l.DomainCreate(d) })
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
	_, err := p.with(ctx, id, func(c *conn, d lv.Domain) error {
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
			if err := c.deleteVolume(ctx, v); err != nil {
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
	})
	return err
}
