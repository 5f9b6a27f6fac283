package wire

import (
	"strconv"
	"strings"
)

// FieldLive is the field of a publish by which a gosalt minion is asked to report
// output while the job runs.
const FieldLive = "gosalt_live"

// Progress is what a minion reports of a job that still runs, as the data of an event
// under Tag. Each item is a map of one kind:
//
//	{stdout: text} or {stderr: text}   whole lines, with line breaks between them
//	{dropped: n}                       so many lines could not be passed on
//	{ret: map}                         the result of one state, as Salt's state_events
type Progress struct{ Items []any }

// ProgressTag is the tag of the n-th report of a job.
func ProgressTag(jid JobID, id MinionID, n int) string {
	return "salt/job/" + string(jid) + "/prog/" + string(id) + "/" + strconv.Itoa(n)
}

// ProgressNumber is n of such a tag; 0 where it is none of gosalt's.
func ProgressNumber(tag string) int {
	n, err := strconv.Atoi(tag[strings.LastIndexByte(tag, '/')+1:])
	if err != nil || n < 1 {
		return 0
	}
	return n
}

// ToMap is the event's data.
func (p *Progress) ToMap() *Map { return NewMap("progress", p.Items) }

// ProgressFromMap reads the data of a progress event: ours, or the one that Salt's
// minions send for each state. Items of a kind that is not known are left out.
func ProgressFromMap(m *Map) *Progress {
	p := &Progress{}
	if !m.Has("progress") {
		if data := m.Map("data"); data != nil {
			m = data
		}
		if ret := m.Map("ret"); ret != nil {
			p.Items = []any{NewMap("ret", ret)}
		}
		return p
	}
	for _, v := range m.List("progress") {
		item, ok := v.(*Map)
		if !ok {
			continue
		}
		switch {
		case item.Map("ret") != nil, item.Int("dropped") > 0:
			p.Items = append(p.Items, item)
		case item.Has("stdout"), item.Has("stderr"):
			p.Items = append(p.Items, item)
		}
	}
	return p
}

// Lines counts the lines of output in a report, those that were dropped among them.
func (p *Progress) Lines() (lines, bytes int) {
	for _, v := range p.Items {
		m, ok := v.(*Map)
		if !ok {
			continue
		}
		lines += int(max(0, min(m.Int("dropped"), 1<<40)))
		for _, stream := range []string{"stdout", "stderr"} {
			if m.Has(stream) {
				text := m.Text(stream)
				lines += 1 + strings.Count(text, "\n")
				bytes += len(text)
			}
		}
		bytes += 64
	}
	return lines, bytes
}
