package wire

import (
	"errors"
	"strings"
	"testing"
)

const (
	testJID   = "20261122072435013151"
	testNonce = "0123456789abcdef0123456789abcdef"
)

// exampleMessages are complete messages of every kind.
func exampleMessages() map[string]*Map {
	raw := []byte{0xff, 0x00}
	return map[string]*Map{
		"envelope":       NewMap("enc", "aes", "load", raw, "version", 3, "id", "m1", "enc_algo", "OAEP-SHA1", "sig_algo", "PKCS1v15-SHA1", "sig", raw),
		"clear envelope": NewMap("enc", "clear", "load", NewMap("cmd", "ping"), "version", 3),
		"request":        NewMap("cmd", "_file_envs", "id", "m1", "nonce", testNonce, "ts", 1795332260, "tok", raw),
		"auth request": NewMap("cmd", "_auth", "id", "m1", "nonce", testNonce, "enc_algo", "OAEP-SHA1", "sig_algo", "PKCS1v15-SHA1", "pub", "pem",
			"token", raw, "autosign_grains", NewMap("role", "lab"), "gosalt", 1),
		"auth reply": NewMap("enc", "pub", "pub_key", "pem", "publish_port", 4505, "aes", raw, "session", raw, "sig", raw, "token", raw,
			"pub_sig", "c2ln\n", "nonce", testNonce, "gosalt", 1),
		"pending": NewMap("ret", true, "nonce", testNonce),
		"denied":  NewMap("ret", false, "nonce", testNonce),
		"full":    NewMap("ret", "full", "nonce", testNonce),
		"job": NewMap("fun", "cmd.run", "arg", []any{"ls", NewMap("__kwarg__", true, "cwd", "/")}, "tgt", "*", "jid", testJID, "ret", "", "tgt_type", "glob",
			"user", "root", "serial", 3, "delimiter", "|", "id", "m2", "to", 5, "metadata", NewMap("k", "v"), "ret_config", "alt",
			"ret_kwargs", NewMap("x", 1), "module_executors", []any{"direct_call"}, "executor_opts", NewMap("y", 1), "auth_list", []any{"z"}),
		"job of several": NewMap("fun", []any{"test.ping", "test.echo"}, "arg", []any{[]any{}, []any{"hi"}}, "tgt", []any{"m1"}, "jid", testJID, "tgt_type", "list"),
		"return": NewMap("cmd", "_return", "id", "m1", "success", true, "return", "out", "retcode", 0, "jid", testJID, "fun", "cmd.run",
			"fun_args", []any{"ls"}, "user", "root", "out", "nested", "_stamp", "2026-11-22T07:24:40.654232"),
		"return of several": NewMap("id", "m1", "success", NewMap("a.b", true, "c.d", false), "return", NewMap("a.b", 1, "c.d", 2),
			"retcode", NewMap("a.b", 0, "c.d", 3), "jid", "req", "fun", []any{"a.b", "c.d"}, "fun_args", []any{[]any{}, []any{}}),
		"pillar request": NewMap("id", "m1", "grains", NewMap("os", "Debian"), "saltenv", nil, "pillarenv", "base", "pillar_override", NewMap(),
			"extra_minion_data", NewMap(), "ver", "2", "cmd", "_pillar", "clean_cache", true, "ext", NewMap()),
		"pillar reply":  NewMap("key", raw, "pillar", raw),
		"sealed pillar": NewMap("data", raw, "sig", raw),
		"pillar data":   NewMap("key", raw, "pillar", NewMap("a", 1), "nonce", testNonce),
		"event":         NewMap("id", "m1", "cmd", "_minion_event", "pretag", nil, "data", "Minion m1 started", "tag", "minion_start", "grains", NewMap("a", 1)),
		"events":        NewMap("id", "m1", "pretag", "salt/syndic/m1", "events", []any{NewMap("tag", "a", "data", NewMap())}),
		"mine":          NewMap("cmd", "_mine", "id", "m1", "data", NewMap("test.ping", true), "clear", false),
		"mine get":      NewMap("cmd", "_mine_get", "id", "m1", "tgt", "*", "fun", []any{"test.ping"}, "tgt_type", "glob"),
		"peer":          NewMap("cmd", "minion_pub", "fun", "test.ping", "arg", []any{"a"}, "tgt", "*", "tgt_type", "glob", "ret", "", "tmo", 5, "form", "full", "id", "m1", "no_parse", []any{"b"}),
		"ack":           NewMap("cmd", "_gosalt_ack", "jid", testJID),
		"alive":         NewMap("cmd", "_gosalt_alive", "running", []any{testJID, testJID + "_17"}),
		"alive reply":   NewMap("max_return", 104857600),
		"shared key":    NewMap("aes", "AAAA"),
		"file tree":     NewMap("cmd", "_gosalt_file_tree", "saltenv", "base", "prefix", "web/", "hashes", true, "after", "web/a"),
		"file tree reply": NewMap("hash_type", "sha256", "files", []any{[]any{"web/b", 3, 420, "ab"}, []any{raw, 0, 0, ""}},
			"empty_dirs", []any{"e", raw}, "more", true),
		"file read":       NewMap("cmd", "_gosalt_file_read", "saltenv", "base", "pieces", []any{[]any{"a", 0, 10}, []any{raw, 5, 0}}),
		"file read reply": NewMap("hash_type", "sha256", "parts", []any{[]any{10, 20, "x"}, []any{0, -1, ""}}),
		"file recv":       NewMap("cmd", "_file_recv", "path", []any{"etc", "fstab"}, "loc", 0, "data", raw, "size", 2),
		"error":           NewMap("kind", 5, "op", "_return", "msg", "retry after 3 s"),
	}
}

