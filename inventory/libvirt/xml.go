package libvirt

import (
	"encoding/xml"
	"fmt"
	"maps"
	"slices"
	"strings"
)

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

// userNetwork is the network of a profile that needs no rights and no bridge: the machine
// reaches out, and nobody reaches it. The host is 10.0.2.2 there.
const userNetwork = "user"

// domainXML describes the machine. Its volumes are named in the metadata: they go with it.
func domainXML(pl *plan, kind, disk, seed string, volumes []string) string {
	var b strings.Builder
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
	fmt.Fprintf(&b, "<os><type%s%s>hvm</type>", attr("arch", pl.arch), attr("machine", pl.machine))
	if pl.kernel == "" {
		b.WriteString("<boot dev='hd'/>")
	}
	for _, e := range [][2]string{{"kernel", pl.kernel}, {"initrd", pl.initrd}, {"cmdline", pl.cmdline}} {
		if e[1] != "" {
			fmt.Fprintf(&b, "<%s>%s</%[1]s>", e[0], esc(e[1]))
		}
	}
	b.WriteString("</os><features><acpi/></features>")
	switch {
	case pl.cpu != "":
		fmt.Fprintf(&b, "<cpu mode='custom'><model>%s</model></cpu>", esc(pl.cpu))
	case kind == "kvm":
		b.WriteString("<cpu mode='host-passthrough'/>")
	}
	fmt.Fprintf(&b, "<devices><disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='%s'/><target dev='vda' bus='virtio'/></disk>", esc(disk))
	if seed != "" {
		// No CD drive: kernels for clouds, as Debian's, have a driver for none. cloud-init looks at
		// every disk for one of this name.
		fmt.Fprintf(&b, "<disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='%s'/><target dev='vdb' bus='virtio'/><readonly/></disk>", esc(seed))
	}
	switch {
	case pl.bridge != "":
		fmt.Fprintf(&b, "<interface type='bridge'><source bridge='%s'/><model type='virtio'/></interface>", esc(pl.bridge))
	case pl.Network == userNetwork:
		b.WriteString("<interface type='user'><model type='virtio'/></interface>")
	default:
		n := pl.Network
		if n == "" {
			n = "default"
		}
		fmt.Fprintf(&b, "<interface type='network'><source network='%s'/><model type='virtio'/></interface>", esc(n))
	}
	b.WriteString("<serial type='pty'/><console type='pty'/><channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel><rng model='virtio'><backend model='random'>/dev/urandom</backend></rng></devices></domain>")
	return b.String()
}
