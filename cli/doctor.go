package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/gosalt/gosalt/cli/output"
	"github.com/gosalt/gosalt/cli/term"
	"github.com/gosalt/gosalt/internal/config"
	"github.com/gosalt/gosalt/internal/doctor"
	"github.com/gosalt/gosalt/internal/nodeset"
	"github.com/gosalt/gosalt/protocol/control"
	"github.com/gosalt/gosalt/protocol/wire"
)

// runDoctor looks for what keeps this master and its minions from working together:
// the command "gosalt-run doctor [TARGET]". It looks at this machine first, which it
// can while the master is down, and then asks the master.
func runDoctor(io IO, o *RunnerOptions) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	here := &doctor.Report{Where: "here"}
	cfg, problems, err := config.LoadMaster(o.ConfigDir)
	examineConfig(here, filepath.Join(o.ConfigDir, "master"), problems, err)
	findings := here.Findings
	raw := wire.NewMap()
	if cfg != nil {
		raw = cfg.Raw
		d := &localDoctor{Report: here, cfg: cfg, ctx: ctx}
		more := d.examine(&masterSession{io: io, opts: &o.CommonOptions, cfg: cfg, strict: o.Strict}, o)
		findings = append(here.Findings, more...)
	}
	if ctx.Err() != nil {
		fmt.Fprintln(io.Err, "\nExiting gracefully on Ctrl-c")
		return Interrupted.Code(o.Strict)
	}
	settings := o.Out.Settings(io, raw)
	if !o.Quiet {
		if err := showFindings(io, findings, settings); err != nil {
			return io.Fail(err)
		}
	}
	for _, f := range findings {
		if f.Level == doctor.Wrong {
			return Unhealthy.Code(o.Strict)
		}
	}
	return OK.Code(o.Strict)
}

// examineConfig says what reading the master's configuration found.
func examineConfig(r *doctor.Report, file string, problems []config.Problem, err error) {
	bad := false
	for _, p := range problems {
		if p.Severity == config.Error {
			bad = true
			r.Wrong("configuration", "mend it in that file", "%s", p)
		} else {
			r.Warn("configuration", "", "%s", p)
		}
	}
	if err != nil && !bad {
		r.Wrong("configuration", "see: ls -l "+file, "%v.", err)
		return
	}
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		r.Warn("configuration", "name another directory with -c, if that is not meant", "there is no %s: the defaults are in use.", file)
	} else if !bad {
		r.OK("configuration", "%s can be read.", file)
	}
}

// localDoctor looks at the machine that the command runs on.
type localDoctor struct {
	*doctor.Report
	cfg *config.Master
	ctx context.Context
}

// examine looks at everything, and asks the master where there is one.
func (d *localDoctor) examine(s *masterSession, o *RunnerOptions) []doctor.Finding {
	d.files()
	d.Disk(d.cfg.CacheDir, d.cfg.PKIDir, filepath.Dir(d.cfg.LogFile))
	d.Clock()
	if name, err := os.Hostname(); err == nil {
		ctx, cancel := context.WithTimeout(d.ctx, 5*time.Second)
		if _, err := net.DefaultResolver.LookupHost(ctx, name); err != nil {
			d.Warn("dns", "add it to /etc/hosts", "this machine's own name %s does not resolve.", name)
		}
		cancel()
	}
	up := d.process(s)
	d.ports(up)
	if !up {
		return nil
	}
	args := []any{}
	if len(o.Args) > 0 {
		args = o.Args
	}
	req := wire.NewMap("op", control.OpRunner, "fun", "doctor.check", "arg", args)
	if o.Explicit("timeout") {
		req.Set("timeout", int64(o.Timeout))
	}
	var found []doctor.Finding
	err := s.ask(d.ctx, req, func(f *wire.Map) error {
		if f.Text("kind") != control.KindResult {
			return nil
		}
		if why := f.Text("error"); why != "" {
			d.Wrong("master", "", "the master cannot say how it is: %s", why)
		}
		for _, v := range f.List("return") {
			if m, ok := v.(*wire.Map); ok {
				found = append(found, doctor.FromMap(m))
			}
		}
		return nil
	})
	var e *wire.Error
	switch {
	case err == nil || d.ctx.Err() != nil:
	case errors.As(err, &e) && e.Kind == wire.Forbidden:
		d.Warn("master", "run this as root or as the master's user", "the master does not tell this user how it is.")
	default:
		d.Wrong("master", "see its log: "+d.cfg.LogFile, "the master does not say how it is: %v.", err)
	}
	return found
}

