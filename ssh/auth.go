package ssh

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/gosalt/gosalt/protocol/seal"
	xssh "golang.org/x/crypto/ssh"
)

// maxKeys is how many keys a server is asked about at most.
const maxKeys = 20

// A candidate is a key to try.
type candidate struct {
	signer xssh.Signer
	name   string // in messages
	first  bool   // named for this host: it comes before the password
}

// An authenticator logs in to one server.
type authenticator struct {
	d     *Dialer
	h     Host
	s     *settings
	ctx   context.Context
	clock *guard // stops while a person is asked

	keys    []candidate
	next    int
	lost    []*Error // of keys that could not be used
	agentIs error

	offered  []string // what the server takes
	tried    []string // in words
	password bool     // was sent
	asked    int
	keyboard int
	signErr  *Error
}

// newAuthenticator finds the keys for a host. A key that was named and cannot be read is
// an error, unless there is a password as well.
func (d *Dialer) newAuthenticator(ctx context.Context, h Host, s *settings) (*authenticator, *Error) {
	a := &authenticator{d: d, h: h, s: s, ctx: ctx}
	if !s.pubkey {
		return a, nil
	}
	var agents []agentKey
	if s.agentSocket != "" {
		agents, a.agentIs = d.agent(s.agentSocket).open()
		if a.agentIs != nil && h.Priv == AgentForwarding {
			return nil, &Error{Host: s.name, Kind: KindAgent, Msg: a.agentIs.Error(), Err: a.agentIs, Hint: "start one with: eval $(ssh-agent); ssh-add"}
		}
	} else if h.Priv == AgentForwarding {
		return nil, &Error{Host: s.name, Kind: KindAgent, Msg: "priv is " + AgentForwarding + ", and there is no agent", Hint: "start one with: eval $(ssh-agent); ssh-add"}
	}
	used := make([]bool, len(agents))
	var certs []*xssh.Certificate
	for _, p := range s.certificates {
		b, _, err := readSmall(p)
		if err != nil {
			a.lost = append(a.lost, &Error{Kind: KindKeyFile, Msg: "certificate " + p + ": " + rootPath(err), Err: err})
			continue
		}
		pub, _, _, _, err := xssh.ParseAuthorizedKey(b)
		c, ok := pub.(*xssh.Certificate)
		if err != nil || !ok {
			a.lost = append(a.lost, &Error{Kind: KindKeyFile, Msg: "certificate " + p + ": it is no certificate"})
			continue
		}
		certs = append(certs, c)
	}
	for _, id := range s.identities {
		k := d.key(id.path)
		if k.err != nil {
			if id.explicit || k.err.Kind != KindKeyFile {
				e := *k.err
				e.Host = s.name
				if id.roster && h.Passwd.Empty() && d.o.AskPass == nil {
					return nil, &e
				}
				a.lost = append(a.lost, &e)
			}
			continue
		}
		passphrase := seal.Secret{}
		if id.roster {
			passphrase = h.PrivPasswd
		}
		unlock := func() (xssh.Signer, *Error) {
			signer, e := k.unlock(ctx, passphrase, a.ask())
			if e != nil {
				c := *e
				c.Host = s.name
				e = &c
				a.signErr = e
			}
			return signer, e
		}
		var signer xssh.Signer = &lazySigner{pub: k.pub, unlock: unlock}
		name := id.path
		if i := slices.IndexFunc(agents, func(g agentKey) bool { return sameKey(g.signer.PublicKey(), k.pub) }); i >= 0 && k.locked() {
			// The agent has it unlocked.
			signer, used[i] = agents[i].signer, true
		} else if k.pub == nil || !k.locked() {
			// Nothing shows the public half of this one without its passphrase.
			plain, e := unlock()
			if e != nil {
				if id.roster && h.Passwd.Empty() {
					return nil, e
				}
				a.lost = append(a.lost, e)
				continue
			}
			signer = plain
		}
		for _, c := range append(slices.Clone(certs), k.cert) {
			if c == nil || !sameKey(c.Key, k.pub) {
				continue
			}
			if cs, err := xssh.NewCertSigner(c, signer); err == nil {
				a.keys = append(a.keys, candidate{cs, name + " with its certificate", id.explicit})
			}
		}
		a.keys = append(a.keys, candidate{signer, name, id.explicit})
	}
	if !s.identitiesOnly {
		for i, g := range agents {
			if used[i] || slices.ContainsFunc(a.keys, func(c candidate) bool { return sameKey(c.signer.PublicKey(), g.signer.PublicKey()) }) {
				continue
			}
			for _, c := range certs {
				if sameKey(c.Key, g.signer.PublicKey()) {
					if cs, err := xssh.NewCertSigner(c, g.signer); err == nil {
						a.keys = append(a.keys, candidate{cs, "the agent's " + OneLine(g.comment) + " with its certificate", false})
					}
				}
			}
			a.keys = append(a.keys, candidate{g.signer, "the agent's " + OneLine(g.comment), false})
		}
	}
	// Keys of the agent before those that would ask for a passphrase, as OpenSSH does it;
	// those named for this host before all.
	rank := func(c candidate) int {
		_, lazy := c.signer.(*lazySigner)
		switch {
		case c.first:
			return 0
		case lazy:
			return 2
		}
		return 1
	}
	slices.SortStableFunc(a.keys, func(x, y candidate) int { return rank(x) - rank(y) })
	if len(a.keys) > maxKeys {
		a.keys = a.keys[:maxKeys]
	}
	return a, nil
}

