// Package libvirt is the source of virtual machines of libvirt: KVM and whatever else it
// drives. It also makes and ends them.
package libvirt

import (
	"context"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"iter"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	lv "github.com/digitalocean/go-libvirt"

	"github.com/gosalt/gosalt/inventory"
	"github.com/gosalt/gosalt/inventory/internal/cloud"
	"github.com/gosalt/gosalt/protocol/wire"
)

// Kind is the kind libvirt.
var Kind = inventory.Kind{
	Name: "libvirt",
	Doc:  "Virtual machines of libvirt (KVM and others), on one host or several.",
	Options: []inventory.Option{
		{Name: "uri", Type: inventory.List, Doc: "Where libvirt is, as qemu:///system, qemu+tcp://host/system, qemu+tls://host/system, qemu+ssh://user@host/system (its key by ?keyfile=) or qemu+unix:///system?socket=/path, or several, each a scope; qemu:///system when it is not given."},
		{Name: "addresses", Type: inventory.List, Doc: "Where addresses come from: lease (libvirt's own DHCP), agent (the guest agent), arp; the first that knows one is taken, in this order when it is not given."},
	},
	New: open,
}

const (
	callTime  = 20 * time.Second // of one call
	agentTime = 5 * time.Second  // of one call that a guest may keep waiting
)

// Namespace is the XML namespace of the tags in a domain's metadata.
const Namespace = "https://github.com/gosalt/gosalt/tags/1"

var sources = map[string]uint32{"lease": 0, "agent": 1, "arp": 2}

type provider struct {
	env       inventory.Env
	hosts     []*host
	addresses []string
}

func open(v *inventory.Values, env inventory.Env) (inventory.Provider, error) {
	bad := func(format string, args ...any) error {
		return &inventory.Error{Source: env.Source, Kind: "libvirt", Reason: inventory.BadConfig, Msg: fmt.Sprintf(format, args...)}
	}
	p := &provider{env: env, addresses: v.List("addresses")}
	if !v.Has("addresses") {
		p.addresses = []string{"lease", "agent", "arp"}
	}
	for _, a := range p.addresses {
		if _, ok := sources[a]; !ok {
			return nil, bad("addresses: there is no %q: lease, agent and arp are known", a)
		}
	}
	uris := v.List("uri")
	if len(uris) == 0 {
		uris = []string{"qemu:///system"}
	}
	for _, u := range uris {
		h, err := parseURI(u)
		if err != nil {
			return nil, bad("uri %q: %s", redacted(u), err)
		}
		if slices.ContainsFunc(p.hosts, func(o *host) bool { return o.uri == u }) {
			return nil, bad("uri %q is there twice", u)
		}
		if h.dialSSH = env.DialSSH; h.ssh != nil && h.dialSSH == nil {
			return nil, bad("uri %q: SSH is not to be had here", redacted(u))
		}
		if len(uris) > 1 {
			h.scope = u
		}
		p.hosts = append(p.hosts, h)
	}
	return p, nil
}

// redacted is an URI without its password, which has no place there.
func redacted(uri string) string {
	if u, err := url.Parse(uri); err == nil {
		return u.Redacted()
	}
	return "…"
}

// List asks each host. The domains of one come in one answer, without what they are; that
// is asked for one by one.
func (p *provider) List(ctx context.Context) iter.Seq2[inventory.Machine, error] {
	names := make([]string, len(p.hosts))
	for i, h := range p.hosts {
		names[i] = h.uri
	}
	return cloud.Scopes(ctx, names, "ConnectListAllDomains", 8, func(ctx context.Context, name string, emit func(inventory.Machine) bool) error {
		h := p.hosts[slices.IndexFunc(p.hosts, func(h *host) bool { return h.uri == name })]
		c, err := h.connect(ctx)
		if err != nil {
			return err
		}
		defer c.close()
		var doms []lv.Domain
		if err := c.call(ctx, "ConnectListAllDomains", callTime, func() (err error) { doms, _, err = c.l.ConnectListAllDomains(1, 0); return }); err != nil {
			return err
		}
		for _, d := range doms {
			m, err := p.machine(ctx, c, d)
			if isCode(err, lv.ErrNoDomain) {
				continue // it went in the meantime
			}
			if err != nil {
				return err
			}
			if !emit(m) {
				return nil
			}
		}
		return nil
	})
}

