package render

import (
	"strings"

	"github.com/gosalt/gosalt/jinja/py"
)

// filters are those of Salt's that need more than their arguments: functions and options
// of who renders.
var filters = map[string]py.Callable{
	"http_query": py.NewFunc("query", "...", httpQuery),
}

// queryArgs are the arguments of the filter http_query in their order; the function
// http.query takes all but the first by name only.
var queryArgs = strings.Fields("url method params data data_file header_dict header_list header_file username password auth " +
	"decode decode_type status headers text")

// httpQuery is the filter http_query: {{ 'https://example.com/a.json' | http_query(decode=True) }}.
// It asks by the function http.query.
func httpQuery(c *py.Call) (py.Value, error) {
	const name = "http.query"
	if len(c.Args) > len(queryArgs) {
		return nil, py.Raise("TypeError", "query() takes at most %d positional arguments but %d were given: give them by name", len(queryArgs), len(c.Args))
	}
	call := &py.Call{T: c.T, Kw: c.Kw, Scope: c.Scope}
	for i, a := range c.Args {
		if u, ok := a.(*py.Undefined); ok {
			return nil, u.Fail()
		}
		if i == 0 {
			call.Args = []py.Value{a}
			continue
		}
		call.Kw = append(call.Kw[:len(call.Kw):len(call.Kw)], py.KW{Name: queryArgs[i], Value: a})
		for _, k := range c.Kw {
			if k.Name == queryArgs[i] {
				return nil, py.Raise("TypeError", "query() got multiple values for argument '%s'", k.Name)
			}
		}
	}
	ru, _ := c.T.Context().Value(runKey{}).(*run)
	if ru == nil {
		return nil, py.Raise("KeyError", "'%s'", name)
	}
	fn, ok := ru.r.funcs.get(name)
	if !ok {
		return nil, &py.Error{Type: "KeyError", Msg: "the filter http_query asks the function http.query, which there is not in these templates"}
	}
	return fn.Call(call)
}
