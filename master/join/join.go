// Package join decides which new minions are accepted without a person, beyond what
// Salt's autosign options do: by a join token (tokens.go), and by the identity that a
// cloud gives a machine (cloud.go, aws.go).
//
// What is used up is noted in files that are made once and never changed (claims.go), so
// that of two minions with one token one wins, also across processes, and a crash at
// any moment neither loses a use nor gives one away twice.
package join

import (
	"errors"
	"fmt"
	"time"

	"github.com/gosalt/gosalt/protocol/wire"
)

// Use is one acceptance.
type Use struct {
	ID     wire.MinionID `json:"id"`
	Finger string        `json:"finger"` // of the minion's key
	From   string        `json:"from"`   // its address
	At     time.Time     `json:"at"`
}

// same tells whether two uses are of one minion: a minion whose answer was lost asks again.
func (u Use) same(o Use) bool { return u.ID == o.ID && u.Finger == o.Finger }

// Refusal says why a minion is not accepted. It is for who has proved to hold the token,
// or to be the machine; others are told nothing.
type Refusal struct {
	Kind  wire.Kind
	Msg   string
	Later bool // the same request may succeed later
}

func (r *Refusal) Error() string { return r.Msg }

func refuse(kind wire.Kind, format string, a ...any) error {
	return &Refusal{Kind: kind, Msg: fmt.Sprintf(format, a...)}
}

// ErrUnproven says that nothing is proved: an unknown token, a wrong proof, a document
// that its cloud has not signed.
var ErrUnproven = errors.New("not proved")
