package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// sshHosts are how many hosts a command is run on; sshStates how many states on how many.
var sshHosts = []int{1, 10, 50}

const (
	sshStates     = 100
	sshStateHosts = 10
	sshdAddresses = 16 // that one sshd listens on at most
)

// sshFleet are OpenSSH servers on loopback addresses, which are all this machine.
type sshFleet struct {
	dir, key, user string
	port           int
}

func (f *sshFleet) host(i int) string { return fmt.Sprintf("127.0.1.%d", i+1) }

// startFleet starts servers on the addresses of n hosts.
func (b *bench) startFleet(n int) (*sshFleet, error) {
	const sshd = "/usr/sbin/sshd"
	if _, err := os.Stat(sshd); err != nil {
		return nil, fmt.Errorf("no OpenSSH server: %w; apt-get install openssh-server", err)
	}
	f := &sshFleet{dir: filepath.Join(b.dir, "fleet"), user: username()}
	f.key = filepath.Join(f.dir, "id")
	if err := errors.Join(os.MkdirAll(filepath.Join(f.dir, "home"), 0o700), os.MkdirAll("/run/sshd", 0o755)); err != nil {
		return nil, err
	}
	for _, name := range []string{"id", "host"} {
		if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", filepath.Join(f.dir, name)).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("ssh-keygen: %w: %s", err, out)
		}
	}
	var err error
	if f.port, err = freePort(); err != nil {
		return nil, err
	}
	for first := 0; first < n; first += sshdAddresses {
		conf := fmt.Sprintf("Port %d\nHostKey %[2]s/host\nAuthorizedKeysFile %[2]s/id.pub\nStrictModes no\nUsePAM no\nPermitRootLogin yes\nPasswordAuthentication no\nPidFile none\nUseDNS no\nMaxStartups 200:30:400\nSubsystem sftp internal-sftp\nSetEnv HOME=%[2]s/home PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n", f.port, f.dir)
		for i := first; i < min(n, first+sshdAddresses); i++ {
			conf += "ListenAddress " + f.host(i) + "\n"
		}
		name := filepath.Join(f.dir, fmt.Sprintf("sshd_config.%d", first))
		if err := os.WriteFile(name, []byte(conf), 0o600); err != nil {
			return nil, err
		}
		p, err := b.start(exec.Command(sshd, "-D", "-e", "-f", name), name+".log")
		if err != nil {
			return nil, err
		}
		err = b.await(p, name+".log", func() bool {
			c, err := net.DialTimeout("tcp", fmt.Sprintf("%s:%d", f.host(first), f.port), time.Second)
			if err == nil {
				c.Close()
			}
			return err == nil
		})
		if err != nil {
			return nil, err
		}
	}
	return f, nil
}

func (f *sshFleet) write(name, text string) (string, error) {
	name = filepath.Join(f.dir, name)
	return name, os.WriteFile(name, []byte(text), 0o600)
}

// list writes the hosts one a line.
func (f *sshFleet) list(name string, n int, line func(i int) string) (string, error) {
	var text strings.Builder
	for i := range n {
		text.WriteString(line(i) + "\n")
	}
	return f.write(fmt.Sprintf("%s.%d", name, n), text.String())
}

// options are those of the program ssh, for tools that use it.
func (f *sshFleet) options() string {
	return "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR -o BatchMode=yes -i " + f.key
}

// roster is one for gosalt-ssh and salt-ssh.
func (f *sshFleet) roster(n int) (string, error) {
	return f.list("roster", n, func(i int) string {
		return fmt.Sprintf("h%d: {host: %s, port: %d, user: %s, priv: %s}", i, f.host(i), f.port, f.user, f.key)
	})
}

func (f *sshFleet) inventory(n int) (string, error) {
	return f.list("inventory.ini", n, func(i int) string {
		return fmt.Sprintf("h%d ansible_host=%s ansible_port=%d ansible_user=%s ansible_ssh_private_key_file=%s ansible_python_interpreter=/usr/bin/python3 ansible_ssh_common_args='-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR'",
			i, f.host(i), f.port, f.user, f.key)
	})
}

