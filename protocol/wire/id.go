package wire

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// MinionID names one minion, for example "web1.example.com". Only ParseMinionID
// makes one from outside text, so a MinionID is safe as the last element of a path.
type MinionID string

// maxMinionID is the longest id taken: a file name of the key directories.
const maxMinionID = 255

// ParseMinionID checks an id as Salt does (no "/", "\" or NUL; not "", "." or
// ".."), and refuses what no file name can hold: more than 255 bytes, text that
// is not UTF-8, control characters, a leading dot (the key cache's own file).
func ParseMinionID(s string) (MinionID, error) {
	switch {
	case s == "":
		return "", fmt.Errorf("minion id is empty")
	case len(s) > maxMinionID:
		return "", fmt.Errorf("minion id of %d bytes: at most %d are allowed", len(s), maxMinionID)
	case !utf8.ValidString(s):
		return "", fmt.Errorf("minion id %q is not UTF-8 text", s)
	case strings.ContainsAny(s, "/\\"):
		return "", fmt.Errorf(`minion id %q holds "/" or "\"`, s)
	case s[0] == '.':
		return "", fmt.Errorf("minion id %q begins with a dot", s)
	}
	for _, r := range s {
		if r < 0x20 || r == 0x7f {
			return "", fmt.Errorf("minion id %q holds a control character", s)
		}
	}
	return MinionID(s), nil
}

// JobID names one job by the UTC time of its making in microseconds:
// "20261122063858048545". Salt's option unique_jid adds "_" and a process id.
type JobID string

// ParseJobID takes 20 digits, or 20 digits with "_" and letters, digits or "_" after it.
func ParseJobID(s string) (JobID, error) {
	if len(s) < 20 || len(s) > 64 {
		return "", fmt.Errorf("job id %q: 20 digits expected, as 20261122063858048545", s)
	}
	for i := range len(s) {
		c := s[i]
		digit := c >= '0' && c <= '9'
		letter := c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if i < 20 && !digit || i == 20 && c != '_' || i > 20 && !digit && !letter {
			return "", fmt.Errorf("job id %q: 20 digits expected, as 20261122063858048545", s)
		}
	}
	if len(s) == 21 {
		return "", fmt.Errorf("job id %q ends after its \"_\"", s)
	}
	return JobID(s), nil
}
