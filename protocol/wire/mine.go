package wire

import (
	"slices"
	"strings"
)

// Commands by which minions use the mine, where each leaves values for the others.
const (
	// CmdMine adds values to the minion's own: {data: {name: value}, clear}. Reply true.
	CmdMine = "_mine"
	// CmdMineGet asks for values of others: {tgt, tgt_type, fun}. The reply is a map by
	// minion, or, of several names, by name and minion.
	CmdMineGet = "_mine_get"
	// CmdMineDelete removes one value of the minion's own: {fun}. Reply true.
	CmdMineDelete = "_mine_delete"
	// CmdMineFlush removes all of them: {}. Reply true.
	CmdMineFlush = "_mine_flush"
)

// Mine is the load of CmdMine.
type Mine struct {
	ID    MinionID
	Data  *Map
	Clear bool // Data replaces what is there.
}

// MineFromMap checks the load of a request whose cmd is _mine.
func MineFromMap(m *Map) (*Mine, error) {
	f := fields{m: m, what: CmdMine}
	p := &Mine{ID: f.minionID("id"), Data: f.mapping("data"), Clear: f.bool("clear")}
	if p.Data == nil {
		f.want("data", "a map")
	}
	if err := f.err(); err != nil {
		return nil, err
	}
	return p, nil
}

// ToMap is the load.
func (p *Mine) ToMap() *Map {
	return NewMap("cmd", CmdMine, "data", p.Data, "id", string(p.ID), "clear", p.Clear)
}

// MineGet is the load of CmdMineGet.
type MineGet struct {
	ID      MinionID
	Tgt     any    // Text, or a list.
	TgtType string // "glob" where "".
	Fun     any    // As MineFunctions takes it.
}

// MineGetFromMap checks the load of a request whose cmd is _mine_get.
func MineGetFromMap(m *Map) (*MineGet, error) {
	f := fields{m: m, what: CmdMineGet}
	g := &MineGet{ID: f.minionID("id"), Tgt: f.want("tgt", "a target"), TgtType: f.text("tgt_type"), Fun: f.want("fun", "text or a list")}
	if !m.Has("tgt_type") { // the name that it had before 2017.7
		g.TgtType = f.text("expr_form")
	}
	if err := f.err(); err != nil {
		return nil, err
	}
	return g, nil
}

// ToMap is the load.
func (g *MineGet) ToMap() *Map {
	m := NewMap("cmd", CmdMineGet, "id", string(g.ID), "tgt", g.Tgt, "fun", g.Fun)
	build{m}.text("tgt_type", g.TgtType)
	return m
}

// MineFunctions reads which values of the mine are asked for: a name, several with
// commas, or a list. many tells whether the answer is by name first: of a list always.
func MineFunctions(fun any) (names []string, many bool) {
	switch fun := fun.(type) {
	case string:
		for name := range strings.SplitSeq(fun, ",") {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
		return names, len(names) > 1
	case []any:
		for _, v := range fun {
			if name, ok := v.(string); ok && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
		return names, true
	}
	return nil, false
}