const fabfile = `import sys
from fabric import ThreadingGroup
hosts = [l.strip() for l in open(sys.argv[1])]
g = ThreadingGroup(*hosts, user=sys.argv[2], port=int(sys.argv[3]), connect_kwargs={"key_filename": sys.argv[4], "look_for_keys": False, "allow_agent": False})
for r in g.run("uptime", hide=True).values():
    print(r.stdout, end="")
`

// sshTool is a way to run uptime on n hosts.
type sshTool struct {
	name  string
	tries int
	cmd   func(ctx context.Context, n int) (*exec.Cmd, error)
}

// sshTools are gosalt-ssh and the others that are installed.
func (b *bench) sshTools(f *sshFleet) []sshTool {
	conf := func(t tools, dir string) func(args ...string) func(ctx context.Context, n int) (*exec.Cmd, error) {
		return func(args ...string) func(ctx context.Context, n int) (*exec.Cmd, error) {
			return func(ctx context.Context, n int) (*exec.Cmd, error) {
				roster, err := f.roster(n)
				return t.command(ctx, "salt-ssh", append([]string{"-c", dir, "-i", "--roster-file", roster, "--max-procs", "50", "*"}, args...)...), err
			}
		}
	}
	ours := conf(b, filepath.Join(f.dir, "ours"))
	list := []sshTool{{"gosalt-ssh", 7, ours("cmd.run", "uptime")}, {"gosalt-ssh -r", 7, ours("-r", "uptime")}}
	addresses := func(i int) string { return f.host(i) }
	if exec.Command("/usr/bin/python3", "-c", "import fabric").Run() == nil {
		list = append(list, sshTool{"fabric", 5, func(ctx context.Context, n int) (*exec.Cmd, error) {
			hosts, err := f.list("hosts", n, addresses)
			script, err2 := f.write("fabfile.py", fabfile)
			return exec.CommandContext(ctx, "/usr/bin/python3", script, hosts, f.user, fmt.Sprint(f.port), f.key), errors.Join(err, err2)
		}})
	}
	if path, err := exec.LookPath("clush"); err == nil {
		list = append(list, sshTool{"clush", 5, func(ctx context.Context, n int) (*exec.Cmd, error) {
			hosts := make([]string, n)
			for i := range hosts {
				hosts[i] = f.host(i)
			}
			return exec.CommandContext(ctx, path, "-q", "-S", "-f", "50", "-l", f.user, "-o", fmt.Sprintf("%s -p %d", f.options(), f.port), "-w", strings.Join(hosts, ","), "uptime"), nil
		}})
	}
	if path, err := exec.LookPath("parallel-ssh"); err == nil {
		list = append(list, sshTool{"parallel-ssh", 5, func(ctx context.Context, n int) (*exec.Cmd, error) {
			hosts, err := f.list("pssh", n, func(i int) string { return fmt.Sprintf("%s:%d", f.host(i), f.port) })
			return exec.CommandContext(ctx, path, "-h", hosts, "-l", f.user, "-p", "50", "-t", "60", "-i", "-x", f.options(), "uptime"), err
		}})
	}
	if path, err := exec.LookPath("ansible"); err == nil {
		list = append(list, sshTool{"ansible", 3, func(ctx context.Context, n int) (*exec.Cmd, error) {
			inv, err := f.inventory(n)
			return exec.CommandContext(ctx, path, "all", "-i", inv, "-f", "50", "-m", "command", "-a", "uptime"), err
		}})
	}
	if b.peer != nil {
		list = append(list, sshTool{"salt-ssh", 1, conf(b.peer, filepath.Join(f.dir, "salt"))("cmd.run", "uptime")})
	}
	return list
}