// network is a map as it arrives.
func network(t *testing.T, m *Map) *Map {
	t.Helper()
	b, err := Encode(m, Network)
	if err != nil {
		t.Fatal(err)
	}
	back, err := DecodeMap(b, Network, Authenticated)
	if err != nil {
		t.Fatal(err)
	}
	return back
}

// parsers are the readers of exampleMessages.
var parsers = map[string]func(*Map) (any, error){
	"envelope":          func(m *Map) (any, error) { return EnvelopeFromMap(m) },
	"clear envelope":    func(m *Map) (any, error) { return EnvelopeFromMap(m) },
	"request":           func(m *Map) (any, error) { return RequestFromMap(m) },
	"auth request":      func(m *Map) (any, error) { return AuthRequestFromMap(m) },
	"auth reply":        func(m *Map) (any, error) { return AuthReplyFromMap(m) },
	"pending":           func(m *Map) (any, error) { return AuthReplyFromMap(m) },
	"denied":            func(m *Map) (any, error) { return AuthReplyFromMap(m) },
	"full":              func(m *Map) (any, error) { return AuthReplyFromMap(m) },
	"job":               func(m *Map) (any, error) { return JobFromMap(m) },
	"job of several":    func(m *Map) (any, error) { return JobFromMap(m) },
	"return":            func(m *Map) (any, error) { return ReturnFromMap(m) },
	"return of several": func(m *Map) (any, error) { return ReturnFromMap(m) },
	"pillar request":    func(m *Map) (any, error) { return PillarRequestFromMap(m) },
	"pillar reply":      func(m *Map) (any, error) { return PillarReplyFromMap(m) },
	"sealed pillar":     func(m *Map) (any, error) { return PillarSignedFromMap(m) },
	"pillar data":       func(m *Map) (any, error) { return PillarDataFromMap(m) },
	"event":             func(m *Map) (any, error) { return MinionEventFromMap(m) },
	"events":            func(m *Map) (any, error) { return MinionEventFromMap(m) },
	"mine":              func(m *Map) (any, error) { return MineFromMap(m) },
	"mine get":          func(m *Map) (any, error) { return MineGetFromMap(m) },
	"peer":              func(m *Map) (any, error) { return PeerFromMap(m) },
	"ack":               func(m *Map) (any, error) { return AckFromMap(m) },
	"alive":             func(m *Map) (any, error) { return AliveFromMap(m) },
	"alive reply":       func(m *Map) (any, error) { return AliveReplyFromValue(m) },
	"shared key":        func(m *Map) (any, error) { return SharedKeyReplyFromValue(m) },
	"file tree":         func(m *Map) (any, error) { return FileTreeFromMap(m) },
	"file tree reply":   func(m *Map) (any, error) { return FileTreeReplyFromMap(m) },
	"file read":         func(m *Map) (any, error) { return FileReadFromMap(m) },
	"file read reply":   func(m *Map) (any, error) { return FileReadReplyFromMap(m) },
	"file recv":         func(m *Map) (any, error) { return FileRecvFromMap(m) },
	"error":             func(m *Map) (any, error) { return ErrorFromMap(m) },
}

