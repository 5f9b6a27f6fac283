package wire

// CmdMinionEvent is the command by which a minion fires events on the master's bus.
const CmdMinionEvent = "_minion_event"

// Event is one event of a list.
type Event struct {
	Tag  string
	Data any // A map by custom.
}

// MinionEvent fires one event (Tag, Data) or several (Events).
type MinionEvent struct {
	ID     MinionID
	Tag    string // "" where Events is set.
	Data   any    // A map, or text.
	Events []Event
	Pretag string // What the master puts a copy of each of Events under; or "".
	Grains *Map   // Sent with the start event where start_event_grains names some; or nil.

	Raw *Map // As received, with the fields that are not above.
}

// MinionEventFromMap checks the load of a request whose cmd is _minion_event.
func MinionEventFromMap(m *Map) (*MinionEvent, error) {
	f := fields{m: m, what: "minion event"}
	e := &MinionEvent{
		ID:     f.minionID("id"),
		Tag:    f.text("tag"),
		Data:   f.get("data"),
		Pretag: f.text("pretag"),
		Grains: f.mapping("grains"),
		Raw:    m,
	}
	for i, v := range f.list("events") {
		one, ok := v.(*Map)
		if !ok {
			f.fail("events", "item %d is %s: {tag, data} expected", i, TypeName(v))
			break
		}
		of := fields{m: one, what: "minion event, item of \"events\""}
		e.Events = append(e.Events, Event{Tag: of.wantText("tag"), Data: of.get("data")})
		if of.first != nil && f.first == nil {
			f.first = of.first
		}
	}
	if f.first == nil && e.Tag == "" && e.Events == nil {
		f.fail("tag", "is missing: a tag, or \"events\", expected")
	}
	if err := f.err(); err != nil {
		return nil, err
	}
	return e, nil
}

// ToMap is the load in Salt's order of fields, those of Raw that are not in
// MinionEvent after them.
func (e *MinionEvent) ToMap() *Map {
	m := NewMap("id", string(e.ID), "cmd", CmdMinionEvent)
	if e.Pretag == "" {
		m.Set("pretag", nil)
	} else {
		m.Set("pretag", e.Pretag)
	}
	if e.Data != nil || e.Tag != "" {
		m.Set("data", e.Data)
	}
	b := build{m}
	b.text("tag", e.Tag)
	if e.Events != nil {
		list := make([]any, len(e.Events))
		for i, one := range e.Events {
			list[i] = NewMap("tag", one.Tag, "data", one.Data)
		}
		m.Set("events", list)
	}
	b.mapping("grains", e.Grains)
	return b.onto(e.Raw, "data", "tag", "events", "grains")
}
