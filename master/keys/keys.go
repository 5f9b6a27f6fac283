// Package keys is the master's knowledge of who is who: the minions' public keys in
// Salt's directories below pki_dir, the decision of what an authentication request
// is answered, and the master's own key pair.
//
// The directories are the truth: operators, their scripts and Salt's own salt-key
// may change them at any moment, so nothing is believed from memory without a look
// at the file's stat. Start with Decide (decide.go), Salt's table as one function;
// Authenticate (auth.go) gathers its facts and carries out what it decides.
package keys

import (
	"errors"
	"log/slog"
	"time"

	"github.com/gosalt/gosalt/protocol/wire"
)

var (
	// ErrUnknown says that there is no key of that id in that state.
	ErrUnknown = errors.New("no such key")
	// ErrInvalid says that a file holds no public key that may be accepted.
	ErrInvalid = errors.New("invalid public key")
	// ErrCaseTwin says that an id differs only in case from one that is accepted.
	ErrCaseTwin = errors.New("id differs only in case from an accepted one")
)

// State is where a minion's key stands: the name of Salt's directory below pki_dir.
type State string

// The states of a key.
const (
	Accepted State = "minions"
	Pending  State = "minions_pre"
	Rejected State = "minions_rejected"
	Denied   State = "minions_denied" // another key came for an id whose key is known
)

// States lists all states in the order in which Salt lists them.
var States = []State{Accepted, Pending, Rejected, Denied}

// autosignDir is the directory whose files name ids to be accepted once.
const autosignDir = "minions_autosign"

// Config says how a Store works. Field names follow Salt's options.
type Config struct {
	PKIDir   string // pki_dir: the directories of States and the master's own keys
	CacheDir string // cachedir: holds the drop file ".dfn" that asks for a new shared key
	// MasterID is this master's id option, "web1_master": what 3007's salt-key writes
	// into a drop file. Empty: a drop file of any content counts.
	MasterID string

	AutoAccept          bool          // auto_accept: accept whoever comes
	OpenMode            bool          // open_mode: accept any key for any id, also a changed one
	AutosignFile        string        // autosign_file: ids to accept, a glob or regular expression a line
	AutorejectFile      string        // autoreject_file: likewise, ids to reject
	AutosignTimeout     time.Duration // autosign_timeout: age at which a file of minions_autosign is void; 0: never
	AutosignGrainsDir   string        // autosign_grains_dir: a file per grain lists values to accept
	PermissivePKIAccess bool          // permissive_pki_access: the files above may be group-writable
	RotateAES           bool          // rotate_aes_key: deleting and rejecting ask for a new shared key

	MaxPending        int // keys waiting in all; 10,000 when zero
	PendingPerAddress int // new pending keys of one address in an hour; 100 when zero

	// OnEvent is called after each change and each authentication, in the goroutine
	// that made it and with no lock held. Nil: nobody listens.
	OnEvent func(Event)
	Log     *slog.Logger     // nil: nothing is logged
	Now     func() time.Time // nil: time.Now
}

// Event is what happened to a key, for the bus.
type Event struct {
	Tag    string // "salt/auth" or "salt/key"
	Result bool
	Act    string // accept, pend, reject, denied, delete; "" where Salt gives none
	ID     wire.MinionID
	Pub    string // the key as it was sent; only of salt/auth
}

// Data is the event's data with Salt's names, in Salt's order.
func (e Event) Data() *wire.Map {
	m := wire.NewMap("result", e.Result)
	if e.Act != "" {
		m.Set("act", e.Act)
	}
	m.Set("id", string(e.ID))
	if e.Tag == tagAuth {
		m.Set("pub", e.Pub)
	}
	return m
}

// Tags of Event.
const (
	tagAuth = "salt/auth"
	tagKey  = "salt/key"
)
