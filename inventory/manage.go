package inventory

import (
	"context"
	"io"

	"github.com/gosalt/gosalt/protocol/wire"
)

// A Spec says what machine to make, as a profile has it. Fields that a provider has no use
// for are errors, not ignored.
type Spec struct {
	Name     string            // its label, and the tag Name where tags are all there is
	Image    string            // AMI, volume or file, image name
	Size     string            // instance type, flavor; libvirt: "2x1024" is CPUs and MiB
	Network  string            // subnet, network, bridge
	Key      string            // name of a key pair, or a public key's text
	UserData []byte            // for cloud-init
	Tags     map[string]string // also marks it as made by us: "gosalt:vm" = profile
	Extra    *wire.Map         // the provider's own: security_groups, disk, …

	// Begin is told of each thing before it is made, in the provider's words, and has
	// written it down when it returns: see Sweep. Its error ends Create. It may be nil.
	Begin func(thing string) error
}

// Begins is Begin, where there is one.
func (s *Spec) Begins(thing string) error {
	if s.Begin == nil {
		return nil
	}
	return s.Begin(thing)
}

// A Leftover is what a Create has begun whose end is not known.
type Leftover struct {
	Ref    string   // the machine's tag TagRecord
	Things []string // what Begin was told; none: what was made has to be found by the tag
	// Fresh says that the call was cut off a moment ago: the last thing may still be on its
	// way, or not be shown yet.
	Fresh bool
	// Refused says that the source has answered, and not made a machine.
	Refused bool
}

// Tags of machines that are made by us.
const (
	TagProfile = "gosalt:vm"        // the profile
	TagRecord  = "gosalt:vm-record" // the reference of the record that the maker has of it
	TagBy      = "gosalt:vm-by"     // the user who had it made
)

// Address is the first address of the machine of these sorts: private, public, dns; "" when
// it has none.
func (m *Machine) Address(order ...string) string { return pickAddress(m, order) }

// Machines is a Provider that can also make and end machines. All wait until the API says
// that it is so, report progress, and end early with ctx. A machine that Create began and
// could not finish is in the Machine returned beside the error, to be destroyed.
type Machines interface {
	Provider
	Create(ctx context.Context, s Spec, progress func(string)) (Machine, error)
	Start(ctx context.Context, id string, progress func(string)) error
	Stop(ctx context.Context, id string, progress func(string)) error
	// Destroy ends a machine and all that Create made for it. One that is gone is no error.
	Destroy(ctx context.Context, id string, progress func(string)) error
	// Get looks at one machine, without listing the others. That there is none is an Error
	// with the Reason NotFound, or a machine whose state is Gone.
	Get(ctx context.Context, id string) (Machine, error)
	// Sweep ends whatever Create has made of what it had begun. It is not sure where the
	// machine may still show up: then it has to be called again, later.
	Sweep(ctx context.Context, l Leftover, progress func(string)) (sure bool, err error)
}

// A Viewer is a Provider that knows where one sees how a machine boots.
type Viewer interface {
	Provider
	// Console is the end of what a machine has written to its console, as far as the API
	// has it, and the command that shows more.
	Console(ctx context.Context, id string) (text, command string, err error)
}

// An Executor is a Provider whose machines run commands through its API, without SSH.
type Executor interface {
	Provider
	// Exec runs a command on a machine with the three streams and returns its exit code;
	// an error is that it could not be run, or that the connection was lost. When ctx ends
	// the command is ended, too, as far as the API can.
	Exec(ctx context.Context, m Machine, argv []string, stdin io.Reader, stdout, stderr io.Writer) (int, error)
}
