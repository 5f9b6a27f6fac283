package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// sshState measures a state run over SSH, with nothing to change.
func (b *bench) sshState(f *sshFleet) error {
	roster, err := f.roster(sshStateHosts)
	if err != nil {
		return err
	}
	apply := func(t tools, dir, roster string, job ...string) func(ctx context.Context) (*exec.Cmd, error) {
		return func(ctx context.Context) (*exec.Cmd, error) {
			return t.command(ctx, "salt-ssh", append([]string{"-c", filepath.Join(f.dir, dir), "-i", "--roster-file", roster, "--max-procs", "50", "*"}, job...)...), nil
		}
	}
	good := fmt.Sprintf("Succeeded: %d", sshStates)
	fig := Figure{What: fmt.Sprintf("state.apply of %d file.managed on %d hosts over SSH, nothing to change, median", sshStates, sshStateHosts), Unit: "ms"}
	wall, cpu, err := b.sshMedian(5, good, sshStateHosts, apply(b, "ours", roster, "state.apply", "many"))
	if err != nil {
		return err
	}
	fig.Value, fig.Notes = wall, fmt.Sprintf("%.0f ms of processor", cpu)
	beside := func(name string, wall, cpu float64, err error) {
		if err != nil {
			fig.Notes += fmt.Sprintf("; %s: %v", name, err)
			return
		}
		fig.Notes += fmt.Sprintf("; %s %.0f ms, %.0f of processor", name, wall, cpu)
		if fig.Goal == 0 || wall < fig.Goal {
			fig.Goal = wall
		}
	}
	// One run of each of the others takes minutes: what they would make is there already.
	if path, err := exec.LookPath("ansible-playbook"); err != nil {
		beside("ansible", 0, 0, errors.New("not installed"))
	} else {
		name, err := f.playbook()
		inv, err2 := f.inventory(sshStateHosts)
		if err := errors.Join(err, err2, f.made("ansible")); err != nil {
			return err
		}
		// changed=0 is also said of a host that failed on the way.
		wall, cpu, err := b.sshMedian(0, fmt.Sprintf("ok=%-4d changed=0", sshStates), sshStateHosts, func(ctx context.Context) (*exec.Cmd, error) {
			return exec.CommandContext(ctx, path, "-i", inv, "-f", "50", name), nil
		})
		beside("ansible", wall, cpu, err)
	}
	if b.peer == nil {
		beside("salt-ssh", 0, 0, errors.New("SALT_TREES names no source tree"))
	} else {
		// All hosts are this machine: those of salt-ssh would write over one another's files
		// in a directory that they share.
		roster, err := f.list("roster.thin", sshStateHosts, func(i int) string {
			return fmt.Sprintf("h%d: {host: %s, port: %d, user: %s, priv: %s, thin_dir: %s}", i, f.host(i), f.port, f.user, f.key, filepath.Join(f.dir, fmt.Sprint("thin", i)))
		})
		if err := errors.Join(err, f.made("salt/out")); err != nil {
			return err
		}
		_, _, err = b.sshMedian(0, "True", sshStateHosts, apply(b.peer, "salt", roster, "test.ping")) // it is brought there
		var wall, cpu float64
		if err == nil {
			wall, cpu, err = b.sshMedian(0, good, sshStateHosts, apply(b.peer, "salt", roster, "state.apply", "many"))
		}
		beside("salt-ssh", wall, cpu, err)
		if err == nil {
			fig.Peer = &wall
		}
	}
	b.add(fig)
	return nil
}

// made writes the files that the states would make.
func (f *sshFleet) made(dir string) error {
	for h := range sshStateHosts {
		out := filepath.Join(f.dir, dir, fmt.Sprintf("h%d", h))
		if err := os.MkdirAll(out, 0o755); err != nil {
			return err
		}
		for i := range sshStates {
			text := fmt.Sprintf("file number %d", i)
			if strings.HasPrefix(dir, "salt") {
				text += "\n" // as Salt writes contents
			}
			if err := os.WriteFile(filepath.Join(out, fmt.Sprintf("f%d", i)), []byte(text), 0o644); err != nil {
				return err
			}
		}
	}
	return nil
}

// playbook writes the same states for Ansible.
func (f *sshFleet) playbook() (string, error) {
	var play strings.Builder
	play.WriteString("- hosts: all\n  gather_facts: false\n  tasks:\n")
	for i := range sshStates {
		fmt.Fprintf(&play, "    - copy: {dest: '%s/ansible/{{ inventory_hostname }}/f%d', content: 'file number %d', mode: '0644'}\n", f.dir, i, i)
	}
	return f.write("many.yml", play.String())
}
