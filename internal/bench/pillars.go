package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// pillarMinions is how many minions ask for their pillar at once.
const pillarMinions = 50

// pillarTree writes a pillar tree as sites have them: a top file with thirty targets, a
// file each with Jinja in it, and one that all include. A minion gets 21 files.
func pillarTree(dir string) error {
	var top strings.Builder
	top.WriteString("base:\n")
	for i := range 30 {
		target := "'*'"
		if i%3 == 2 {
			target = fmt.Sprintf("'G@os:Debian and not x%d'", i)
		}
		if i%3 == 1 {
			target = fmt.Sprintf("'no-such-minion-%d'", i)
		}
		if i%3 != 0 || i == 0 {
			fmt.Fprintf(&top, "  %s:\n", target)
		}
		if i == 0 {
			for k := 0; k < 30; k += 3 {
				fmt.Fprintf(&top, "    - app%d\n", k)
			}
			continue
		}
		if i%3 != 0 {
			fmt.Fprintf(&top, "    - app%d\n", i)
		}
	}
	files := map[string]string{"top.sls": top.String(), "common.sls": "common:\n  domain: example.com\n  dns: [192.0.2.1, 192.0.2.2]\n"}
	for i := range 30 {
		files[fmt.Sprintf("app%d.sls", i)] = fmt.Sprintf(`include:
  - common
{%% set name = "app%d" %%}
{{ name }}:
  id: {{ grains['id'] }}
  family: {{ salt['grains.get']('os_family', 'none') }}
  ports:
{%% for p in range(8000, 8040) %%}
    - {{ p + %d }}
{%% endfor %%}
  users:
{%% for u in range(60) %%}
    user{{ u }}:
      uid: {{ 2000 + u }}
      shell: {{ '/bin/bash' if u %% 2 else '/bin/sh' }}
{%% endfor %%}
shared:
  list: [{{ name }}]
  {{ name }}: true
`, i, i)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// pillars has 50 minions, which speak plain Salt, ask for their pillar at once.
func (b *bench) pillars() error {
	measure := func(t tools, name string) (float64, string, error) {
		s, err := b.site("pillars-" + name)
		if err != nil {
			return 0, "", err
		}
		tree := filepath.Join(s.dir, "pillar")
		if err := pillarTree(tree); err != nil {
			return 0, "", err
		}
		conf, err := os.OpenFile(filepath.Join(s.dir, "master"), os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			return 0, "", err
		}
		_, err = fmt.Fprintf(conf, "pillar_roots: {base: [%s]}\n", tree)
		conf.Close()
		if err != nil {
			return 0, "", err
		}
		if err := b.seed(s, pillarMinions); err != nil {
			return 0, "", err
		}
		m, err := b.master(t, s)
		if err != nil {
			return 0, "", err
		}
		sw, err := b.swarm(s, pillarMinions, "-as", "salt", "-parallel", "16")
		if err != nil {
			return 0, "", err
		}
		if _, err := b.connected(sw, pillarMinions, 5*time.Minute); err != nil {
			return 0, "", err
		}
		best, own := 0.0, 0.0
		for range b.repeats {
			ctx, cancel := context.WithTimeout(b.ctx, 5*time.Minute)
			cmd := t.command(ctx, "salt", "-c", s.dir, "-t", "120", "--static", "--out", "json", "*", "saltutil.refresh_pillar")
			m0, began := m.processor(), time.Now()
			out, _ := cmd.Output() // the code says that some did not return, as the count does
			took := time.Since(began).Seconds()
			cancel()
			if n := bytes.Count(out, []byte(": true")); n != pillarMinions {
				return 0, "", fmt.Errorf("%d of %d minions have their pillar: %.300s", n, pillarMinions, out)
			}
			if best == 0 || took < best {
				best, own = took, m.processor()-m0
			}
		}
		return best, fmt.Sprintf("master %.2f s of processor", own), nil
	}
	f := Figure{What: fmt.Sprintf("%d minions compile their pillar at once, 21 files each, least of %d", pillarMinions, b.repeats), Unit: "s"}
	var err error
	if f.Value, f.Notes, err = measure(b, "ours"); err != nil {
		return err
	}
	b.stopAll()
	if b.peer != nil {
		v, notes, err := measure(b.peer, "salt")
		if err != nil {
			f.Notes += "; Salt was not measured: " + err.Error()
		} else {
			f.Peer = &v
			f.Notes += "; Salt: " + notes
		}
		b.stopAll()
	}
	b.add(f)
	return nil
}
