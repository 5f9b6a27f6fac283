package runners

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/version"
	"github.com/gosalt/gosalt/protocol/wire"
)

type manageVersionsArgs struct{}

// manageVersions asks all minions for their version and sorts them by whether it is
// older or newer than the master's. gosalt answers with the version of Salt that it
// stands in for.
//
//	gosalt-run manage.versions
func manageVersions(ctx context.Context, _ *module.Call, _ manageVersionsArgs) (*wire.Map, error) {
	got, err := callOf(ctx).ask(ctx, Ask{Fun: "test.version", Target: "*"})
	if err != nil {
		return nil, err
	}
	groups := map[string]*wire.Map{}
	for _, id := range slices.Sorted(slices.Values(got.Asked)) {
		label, shown := "Minion offline", any(false)
		if load := got.Returns[id]; load != nil && load.Int("retcode") == 0 {
			v := load.Text("return")
			shown = v
			switch c := compareVersions(v, version.Salt); {
			case c < 0:
				label = "Minion requires update"
			case c > 0:
				label = "Minion newer than master"
			default:
				label = "Up to date"
			}
		}
		if groups[label] == nil {
			groups[label] = wire.NewMap()
		}
		groups[label].Set(string(id), shown)
	}
	out := wire.NewMap()
	for _, label := range []string{"Minion offline", "Minion requires update", "Up to date", "Minion newer than master"} {
		if groups[label] != nil {
			out.Set(label, groups[label])
		}
	}
	out.Set("Master", version.Salt)
	return out, nil
}

// compareVersions orders Salt's versions: 3006.9 < 3006.18 < 3007.0rc1 < 3007.0 <
// 3007.0+12.gabcdef.
func compareVersions(a, b string) int {
	x, y := parseVersion(a), parseVersion(b)
	for i := range max(len(x.numbers), len(y.numbers)) {
		if c := cmp.Compare(at(x.numbers, i), at(y.numbers, i)); c != 0 {
			return c
		}
	}
	return cmp.Or(cmp.Compare(x.candidate, y.candidate), cmp.Compare(x.commits, y.commits))
}

func at(l []int, i int) int {
	if i < len(l) {
		return l[i]
	}
	return 0
}

// saltVersion is a version taken apart.
type saltVersion struct {
	numbers   []int
	candidate int // 1 of rc1; a release is above all of its candidates
	commits   int // since that version
}

func parseVersion(s string) (v saltVersion) {
	v.candidate = 1 << 30
	s = strings.TrimPrefix(s, "v")
	s, extra, _ := strings.Cut(s, "+")
	commits, _, _ := strings.Cut(extra, ".")
	v.commits, _ = strconv.Atoi(commits)
	if i := strings.Index(s, "rc"); i >= 0 {
		v.candidate, _ = strconv.Atoi(s[i+2:])
		s = s[:i]
	}
	for _, part := range strings.Split(s, ".") {
		n, err := strconv.Atoi(part)
		if err != nil {
			break
		}
		v.numbers = append(v.numbers, n)
	}
	return v
}
