package wire

import "fmt"

// StreamStart tells a minion at the end of a stream (package stream) who it is and what
// to do.
type StreamStart struct {
	ID        MinionID
	Job       *Job
	Opts      *Map   // its configuration, by the names of the minion's options; may be nil
	MaxReturn int64  // bytes of a result that the other side takes
	LogLevel  string // of what it writes to its standard error
	// Once has it look whether a minion on the same machine took the job already.
	Once bool
	// Secrets has it ask for its pillar before the job begins: values in it may have been
	// encrypted, and are hidden in all that the job prints, whatever it runs.
	Secrets bool
}

// TakenHere begins what an agent says that does not begin a job, as the minion on the same
// machine has it.
const TakenHere = "the minion of this machine has taken job"

// ToMap is the message.
func (s *StreamStart) ToMap() *Map {
	m := NewMap("id", string(s.ID), "job", s.Job.ToMap(), "max_return", s.MaxReturn, "log_level", s.LogLevel, "once", s.Once, "secrets", s.Secrets)
	if s.Opts != nil {
		m.Set("opts", s.Opts)
	}
	return m
}

// StreamStartFromStream checks the message as package stream received it.
func StreamStartFromStream(m *Map, err error) (*StreamStart, error) {
	if err != nil {
		return nil, err
	}
	id, err := ParseMinionID(m.Text("id"))
	if err != nil {
		return nil, err
	}
	load := m.Map("job")
	if load == nil {
		return nil, malformed("stream", "job is missing: a map expected")
	}
	job, err := JobFromMap(load)
	if err != nil {
		return nil, err
	}
	return &StreamStart{ID: id, Job: job, Opts: m.Map("opts"), MaxReturn: m.Int("max_return"), LogLevel: m.Text("log_level"),
		Once: m.Bool("once"), Secrets: m.Bool("secrets")}, nil
}

// StreamPillar is the answer to CmdPillar on a stream: what PillarData is elsewhere,
// without the seal.
func StreamPillar(pillar *Map, secrets []string) *Map {
	list := make([]any, len(secrets))
	for i, s := range secrets {
		list[i] = s
	}
	return NewMap("pillar", pillar, FieldSecrets, list)
}

// StreamPillarFromValue checks such an answer.
func StreamPillarFromValue(v any) (*PillarData, error) {
	m, ok := v.(*Map)
	if !ok || m.Map("pillar") == nil {
		return nil, fmt.Errorf("answer to %s: a map with a pillar is expected, got %s", CmdPillar, TypeName(v))
	}
	f := fields{m: m, what: "pillar"}
	d := &PillarData{Pillar: m.Map("pillar"), Secrets: f.texts(FieldSecrets)}
	return d, f.err()
}