func TestMessagesKeepTheirFields(t *testing.T) {
	for name, m := range exampleMessages() {
		in := network(t, m)
		msg, err := parsers[name](in)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		out := network(t, msg.(interface{ ToMap() *Map }).ToMap())
		for k, v := range in.Strings() {
			if got, ok := out.Get(k); !ok || !same(got, v) {
				t.Errorf("%s: field %q is %s, was %s", name, k, python(got, false), python(v, false))
			}
		}
	}
}

// TestMessagesAreStrict gives each field of each message a wrong type in turn: the
// error must name the field, or the value must not matter.
func TestMessagesAreStrict(t *testing.T) {
	anything := map[string]bool{ // fields that may hold any value
		"job to": true, "job tgt": true, "job metadata": true, "job auth_list": true, "return return": true, "return of several return": true, "return _stamp": true,
		"event data": true, "event cmd": true, "pillar request cmd": true, "pillar request ext": true, "return cmd": true,
		"peer cmd": true, "peer tgt": true, "peer form": true, "mine cmd": true, "mine get cmd": true, "mine get tgt": true, "mine get fun": true, "file tree cmd": true, "file read cmd": true, "file recv cmd": true, "ack cmd": true, "alive cmd": true, "clear envelope load": true, "job of several fun": true, "return of several fun": true,
	}
	for name, m := range exampleMessages() {
		for field := range m.Strings() {
			if anything[name+" "+field] {
				continue
			}
			bad := m.Clone()
			if v, _ := m.Get(field); field == "retcode" || field == "success" {
				bad.Set(field, []any{NewMap()})
			} else if _, list := v.([]any); list {
				bad.Set(field, 5)
			} else {
				bad.Set(field, []any{})
			}
			if v, err := parsers[name](network(t, bad)); err == nil {
				t.Errorf("%s with another type as %q: taken as %+v", name, field, v)
			} else if !strings.Contains(err.Error(), field) || !errors.Is(err, &Error{Kind: Malformed}) {
				t.Errorf("%s with another type as %q: error is %q", name, field, err)
			}
		}
	}
}

