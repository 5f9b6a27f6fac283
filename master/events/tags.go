package events

import (
	"strconv"

	"github.com/gosalt/gosalt/protocol/wire"
)

// Tags that carry no name. The comment lists the data besides "_stamp".
const (
	Auth            = "salt/auth"             // result, act (accept, pend, reject, denied, full; may be absent), id, pub
	Key             = "salt/key"              // result, act (accept, reject, delete), id
	KeyRotated      = "key"                   // rotate_aes_key: true
	MinionStartOld  = "minion_start"          // as MinionStart; option enable_legacy_startup_events
	PresencePresent = "salt/presence/present" // present: ids
	PresenceChange  = "salt/presence/change"  // new: ids, lost: ids
	JobErrorNoJob   = "salt/job/error"        // the refused publish load without credentials, error
)

// Job is the prefix of all events of a job: "salt/job/<jid>/".
func Job(jid wire.JobID) string { return "salt/job/" + string(jid) + "/" }

// JobMinions is the old tag that is the bare job id; data: minions.
func JobMinions(jid wire.JobID) string { return string(jid) }

// JobNew tags a published job; data: jid, tgt_type, tgt, user, fun, arg, minions, missing.
func JobNew(jid wire.JobID) string { return Job(jid) + "new" }

// JobPublish tags what goes to the minions since 3007; data: the publish load.
func JobPublish(jid wire.JobID) string { return Job(jid) + "publish" }

// JobReturn tags a minion's result; data: the return load.
func JobReturn(jid wire.JobID, id wire.MinionID) string { return Job(jid) + "ret/" + string(id) }

// JobProgress tags the n-th progress report of a minion in a job; data: its load.
func JobProgress(jid wire.JobID, id wire.MinionID, n int) string {
	return Job(jid) + "prog/" + string(id) + "/" + strconv.Itoa(n)
}

// JobError tags a refused publish; data: the publish load without credentials, error.
func JobError(jid wire.JobID) string { return Job(jid) + "error" }

// MinionStart tags the greeting of a minion that has just connected; data: the load
// of its _minion_event.
func MinionStart(id wire.MinionID) string { return "salt/minion/" + string(id) + "/start" }

// MinionRefresh tags new grains and pillar of a minion in the master's cache; data:
// "Minion data cache refresh": id.
func MinionRefresh(id wire.MinionID) string { return "minion/refresh/" + string(id) }

// Cloud tags what the inventory learns of a machine: what is found, changed or gone; data:
// what, name, source, provider, id, machine, and for changed changes.
func Cloud(name, what string) string { return "salt/cloud/" + name + "/" + what }

// Run is the prefix of all events of a runner: "salt/run/<jid>/".
func Run(jid wire.JobID) string { return "salt/run/" + string(jid) + "/" }

// RunNew tags the start of a runner; data: fun ("runner.<name>"), jid, user, fun_args.
func RunNew(jid wire.JobID) string { return "salt/run/" + string(jid) + "/new" }

// RunReturn tags the end of a runner; data as RunNew, with return and success.
func RunReturn(jid wire.JobID) string { return "salt/run/" + string(jid) + "/ret" }

// WheelNew tags the start of a wheel function; data: fun ("wheel.<name>"), jid, tag, user.
func WheelNew(jid wire.JobID) string { return "salt/wheel/" + string(jid) + "/new" }

// WheelReturn tags the end of a wheel function; data as WheelNew, with return and success.
func WheelReturn(jid wire.JobID) string { return "salt/wheel/" + string(jid) + "/ret" }

// FileserverUpdate is the tag of the event that a backend's files have changed.
func FileserverUpdate(backend string) string { return "salt/fileserver/" + backend + "/update" }
