package keys

import "github.com/gosalt/gosalt/protocol/wire"

// Match tells how a stored key compares with the one of a request.
type Match uint8

// The ways in which they compare.
const (
	None    Match = iota // nothing is stored
	Same                 // the same key, line endings and surrounding blanks apart
	Differs              // another key
	Blocked              // something that is no file stands in its place
)

// Facts is all that a decision depends on.
type Facts struct {
	OpenMode bool
	Rejected bool  // there is a file below minions_rejected
	Accepted Match // with the file below minions
	Pending  Match // with the file below minions_pre

	// The following are looked at only for an id that is neither rejected nor accepted.

	AutoReject bool          // autoreject_file names the id
	AutoSign   bool          // auto_accept, or one of the autosign files, names it
	CaseTwin   wire.MinionID // an accepted id that differs only in case; "": none
	Full       string        // why no more new keys are written down; "": they are
}

// Answer is what the minion is told.
type Answer uint8

// The answers.
const (
	Deny   Answer = iota // "ret": false: a minion exits, or retries with rejected_retry
	Wait                 // "ret": true: the key waits to be accepted
	Accept               // the keys of the master
)

// String is the answer's name, as in "deny".
func (a Answer) String() string { return [...]string{"deny", "wait", "accept"}[a] }

// Effect is one change of the key directories.
type Effect uint8

// The effects, in the words of the directories they change.
const (
	StoreAccepted Effect = iota + 1 // write the request's key to minions
	StorePending                    // write it to minions_pre
	StoreRejected                   // write it to minions_rejected
	StoreDenied                     // write it to minions_denied
	RejectPending                   // move the file of minions_pre to minions_rejected
	RemovePending                   // remove the file of minions_pre
)

// Decision is what an authentication request comes to.
type Decision struct {
	Answer  Answer
	Effects []Effect // in this order
	Act     string   // of the event salt/auth: accept, pend, reject, denied, or ""
	Reason  string   // for the log, in words
}

// Decide is Salt's table of authentication (salt.channel.server, _auth), after the
// checks of the id and of max_minions; the key itself was parsed before. It differs
// from Salt so: an id that differs only in case from an accepted one is refused; a
// new key beyond the limits is refused and leaves nothing behind; and the event of
// a denied key always says so.
func Decide(f Facts) Decision {
	switch {
	case f.Accepted == Blocked:
		return Decision{Answer: Deny, Reason: "what stands in the key's place below minions is no file"}
	case f.CaseTwin != "" && f.Accepted == None:
		return Decision{Answer: Deny, Reason: "the id differs only in case from the accepted " + string(f.CaseTwin)}
	case f.OpenMode && f.Accepted == Same:
		return Decision{Answer: Accept, Act: "accept", Reason: "open_mode is on, key known"}
	case f.OpenMode:
		return Decision{Answer: Accept, Effects: []Effect{StoreAccepted}, Act: "accept", Reason: "open_mode is on, any key is taken"}
	case f.Rejected:
		return Decision{Answer: Deny, Reason: "the key of this id is rejected"}
	case f.Accepted == Same:
		return Decision{Answer: Accept, Act: "accept", Reason: "key known"}
	case f.Accepted == Differs:
		return Decision{Answer: Deny, Effects: []Effect{StoreDenied}, Act: "denied", Reason: "the key is not the accepted one of this id"}
	case f.Pending == Blocked:
		return Decision{Answer: Deny, Reason: "what stands in the key's place below minions_pre is no file"}
	case f.Pending == None:
		return decideNew(f)
	default:
		return decidePending(f)
	}
}

func decideNew(f Facts) Decision {
	switch {
	case f.AutoReject && f.Full != "":
		return Decision{Answer: Deny, Act: "reject", Reason: "autoreject_file names the id; " + f.Full}
	case f.AutoReject:
		return Decision{Answer: Deny, Effects: []Effect{StoreRejected}, Act: "reject", Reason: "autoreject_file names the id"}
	case f.AutoSign:
		return Decision{Answer: Accept, Effects: []Effect{StoreAccepted}, Act: "accept", Reason: "accepted automatically"}
	case f.Full != "":
		return Decision{Answer: Deny, Reason: f.Full}
	default:
		return Decision{Answer: Wait, Effects: []Effect{StorePending}, Act: "pend", Reason: "new key, waits to be accepted"}
	}
}

func decidePending(f Facts) Decision {
	switch {
	case f.AutoReject:
		return Decision{Answer: Deny, Effects: []Effect{RejectPending}, Act: "reject", Reason: "autoreject_file names the id"}
	case f.Pending == Differs:
		return Decision{Answer: Deny, Effects: []Effect{StoreDenied}, Act: "denied", Reason: "the key is not the one that waits to be accepted"}
	case f.AutoSign:
		return Decision{Answer: Accept, Effects: []Effect{StoreAccepted, RemovePending}, Act: "accept", Reason: "accepted automatically"}
	default:
		return Decision{Answer: Wait, Act: "pend", Reason: "still waits to be accepted"}
	}
}