func TestMessageFaults(t *testing.T) {
	with := func(name, field string, v any) func() (string, *Map) {
		return func() (string, *Map) { m := exampleMessages()[name].Clone(); m.Set(field, v); return name, m }
	}
	without := func(name, field string) func() (string, *Map) {
		return func() (string, *Map) { m := exampleMessages()[name].Clone(); m.Delete(field); return name, m }
	}
	for _, c := range []struct {
		make func() (string, *Map)
		want string
	}{
		{with("envelope", "enc", "AES"), `envelope: field "enc": is "AES": "clear" or "aes" expected`},
		{with("envelope", "enc", "pub"), `"clear" or "aes" expected`},
		{with("envelope", "load", NewMap()), `bytes expected where enc is "aes"`},
		{without("envelope", "load"), `field "load": is missing: a map or bytes expected`},
		{with("envelope", "load", nil), `field "load": is nil: a map or bytes expected`},
		{with("envelope", "id", "../m1"), `field "id": minion id`},
		{with("envelope", "id", 5), `field "id": is a whole number: text expected`},
		{with("envelope", "version", "3"), `field "version": is text: a whole number expected`},
		{with("envelope", "version", 1.5), `field "version": is 1.5: a whole number expected`},
		{with("request", "nonce", "abc"), `32 lower-case hex digits expected`},
		{with("request", "nonce", strings.ToUpper(testNonce)), `32 lower-case hex digits expected`},
		{with("auth request", "cmd", "_pillar"), `field "cmd": is "_pillar": "_auth" expected`},
		{without("auth request", "nonce"), `field "nonce": is missing`},
		{without("auth request", "pub"), `field "pub": is missing: text expected`},
		{with("auth reply", "publish_port", 65536), `1 to 65535 expected`},
		{with("auth reply", "enc", "aes"), `"pub" expected`},
		{without("auth reply", "session"), `below version 3`},
		{with("pending", "ret", 1), `field "ret": is a whole number`},
		{with("pending", "ret", "empty"), `field "ret": is "empty"`},
		{with("job", "jid", "1"), `field "jid": job id "1"`},
		{with("job", "tgt", 5), `field "tgt": is a whole number: text or a list of ids expected`},
		{with("job", "arg", "ls"), `field "arg": is text: a list expected`},
		{without("job", "fun"), `field "fun": is missing: text expected`},
		{with("job of several", "arg", []any{[]any{}}), `one list for each of 2 functions expected`},
		{with("job of several", "arg", []any{[]any{}, "hi"}), `the list of arguments of test.echo expected`},
		{with("job of several", "fun", []any{}), `one list for each of 0 functions`},
		{without("return", "return"), `field "return": is missing: the result expected`},
		{with("return", "retcode", "1"), `field "retcode": is text`},
		{with("return", "success", "yes"), `field "success": is text`},
		{with("return", "jid", "nocaches"), `field "jid": job id "nocaches"`},
		{with("pillar data", "pillar", nil), `field "pillar": is missing`},
		{without("event", "tag"), `field "tag": is missing`},
		{with("events", "events", []any{NewMap("data", 1)}), `item of "events": field "tag": is missing`},
		{with("file recv", "path", []any{"..", "x"}), `field "path": has the part ".."`},
		{with("file recv", "path", []any{"a/b"}), `field "path": has the part "a/b"`},
		{with("file recv", "path", []any{}), `field "path": is empty`},
		{with("file recv", "loc", -1), `field "loc": -1`},
		{with("file read", "pieces", []any{[]any{"a", -1, 1}}), `field "pieces": item 0`},
		{with("file read", "pieces", []any{"a"}), `field "pieces": item 0 is text`},
		{with("file tree reply", "files", []any{[]any{"a", -1, 0, ""}}), `field "files": item 0`},
		{with("file read reply", "parts", []any{[]any{0, -2, ""}}), `field "parts": item 0`},
		{with("alive", "running", []any{"1"}), `field "running": item 0: job id "1"`},
	} {
		name, m := c.make()
		if _, err := parsers[name](network(t, m)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, an error with %q expected", name, err, c.want)
		}
	}
}

