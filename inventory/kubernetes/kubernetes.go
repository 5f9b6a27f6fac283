// Package kubernetes is the source of a cluster's pods, in which commands run through its
// API, and of its nodes, which are reached by SSH.
//
// Of client-go it takes what finds, secures and authenticates the connection, and what runs
// commands. Its typed clients are left out: their registry of all kinds of objects costs
// every program 30 ms at its start, and 19 MB.
package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"

	"github.com/gosalt/gosalt/inventory"
	"github.com/gosalt/gosalt/inventory/internal/cloud"
)

// Kind is the kind kubernetes.
var Kind = inventory.Kind{
	Name: "kubernetes",
	Doc:  "Pods of a Kubernetes cluster, in which commands run through its API, without SSH, and its nodes.",
	Options: []inventory.Option{
		{Name: "kubeconfig", Type: inventory.Text, Doc: "The kubeconfig file; $KUBECONFIG, ~/.kube/config, or the service account of the pod that this runs in, when it is not given."},
		{Name: "context", Type: inventory.Text, Doc: "The context of that file; its current one when it is not given."},
		{Name: "objects", Type: inventory.List, Doc: "What is listed: pods, nodes, or both; pods when it is not given."},
		{Name: "namespaces", Type: inventory.List, Doc: "The namespaces of the pods, each a scope; * is all in one listing, for which the account needs the right; the context's namespace when it is not given."},
		{Name: "labels", Type: inventory.Text, Doc: "A label selector, as app=web,tier in (front, back)."},
		{Name: "fields", Type: inventory.Text, Doc: "A field selector for pods, as status.phase=Running,spec.nodeName=node1."},
		{Name: "container", Type: inventory.Text, Doc: "The container of each pod in which commands run, or * for a machine for each; the pod's default container, else its first, when it is not given."},
		{Name: "page_size", Type: inventory.Number, Doc: "How many objects are asked for at once; 500 when it is not given."},
	},
	New: open,
}

// nodeScope is the scope of nodes, which have no namespace: no namespace has this name.
const nodeScope = "/nodes"

type provider struct {
	env        inventory.Env
	cfg        *rest.Config
	client     *http.Client
	base       *url.URL // "https://host/api/v1"
	scopes     []string
	labels     string
	fields     string
	container  string
	page       int
	namespaces []string
	begin      time.Duration // in which the server has to say that a command begins
}

// quiet keeps the library from logging what it returns as errors, too.
var quiet = sync.OnceFunc(func() { klog.SetLogger(logr.Discard()) })

func open(v *inventory.Values, env inventory.Env) (inventory.Provider, error) {
	bad := func(format string, args ...any) error {
		return &inventory.Error{Source: env.Source, Kind: "kubernetes", Reason: inventory.BadConfig, Msg: fmt.Sprintf(format, args...)}
	}
	quiet()
	p := &provider{env: env, labels: v.Text("labels"), fields: v.Text("fields"), container: v.Text("container"), page: 500, namespaces: v.List("namespaces"), begin: pageTime}
	if v.Has("page_size") {
		if p.page = v.Number("page_size"); p.page < 1 || p.page > 10_000 {
			return nil, bad("page_size has to be 1 to 10000")
		}
	}
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	if f := v.Text("kubeconfig"); f != "" {
		if !filepath.IsAbs(f) {
			f = filepath.Join(env.ConfigDir, f)
		}
		rules.ExplicitPath = f
	}
	loader := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: v.Text("context")})
	cfg, err := loader.ClientConfig()
	if err != nil {
		if clientcmd.IsEmptyConfig(err) || errors.Is(err, rest.ErrNotInCluster) {
			return nil, &inventory.Error{Source: env.Source, Kind: "kubernetes", Reason: inventory.NoCredentials, Call: "kubeconfig", Msg: "there is no kubeconfig file in $KUBECONFIG or ~/.kube/config, and this runs in no pod",
				Hint: "name one with kubeconfig"}
		}
		return nil, &inventory.Error{Source: env.Source, Kind: "kubernetes", Reason: inventory.BadConfig, Call: "kubeconfig", Msg: err.Error(),
			Hint: "see kubeconfig and context of the source; kubectl config get-contexts lists those that there are"}
	}
	if len(p.namespaces) == 0 {
		ns, _, err := loader.Namespace()
		if err != nil {
			return nil, bad("kubeconfig: %s", err)
		}
		p.namespaces = []string{ns}
	}
	if slices.Contains(p.namespaces, "*") { // a pod would come twice
		p.namespaces = []string{"*"}
	}
	objects := v.List("objects")
	if len(objects) == 0 {
		objects = []string{"pods"}
	}
	for _, o := range objects {
		switch o {
		case "pods":
			for _, ns := range p.namespaces {
				if ns != "*" && strings.ContainsAny(ns, "/ ?*") {
					return nil, bad("namespaces: %q is no name of a namespace", ns)
				}
				p.scopes = append(p.scopes, "pods/"+ns)
			}
		case "nodes":
			p.scopes = append(p.scopes, nodeScope)
		default:
			return nil, bad("objects: there are pods and nodes, and no %q", o)
		}
	}
	slices.Sort(p.scopes)
	p.scopes = slices.Compact(p.scopes)
	cfg.APIPath, cfg.GroupVersion, cfg.UserAgent = "/api", &schema.GroupVersion{Version: "v1"}, "gosalt"
	p.cfg = cfg
	hc, err := rest.HTTPClientFor(cfg)
	if err != nil {
		return nil, bad("kubeconfig: %s", err)
	}
	p.client = &http.Client{Transport: cloud.LimitedTransport{RoundTripper: hc.Transport}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	base, path, err := rest.DefaultServerUrlFor(cfg)
	if err != nil {
		return nil, bad("kubeconfig: %s", err)
	}
	p.base = base.JoinPath(path) // a server may have a path of its own, as behind a gateway for several clusters
	return p, nil
}

// Close implements inventory.Closer.
func (p *provider) Close() error {
	p.client.CloseIdleConnections()
	return nil
}

// shown is how a scope is called to users: the namespace alone.
func shown(scope string) string { return strings.TrimPrefix(scope, "pods/") }

// List lists each namespace, and the nodes, page by page.
func (p *provider) List(ctx context.Context) iter.Seq2[inventory.Machine, error] {
	return cloud.Scopes(ctx, p.scopes, "list", 8, func(ctx context.Context, scope string, emit func(inventory.Machine) bool) error {
		q := url.Values{}
		if p.labels != "" {
			q.Set("labelSelector", p.labels)
		}
		if scope == nodeScope {
			return pages(ctx, p, scope, "list nodes", p.base.JoinPath("nodes"), q, func(n *node) bool { return emit(n.machine()) })
		}
		if p.fields != "" {
			q.Set("fieldSelector", p.fields)
		}
		u := p.base.JoinPath("pods")
		if ns := shown(scope); ns != "*" {
			u = p.base.JoinPath("namespaces", ns, "pods")
		}
		return pages(ctx, p, scope, "list pods", u, q, func(o *pod) bool {
			for _, m := range o.machines(shown(scope), p.container) {
				if !emit(m) {
					return false
				}
			}
			return true
		})
	})
}
