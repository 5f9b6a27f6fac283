package vm

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gosalt/gosalt/inventory"
	"github.com/gosalt/gosalt/protocol/wire"
)

// lazyMachine is a source of one machine, which has a state from a time on.
type lazyMachine struct {
	inventory.Machines
	state func(since time.Duration) (inventory.State, error)
	begun time.Time
	gets  int
	text  string
}

func (l *lazyMachine) Create(_ context.Context, s inventory.Spec, _ func(string)) (inventory.Machine, error) {
	l.begun = time.Now()
	return inventory.Machine{ID: "i-1"}, s.Begins("machine i-1")
}

func (l *lazyMachine) Get(context.Context, string) (inventory.Machine, error) {
	l.gets++
	state, err := l.state(time.Since(l.begun))
	return inventory.Machine{ID: "i-1", State: state}, err
}

func (l *lazyMachine) Console(context.Context, string) (string, string, error) {
	return l.text, "virsh console i-1", nil
}

type lazyMaster struct {
	Master
	p *lazyMachine
}

func (m lazyMaster) Provider(string) (inventory.Provider, error) { return m.p, nil }
func (m lazyMaster) HasKey(wire.MinionID) (bool, error)          { return false, nil }
func (m lazyMaster) Connected(wire.MinionID) bool                { return false }

// While a machine is waited for, its source is asked for it alone, and not all the time. One
// that has gone is not waited for; one that does not answer in time is told of as a whole.
func TestWait(t *testing.T) {
	running := func(time.Duration) (inventory.State, error) { return inventory.Running, nil }
	for name, row := range map[string]struct {
		profile []any
		state   func(time.Duration) (inventory.State, error)
		console string
		took    time.Duration
		gets    int // at most
		want    []string
	}{
		"no answer": {nil, running, "\x1b[0;1mWelcome\r\n\n" + strings.Repeat("x\n", 30) + "token gosalt-join1-hKFtka4xOTI!\nlogin:", 10 * time.Minute, 41, []string{
			"profile web, source lab: w1 was made as i-1, and was waited for to connect as a minion for 10m0s: 10m0s are over (timeout of the profile); its console ends with:\n    x\n", "\n    token gosalt-join1-…!\n    login:\n(more: virsh console i-1)"}},
		"no console":   {[]any{"timeout", "1m"}, running, "", time.Minute, 5, []string{"for 1m0s: 1m0s are over", "; its console shows how it boots: virsh console i-1; it stays"}},
		"turned off":   {nil, func(time.Duration) (inventory.State, error) { return inventory.Stopped, nil }, "", 30 * time.Second, 2, []string{"for 30s: it has stopped: it was shut down, or its system has turned itself off; its console shows"}},
		"just stopped": {[]any{"timeout", "20s"}, func(time.Duration) (inventory.State, error) { return inventory.Stopped, nil }, "", 20 * time.Second, 2, []string{"it has stopped"}},
		"is started": {[]any{"timeout", "1m"}, func(d time.Duration) (inventory.State, error) {
			if d < 50*time.Second {
				return inventory.Starting, nil
			}
			return inventory.Stopping, nil
		}, "", time.Minute, 5, []string{"(timeout of the profile): it is stopping, says its source; its console"}},
		"gone": {nil, func(d time.Duration) (inventory.State, error) {
			if d > 50*time.Second {
				return "", &inventory.Error{Reason: inventory.NotFound}
			}
			return inventory.Running, nil
		}, "", time.Minute, 4, []string{"for 1m0s: its source lab has no such machine any more"}},
		"source is down": {[]any{"timeout", "1m"}, func(time.Duration) (inventory.State, error) { return "", errors.New("it is on fire") }, "", time.Minute, 5, []string{"(timeout of the profile): it is on fire"}},
		"no address":     {[]any{"timeout", "5m", "ready", "ssh"}, running, "", 5 * time.Minute, 100, []string{"was waited for to answer by SSH for 5m0s: ", "it has no address that is private or public"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				p := &lazyMachine{state: row.state, text: row.console}
				profile := wire.NewMap(append([]any{"source", "lab", "join", "none"}, row.profile...)...)
				m := New(Config{Dir: dir, Profiles: wire.NewMap("web", profile), Master: lazyMaster{p: p}})
				begun := time.Now()
				r, err := m.Create(t.Context(), "web", "w1", "root", quiet)
				if err == nil || r == nil {
					t.Fatal(r, err)
				}
				for _, want := range row.want {
					if !strings.Contains(err.Error(), want) {
						t.Errorf("%s\nwant %s", err, want)
					}
				}
				if took := time.Since(begun).Round(time.Second); took != row.took || p.gets > row.gets {
					t.Errorf("it took %s, and the source was asked %d times", took, p.gets)
				}
				if got, err := m.records.get(r.Ref); err != nil || got.Phase != made || fmt.Sprint(got.Things) != "[machine i-1]" {
					t.Errorf("%+v %v", got, err)
				}
			})
		})
	}
}

