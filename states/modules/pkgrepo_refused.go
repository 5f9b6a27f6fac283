package modules

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/gosalt/gosalt/internal/debian"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/protocol/wire"
	"github.com/gosalt/gosalt/states"
)

// refusedRepo is why pkg.mod_repo is to refuse a source, "" where nothing is known against
// it: what a plan can tell before anything is written. The words are those of mod_repo
// (pkg_apt_repo and pkg_yum_repo of minion/modules), to which a run leaves it.
func refusedRepo(ctx context.Context, c *states.Call, repo string, kw *wire.Map, there, aptkey bool) string {
	switch c.Grains().Text("os_family") {
	case "Debian":
		return refusedApt(ctx, c, repo, kw, aptkey)
	case "RedHat":
		return refusedYum(repo, kw, there)
	}
	return ""
}

func refusedApt(ctx context.Context, c *states.Call, repo string, kw *wire.Map, aptkey bool) string {
	if strings.HasPrefix(repo, "ppa:") {
		if !slices.Contains([]string{"Ubuntu", "Mint", "neon"}, c.Grains().Text("os")) {
			return `cannot parse "ppa:" style repo definitions: ` + repo
		}
		return ""
	}
	if aptkey {
		program, err := text(ctx, c, "cmd.which", "apt-key")
		aptkey = err != nil || program != ""
	}
	want := debian.ParseSource(repo, "")
	keyid := get(kw, "keyid")
	switch {
	case want.Invalid:
		return fmt.Sprintf("Name %s is not valid. This must be the complete repo entry as seen in the sources file", repo)
	case !aptkey && want.SignedBy == "":
		return "missing 'signedby' option when apt-key is missing"
	case keyid != nil && (!module.Truth(keyid) || kw.Text("keyserver") == ""):
		return "both keyserver and keyid options required."
	}
	return ""
}

func refusedYum(repo string, kw *wire.Map, there bool) string {
	given := func(key string) bool { return module.Truth(get(kw, key)) }
	switch {
	case kw.Has("mirrorlist") && kw.Has("baseurl"):
		return "Only one of 'mirrorlist' and 'baseurl' can be specified"
	case !given("name"):
		return "The repo name cannot be deleted"
	case there || strings.HasPrefix(repo, "copr:"):
		return ""
	case !given("baseurl") && !given("mirrorlist"):
		return "The repo does not exist and needs to be created, but either a baseurl or a mirrorlist needs to be given"
	}
	return ""
}
