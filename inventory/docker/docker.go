// Package docker is the source of containers, of Docker and of Podman, which has the same
// API. Commands run in them through the API: nothing has to listen in the container.
package docker

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/gosalt/gosalt/inventory"
	"github.com/gosalt/gosalt/inventory/internal/cloud"
	"github.com/gosalt/gosalt/protocol/wire"
)

// Kind is the kind docker.
var Kind = inventory.Kind{
	Name: "docker",
	Doc:  "Containers of Docker, in which commands run through its API, without SSH.",
	Options: slices.Concat([]inventory.Option{
		{Name: "host", Type: inventory.List, Doc: "Where the API is, as unix:///var/run/docker.sock or tcp://10.0.0.5:2376, or several, each a scope; $DOCKER_HOST, the context, or /var/run/docker.sock when it is not given."},
		{Name: "context", Type: inventory.Text, Doc: "The context of the docker command that says where the API is; $DOCKER_CONTEXT, or the current one, when neither this nor host is given."},
	}, options),
	New: func(v *inventory.Values, env inventory.Env) (inventory.Provider, error) {
		return open(v, env, "docker", dockerHosts)
	},
}

// PodmanKind is the kind podman.
var PodmanKind = inventory.Kind{
	Name: "podman",
	Doc:  "Containers of Podman, in which commands run through its API (podman system service), without SSH.",
	Options: slices.Concat([]inventory.Option{
		{Name: "host", Type: inventory.List, Doc: "Where the API is, as unix:///run/podman/podman.sock, or several, each a scope; $CONTAINER_HOST, or the user's own socket, or root's, when it is not given."},
	}, options),
	New: func(v *inventory.Values, env inventory.Env) (inventory.Provider, error) {
		return open(v, env, "podman", podmanHosts)
	},
}

var options = []inventory.Option{
	{Name: "tls", Type: inventory.Bool, Doc: "TLS for tcp:// hosts; true for port 2376 and with cert_path, and as $DOCKER_TLS_VERIFY has it."},
	{Name: "tls_verify", Type: inventory.Bool, Doc: "false takes any certificate of the host; true when it is not given."},
	{Name: "cert_path", Type: inventory.Text, Doc: "The directory with ca.pem, cert.pem and key.pem; $DOCKER_CERT_PATH when it is not given."},
	{Name: "filters", Type: inventory.Map, Doc: "Which containers, by the filters of the API: label, name, status, network, health, ancestor and so on, each a text or a list of which one has to fit; all containers when it is not given."},
	{Name: "user", Type: inventory.Text, Doc: "Who runs commands in the containers, as root or 1000:1000; the user of the container when it is not given."},
}

// filterNames are the filters of /containers/json, API 1.41.
var filterNames = []string{"ancestor", "before", "expose", "exited", "health", "id", "isolation", "is-task", "label", "label!", "name", "network", "pod", "publish", "since", "status", "volume"}

// callTime is how long one call may take.
const callTime = 30 * time.Second

type provider struct {
	kind    string
	source  string
	filters client.Filters
	user    string
	hosts   []*host
}

func open(v *inventory.Values, env inventory.Env, kind string, find func(*inventory.Values, inventory.Env) ([]endpoint, error)) (inventory.Provider, error) {
	bad := func(format string, args ...any) error {
		return &inventory.Error{Source: env.Source, Kind: kind, Reason: inventory.BadConfig, Msg: fmt.Sprintf(format, args...)}
	}
	p := &provider{kind: kind, source: env.Source, user: v.Text("user"), filters: client.Filters{}}
	for name, val := range v.Map("filters").Strings() {
		if !slices.Contains(filterNames, name) {
			return nil, bad("filters: there is no filter %q; there are %s", name, strings.Join(filterNames, ", "))
		}
		list, ok := val.([]any)
		if !ok {
			list = []any{val}
		}
		for _, e := range list {
			switch e.(type) {
			case string, bool, int64, uint64, float64:
				p.filters.Add(name, fmt.Sprint(e))
			default:
				return nil, bad("filters: %s has to be a text or a list of texts", name)
			}
		}
	}
	ends, err := find(v, env)
	if err != nil {
		return nil, bad("%s", err)
	}
	for _, e := range ends {
		h, err := newHost(e, len(ends) > 1)
		if err != nil {
			p.Close()
			return nil, bad("%s", err)
		}
		p.hosts = append(p.hosts, h)
	}
	return p, nil
}

// Close implements inventory.Closer.
func (p *provider) Close() error {
	for _, h := range p.hosts {
		h.api.Close()
	}
	return nil
}

// List asks each host. The API has no pages: a host's containers come in one answer.
func (p *provider) List(ctx context.Context) iter.Seq2[inventory.Machine, error] {
	names := make([]string, len(p.hosts))
	for i, h := range p.hosts {
		names[i] = h.addr
	}
	return cloud.Scopes(ctx, names, "ContainerList", 8, func(ctx context.Context, name string, emit func(inventory.Machine) bool) error {
		h := p.hosts[slices.Index(names, name)]
		call, end := context.WithTimeout(ctx, callTime)
		defer end()
		got, err := h.api.ContainerList(call, client.ContainerListOptions{All: true, Filters: p.filters})
		if err != nil {
			return p.fail(call, h, "ContainerList", err)
		}
		for i := range got.Items {
			if m := p.machine(h, &got.Items[i]); m.ID != "" && !emit(m) {
				return nil
			}
			got.Items[i] = container.Summary{}
		}
		return nil
	})
}