// process looks whether a master answers on the control socket.
func (d *localDoctor) process(s *masterSession) bool {
	ctx, cancel := context.WithTimeout(d.ctx, 10*time.Second)
	defer cancel()
	err := s.ask(ctx, wire.NewMap("op", control.OpPing), func(*wire.Map) error { return nil })
	start := "start it: gosalt-master -d -c " + filepath.Dir(d.cfg.ConfFile)
	switch {
	case err == nil:
		d.OK("master", "it answers on %s.", d.cfg.ControlSocket)
		return true
	case errors.Is(err, fs.ErrPermission):
		d.Warn("master", "run this as root or as the master's user", "this user may not open %s, so the master cannot be asked.", d.cfg.ControlSocket)
	case control.NotRunning(err):
		d.Wrong("master", start, "no master is running: nothing listens on %s.", d.cfg.ControlSocket)
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		d.Wrong("master", "see its log: "+d.cfg.LogFile+"; and whether it is stopped: ps -o stat,args -C gosalt-master", "it does not answer within 10 s on %s.", d.cfg.ControlSocket)
	default:
		d.Wrong("master", start, "it cannot be reached: %v.", err)
	}
	return false
}

// ports looks whether the master's ports are open, or, while it is down, free.
func (d *localDoctor) ports(up bool) {
	host := strings.Trim(d.cfg.Interface, "[]")
	if host == "" || host == "0.0.0.0" {
		host = "127.0.0.1"
	} else if host == "::" {
		host = "::1"
	}
	for _, p := range []struct {
		port   int
		option string
	}{{d.cfg.PublishPort, "publish_port"}, {d.cfg.RetPort, "ret_port"}} {
		addr := net.JoinHostPort(host, strconv.Itoa(p.port))
		owner := doctor.PortOwner(p.port)
		if !up {
			l, err := net.Listen("tcp", net.JoinHostPort(strings.Trim(d.cfg.Interface, "[]"), strconv.Itoa(p.port)))
			switch {
			case err == nil:
				_ = l.Close()
				d.OK("ports", "%s is free for the master (%s).", addr, p.option)
			case errors.Is(err, syscall.EADDRINUSE):
				if owner == "" {
					owner = "another program"
				}
				d.Wrong("ports", "end it, or set another "+p.option+" on master and minions", "%s listens on port %d, which is the master's %s.", owner, p.port, p.option)
			default:
				d.Wrong("ports", "see the option interface: it has to be an address of this machine", "port %d (%s) cannot be opened: %v.", p.port, p.option, err)
			}
			continue
		}
		dial := net.Dialer{Timeout: 5 * time.Second}
		c, err := dial.DialContext(d.ctx, "tcp", addr)
		if err != nil {
			d.Wrong("ports", "look for rules of a firewall: nft list ruleset", "%s (%s) does not answer: %v.", addr, p.option, err)
			continue
		}
		_ = c.Close()
		d.OK("ports", "%s (%s) answers.", addr, p.option)
	}
}

