package swarm

import (
	"context"
	"fmt"
	"time"

	"github.com/gosalt/gosalt/protocol/wire"
)

// take runs a job of this minion and returns its result. A job that takes time does so
// in a goroutine of its own.
func (m *member) take(ctx context.Context, job *wire.Job) {
	if job.Fun == "saltutil.refresh_pillar" {
		m.jobs.Go(func() {
			if err := m.fetchPillar(ctx); err != nil {
				m.swarm.failed(m.id, fmt.Errorf("pillar: %w", err))
				return // and so without a return
			}
			m.finish(ctx, job)
		})
		return
	}
	d := duration(job)
	if d == 0 {
		m.finish(ctx, job)
		return
	}
	m.mu.Lock()
	if m.running == nil {
		m.running = map[wire.JobID]*wire.Job{}
	}
	m.running[job.JID] = job
	m.mu.Unlock()
	m.jobs.Go(func() {
		if c := m.current(); c.gosalt {
			if _, err := m.ask(ctx, (&wire.Ack{JID: job.JID}).ToMap()); err != nil && ctx.Err() == nil {
				m.swarm.failed(m.id, fmt.Errorf("acknowledge: %w", err))
			}
		}
		err := sleep(ctx, d)
		m.mu.Lock()
		delete(m.running, job.JID)
		m.mu.Unlock()
		if err == nil {
			m.finish(ctx, job)
		}
	})
}

// duration is how long a job takes: test.sleep alone takes any time.
func duration(job *wire.Job) time.Duration {
	if job.Fun != "test.sleep" || len(job.Arg) == 0 {
		return 0
	}
	switch n := job.Arg[0].(type) {
	case int64:
		return time.Duration(n) * time.Second
	case float64:
		return time.Duration(n * float64(time.Second))
	}
	return 0
}

// returnTries is how often a return is sent that cannot be delivered.
const returnTries = 5

// finish returns a job's result to the master, again where that fails.
func (m *member) finish(ctx context.Context, job *wire.Job) {
	ret := m.result(job).ToMap()
	if job.Metadata != nil {
		ret.Set("metadata", job.Metadata)
	}
	for n := 1; ; n++ {
		v, err := m.ask(ctx, ret)
		if s, ok := v.(string); err == nil && ok && s == "" {
			err = fmt.Errorf("return of job %s: the master could not store it", job.JID)
		}
		if err == nil {
			m.swarm.returns.Add(1)
			return
		}
		if ctx.Err() != nil {
			return
		}
		m.swarm.failed(m.id, err)
		if n == returnTries || sleep(ctx, backoff(n, m.swarm.cfg.ReconMin, m.swarm.cfg.ReconMax)) != nil {
			return
		}
	}
}

// result is what the job's functions return.
func (m *member) result(job *wire.Job) *wire.Return {
	r := &wire.Return{JID: job.JID, ID: m.id, Fun: job.Fun, FunArgs: job.Arg, User: job.User}
	if job.Multi == nil {
		r.Return, r.Retcode = m.call(wire.Call{Fun: job.Fun, Args: job.Arg})
		r.Success = r.Retcode == 0
		return r
	}
	values, codes, successes := wire.NewMap(), wire.NewMap(), wire.NewMap()
	r.Multi, r.Return, r.Success, r.Raw = job.Multi, values, true, wire.NewMap("retcode", codes, "success", successes)
	for _, c := range job.Multi {
		v, code := m.call(c)
		values.Set(c.Fun, v)
		codes.Set(c.Fun, code)
		successes.Set(c.Fun, code == 0)
		r.Retcode, r.Success = max(r.Retcode, code), r.Success && code == 0
	}
	return r
}

// notThere is Salt's exit code of a function that a minion does not have.
const notThere = 254

// call is one function's canned result and exit code.
func (m *member) call(c wire.Call) (value any, code int64) {
	arg := func(i int) any {
		if i < len(c.Args) {
			return c.Args[i]
		}
		return nil
	}
	switch c.Fun {
	case "test.ping", "test.sleep", "saltutil.refresh_pillar":
		return true, 0
	case "test.echo":
		return arg(0), 0
	case "cmd.run", "cmd.shell":
		return fmt.Sprintf("%s ran: %v", m.id, arg(0)), 0
	case "grains.items":
		return m.grains(), 0
	case "grains.get", "grains.item":
		v, _ := m.grains().Get(fmt.Sprint(arg(0)))
		if c.Fun == "grains.item" {
			return wire.NewMap(fmt.Sprint(arg(0)), v), 0
		}
		return v, 0
	case "saltutil.find_job":
		m.mu.Lock()
		defer m.mu.Unlock()
		if job := m.running[wire.JobID(fmt.Sprint(arg(0)))]; job != nil {
			return job.ToMap(), 0
		}
		return wire.NewMap(), 0
	case "saltutil.running":
		m.mu.Lock()
		defer m.mu.Unlock()
		list := []any{}
		for _, job := range m.running {
			list = append(list, job.ToMap())
		}
		return list, 0
	}
	return fmt.Sprintf("'%s' is not available.", c.Fun), notThere
}

func (m *member) grains() *wire.Map { return grains(m.id) }

// grains are those of one of the swarm's minions, about as many bytes as real ones.
func grains(id wire.MinionID) *wire.Map {
	g := wire.NewMap("id", string(id), "host", string(id), "nodename", string(id), "localhost", string(id), "fqdn", string(id)+".swarm.test", "domain", "swarm.test",
		"kernel", "Linux", "kernelrelease", "6.1.0-18-amd64", "kernelversion", "#1 SMP PREEMPT_DYNAMIC Debian 6.1.76-1",
		"os", "Debian", "os_family", "Debian", "osfullname", "Debian GNU/Linux", "osrelease", "12", "osmajorrelease", int64(12), "oscodename", "bookworm", "osarch", "amd64", "cpuarch", "x86_64",
		"num_cpus", int64(4), "cpu_model", "Intel(R) Xeon(R) Platinum 8375C CPU @ 2.90GHz", "mem_total", int64(7950), "swap_total", int64(0),
		"virtual", "kvm", "init", "systemd", "ps", "ps -efHww", "path", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"pythonversion", []any{int64(3), int64(11), int64(2), "final", int64(0)}, "saltversion", "3006.18", "shell", "/bin/sh", "swarm", true)
	flags := []any{}
	for _, f := range []string{"fpu", "vme", "de", "pse", "tsc", "msr", "pae", "mce", "cx8", "apic", "sep", "mtrr", "pge", "mca", "cmov", "pat", "pse36", "clflush", "mmx", "fxsr",
		"sse", "sse2", "ss", "ht", "syscall", "nx", "pdpe1gb", "rdtscp", "lm", "constant_tsc", "rep_good", "nopl", "xtopology", "nonstop_tsc", "cpuid", "pni", "pclmulqdq", "ssse3",
		"fma", "cx16", "pcid", "sse4_1", "sse4_2", "x2apic", "movbe", "popcnt", "aes", "xsave", "avx", "f16c", "rdrand", "hypervisor", "lahf_lm", "abm", "3dnowprefetch"} {
		flags = append(flags, f)
	}
	g.Set("cpu_flags", flags)
	g.Set("ip4_interfaces", wire.NewMap("lo", []any{"127.0.0.1"}, "eth0", []any{"192.0.2.17"}))
	g.Set("hwaddr_interfaces", wire.NewMap("lo", "00:00:00:00:00:00", "eth0", "02:00:5e:10:00:11"))
	return g
}
