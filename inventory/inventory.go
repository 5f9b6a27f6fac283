// Package inventory finds the machines that there are: instances of a cloud, domains of a
// hypervisor, containers, names in DNS, lists that somebody keeps.
//
// A Provider lists the machines of one source. It is a small package of its own (ec2,
// libvirt, …) that knows only the API it speaks; package providers has the table of them.
// Everything that users see is made here, once for all providers: names, the cache, what
// is new and what is gone, targets, rosters.
//
// A new provider is a package with a Kind: its name, its options, and New. It has to pass
// inventorytest.Run, and a line in package providers makes it known.
package inventory

import (
	"context"
	"iter"
	"net"
	"net/netip"
	"time"

	"github.com/gosalt/gosalt/protocol/wire"
)

// A State is what a machine is doing.
type State string

// The states. A provider maps its own words to them and keeps its word in Attrs["state"].
const (
	Running  State = "running"
	Starting State = "starting" // not yet to be reached
	Stopping State = "stopping"
	Stopped  State = "stopped" // also paused, shut off, exited
	Gone     State = "gone"    // ended for good; some APIs show it for a while
	Unknown  State = "unknown" // the source does not say: treated as Running
)

// A Machine is what a provider says of one machine. Only ID has to be there.
type Machine struct {
	ID    string // the provider's own, unique in its source: "i-0123456789", a UUID
	Label string // the name that it has there, often not unique; "" when it has none
	State State  // "" is Unknown

	// Scope is the part of the source that it was found in, as an Error's: a region, a
	// host, a namespace. Machines of a scope that failed are kept from the last time.
	Scope string

	Account string // account, project, tenant
	Region  string
	Zone    string
	Type    string // size, flavor: "t3.micro"
	Image   string
	Private []netip.Addr
	Public  []netip.Addr
	DNS     []string // names that resolve to it, the most useful first
	Created time.Time
	Tags    map[string]string // tags, labels, metadata
	Groups  []string          // security groups, groups of an Ansible inventory, projects

	// Attrs is what else there is to tell, by the provider's own names: plain values that
	// wire can carry.
	Attrs *wire.Map

	// SSH is what the source itself says of how to reach it, as keys of a roster (host,
	// user, port, priv, …). It goes beneath what the user configures.
	SSH *wire.Map

	// Exec names another way than SSH to run commands there, as "docker"; "" is SSH. The
	// provider then is an Executor.
	Exec string
}

// A Provider lists the machines of one source. Its methods may be called at the same time.
type Provider interface {
	// List yields each machine once, as it comes, page by page: it never holds all. An
	// error that is yielded is an *Error; one with a Scope says that this part of the
	// source could not be listed whole, and listing goes on with the others. An error
	// without is of the whole source. The sequence ends early when the caller stops or
	// ctx ends (which is yielded as an error, too).
	List(ctx context.Context) iter.Seq2[Machine, error]
}

// A Closer is a Provider that keeps something open.
type Closer interface{ Close() error }

// Env is what a provider gets besides its options.
type Env struct {
	Source string // the name that the user gave, for errors
	// ConfigDir is where paths that are not absolute begin.
	ConfigDir string
	// DialSSH connects to a socket of another machine through SSH; nil where that cannot be.
	DialSSH DialSSH
}

// An SSHSocket is a Unix socket of a machine that SSH reaches. What is empty is as ssh has it.
type SSHSocket struct {
	Host, User string
	Port       int
	KeyFile    string   // private key
	KnownHosts string   // the file of known hosts
	NoVerify   bool     // the host's key is not looked at
	Paths      []string // of the socket: the first that is there
}

// DialSSH connects to a socket through SSH. Its error is an *Error without source and scope.
type DialSSH func(ctx context.Context, s SSHSocket) (net.Conn, error)

// A Kind is a sort of source, as "ec2".
type Kind struct {
	Name string
	// Doc is one sentence for users: what it finds.
	Doc string
	// Options are what the source may be configured with, besides what all kinds have
	// (see Common).
	Options []Option
	// New makes a provider. It checks its options and does not yet speak to anyone.
	New func(o *Values, env Env) (Provider, error)
}