// A server that says nothing, and one that is none of SSH.
func TestBanner(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	says := make(chan string, 3)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Write([]byte(<-says))
			c.Close()
		}
	}()
	for text, want := range map[string]string{"SSH-2.0-x\r\n": "", "HTTP/1.0 400\r\n": " is no SSH server", "": " says nothing: EOF"} {
		says <- text
		err := banner(t.Context(), l.Addr().String())
		if (err == nil) != (want == "") || err != nil && !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// loginMaster lets nobody in, for a reason.
type loginMaster struct {
	lazyMaster
	why error
}

func (m loginMaster) Login(context.Context, wire.MinionID, string, *wire.Map) error { return m.why }

// A login that cannot come about is not waited for: at once where that is sure, and after as
// long as users and keys may take to get there where the machine refuses.
func TestWaitLogin(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for c, err := l.Accept(); err == nil; c, err = l.Accept() {
			fmt.Fprint(c, "SSH-2.0-test\r\n")
			c.Close()
		}
	}()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	running := func(time.Duration) (inventory.State, error) { return inventory.Running, nil }
	manager := func(why error) *Manager {
		profile := wire.NewMap("source", "lab", "join", "ssh", "ssh", wire.NewMap("host", "127.0.0.1", "port", port))
		return New(Config{Dir: t.TempDir(), Profiles: wire.NewMap("web", profile), Master: loginMaster{lazyMaster{p: &lazyMachine{state: running}}, why}})
	}
	sure := &LoginError{errors.New("the host key has changed"), true}
	if _, err := manager(sure).Create(t.Context(), "web", "w1", "root", quiet); err == nil || !strings.Contains(err.Error(), "which cannot come about: the host key has changed") {
		t.Error(err)
	}
	for name, row := range map[string]struct {
		err  error
		took time.Duration
		want string
	}{
		"sure":     {sure, 0, "for 0s, which cannot come about: the host key has changed"},
		"refused":  {&LoginError{errors.New("Permission denied"), false}, refusedFor, "which cannot come about: Permission denied; it has refused for 1m0s, and what cloud-init brings"},
		"no route": {errors.New("no route"), 5 * time.Minute, "no route"},
	} {
		t.Run(name, func(t *testing.T) {
			m := manager(row.err)
			synctest.Test(t, func(t *testing.T) {
				w := &watch{m: m, r: &Record{Name: "w1"}, api: &lazyMachine{state: running, begun: time.Now()}, progress: quiet}
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
				defer cancel()
				begun := time.Now()
				err := w.letsIn(ctx, m.profiles["web"], "127.0.0.1")
				if took := time.Since(begun); err == nil || !strings.Contains(err.Error(), row.want) || took < row.took || took > row.took+2*lookAgain {
					t.Errorf("after %s: %v\nwant %s", took, err, row.want)
				}
			})
		})
	}
}
