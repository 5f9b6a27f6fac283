package target

import (
	"errors"
	"fmt"
	"testing"

	"github.com/gosalt/gosalt/protocol/wire"
)

// V@ becomes a list of ids, which minions of Salt know, too; nobody named these ids.
func TestMachines(t *testing.T) {
	o := Options{Nodegroups: wire.NewMap("prod", "V@tag:env=prod and not db*", "list", []any{"V@tag:env=a b", "or", "x1"}), Machines: func(expr string) ([]string, error) {
		switch expr {
		case "tag:env=prod", "tag:env=a b":
			return []string{"web1", "db1"}, nil
		case "none:":
			return nil, nil
		}
		return nil, errors.New("there is no " + expr)
	}}
	for _, row := range []struct {
		kind string
		expr any
		wire string
		ids  string
	}{
		{"compound", "V@tag:env=prod", "L@web1,db1", "[web1 db1]"},
		{"compound", "V@tag:env=prod and not db1", "L@web1,db1 and not db1", "[web1]"},
		{"compound", "not V@tag:env=prod", "not L@web1,db1", "[x1]"},
		{"compound", "V@none: or x1", "L@, or x1", "[x1]"},
		{"compound", []any{"V@tag:env=a b", "and", "L@web1,x1"}, "L@web1,db1 and L@web1,x1", "[web1]"},
		{"compound", "N@prod or x1", "L@web1,db1 and not db* or x1", "[web1 x1]"},
		{"nodegroup", "prod", "L@web1,db1 and not db*", "[web1]"},
		{"nodegroup", "list", "L@web1,db1 or x1", "[web1 db1 x1]"},
	} {
		tgt, err := Parse(row.expr, row.kind, o)
		if err != nil {
			t.Errorf("%v: %v", row.expr, err)
			continue
		}
		var ids []string
		for _, id := range []string{"web1", "db1", "x1"} {
			if ok, err := tgt.Match(Subject{ID: id}); ok && err == nil {
				ids = append(ids, id)
			}
		}
		if fmt.Sprint(tgt.Wire()) != row.wire || fmt.Sprint(ids) != row.ids || !tgt.NeedsMachines() {
			t.Errorf("%v: %v, %v; %s, %s are expected", row.expr, tgt.Wire(), ids, row.wire, row.ids)
		}
		for _, id := range tgt.Listed() {
			if id == "db1" {
				t.Errorf("%v: %s counts as named", row.expr, id)
			}
		}
	}
	if _, err := Parse("web* and V@x:y", "compound", o); err == nil || err.Error() != `compound target "web* and V@x:y": at character 10: there is no x:y` {
		t.Error(err)
	}
	if tgt, err := Parse("V@x:y", "compound", Options{}); err != nil || tgt.Wire() != "V@x:y" {
		t.Error("without an inventory it is a glob, as for Salt", err)
	}
}
