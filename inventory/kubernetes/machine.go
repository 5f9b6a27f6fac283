package kubernetes

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/gosalt/gosalt/inventory"
	"github.com/gosalt/gosalt/protocol/wire"
)

// meta is what is read of the metadata of an object.
type meta struct {
	Name        string            `json:"name"`
	Namespace   string            `json:"namespace"`
	UID         string            `json:"uid"`
	Created     time.Time         `json:"creationTimestamp"`
	Deleted     *time.Time        `json:"deletionTimestamp"`
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
	Owners      []struct {
		Kind string `json:"kind"`
		Name string `json:"name"`
	} `json:"ownerReferences"`
}

type container struct {
	Name  string `json:"name"`
	Image string `json:"image"`
}

type pod struct {
	Meta meta `json:"metadata"`
	Spec struct {
		Node       string      `json:"nodeName"`
		Containers []container `json:"containers"`
	} `json:"spec"`
	Status struct {
		Phase   string `json:"phase"`
		Reason  string `json:"reason"`
		Message string `json:"message"`
		HostIP  string `json:"hostIP"`
		PodIP   string `json:"podIP"`
		PodIPs  []struct {
			IP string `json:"ip"`
		} `json:"podIPs"`
		Containers []struct {
			Name     string `json:"name"`
			Ready    bool   `json:"ready"`
			Restarts int64  `json:"restartCount"`
		} `json:"containerStatuses"`
	} `json:"status"`
}

var phases = map[string]inventory.State{"Pending": inventory.Starting, "Running": inventory.Running, "Succeeded": inventory.Stopped, "Failed": inventory.Stopped, "Unknown": inventory.Unknown}

// defaultContainer is the annotation by which kubectl, too, chooses one.
const defaultContainer = "kubectl.kubernetes.io/default-container"

// machines are the pod, or with "*" each of its containers. A pod without the container
// that is wanted is none.
func (o *pod) machines(scope, want string) []inventory.Machine {
	list := o.Spec.Containers
	each := want == "*"
	if !each {
		name := want
		if name == "" {
			name = o.Meta.Annotations[defaultContainer]
		}
		i := slices.IndexFunc(list, func(c container) bool { return c.Name == name })
		switch {
		case i >= 0:
			list = list[i : i+1]
		case want != "" || len(list) == 0:
			return nil
		default:
			list = list[:1]
		}
	}
	var out []inventory.Machine
	for _, c := range list {
		m := inventory.Machine{ID: o.Meta.UID, Label: o.Meta.Name, Scope: scope, Account: o.Meta.Namespace, Image: c.Image, Created: o.Meta.Created, Tags: o.Meta.Labels, Exec: "kubernetes", State: phases[o.Status.Phase]}
		if each {
			m.ID, m.Label = m.ID+"/"+c.Name, m.Label+"/"+c.Name
		}
		if o.Meta.Deleted != nil && m.State != inventory.Stopped {
			m.State = inventory.Stopping
		}
		ips := []string{o.Status.PodIP}
		for _, i := range o.Status.PodIPs {
			ips = append(ips, i.IP)
		}
		for _, i := range ips {
			if a, err := netip.ParseAddr(i); err == nil && !slices.Contains(m.Private, a) {
				m.Private = append(m.Private, a)
			}
		}
		for _, w := range o.Meta.Owners {
			m.Groups = append(m.Groups, w.Kind+"/"+w.Name)
		}
		names := []any{}
		for _, x := range o.Spec.Containers {
			names = append(names, x.Name)
		}
		m.Attrs = wire.NewMap("kind", "pod", "state", o.Status.Phase, "namespace", o.Meta.Namespace, "pod", o.Meta.Name, "container", c.Name, "containers", names, "node", o.Spec.Node)
		for _, s := range o.Status.Containers {
			if s.Name == c.Name {
				m.Attrs.Set("ready", s.Ready)
				m.Attrs.Set("restarts", s.Restarts)
			}
		}
		for k, v := range map[string]string{"reason": o.Status.Reason, "message": o.Status.Message, "host_ip": o.Status.HostIP} {
			if v != "" {
				m.Attrs.Set(k, v)
			}
		}
		out = append(out, m)
	}
	return out
}

type node struct {
	Meta meta `json:"metadata"`
	Spec struct {
		ProviderID    string `json:"providerID"`
		Unschedulable bool   `json:"unschedulable"`
	} `json:"spec"`
	Status struct {
		Addresses []struct {
			Type    string `json:"type"`
			Address string `json:"address"`
		} `json:"addresses"`
		Conditions []struct {
			Type   string `json:"type"`
			Status string `json:"status"`
		} `json:"conditions"`
		Info struct {
			OSImage string `json:"osImage"`
			Kernel  string `json:"kernelVersion"`
			Kubelet string `json:"kubeletVersion"`
			Runtime string `json:"containerRuntimeVersion"`
			Arch    string `json:"architecture"`
			OS      string `json:"operatingSystem"`
		} `json:"nodeInfo"`
	} `json:"status"`
}

func (n *node) machine() inventory.Machine {
	l := n.Meta.Labels
	m := inventory.Machine{ID: n.Meta.UID, Label: n.Meta.Name, Scope: nodeScope, Created: n.Meta.Created, Tags: l, State: inventory.Unknown,
		Region: l["topology.kubernetes.io/region"], Zone: l["topology.kubernetes.io/zone"], Type: l["node.kubernetes.io/instance-type"], Image: n.Status.Info.OSImage}
	for _, a := range n.Status.Addresses {
		ip, err := netip.ParseAddr(a.Address)
		switch {
		case a.Type == "InternalIP" && err == nil:
			m.Private = append(m.Private, ip)
		case a.Type == "ExternalIP" && err == nil:
			m.Public = append(m.Public, ip)
		case err != nil && a.Address != "" && !strings.ContainsAny(a.Address, " /\t\r\n\x00") && !slices.Contains(m.DNS, a.Address):
			m.DNS = append(m.DNS, a.Address)
		}
	}
	word := "Unknown"
	for _, c := range n.Status.Conditions {
		if c.Type == "Ready" {
			word = cmp.Or(map[string]string{"True": "Ready", "False": "NotReady"}[c.Status], word)
			if c.Status == "True" {
				m.State = inventory.Running
			}
		}
	}
	for k := range l {
		if role, ok := strings.CutPrefix(k, "node-role.kubernetes.io/"); ok && role != "" {
			m.Groups = append(m.Groups, role)
		}
	}
	slices.Sort(m.Groups)
	i := n.Status.Info
	m.Attrs = wire.NewMap("kind", "node", "state", word, "unschedulable", n.Spec.Unschedulable, "provider_id", n.Spec.ProviderID, "kernel", i.Kernel, "kubelet", i.Kubelet, "runtime", i.Runtime, "arch", i.Arch, "os", i.OS)
	return m
}