// domain is what is read of a domain's XML.
type domain struct {
	Title       string `xml:"title"`
	Description string `xml:"description"`
	Type        string `xml:"type,attr"`
	VCPU        int    `xml:"vcpu"`
	Memory      struct {
		Unit  string `xml:"unit,attr"`
		Value uint64 `xml:",chardata"`
	} `xml:"memory"`
	OS struct {
		Type struct {
			Arch    string `xml:"arch,attr"`
			Machine string `xml:"machine,attr"`
		} `xml:"type"`
	} `xml:"os"`
	Metadata struct {
		Tags struct {
			Image string `xml:"image,attr"`
			Tag   []struct {
				Name  string `xml:"name,attr"`
				Value string `xml:",chardata"`
			} `xml:"https://github.com/gosalt/gosalt/tags/1 tag"`
			Volume []string `xml:"https://github.com/gosalt/gosalt/tags/1 volume"`
		} `xml:"https://github.com/gosalt/gosalt/tags/1 tags"`
		OSInfo struct {
			OS struct {
				ID string `xml:"id,attr"`
			} `xml:"os"`
		} `xml:"http://libosinfo.org/xmlns/libvirt/domain/1.0 libosinfo"`
	} `xml:"metadata"`
	Devices struct {
		Interface []struct {
			MAC struct {
				Address string `xml:"address,attr"`
			} `xml:"mac"`
			Source struct {
				Network string `xml:"network,attr"`
				Bridge  string `xml:"bridge,attr"`
			} `xml:"source"`
		} `xml:"interface"`
		Disk []struct {
			Device string `xml:"device,attr"`
			Source struct {
				File   string `xml:"file,attr"`
				Dev    string `xml:"dev,attr"`
				Pool   string `xml:"pool,attr"`
				Volume string `xml:"volume,attr"`
			} `xml:"source"`
		} `xml:"disk"`
	} `xml:"devices"`
}

var states = map[lv.DomainState]struct {
	name  string
	state inventory.State
}{
	lv.DomainNostate: {"no state", inventory.Unknown}, lv.DomainRunning: {"running", inventory.Running}, lv.DomainBlocked: {"idle", inventory.Running},
	lv.DomainPaused: {"paused", inventory.Stopped}, lv.DomainShutdown: {"in shutdown", inventory.Stopping}, lv.DomainShutoff: {"shut off", inventory.Stopped},
	lv.DomainCrashed: {"crashed", inventory.Stopped}, lv.DomainPmsuspended: {"pmsuspended", inventory.Stopped},
}

func uuidText(u lv.UUID) string {
	s := hex.EncodeToString(u[:])
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
}

func parseUUID(s string) (u lv.UUID, ok bool) {
	b, err := hex.DecodeString(strings.ReplaceAll(s, "-", ""))
	if err != nil || len(b) != len(u) {
		return u, false
	}
	copy(u[:], b)
	return u, true
}

var units = map[string]uint64{"": 1 << 10, "b": 1, "bytes": 1, "KB": 1000, "k": 1 << 10, "KiB": 1 << 10, "MB": 1e6, "M": 1 << 20, "MiB": 1 << 20, "GB": 1e9, "G": 1 << 30, "GiB": 1 << 30, "TB": 1e12, "T": 1 << 40, "TiB": 1 << 40}