// files looks at the directories and keys of the master.
func (d *localDoctor) files() {
	for _, f := range []struct{ option, dir string }{
		{"pki_dir", d.cfg.PKIDir}, {"cachedir", d.cfg.CacheDir}, {"sock_dir", d.cfg.SockDir},
	} {
		st, err := os.Stat(f.dir)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			d.Warn("files", "start the master once: it makes it", "%s (%s) is not there yet.", f.dir, f.option)
		case err != nil:
			d.Warn("files", "run this as root or as the master's user", "%s (%s) cannot be looked at: %v.", f.dir, f.option, err)
		case !st.IsDir():
			d.Wrong("files", "move it away", "%s (%s) is no directory.", f.dir, f.option)
		case f.option == "pki_dir" && st.Mode().Perm()&0o022 != 0:
			d.Wrong("files", "chmod go-w "+f.dir, "others than its owner may write to %s (%s): they can put keys there.", f.dir, f.option)
		}
	}
	key := filepath.Join(d.cfg.PKIDir, "master.pem")
	st, err := os.Stat(key)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		d.Warn("files", "run this as root or as the master's user", "%s cannot be looked at: %v.", key, err)
	case st.Mode().Perm()&0o077 != 0:
		d.Wrong("files", "chmod 400 "+key+"; who read it can play this master: consider a new key", "others than its owner may read the private key %s.", key)
	default:
		d.OK("files", "the private key %s is its owner's alone.", key)
	}
}

// showFindings writes the findings as the options ask: a table for people.
func showFindings(io IO, findings []doctor.Finding, o output.Options) error {
	if o.Out != "" {
		return output.Display(io.Out, (&doctor.Report{Findings: findings}).ToList(), "", o)
	}
	color := func(code, s string) string {
		if !o.Color {
			return s
		}
		return "\x1b[0;" + code + "m" + s + "\x1b[0m"
	}
	findings = foldFindings(findings)
	where, check := len("where"), len("check")
	for _, f := range findings {
		where, check = max(where, len(f.Where)), max(check, len(f.Check))
	}
	where = min(where, 40)
	width := max(term.Width(io.Out)-where-check-12, 40)
	if !term.Is(io.Out) {
		width = 1 << 20
	}
	var b strings.Builder
	wrong, warnings := 0, 0
	for _, f := range findings {
		code := "32"
		switch f.Level {
		case doctor.Wrong:
			code = "1;31"
			wrong++
		case doctor.Warning:
			code = "33"
			warnings++
		}
		lines := wrapWords(f.Text, width)
		if f.Next != "" {
			lines = append(lines, wrapWords("-> "+f.Next, width)...)
		}
		for i, line := range lines {
			if i == 0 {
				fmt.Fprintf(&b, "%-*s  %-*s  %s %s\n", where, f.Where, check, f.Check, color(code, fmt.Sprintf("%-7s", f.Level)), line)
			} else {
				fmt.Fprintf(&b, "%-*s  %s\n", where+check+9, "", line)
			}
		}
	}
	switch {
	case wrong > 0:
		fmt.Fprintf(&b, "%s, %s.\n", color("1;31", count(wrong, "thing is", "things are")+" wrong"), count(warnings, "warning", "warnings"))
	case warnings > 0:
		fmt.Fprintf(&b, "Nothing is wrong, %s.\n", count(warnings, "warning", "warnings"))
	default:
		b.WriteString("Nothing is wrong.\n")
	}
	if o.File != "" {
		return os.WriteFile(o.File, []byte(b.String()), 0o666)
	}
	_, err := fmt.Fprint(io.Out, b.String())
	return err
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + many
}

// foldFindings joins what was found alike at many places, as web[01-20].
func foldFindings(findings []doctor.Finding) []doctor.Finding {
	at := map[doctor.Finding]int{}
	var out []doctor.Finding
	var ids [][]string
	for _, f := range findings {
		key := f
		key.Where = ""
		if f.Where == "here" || f.Where == "master" {
			key = f
		}
		i, ok := at[key]
		if !ok {
			i = len(out)
			at[key] = i
			out, ids = append(out, f), append(ids, nil)
		}
		ids[i] = append(ids[i], f.Where)
	}
	for i := range out {
		out[i].Where = nodeset.Fold(ids[i])
	}
	return out
}

// wrapWords breaks a text at spaces.
func wrapWords(s string, width int) []string {
	var lines []string
	line := ""
	for _, w := range strings.Fields(s) {
		if line != "" && len(line)+1+len(w) > width {
			lines = append(lines, line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += w
	}
	return append(lines, line)
}
