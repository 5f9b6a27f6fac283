package modules

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pyre"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
	"github.com/gosalt/gosalt/states"
)

func init() {
	register("http.query", httpQuery)
	register("http.wait_for_successful_query", httpWaitForSuccessfulQuery)
}

type httpArgs struct {
	Name       string    // Where to ask: http:// or https://.
	Match      any       `default:"None"`   // Text, or a pattern, that the answer has to hold.
	MatchType  string    `default:"string"` // What match is: string or pcre.
	Status     any       `default:"None"`   // Status that the answer has to have, or a pattern, or a list.
	StatusType string    `default:"string"` // What status is: string, pcre or list.
	WaitFor    any       `default:"None"`   // Seconds for which a server that does not answer is asked again.
	Kwargs     *wire.Map `arg:"**"`         // Arguments of http.query: method, data, header_dict, username, verify_ssl and so on; request_interval are the seconds between two questions.
}

// httpQuery asks a web server and succeeds where the answer has the status and the text
// that are expected. It asks under test=True only what test_url says.
func httpQuery(ctx context.Context, c *states.Call, a httpArgs) (*states.Plan, error) {
	if a.Match == nil && a.Status == nil {
		return states.Decided(false, nil, " Either match text (match) or a status code (status) is required.").Set("data", wire.NewMap()), nil
	}
	if c.Test {
		if a.Status != nil && a.StatusType == "pcre" {
			if _, err := searches(a.Status, ""); err != nil {
				return nil, module.Failf("status: %w", err)
			}
		}
		if a.Match != nil && a.MatchType == "pcre" {
			if _, err := searches(a.Match, ""); err != nil {
				return nil, module.Failf("match: %w", err)
			}
		}
		return a.ask(ctx, c)
	}
	p := &states.Plan{}
	p.Do(nil, func(ctx context.Context, r *states.Result) error {
		q, err := a.ask(ctx, c)
		if err != nil {
			return err
		}
		*r = *q.Decision()
		return nil
	})
	return p, nil
}

// ask asks once, and looks at the answer.
func (a httpArgs) ask(ctx context.Context, c *states.Call) (*states.Plan, error) {
	kwargs := a.Kwargs.Clone()
	if !kwargs.Has("decode") {
		kwargs.Set("decode", false)
	}
	kwargs.Set("text", true)
	kwargs.Set("status", true)
	if c.Test {
		kwargs.Set("test", true)
	}
	fun := "http.query"
	if module.Truth(a.WaitFor) {
		fun = "http.wait_for_successful_query"
		kwargs.Set("wait_for", a.WaitFor)
	} else {
		kwargs.Delete("request_interval")
	}
	v, err := c.Call.Call(ctx, fun, args(a.Name), kwargs)
	if err != nil {
		return nil, err
	}
	data, _ := v.(*wire.Map)
	var result any
	var comment strings.Builder
	if a.Match != nil {
		text := data.Text("text")
		found, what := strings.Contains(text, pytext.Str(a.Match)), "text"
		if a.MatchType == "pcre" {
			what = "pattern"
			if found, err = searches(a.Match, text); err != nil {
				return nil, module.Failf("match: %w", err)
			}
		}
		if a.MatchType == "pcre" || a.MatchType == "string" {
			fmt.Fprintf(&comment, " Match %s \"%s\" was %s.", what, pytext.Str(a.Match), foundText(found))
			result = found
		}
	}
	if a.Status != nil {
		status := ""
		if v, ok := data.Get("status"); ok {
			status = pytext.Str(v)
		}
		if result, err = a.checkStatus(status, result, &comment); err != nil {
			return nil, err
		}
	}
	text := strings.TrimSpace(comment.String())
	if c.Test {
		result = nil
		text += " (TEST MODE"
		if u, ok := kwargs.Get("test_url"); ok {
			text += ", TEST URL WAS: " + pytext.Str(u)
		}
		text += ")"
	}
	return states.Decided(result, nil, text).Set("data", data), nil
}

func foundText(found bool) string {
	if found {
		return "found"
	}
	return "not found"
}

// checkStatus holds the status of an answer to what is expected. result is that of match.
func (a httpArgs) checkStatus(status string, result any, comment *strings.Builder) (any, error) {
	good := func() {
		if result == nil {
			result = true
		}
	}
	switch a.StatusType {
	case "list":
		list, ok := a.Status.([]any)
		if !ok {
			list = []any{a.Status}
		}
		for _, s := range list {
			if pytext.Str(s) == status {
				fmt.Fprintf(comment, " Status %s was found.", pytext.Str(s))
				good()
			}
		}
		if result != true {
			fmt.Fprintf(comment, " Statuses %s were not found.", pytext.Str(a.Status))
			result = false
		}
	case "pcre":
		found, err := searches(a.Status, status)
		if err != nil {
			return nil, module.Failf("status: %w", err)
		}
		fmt.Fprintf(comment, " Status pattern \"%s\" was %s.", pytext.Str(a.Status), foundText(found))
		if found {
			good()
		} else {
			result = false
		}
	case "string":
		found := pytext.Str(a.Status) == status
		fmt.Fprintf(comment, " Status %s was %s.", pytext.Str(a.Status), foundText(found))
		if found {
			good()
		} else {
			result = false
		}
	}
	return result, nil
}

// searches is Python's re.search.
func searches(pattern any, text string) (bool, error) {
	re, err := pyre.Compile(pytext.Str(pattern), "")
	if err != nil {
		return false, err
	}
	m, err := re.Search(text)
	return m != nil, err
}

// httpWaitForSuccessfulQuery is http.query, again and again until it succeeds or wait_for
// seconds (300) have passed.
func httpWaitForSuccessfulQuery(ctx context.Context, c *states.Call, a httpArgs) (*states.Plan, error) {
	wait, err := seconds(a.WaitFor, 300)
	if err != nil {
		return nil, module.Invalidf("wait_for: %w", err)
	}
	interval, err := seconds(get(a.Kwargs, "request_interval"), 1)
	if err != nil {
		return nil, module.Invalidf("request_interval: %w", err)
	}
	a.WaitFor = nil
	if c.Test || a.Match == nil && a.Status == nil {
		return httpQuery(ctx, c, a)
	}
	p := &states.Plan{}
	p.Do(nil, func(ctx context.Context, r *states.Result) error {
		end := time.Now().Add(wait)
		for {
			q, err := a.ask(ctx, c)
			if err == nil {
				*r = *q.Decision()
				if r.Result == true {
					return nil
				}
			}
			if !time.Now().Before(end) {
				return err
			}
			t := time.NewTimer(interval)
			select {
			case <-ctx.Done():
				t.Stop()
				return context.Cause(ctx)
			case <-t.C:
			}
		}
	})
	return p, nil
}

// seconds reads a number of seconds, and takes another for none.
func seconds(v any, otherwise float64) (time.Duration, error) {
	switch n := v.(type) {
	case nil:
	case int64:
		otherwise = float64(n)
	case float64:
		otherwise = n
	default:
		return 0, fmt.Errorf("a number of seconds is expected, not %s", pytext.Repr(v))
	}
	return time.Duration(otherwise * float64(time.Second)), nil
}
