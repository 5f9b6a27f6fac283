package faults

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gosalt/gosalt/internal/testproc"
	"github.com/gosalt/gosalt/protocol/control"
	"github.com/gosalt/gosalt/protocol/seal"
	"github.com/gosalt/gosalt/protocol/transport"
	"github.com/gosalt/gosalt/protocol/transport/zmq"
	"github.com/gosalt/gosalt/protocol/wire"
)

// rawMinion speaks the protocol without a minion's manners.
type rawMinion struct {
	*site
	id      wire.MinionID
	key     *seal.PrivateKey
	session *seal.Key
	enc     seal.Algorithm
	sig     seal.Algorithm
	conn    transport.Requester
}

func (s *site) rawMinion(id wire.MinionID) *rawMinion {
	s.Helper()
	key, err := seal.Generate(2048)
	s.must(err)
	r := &rawMinion{site: s, id: id, key: key}
	r.enc, _ = seal.EncAlgorithm("OAEP-SHA1")
	r.sig, _ = seal.SigAlgorithm("PKCS1v15-SHA1")
	r.conn = zmq.NewDialer(zmq.DialOptions{}).Requester(s.requestAddr())
	s.Cleanup(func() { r.conn.Close() })
	req := &wire.AuthRequest{ID: id, Nonce: seal.NewNonce(), EncAlgo: string(r.enc), SigAlgo: string(r.sig), Pub: seal.CleanKey(key.Public().PEM()), Gosalt: wire.Version}
	body, err := (&wire.Envelope{Enc: wire.EncClear, Load: req.ToMap(), Version: wire.SaltVersion}).Encode()
	s.must(err)
	check := &seal.AuthCheck{Minion: key, Nonce: req.Nonce, Enc: r.enc, Sig: r.sig}
	got, err := check.Open(r.send(body), wire.Authenticated)
	s.must(err)
	if got.State != wire.AuthAccepted {
		s.Fatalf("%s is not accepted: %v", id, got.State)
	}
	r.session = got.Session
	return r
}

// send sends a body as it is and returns the answer, nil where the master closes the connection.
func (r *rawMinion) send(body []byte) []byte {
	r.Helper()
	ctx, cancel := context.WithTimeout(r.Context(), testproc.Patience)
	defer cancel()
	answer, err := r.conn.Do(ctx, body)
	if err != nil {
		if ctx.Err() != nil {
			r.Fatalf("no answer, and no close: %v", err)
		}
		return nil
	}
	return answer
}

// seal makes a request's body and its nonce.
func (r *rawMinion) seal(load *wire.Map, now time.Time) (body []byte, nonce string) {
	r.Helper()
	tok, err := r.key.Token()
	r.must(err)
	nonce = seal.NewNonce()
	load = load.Clone()
	load.Set("gosalt", int64(wire.Version))
	body, err = seal.SealRequest(r.session, r.id, tok, r.enc, r.sig, nonce, now, load)
	r.must(err)
	return body, nonce
}

// do sends a load and returns the answer's value, or the refusal.
func (r *rawMinion) do(load *wire.Map) (any, error) { return r.doAt(load, time.Now()) }

func (r *rawMinion) doAt(load *wire.Map, now time.Time) (any, error) {
	r.Helper()
	body, nonce := r.seal(load, now)
	v, err := seal.OpenReply(r.send(body), r.session, nonce, wire.Authenticated)
	if err != nil {
		return nil, err
	}
	if m, ok := v.(*wire.Map); ok && m.Map(wire.FieldError) != nil {
		e, err := wire.ErrorFromMap(m.Map(wire.FieldError))
		r.must(err)
		return nil, e
	}
	return v, nil
}

func (r *rawMinion) ret(jid wire.JobID, text string) *wire.Map {
	return (&wire.Return{JID: jid, ID: r.id, Fun: "cmd.run", FunArgs: []any{}, Return: text, Success: true}).ToMap()
}

// kindOf is what a refusal says it is.
func kindOf(err error) wire.Kind {
	var e *wire.Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return 0
}

// watch collects the tags of events until the test ends.
func (s *site) watch() func() []string {
	s.Helper()
	var mu sync.Mutex
	var tags []string
	ctx, cancel := context.WithCancel(s.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.ask(ctx, wire.NewMap("op", control.OpEvents, "tags", []any{}), func(f *wire.Map) {
			mu.Lock()
			defer mu.Unlock()
			tags = append(tags, f.Text("tag"))
		})
	}()
	s.Cleanup(func() { cancel(); <-done })
	return func() []string {
		mu.Lock()
		defer mu.Unlock()
		return append([]string(nil), tags...)
	}
}

