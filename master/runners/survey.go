package runners

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pydiff"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

func registerSurvey(r *module.Registry) {
	module.Register(r, "survey.hash", surveyHash)
	module.Register(r, "survey.diff", surveyDiff)
}

type surveyArgs struct {
	Tgt        string    // Which minions.
	Fun        string    // The function.
	Args       []any     `arg:"*"`                              // Its arguments.
	SurveySort string    `arg:"survey_sort,kw" default:"down"`  // Which pool comes first: the largest (down) or the smallest (up).
	TgtType    string    `arg:"tgt_type,kw" default:"compound"` // How tgt is to be read: compound or pcre.
	Kwargs     *wire.Map `arg:"**"`                             // Keywords of the function.
}

// surveyHash runs a function on minions and sorts them into pools by what they return.
//
//	gosalt-run survey.hash '*' cmd.run 'cat /etc/hosts'
//	gosalt-run survey.hash '*' test.version survey_sort=up
func surveyHash(ctx context.Context, c *module.Call, a surveyArgs) ([]any, error) {
	return survey(ctx, c, a)
}

// surveyDiff does what survey.hash does, and shows how each pool's result differs from
// that of the first.
//
//	gosalt-run survey.diff survey_sort=up '*' cmd.run 'cat /etc/hosts'
func surveyDiff(ctx context.Context, c *module.Call, a surveyArgs) ([]any, error) {
	pools, err := survey(ctx, c, a)
	if err != nil || len(pools) == 0 {
		return pools, err
	}
	first := pools[0].(*wire.Map)
	for i, p := range pools {
		pool := p.(*wire.Map)
		members := pool.List("pool")
		c.Progress(fmt.Sprintf("minion pool :\n------------\n%s\npool size :\n----------\n    %d", pytext.Str(members), len(members)))
		if i == 0 {
			c.Progress("pool result :\n------------\n    " + pool.Text("result") + "\n")
			continue
		}
		head := fmt.Sprintf("differences from \"%s\" results :", first.List("pool")[0])
		c.Progress(head + "\n" + strings.Repeat("-", len(head)-1))
		c.Progress(pydiff.Unified(linesOf(first), linesOf(pool), first.List("pool")[0].(string), members[0].(string), 0) + "\n")
	}
	return pools, nil
}

// linesOf are the lines of a pool's result, each with a line end.
func linesOf(pool *wire.Map) []string {
	lines := pytext.SplitLines(pool.Text("result"), false)
	for i := range lines {
		lines[i] += "\n"
	}
	return lines
}

func survey(ctx context.Context, c *module.Call, a surveyArgs) ([]any, error) {
	kind := a.TgtType
	if kind != "pcre" {
		kind = "compound"
	}
	args := slices.Clone(a.Args)
	if kw := withoutPub(a.Kwargs); kw.Len() > 0 {
		kw.Set("__kwarg__", true)
		args = append(args, kw)
	}
	ans, err := callOf(ctx).ask(ctx, Ask{Fun: a.Fun, Args: args, Target: a.Tgt, Type: kind})
	if err != nil {
		return nil, err
	}
	if len(ans.Asked) == 0 {
		c.Progress(noMatch)
	}
	byHash := map[[32]byte]*wire.Map{}
	pools := []*wire.Map{}
	ids := slices.Clone(ans.Asked)
	slices.Sort(ids)
	for _, id := range ids {
		load := ans.Returns[id]
		if load == nil {
			continue
		}
		v, _ := load.Get("return")
		text := pytext.Str(v)
		sum := sha256.Sum256([]byte(text))
		if byHash[sum] == nil {
			byHash[sum] = wire.NewMap("pool", []any{}, "result", text)
			pools = append(pools, byHash[sum])
		}
		byHash[sum].Set("pool", append(byHash[sum].List("pool"), string(id)))
	}
	slices.SortStableFunc(pools, func(x, y *wire.Map) int {
		n := len(x.List("pool")) - len(y.List("pool"))
		if a.SurveySort != "up" {
			n = -n
		}
		return n
	})
	out := make([]any, len(pools))
	for i, p := range pools {
		out[i] = p
	}
	return out, nil
}
