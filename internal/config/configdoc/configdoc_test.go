package configdoc

import (
	"strings"
	"testing"

	"github.com/gosalt/gosalt/internal/config"
)

// TestComplete holds the page to the options that a configuration has.
func TestComplete(t *testing.T) {
	seen := map[string]bool{}
	for _, read := range []func() ([]Option, error){Common, Master, Minion} {
		list, err := read()
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range list {
			seen[o.Name] = true
			if o.Doc == o.Name || o.Type == "" || o.Default == "" {
				t.Errorf("%+v", o)
			}
		}
	}
	if len(seen) < 200 {
		t.Errorf("%d options", len(seen))
	}
	for _, name := range []string{"master", "publish_port", "keep_jobs_seconds", "job_expiry", "file_roots", "root_dir"} {
		if !seen[name] {
			t.Errorf("%s is not there", name)
		}
	}
	if config.DefaultMaster().JobExpiry == 0 {
		t.Error("job_expiry has no default")
	}
}

func TestMarkdown(t *testing.T) {
	page, err := Markdown()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"\n## Master\n",
		"\n**job_expiry**: time in seconds, or text such as \"30s\". gosalt's own. Default: `5m` (a reboot is covered, yesterday's command is not run today).\nis how long a minion that was away may still take a job, in seconds.\n",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
}