// An accepted minion that lies: about other minions' jobs, in other minions' names,
// with other times, and by saying the same thing twice.
func TestForgedMessages(t *testing.T) {
	s := newSite(t)
	s.start("master", "auto_accept: True", "job_expiry: 600")
	s.start("web1")
	evil := s.rawMinion("evil")
	tags := s.watch()
	jid, err := s.publish("web1", "cmd.run", "echo true")
	s.must(err)
	if got := s.awaitReturn(jid, "web1"); got != "true" {
		t.Fatalf("returned %q", got)
	}

	// A result of a job that does not target it.
	if _, err := evil.do(evil.ret(jid, "forged")); kindOf(err) != wire.Forbidden {
		t.Errorf("a return to another's job: %v", err)
	}
	// A result in another's name: the envelope, and the load, say web1.
	body, _ := evil.seal(evil.ret(jid, "forged"), time.Now())
	env, err := wire.DecodeEnvelope(body, wire.Authenticated)
	s.must(err)
	env.ID = "web1"
	other, err := env.Encode()
	s.must(err)
	if a := evil.send(other); string(a) != "\xa8bad load" && a != nil {
		t.Errorf("a return in another's name was answered with %q", a)
	}
	tok, err := evil.key.Token()
	s.must(err)
	nonce := seal.NewNonce()
	inner, err := seal.SealRequest(evil.session, "web1", tok, evil.enc, evil.sig, nonce, time.Now(), evil.ret(jid, "forged"))
	s.must(err)
	if env, err = wire.DecodeEnvelope(inner, wire.Authenticated); err != nil {
		t.Fatal(err)
	}
	env.ID = evil.id
	mixed, err := env.Encode()
	s.must(err)
	if v, err := seal.OpenReply(evil.send(mixed), evil.session, nonce, wire.Authenticated); err == nil {
		t.Errorf("an envelope of one and a load of another minion were answered with %v", v)
	}
	if got := s.awaitReturn(jid, "web1"); got != "true" {
		t.Errorf("the result of web1 is now %q", got)
	}
	all, err := s.returns(jid)
	s.must(err)
	if all.Len() != 1 {
		t.Errorf("the job has %d returns", all.Len())
	}

	// Events under others' tags are refused, and a gosalt minion is told so.
	for _, tag := range []string{"salt/job/" + string(jid) + "/ret/web1", "salt/minion/web1/start", "salt/auth", "salt/key", string(jid), "salt/run/20260101000000000000/new"} {
		if _, err := evil.do((&wire.MinionEvent{ID: "evil", Tag: tag, Data: wire.NewMap("id", "web1", "return", "forged")}).ToMap()); err == nil || !strings.Contains(err.Error(), "may not fire events under") {
			t.Errorf("event %s: %v, a refusal expected", tag, err)
		}
	}
	_, err = evil.do((&wire.MinionEvent{ID: "evil", Tag: "mine/to/say", Data: wire.NewMap()}).ToMap())
	s.must(err)
	testproc.Until(testproc.Patience, func() bool { return strings.Contains(strings.Join(tags(), "\n"), "mine/to/say") })
	seen := map[string]int{}
	for _, tag := range tags() {
		seen[tag]++
	}
	for _, tag := range []string{"salt/job/" + string(jid) + "/ret/web1", string(jid)} { // the true ones
		if n := seen[tag]; n != 1 {
			t.Errorf("event %s was seen %d times", tag, n)
		}
	}
	for _, tag := range []string{"salt/minion/web1/start", "salt/run/20260101000000000000/new", "salt/key"} {
		if seen[tag] > 0 {
			t.Errorf("event %s was fired", tag)
		}
	}

	// The same bytes twice: the second time has no effect.
	say, _ := evil.seal((&wire.MinionEvent{ID: "evil", Tag: "said/once", Data: wire.NewMap()}).ToMap(), time.Now())
	evil.send(say)
	for range 3 {
		evil.send(say)
	}
	own, err := s.publish("evil", "cmd.run", "whatever")
	s.must(err)
	ret, _ := evil.seal(evil.ret(own, "mine"), time.Now())
	for range 3 {
		evil.send(ret)
	}
	// The same result in new words is not a second result either.
	_, err = evil.do(evil.ret(own, "another"))
	s.must(err)
	if got := s.awaitReturn(own, "evil"); got != "mine" {
		t.Errorf("the first result was %q, and is now %q", "mine", got)
	}
	_, err = evil.do((&wire.MinionEvent{ID: "evil", Tag: "said/last", Data: wire.NewMap()}).ToMap())
	s.must(err)
	testproc.Until(testproc.Patience, func() bool { return strings.Contains(strings.Join(tags(), "\n"), "said/last") })
	n, rets := 0, 0
	for _, tag := range tags() {
		if tag == "said/once" {
			n++
		}
		if tag == "salt/job/"+string(own)+"/ret/evil" {
			rets++
		}
	}
	if n != 1 || rets != 1 {
		t.Errorf("one event was fired %d times, one return %d times", n, rets)
	}

	// An hour off, either way.
	for _, off := range []time.Duration{-time.Hour, time.Hour} {
		_, err := evil.doAt((&wire.Alive{}).ToMap(), time.Now().Add(off))
		if kindOf(err) != wire.Expired || !strings.Contains(fmt.Sprint(err), "the clock of evil is ") {
			t.Errorf("a clock off by %s: %v", off, err)
		}
	}
	// Every byte of a message matters.
	good, _ := evil.seal((&wire.Alive{}).ToMap(), time.Now())
	for i := 0; i < len(good); i += 7 {
		bad := append([]byte(nil), good...)
		bad[i] ^= 0x20
		if v, err := seal.OpenReply(evil.send(bad), evil.session, "", wire.Authenticated); err == nil && v != nil {
			t.Fatalf("byte %d altered: answered with %v", i, v)
		}
	}
	for n := range len(good) {
		evil.send(good[:n])
	}
	s.ping("web1")
	s.end("web1", "master")
}