// sshConf writes the configuration of gosalt-ssh or salt-ssh, with states.
func (f *sshFleet) sshConf(name string) (string, error) {
	dir := filepath.Join(f.dir, name)
	var sls strings.Builder
	for i := range sshStates {
		fmt.Fprintf(&sls, "%s/{{ grains['id'] }}/f%d:\n  file.managed:\n    - contents: file number %d\n    - makedirs: True\n    - mode: '0644'\n", filepath.Join(dir, "out"), i, i)
	}
	err := os.MkdirAll(filepath.Join(dir, "srv"), 0o700)
	return dir, errors.Join(err, os.WriteFile(filepath.Join(dir, "master"), []byte(fmt.Sprintf("root_dir: %s\nuser: %s\nfile_roots: {base: [%s/srv]}\n", dir, f.user, dir)), 0o600),
		os.WriteFile(filepath.Join(dir, "srv", "many.sls"), []byte(sls.String()), 0o600))
}

// timed runs a command that has to print a text so many times, and returns wall and
// processor time, of it and its children, in ms.
func (b *bench) timed(cmd *exec.Cmd, text string, times int) (wall, cpu float64, err error) {
	cmd.Env = append(cmd.Environ(), "ANSIBLE_HOST_KEY_CHECKING=0", "ANSIBLE_LOCALHOST_WARNING=0", "ANSIBLE_NOCOLOR=1")
	var errs bytes.Buffer
	cmd.Stderr = &errs
	began := time.Now()
	out, err := cmd.Output()
	wall = float64(time.Since(began).Microseconds()) / 1000
	if n := bytes.Count(out, []byte(text)); n != times {
		return 0, 0, fmt.Errorf("%d of %d answered (%v): %.200s", n, times, err, bytes.TrimSpace(errs.Bytes()))
	}
	u := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	return wall, float64(u.Utime.Sec+u.Stime.Sec)*1000 + float64(u.Utime.Usec+u.Stime.Usec)/1000, nil
}

// sshMedian runs something once to warm it up and then several times; once in all where
// tries is 0.
func (b *bench) sshMedian(tries int, text string, times int, make func(ctx context.Context) (*exec.Cmd, error)) (wall, cpu float64, err error) {
	var walls, cpus []float64
	for i := range tries + 1 {
		ctx, cancel := context.WithTimeout(b.ctx, 20*time.Minute)
		cmd, err := make(ctx)
		var w, c float64
		if err == nil {
			w, c, err = b.timed(cmd, text, times)
		}
		cancel()
		if err != nil {
			return 0, 0, err
		}
		if i > 0 || tries == 0 {
			walls, cpus = append(walls, w), append(cpus, c)
		}
	}
	slices.Sort(walls)
	slices.Sort(cpus)
	return walls[len(walls)/2], cpus[len(cpus)/2], nil
}

// ssh measures commands and states over SSH, beside other tools that do that.
func (b *bench) ssh() error {
	f, err := b.startFleet(slices.Max(sshHosts))
	if err != nil {
		return err
	}
	for _, name := range []string{"ours", "salt"} {
		if _, err := f.sshConf(name); err != nil {
			return err
		}
	}
	for _, n := range sshHosts {
		var fig Figure
		fastest := 0.0
		for i, t := range b.sshTools(f) {
			wall, cpu, err := b.sshMedian(t.tries, "load average", n, func(ctx context.Context) (*exec.Cmd, error) { return t.cmd(ctx, n) })
			switch {
			case err != nil && i == 0:
				return err
			case err != nil:
				fig.Notes += fmt.Sprintf("; %s: %v", t.name, err)
				continue
			case i == 0:
				fig = Figure{What: fmt.Sprintf("uptime on %d hosts over SSH, gosalt-ssh cmd.run, warm, median", n), Value: wall, Unit: "ms", Notes: fmt.Sprintf("%.0f ms of processor", cpu)}
				continue
			case t.name == "salt-ssh":
				fig.Peer = &wall
			}
			fig.Notes += fmt.Sprintf("; %s %.0f ms, %.0f of processor", t.name, wall, cpu)
			if !strings.HasPrefix(t.name, "gosalt") && (fastest == 0 || wall < fastest) {
				fastest = wall
			}
		}
		fig.Goal = fastest
		b.add(fig)
	}
	return b.sshState(f)
}