func TestReturnOfSeveral(t *testing.T) {
	r, err := ReturnFromMap(network(t, exampleMessages()["return of several"]))
	if err != nil {
		t.Fatal(err)
	}
	if r.Retcode != 3 || r.Success || r.JID != JobIDRequest || len(r.Multi) != 2 || r.Multi[1].Fun != "c.d" {
		t.Errorf("%+v", r)
	}
	// A minion with multifunc_ordered sends lists.
	m := exampleMessages()["return of several"]
	m.Set("retcode", []any{0, 2})
	m.Set("success", []any{true, true})
	if r, err = ReturnFromMap(network(t, m)); err != nil || r.Retcode != 2 || !r.Success {
		t.Errorf("%+v, %v", r, err)
	}
	// Without retcode and success a return counts as good, with one code as bad.
	m = exampleMessages()["return"]
	m.Delete("success")
	m.Delete("retcode")
	if r, err = ReturnFromMap(network(t, m)); err != nil || r.Retcode != 0 || !r.Success {
		t.Errorf("%+v, %v", r, err)
	}
	m.Set("retcode", true)
	if r, err = ReturnFromMap(network(t, m)); err != nil || r.Retcode != 1 || r.Success {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestJobCalls(t *testing.T) {
	j := &Job{JID: testJID, Fun: "test.ping", Tgt: "*"}
	if c := j.Calls(); len(c) != 1 || c[0].Fun != "test.ping" {
		t.Errorf("%+v", c)
	}
	if s := python(network(t, j.ToMap()), false); s != "{'fun': 'test.ping', 'arg': [], 'tgt': '*', 'jid': '"+testJID+"', 'ret': '', 'tgt_type': 'glob'}" {
		t.Error(s)
	}
	j, err := JobFromMap(network(t, exampleMessages()["job of several"]))
	if err != nil {
		t.Fatal(err)
	}
	if c := j.Calls(); len(c) != 2 || c[1].Fun != "test.echo" || len(c[1].Args) != 1 {
		t.Errorf("%+v", c)
	}
	// What was taken off a job does not come back from its raw form.
	j, err = JobFromMap(network(t, exampleMessages()["job"]))
	if err != nil {
		t.Fatal(err)
	}
	j.Serial, j.User, j.Metadata = 0, "", nil
	m := j.ToMap()
	if m.Has("serial") || m.Has("user") || m.Has("metadata") || !m.Has("auth_list") {
		t.Error(python(network(t, m), false))
	}
}

func TestMissedReply(t *testing.T) {
	job, err := JobFromMap(network(t, exampleMessages()["job"]))
	if err != nil {
		t.Fatal(err)
	}
	b, err := Encode((&MissedReply{Jobs: []*Job{job}}).ToValue(), Network)
	if err != nil {
		t.Fatal(err)
	}
	v, err := Decode(b, Network, Authenticated)
	if err != nil {
		t.Fatal(err)
	}
	if r, err := MissedReplyFromValue(v); err != nil || len(r.Jobs) != 1 || r.Jobs[0].JID != testJID {
		t.Errorf("%+v, %v", r, err)
	}
	if r, err := MissedReplyFromValue(NewMap()); err != nil || len(r.Jobs) != 0 {
		t.Errorf("a Salt master's answer: %+v, %v", r, err)
	}
	for _, v := range []any{nil, "", NewMap("a", 1), []any{"x"}, []any{NewMap("jid", "1")}} {
		if r, err := MissedReplyFromValue(v); err == nil || r != nil {
			t.Errorf("%v: %v, %v", v, r, err)
		}
	}
	if m := (Missed{}).ToMap(); m.Text("cmd") != CmdMissed {
		t.Error(m)
	}
}

func TestError(t *testing.T) {
	e, err := ErrorFromMap(network(t, NewMap("kind", 99, "msg", "new")))
	if err != nil || e.Kind != 99 || e.Error() != "new" {
		t.Errorf("%+v, %v", e, err)
	}
	for want, e := range map[string]*Error{
		"_return: busy":             {Kind: Busy, Op: "_return"},
		"_return: retry after 3 s":  {Kind: Busy, Op: "_return", Msg: "retry after 3 s"},
		"error kind 99":             {Kind: 99},
		"not authenticated":         {Kind: Unauthorized},
		"decode: malformed message": {Kind: Malformed, Op: "decode"},
	} {
		if e.Error() != want {
			t.Errorf("%q, %q expected", e.Error(), want)
		}
	}
	err = errors.Join(errors.New("x"), &Error{Kind: Busy, Op: "_return", Msg: "m"})
	if !errors.Is(err, &Error{Kind: Busy}) || errors.Is(err, &Error{Kind: Expired}) || errors.Is(err, &Error{Kind: Busy, Op: "_pillar"}) {
		t.Error("errors.Is does not go by kind")
	}
}
