package master

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gosalt/gosalt/master/keys"
	"github.com/gosalt/gosalt/protocol/control"
	"github.com/gosalt/gosalt/protocol/wire"
)

// nameCache remembers what minions said of their functions, for command lines that are
// being typed.
type nameCache struct {
	mu   sync.Mutex
	made map[string]time.Time
	list map[string][]any
}

// namesKept is how long an answer serves; maxNames is how many answers are kept.
const (
	namesKept = 10 * time.Minute
	maxNames  = 256
)

func (c *nameCache) get(key string) ([]any, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	l, ok := c.list[key]
	return l, ok && time.Since(c.made[key]) < namesKept
}

func (c *nameCache) set(key string, l []any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.list == nil || len(c.list) >= maxNames {
		c.list, c.made = map[string][]any{}, map[string]time.Time{}
	}
	c.list[key], c.made[key] = l, time.Now()
}

// controlNames answers with names for a command line that is being typed: pairs of a
// name and a few words about it. Who has not the right to run anything is told none.
func (m *Master) controlNames(ctx context.Context, who caller, req *wire.Map, send func(*wire.Map) error) error {
	var list []any
	fun := req.Text("fun")
	if who.full || m.cfg.PublisherACL.Has(who.name) {
		switch req.Text("what") {
		case "minions":
			ids, err := m.keys.List(keys.Accepted)
			if err != nil {
				return err
			}
			connected := m.presence.connectedIDs()
			for _, id := range ids {
				help := "not connected"
				if connected[id] {
					help = "connected"
				}
				list = append(list, []any{string(id), help})
			}
		case "runners":
			reg := m.runners.Registry()
			for _, name := range reg.Names() {
				list = append(list, []any{name, firstSentence(reg.DocText(name))})
			}
		case "runner arguments":
			if doc, err := m.runners.Registry().Doc(fun); err == nil {
				for _, a := range doc.Args {
					list = append(list, []any{a.Name, firstSentence(a.Text)})
				}
			}
		case "functions":
			list = m.askNames(ctx, "functions", "sys.list_functions", []any{})
		case "arguments":
			if strings.Count(fun, ".") == 1 && len(fun) < 100 && !strings.ContainsAny(fun, "*?[] ") {
				list = m.askNames(ctx, "arguments "+fun, "sys.argspec", []any{fun})
			}
		}
	}
	if list == nil {
		list = []any{}
	}
	return send(wire.NewMap("kind", control.KindResult, "return", list))
}

// askNames asks one minion of each kind that is connected, and keeps the answer.
func (m *Master) askNames(ctx context.Context, key, fun string, arg []any) []any {
	if l, ok := m.names.get(key); ok {
		return l
	}
	var ids []wire.MinionID
	kinds := map[bool]bool{}
	for id := range m.presence.connectedIDs() {
		if k := m.presence.contact(id).Gosalt; !kinds[k] {
			kinds[k] = true
			ids = append(ids, id)
		}
	}
	answers, err := m.probe(ctx, fun, arg, ids, followOptions{Timeout: time.Second})
	if err != nil || len(answers) == 0 {
		return nil
	}
	seen := map[string]bool{}
	var names []string
	for _, load := range answers {
		v, _ := load.Get("return")
		switch v := v.(type) {
		case []any: // of sys.list_functions
			for _, n := range v {
				if s, ok := n.(string); ok && !seen[s] {
					seen[s] = true
					names = append(names, s)
				}
			}
		case *wire.Map: // of sys.argspec
			for _, spec := range v.All() {
				s, ok := spec.(*wire.Map)
				if !ok {
					continue
				}
				for _, n := range s.List("args") {
					if s, ok := n.(string); ok && !seen[s] {
						seen[s] = true
						names = append(names, s)
					}
				}
			}
		}
	}
	if fun == "sys.list_functions" {
		slices.Sort(names)
	}
	list := make([]any, len(names))
	for i, n := range names {
		list[i] = []any{n, ""}
	}
	m.names.set(key, list)
	return list
}

func firstSentence(text string) string {
	text, _, _ = strings.Cut(strings.Join(strings.Fields(text), " "), ". ")
	return strings.TrimSuffix(text, ".")
}
