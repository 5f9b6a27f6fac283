package cli

import (
	"slices"
	"strings"

	"github.com/gosalt/gosalt/internal/target"
	"github.com/gosalt/gosalt/protocol/wire"
)

// KeyState is where a minion's key stands, by the name of Salt's directory for it.
type KeyState string

// The states of a key.
const (
	KeyAccepted KeyState = "minions"
	KeyPending  KeyState = "minions_pre"
	KeyRejected KeyState = "minions_rejected"
	KeyDenied   KeyState = "minions_denied"
)

// keyStates is every state, in the order of Salt's results.
var keyStates = []KeyState{KeyAccepted, KeyPending, KeyRejected, KeyDenied}

// KeyStore is what gosalt-key needs of the master's keys. Calls come one after another.
type KeyStore interface {
	// List returns the ids whose keys are in a state, sorted; none is no error.
	List(state KeyState) ([]wire.MinionID, error)
	// Read returns the PEM text of a public key.
	Read(state KeyState, id wire.MinionID) (string, error)
	// Move brings a key from one state to another. A key that stands there already
	// is replaced, as an operator who accepts a rejected key wants it.
	Move(id wire.MinionID, from, to KeyState) error
	// Delete removes a key.
	Delete(state KeyState, id wire.MinionID) error
	// Forget drops what the master has stored about minions that have no key any
	// more: grains, pillar, mine. Those of keep stay.
	Forget(keep []wire.MinionID) error
	// RotateAES asks the master to change the key that all minions share.
	RotateAES() error
}

// keyMatches are the ids that an action is about, by state.
type keyMatches map[KeyState][]wire.MinionID

func (m keyMatches) empty() bool {
	for _, ids := range m {
		if len(ids) > 0 {
			return false
		}
	}
	return true
}

// value is the matches as results show them: {"minions": [ids]}, states in order.
func (m keyMatches) value() *wire.Map {
	out := wire.NewMap()
	for _, s := range keyStates {
		ids, ok := m[s]
		if !ok {
			continue
		}
		list := make([]any, len(ids))
		for i, id := range ids {
			list[i] = string(id)
		}
		out.Set(string(s), list)
	}
	return out
}

// listKeys lists the keys of the given states, ids sorted without regard to case.
func listKeys(store KeyStore, states []KeyState) (keyMatches, error) {
	m := keyMatches{}
	for _, s := range states {
		ids, err := store.List(s)
		if err != nil {
			return nil, err
		}
		ids = slices.Clone(ids)
		slices.SortStableFunc(ids, func(a, b wire.MinionID) int {
			return strings.Compare(strings.ToLower(string(a)), strings.ToLower(string(b)))
		})
		m[s] = ids
	}
	return m, nil
}

// matchKeys finds the keys whose ids match one of the shell patterns, which have
// commas between them. States without a match are left out.
func matchKeys(store KeyStore, patterns string) (keyMatches, error) {
	matches, err := shellPatterns(patterns)
	if err != nil {
		return nil, err
	}
	all, err := listKeys(store, keyStates)
	if err != nil {
		return nil, err
	}
	m := keyMatches{}
	for s, ids := range all {
		for _, id := range ids {
			if matches(string(id)) {
				m[s] = append(m[s], id)
			}
		}
	}
	return m, nil
}

// shellPatterns makes one test of patterns with commas between them, by the rules of
// glob targets.
func shellPatterns(patterns string) (func(name string) bool, error) {
	var globs []*target.Target
	for p := range strings.SplitSeq(patterns, ",") {
		t, err := target.Parse(p, "glob", target.Options{})
		if err != nil {
			return nil, err
		}
		globs = append(globs, t)
	}
	return func(name string) bool {
		return slices.ContainsFunc(globs, func(t *target.Target) bool {
			ok, err := t.Match(target.Subject{ID: name})
			return ok && err == nil
		})
	}, nil
}

// keyListStates are the states that an argument of --list means, nil for none.
func keyListStates(arg string) []KeyState {
	for _, l := range []struct {
		prefix string
		states []KeyState
	}{
		{"acc", []KeyState{KeyAccepted}}, {"pre", []KeyState{KeyPending}}, {"un", []KeyState{KeyPending}},
		{"rej", []KeyState{KeyRejected}}, {"den", []KeyState{KeyDenied}}, {"all", keyStates},
	} {
		if strings.HasPrefix(arg, l.prefix) {
			return l.states
		}
	}
	return nil
}