func (c *conn) domain(ctx context.Context, d lv.Domain) (x domain, err error) {
	var text string
	if err := c.call(ctx, "DomainGetXMLDesc", callTime, func() (err error) { text, err = c.l.DomainGetXMLDesc(d, 0); return }); err != nil {
		return x, err
	}
	if err := xml.Unmarshal([]byte(text), &x); err != nil {
		return x, &inventory.Error{Scope: c.h.scope, Call: "DomainGetXMLDesc", Reason: inventory.BadAnswer, Msg: fmt.Sprintf("the description of %s: %s", d.Name, err), Err: err}
	}
	return x, nil
}

func (c *conn) state(ctx context.Context, d lv.Domain) (lv.DomainState, error) {
	return ask(ctx, c, "DomainGetState", callTime, func() (lv.DomainState, error) {
		n, _, err := c.l.DomainGetState(d, 0)
		return lv.DomainState(n), err
	})
}

func (p *provider) machine(ctx context.Context, c *conn, d lv.Domain) (inventory.Machine, error) {
	m := inventory.Machine{ID: uuidText(d.UUID), Label: d.Name, Scope: c.h.scope, State: inventory.Unknown}
	x, err := c.domain(ctx, d)
	if err != nil {
		return m, err
	}
	n, err := c.state(ctx, d)
	if err != nil {
		return m, err
	}
	word := fmt.Sprint("state ", n)
	if s, ok := states[n]; ok {
		m.State, word = s.state, s.name
	}
	mib := x.Memory.Value * units[x.Memory.Unit] >> 20
	m.Type = fmt.Sprintf("%dx%d", max(x.VCPU, 1), mib)
	m.Image = x.Metadata.Tags.Image
	m.Tags = map[string]string{}
	for _, t := range x.Metadata.Tags.Tag {
		m.Tags[t.Name] = t.Value
	}
	networks, macs := []any{}, []any{}
	for _, i := range x.Devices.Interface {
		if n := i.Source.Network + i.Source.Bridge; n != "" && !slices.Contains(networks, any(n)) {
			networks = append(networks, n)
		}
		if i.MAC.Address != "" {
			macs = append(macs, i.MAC.Address)
		}
	}
	m.Attrs = wire.NewMap("state", word, "driver", x.Type, "cpus", int64(max(x.VCPU, 1)), "memory_mib", int64(mib), "arch", x.OS.Type.Arch, "machine", x.OS.Type.Machine, "networks", networks, "macs", macs)
	for k, v := range map[string]string{"title": x.Title, "description": x.Description, "os": x.Metadata.OSInfo.OS.ID} {
		if v = strings.TrimSpace(v); v != "" {
			m.Attrs.Set(k, v)
		}
	}
	if m.State == inventory.Running {
		var from string
		m.Private, from, err = p.find(ctx, c, d)
		if err != nil {
			return m, err
		}
		if from != "" {
			m.Attrs.Set("addresses_from", from)
		}
	}
	return m, nil
}

// find is the addresses of a domain that runs. A source that does not know, or that there
// is not, is passed over.
func (p *provider) find(ctx context.Context, c *conn, d lv.Domain) (out []netip.Addr, from string, err error) {
	for _, name := range p.addresses {
		var ifs []lv.DomainInterface
		err := c.call(ctx, "DomainInterfaceAddresses", agentTime, func() (err error) { ifs, err = c.l.DomainInterfaceAddresses(d, sources[name], 0); return })
		if isCode(err, lv.ErrNoDomain) || ctx.Err() != nil || c.lost() {
			return nil, "", err
		}
		if err != nil {
			continue
		}
		for _, i := range ifs {
			for _, a := range i.Addrs {
				if ip, err := netip.ParseAddr(a.Addr); err == nil && !ip.IsLoopback() && !ip.IsLinkLocalUnicast() && !slices.Contains(out, ip) {
					out = append(out, ip)
				}
			}
		}
		if len(out) > 0 {
			return out, name, nil
		}
	}
	return nil, "", nil
}
