package cli

// exitIncomplete is Salt's code for a command line without a target or a function.
const exitIncomplete = 42

// Outcome is how a command ended, as far as its exit code goes.
type Outcome int

// The outcomes, in the order of the table that gives their codes.
const (
	OK               Outcome = iota
	MinionFailed             // a minion returned a non-zero code, or did not return and that was shown
	NoReturn                 // nothing came back at all: no minion matches
	BadCommand               // no target, no function, compound arguments that do not fit
	Usage                    // unknown option, bad value
	UnknownFunction          // gosalt-call: no such function
	HiddenSilence            // minions did not return, and -b, --static or --hide-timeout kept quiet
	MasterDown               // the master cannot be reached or does not answer
	NotAuthenticated         // the master does not know who calls
	NotAuthorized            // the caller may not do this
	NoNodegroup              // -N names a group that is not configured
	NoRosterMatch            // gosalt-ssh: no host of the roster matches
	NoKeyMatched             // gosalt-key: no key matches
	NoAnswer                 // gosalt-key: the input ended before the question was answered
	UnknownRunner            // gosalt-run: no such function
	RunnerFailed             // gosalt-run: an exception in the runner
	BatchNoMatch             // -b, --async: no minion matches
	Interrupted              // Ctrl-C while minions still work
	Unavailable              // a resource of this machine cannot be had, as a log file
	NotPermitted             // this user may not do that on this machine
	Internal                 // a mistake in gosalt itself
	Queued                   // --queue-until: minions are away and run the job when they are back
	HiddenFailure            // minions failed, and --progress or --static did not tell
	Unhealthy                // gosalt-run doctor: something is wrong
	Pending                  // test=True: states would change something
)

// ExitCode is one line of the table of exit codes.
type ExitCode struct {
	Outcome Outcome
	Salt    int    // what Salt's command exits with, and gosalt's by default
	Strict  int    // what gosalt exits with under --strict or GOSALT_STRICT=1
	Name    string // for machines: "hidden-silence"
	When    string
}

// exitCodes is the one table of exit codes. Where Salt's code is not 0 the strict
// one is the same; the strict ones of Salt's zeroes are distinct.
var exitCodes = []ExitCode{
	{OK, 0, 0, "ok", "everything that was asked for was done; a function that returned False is a result, not a failure"},
	{MinionFailed, 1, 1, "minion-failed", "a minion returned a non-zero code, or did not return and that was shown"},
	{NoReturn, 2, 2, "no-return", "nothing was returned: no minion matches the target"},
	{BadCommand, exitIncomplete, exitIncomplete, "bad-command", "no target or no function was given, or a compound command's arguments do not fit"},
	{Usage, optparseUsage, optparseUsage, "usage", "unknown option, missing or bad value"},
	{UnknownFunction, 255, 255, "unknown-function", "gosalt-call: there is no such function, nor one with a similar name"},
	{HiddenSilence, 0, 75, "hidden-silence", "minions did not return, and --batch, --static or --hide-timeout say nothing of it"},
	{MasterDown, 0, 69, "master-down", "the master cannot be reached or does not answer"},
	{NotAuthenticated, 0, 67, "not-authenticated", "the master does not accept who is calling"},
	{NotAuthorized, 0, 77, "not-authorized", "the caller may not run this function on these minions"},
	{NoNodegroup, 0, 68, "no-nodegroup", "the node group is not in the master's configuration"},
	{NoRosterMatch, 0, 66, "no-roster-match", "gosalt-ssh: no host of the roster matches the target"},
	{NoKeyMatched, 0, 65, "no-key-matched", "gosalt-key: no key matches, or a key or signature cannot be made of what is there"},
	{NoAnswer, 0, 74, "no-answer", "gosalt-key: the input ended before the question was answered"},
	{UnknownRunner, 0, 127, "unknown-runner", "gosalt-run: there is no such function"},
	{RunnerFailed, 1, 1, "runner-failed", "gosalt-run: the runner failed"},
	{BatchNoMatch, 0, 2, "batch-no-match", "--batch, --async, gosalt-cp: no minion matches the target"},
	{Interrupted, 0, 130, "interrupted", "Ctrl-C, while minions may still be working"},
	{Unavailable, 69, 69, "unavailable", "something of this machine cannot be had, as its log file"},
	{NotPermitted, 77, 77, "not-permitted", "this user may not do that on this machine"},
	{Internal, 70, 70, "internal", "a mistake in gosalt itself; please report it"},
	{Queued, 0, 76, "queued", "--queue-until: minions are away and run the job when they are back"},
	{HiddenFailure, 0, 1, "hidden-failure", "--progress, --static, gosalt-cp: minions failed (--progress: or did not return), and the exit code says nothing of it"},
	{Unhealthy, 1, 1, "unhealthy", "gosalt-run doctor: something is wrong"},
	{Pending, 0, 79, "pending", "test=True, --plan: all went well, and states would change something"},
}

// ExitCodes is the table of exit codes, for documents.
func ExitCodes() []ExitCode { return exitCodes }

// Code is the exit code of an outcome.
func (o Outcome) Code(strict bool) int {
	if strict {
		return exitCodes[o].Strict
	}
	return exitCodes[o].Salt
}

// String is the outcome's name in the table.
func (o Outcome) String() string { return exitCodes[o].Name }
