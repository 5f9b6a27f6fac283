package ssh

import (
	"context"
	"log/slog"
	"time"

	"github.com/gosalt/gosalt/protocol/seal"
	"github.com/gosalt/gosalt/protocol/wire"
)

// AgentForwarding is the value of Host.Priv that names no key: the agent's are used,
// and the agent is there in the sessions, too.
const AgentForwarding = "agent-forwarding"

// Host is everything that a roster says of a machine. The zero value of a field means
// that nothing was said: then the host's ssh_options, the user's ~/.ssh/config and the
// defaults of OpenSSH hold, in this order.
type Host struct {
	ID   string // its name in the roster, and in results
	Host string // name or address to connect to; ID when empty
	Port int
	User string

	Passwd     seal.Secret // for the login
	Priv       string      // path of the private key, or AgentForwarding
	PrivPasswd seal.Secret // passphrase of that key

	Sudo       bool        // run as SudoUser
	SudoUser   string      // root when empty
	SudoPasswd seal.Secret // what sudo asks for; Passwd when empty
	TTY        bool        // ask for a terminal, as a sudo with requiretty wants it

	Timeout time.Duration // for connecting; zero is Options.ConnectTimeout

	MinionOpts *wire.Map // configuration of the agent there
	Grains     *wire.Map // to target by, and given to the agent
	ThinDir    string    // where the agent is put
	CmdUmask   string    // umask of commands there, in octal digits

	PreFlight     string   // a local script that is run there first
	PreFlightArgs []string // its arguments
	SetPath       string   // PATH of commands there

	// SSHOptions are OpenSSH's options, each "Name=value" or "Name value". One that is
	// not supported makes Dial fail.
	SSHOptions         []string
	IdentitiesOnly     bool     // only the key named, though an agent has more
	RemotePortForwards []string // as ssh -R has them: [bind:]port:host:hostport

	// Exec runs commands there in the place of SSH, which then is not used at all: what is
	// above about logins has no meaning. Use Through in the place of Dial.
	Exec Exec

	Attrs  *wire.Map // what an inventory knows besides
	Source string    // where this was said, as "/etc/salt/roster:12"
	Err    error     // what is wrong with the entry; Dial returns it
	Doubt  string    // what looks like a mistake in the entry, as a key that is not known; "" is nothing
}

// Name is what to call the host in messages.
func (h Host) Name() string {
	if h.ID != "" {
		return h.ID
	}
	return h.Host
}

// SudoPassword is what to answer to sudo.
func (h Host) SudoPassword() seal.Secret {
	if !h.SudoPasswd.Empty() {
		return h.SudoPasswd
	}
	return h.Passwd
}

// Policy says what happens with the key of a server that known_hosts does not have.
type Policy int

const (
	Strict    Policy = iota // an unknown key is an error
	AcceptNew               // the key of a host without any is taken, and written down
	Ignore                  // keys are not looked at
)

// PromptKind is what a person is asked for.
type PromptKind int

const (
	AskPassword   PromptKind = iota // the password of a login
	AskPassphrase                   // the passphrase of a private key
	AskChallenge                    // whatever the server asks, as a one-time code
)

// Prompt is a question to a person.
type Prompt struct {
	Kind PromptKind
	Host string // which machine it is for; "" for a key that several use
	User string
	File string // the private key
	Text string // the question
	Echo bool   // the answer may be seen while it is typed
}

// Options hold for all connections of a Dialer. The zero value is good.
type Options struct {
	// KnownHosts are the files with the keys of servers; a new one goes into the first.
	// Nil is ~/.ssh/known_hosts and /etc/ssh/ssh_known_hosts.
	KnownHosts []string
	// HostKeys says what happens with keys that are in none of them.
	HostKeys Policy
	// ConfigFiles are OpenSSH's client configurations. Nil is ~/.ssh/config and
	// /etc/ssh/ssh_config; an empty list is none.
	ConfigFiles []string
	// AgentSocket is where the agent listens; "" is $SSH_AUTH_SOCK, "none" is no agent.
	AgentSocket string
	// Identities are the keys that are tried where none is named. Nil is ~/.ssh/id_*.
	Identities []string
	// Home is the directory that ~ means; "" is the user's.
	Home string
	// AskPass asks a person; nil means that nobody is there. It may be called for several
	// hosts at once, and time does not run out while it is.
	AskPass func(ctx context.Context, p Prompt) (seal.Secret, error)

	ConnectTimeout time.Duration // TCP, version and key exchange; zero is 20s
	AuthTimeout    time.Duration // of the authentication; zero is 30s
	ChannelTimeout time.Duration // for a session to open; zero is 20s
	Keepalive      time.Duration // after this silence the other end is asked; zero is 15s, below zero is never
	KeepaliveMax   int           // so many questions in a row without an answer end the connection; zero is 3

	Log *slog.Logger // nil drops all
}