// states are Docker's words, and those that Podman has besides.
var states = map[string]inventory.State{
	"running": inventory.Running, "restarting": inventory.Starting, "removing": inventory.Stopping, "stopping": inventory.Stopping,
	"created": inventory.Stopped, "configured": inventory.Stopped, "initialized": inventory.Stopped, "paused": inventory.Stopped,
	"exited": inventory.Stopped, "stopped": inventory.Stopped, "dead": inventory.Stopped,
}

// groupLabels are labels that say what a container is part of.
var groupLabels = []string{"com.docker.compose.project", "com.docker.stack.namespace", "io.podman.compose.project"}

func (p *provider) machine(h *host, c *container.Summary) inventory.Machine {
	m := inventory.Machine{ID: c.ID, Scope: h.scope, Image: c.Image, Tags: c.Labels, Exec: p.kind, State: inventory.Unknown}
	if s, ok := states[strings.ToLower(string(c.State))]; ok {
		m.State = s
	}
	for _, n := range c.Names { // others are /of-another/alias, of links
		if n = strings.TrimPrefix(n, "/"); !strings.Contains(n, "/") {
			m.Label = n
			break
		}
	}
	if c.Created > 0 {
		m.Created = time.Unix(c.Created, 0).UTC()
	}
	for _, l := range groupLabels {
		if g := c.Labels[l]; g != "" && !slices.Contains(m.Groups, g) {
			m.Groups = append(m.Groups, g)
		}
	}
	networks := []any{}
	if c.NetworkSettings != nil {
		var names []string
		for n := range c.NetworkSettings.Networks {
			names = append(names, n)
		}
		slices.Sort(names)
		for _, n := range names {
			networks = append(networks, n)
			e := c.NetworkSettings.Networks[n]
			if e == nil {
				continue
			}
			for _, a := range []netip.Addr{e.IPAddress, e.GlobalIPv6Address} {
				if a.IsValid() && !slices.Contains(m.Private, a) {
					m.Private = append(m.Private, a)
				}
			}
		}
	}
	ports := []any{}
	for _, q := range c.Ports {
		s := fmt.Sprintf("%d/%s", q.PrivatePort, q.Type)
		if q.PublicPort != 0 {
			s = fmt.Sprintf("%s:%d->%s", q.IP, q.PublicPort, s)
		}
		ports = append(ports, s)
	}
	m.Attrs = wire.NewMap("state", string(c.State), "status", c.Status, "health", health(c), "command", c.Command, "image_id", c.ImageID, "networks", networks, "ports", ports)
	if c.HostConfig.NetworkMode != "" {
		m.Attrs.Set("network_mode", c.HostConfig.NetworkMode)
	}
	if s := c.Labels["com.docker.compose.service"]; s != "" {
		m.Attrs.Set("service", s)
	}
	return m
}

// health is what the health check says: the API tells it apart only since 1.52, and in
// the status before, as "Up 2 hours (healthy)".
func health(c *container.Summary) string {
	if c.Health != nil && c.Health.Status != "" {
		return string(c.Health.Status)
	}
	switch s := c.Status; {
	case strings.Contains(s, "(healthy)"):
		return string(container.Healthy)
	case strings.Contains(s, "(unhealthy)"):
		return string(container.Unhealthy)
	case strings.Contains(s, "(health: starting)"):
		return string(container.Starting)
	}
	return string(container.NoHealthcheck)
}

// fail makes an error of a call to a host.
func (p *provider) fail(ctx context.Context, h *host, call string, err error) *inventory.Error {
	e := &inventory.Error{Scope: h.scope, Call: call, Err: err, Msg: strings.TrimPrefix(err.Error(), "Error response from daemon: ")}
	if ended := inventory.Interrupted(ctx, inventory.Error{Scope: h.scope, Call: call, Msg: h.addr + " did not answer in time"}); ended != nil {
		return ended
	}
	var late net.Error
	service := "the docker service"
	if p.kind == "podman" {
		service = "podman's API service (podman system service)"
	}
	plain := func(s string) bool { return strings.Contains(strings.ToLower(e.Msg), s) }
	switch {
	case plain("http request to an https server"), plain("without tls"):
		e.Reason, e.Msg, e.Hint = inventory.BadConfig, h.addr+" speaks TLS, and tls is not set", "set tls: true, and cert_path where it wants a certificate"
	case errors.Is(err, errTooMuch):
		e.Reason, e.Msg = inventory.BadAnswer, h.addr+": "+errTooMuch.Error()
	case h.dialError() != nil && client.IsErrConnectionFailed(err):
		d := h.dialError()
		e.Msg = d.Error()
		e.Reason, e.Hint = h.explainDial(d, service)
	case errors.As(err, &late) && late.Timeout():
		e.Reason, e.Msg = inventory.NoAnswer, fmt.Sprintf("%s did not answer within %s", h.addr, callTime)
	case cerrdefs.IsUnauthorized(err):
		e.Reason, e.Code = inventory.BadLogin, "401"
	case cerrdefs.IsPermissionDenied(err):
		e.Reason, e.Code, e.Hint = inventory.NotPermitted, "403", "an authorization plugin of the service refuses this call"
	case cerrdefs.IsNotFound(err):
		e.Reason, e.Code = inventory.NotFound, "404"
	case cerrdefs.IsConflict(err):
		e.Reason, e.Code = inventory.NotFound, "409"
	case cerrdefs.IsResourceExhausted(err):
		e.Reason = inventory.Throttled
	default:
		e.Reason = inventory.BadAnswer
	}
	return e
}
