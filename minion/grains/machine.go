package grains

import (
	"context"
	"log/slog"
	"net"
	"os"
	"strings"
	"time"
)

// Machine is what the system answers rather than what its files say: a test hands
// in one that was recorded.
type Machine struct {
	Kernel, Nodename, Release, Version, Arch string // uname(2): "Linux", "web1", "6.1.0-25-amd64", "#1 SMP …", "x86_64"

	Hostname   string
	Env        map[string]string
	Cwd        string
	Executable string
	Zone       string // abbreviated name of the time zone: "CET"
	Pid        int
	UID, GID   int
	Links      []Link
	Resolver   Resolver // nil asks no name server

	// Hypervisor is the signature that the processor shows of who runs it, "" where
	// there is none: "KVMKVMKVM" (CPUID, leaf 0x40000000).
	Hypervisor string
	// Extra are grains that only this kind of system knows, read with no more than a
	// question to it; nil where files tell.
	Extra func(set func(name string, v any))
}

// Link is a network interface, in the order of its number.
type Link struct {
	Name      string
	HWAddr    string // as the system writes it, "" for links without one
	IPv4      []string
	IPv6      []string
	Secondary []string // further IPv4 addresses of a net the link is in already
}

// Resolver asks name servers; *net.Resolver is one.
type Resolver interface {
	LookupCNAME(ctx context.Context, host string) (string, error)
	LookupAddr(ctx context.Context, addr string) ([]string, error)
	LookupIP(ctx context.Context, network, host string) ([]net.IP, error)
}

// ThisMachine asks the system that this program runs on.
func ThisMachine(log *slog.Logger) *Machine {
	m := &Machine{
		Env: map[string]string{}, Pid: os.Getpid(), UID: os.Getuid(), GID: os.Getgid(), Resolver: net.DefaultResolver,
	}
	for _, e := range os.Environ() {
		if k, v, ok := strings.Cut(e, "="); ok && k != "" {
			m.Env[k] = v
		}
	}
	var err error
	if m.Hostname, err = os.Hostname(); err != nil {
		log.Warn("host name not known", "error", err)
	}
	if m.Cwd, err = os.Getwd(); err != nil {
		log.Debug("working directory not known", "error", err)
	}
	if m.Executable, err = os.Executable(); err != nil {
		log.Debug("own program not known", "error", err)
	}
	m.Zone, _ = time.Now().Zone()
	m.Hypervisor = hypervisor()
	if err := m.ask(); err != nil {
		log.Warn("system not known", "error", err)
	}
	if m.Links, err = links(); err != nil {
		log.Warn("network interfaces not known", "error", err)
	}
	return m
}