// ask is the question to a person, with the clock stopped, or nil.
func (a *authenticator) ask() func(context.Context, Prompt) (seal.Secret, error) {
	if a.d.o.AskPass == nil || a.s.batch {
		return nil
	}
	return func(ctx context.Context, p Prompt) (seal.Secret, error) {
		if a.clock != nil {
			defer a.clock.pause()()
		}
		return a.d.o.AskPass(ctx, p)
	}
}

// errDone says that nothing is left to try.
var errDone = errors.New("nothing left to try")

// method chooses what to do next, by what the server takes.
func (a *authenticator) method(c *xssh.ClientAuthContext) (xssh.AuthMethod, error) {
	if c.AllowedMethods != nil {
		a.offered = c.AllowedMethods
	}
	takes := func(m string) bool { return slices.Contains(a.offered, m) }
	key := func() xssh.AuthMethod {
		k := a.keys[a.next]
		a.next++
		a.tried = append(a.tried, "key "+k.name)
		return xssh.PublicKeys(k.signer)
	}
	haveKey := takes("publickey") && a.next < len(a.keys)
	if haveKey && a.keys[a.next].first {
		return key(), nil
	}
	known := !a.h.Passwd.Empty()
	sendPassword := a.s.password && takes("password")
	if sendPassword && known && !a.password {
		a.password = true
		a.tried = append(a.tried, "the password of the roster")
		return xssh.Password(a.h.Passwd.Reveal()), nil
	}
	sendAnswers := a.s.keyboard && takes("keyboard-interactive")
	if sendAnswers && known && !a.password && a.keyboard == 0 {
		return a.interactive(), nil
	}
	if haveKey {
		return key(), nil
	}
	if ask := a.ask(); ask != nil && a.asked < 3 {
		if sendAnswers && (a.keyboard == 0 || !sendPassword) && !(known && a.keyboard > 0) {
			return a.interactive(), nil
		}
		if sendPassword {
			a.asked++
			return xssh.PasswordCallback(func() (string, error) {
				p, err := ask(a.ctx, Prompt{Kind: AskPassword, Host: a.s.name, User: a.s.user, Text: a.s.user + "@" + a.s.hostName + "'s password: "})
				if err != nil {
					a.asked = 3
					return "", err
				}
				a.tried = append(a.tried, "a password")
				return p.Reveal(), nil
			}), nil
		}
	}
	return nil, errDone
}

// interactive answers the questions of a server: the one for a password with the password
// that the roster has, the others by asking a person.
func (a *authenticator) interactive() xssh.AuthMethod {
	a.keyboard++
	a.tried = append(a.tried, "keyboard-interactive")
	return xssh.KeyboardInteractive(func(name, instruction string, questions []string, echos []bool) ([]string, error) {
		answers := make([]string, len(questions))
		for i, q := range questions {
			if !echos[i] && !a.password && !a.h.Passwd.Empty() && strings.Contains(strings.ToLower(q), "password") {
				a.password = true
				answers[i] = a.h.Passwd.Reveal()
				continue
			}
			ask := a.ask()
			if ask == nil || a.asked >= 8 {
				return nil, fmt.Errorf("the server asks %q", OneLine(q))
			}
			a.asked++
			text := OneLine(q) + " "
			if instruction != "" {
				text = OneLine(instruction) + " " + text
			}
			p, err := ask(a.ctx, Prompt{Kind: AskChallenge, Host: a.s.name, User: a.s.user, Text: "(" + a.s.user + "@" + a.s.hostName + ") " + text, Echo: echos[i]})
			if err != nil {
				return nil, err
			}
			answers[i] = p.Reveal()
		}
		return answers, nil
	})
}

// failed says why the login did not work.
func (a *authenticator) failed(reason string) *Error {
	who := a.s.user + "@" + a.s.hostName
	e := &Error{Host: a.s.name, Kind: KindAuth, Msg: who + ": Permission denied"}
	if len(a.offered) > 0 {
		e.Msg += " (" + strings.Join(a.offered, ",") + ")"
	}
	if len(a.tried) > 0 {
		e.Msg += ": tried " + strings.Join(a.tried, ", ")
	} else {
		e.Msg += ": there was nothing to try"
	}
	if reason != "" {
		e.Msg += "; " + reason
	}
	if a.signErr != nil {
		e.Msg += "; " + a.signErr.Msg
		e.Kind, e.Hint = a.signErr.Kind, a.signErr.Hint
		return e
	}
	for _, l := range a.lost {
		e.Msg += "; " + l.Msg
	}
	if slices.Contains(a.offered, "gssapi-with-mic") {
		e.Msg += "; Kerberos (GSSAPI), which the server takes, is not supported here"
	}
	switch {
	case len(a.lost) > 0 && a.lost[0].Hint != "":
		e.Hint = a.lost[0].Hint
	case a.agentIs != nil && len(a.keys) == 0:
		e.Hint = a.agentIs.Error()
	case !slices.Contains(a.offered, "publickey") && len(a.offered) > 0 && a.h.Passwd.Empty():
		e.Hint = "the server takes no keys: give a password with passwd: in the roster, or --askpass"
	case a.password || a.asked > 0:
		e.Hint = "is that the right user and password?"
	default:
		e.Hint = "is that the right user? Name a key with priv: or --priv, or bring it there with --key-deploy and --askpass"
	}
	return e
}
