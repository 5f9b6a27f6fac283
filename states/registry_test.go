package states_test

import (
	"testing"

	"github.com/gosalt/gosalt/protocol/wire"
	"github.com/gosalt/gosalt/states"
)

func TestTag(t *testing.T) {
	for _, test := range []struct {
		name any
		want string
	}{
		{"/etc/motd", "cmd_|-x y_|-/etc/motd_|-run"},
		{true, "cmd_|-x y_|-True_|-run"},
		{int64(5), "cmd_|-x y_|-5_|-run"},
		{1.0, "cmd_|-x y_|-1.0_|-run"},
		{nil, "cmd_|-x y_|-None_|-run"},
		{[]any{"a", false}, "cmd_|-x y_|-['a', False]_|-run"},
	} {
		if got := states.Tag(wire.NewMap("state", "cmd", "__id__", "x y", "name", test.name, "fun", "run")); got != test.want {
			t.Errorf("%v: %s, %s expected", test.name, got, test.want)
		}
	}
}
