package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/gosalt/gosalt/cli/output"
	"github.com/gosalt/gosalt/internal/optparse"
	"github.com/gosalt/gosalt/protocol/seal"
	"github.com/gosalt/gosalt/protocol/wire"
)

// TokenOptions are those options of gosalt-key that are about join tokens.
type TokenOptions struct {
	Token       bool   // --token
	Tokens      bool   // --tokens
	Revoke      string // --revoke
	ForgetCloud string // --forget-cloud

	ID      string // --id: a glob
	Life    string // --life
	Uses    int    // --uses
	Masters string // --master, commas between them
	Grains  string // --grains, as k=v,k=v
	Note    string // --note
}

// TokenRequest is what a token is to be like.
type TokenRequest struct {
	ID      string        // a glob; "": any
	Life    time.Duration // 0: the usual
	Uses    int
	Masters string // addresses with commas between them; "": as the configuration says
	Grains  map[string]string
	Note    string
}

// JoinTokens is what gosalt-key needs of the master's join tokens.
type JoinTokens interface {
	// Issue makes a token. What is returned besides it is for people: name, id, uses,
	// expires, masters, finger.
	Issue(r TokenRequest) (*seal.JoinToken, *wire.Map, error)
	// Master is what a minion has to know of this master: its addresses, those given (with commas
	// between them) or the configuration's, and the fingerprint of its key.
	Master(given string) (masters []string, finger string, err error)
	// List is all tokens by name, the newest first, without their secrets.
	List() (*wire.Map, error)
	// Revoke ends a token; fs.ErrNotExist where there is none of that name.
	Revoke(name string) error
	// ForgetCloud lets a machine of a cloud, as "aws/i-0123456789abcdef0", join again;
	// fs.ErrNotExist where it has not joined.
	ForgetCloud(machine string) error
}

func (t *TokenOptions) declare(p *optparse.Parser) {
	g := p.Add("Join Tokens",
		optparse.Flag(&t.Token, "token", "--token").
			Help("Make a join token, which lets a new minion be accepted without a further step: gosalt-minion join, on the machine. It is printed once and not kept."),
		optparse.Text(&t.ID, "id", "--id").Metavar("GLOB").
			Help("Whom the token is for: the minion's id, or a shell pattern of ids. Default: any that is not known yet."),
		optparse.Text(&t.Life, "life", "--life").Metavar("TIME").
			Help("How long the token counts, as 90s, 15m, 2h or 7d. Default: 1h."),
		optparse.Int(&t.Uses, "uses", "--uses").
			Help("How many minions may join with it. Default: %default."),
		optparse.Text(&t.Masters, "master", "--master").Metavar("ADDRESS").
			Help("Address by which the minion reaches this master, with :PORT where that is not 4506; several with commas between them. Default: join_masters of the configuration, else interface, else this machine's name."),
		optparse.Text(&t.Grains, "grains", "--grains").Metavar("NAME=VALUE").
			Help("Grains that the minion gets in its configuration, with commas between them."),
		optparse.Text(&t.Note, "note", "--note").
			Help("What --tokens says of it."),
		optparse.Flag(&t.Tokens, "tokens", "--tokens").
			Help("List the join tokens: whom they are for, till when they count, who has used them. Their secrets are not kept, and not shown."),
		optparse.Text(&t.Revoke, "revoke", "--revoke").Metavar("NAME").
			Help("End a join token, by its name in --tokens, or all that count with 'all'."),
		optparse.Text(&t.ForgetCloud, "forget_cloud", "--forget-cloud").Metavar("CLOUD/ID").
			Help("Let a machine that has joined by its cloud's word join again, as aws/i-0123456789abcdef0."),
	)
	g.Description = "How machines become minions without a step on the master for each. What Salt's command does not have."
}

// request reads what a token is to be like.
func (t *TokenOptions) request() (TokenRequest, error) {
	r := TokenRequest{ID: t.ID, Uses: t.Uses, Note: t.Note}
	if t.Life != "" {
		var ok bool
		if r.Life, ok = parseSpan(strings.TrimSpace(t.Life)); !ok || r.Life == 0 {
			return r, fmt.Errorf("--life %q: a time as 90s, 15m, 2h, 7d or 1d12h expected", t.Life)
		}
	}
	if t.Uses < 1 {
		return r, fmt.Errorf("--uses %d: 1 or more expected", t.Uses)
	}
	r.Masters = t.Masters
	if t.Grains != "" {
		r.Grains = map[string]string{}
		for kv := range strings.SplitSeq(t.Grains, ",") {
			k, v, ok := strings.Cut(kv, "=")
			if k = strings.TrimSpace(k); !ok || k == "" {
				return r, fmt.Errorf("--grains %q: NAME=VALUE expected, with commas between several", kv)
			}
			r.Grains[k] = v
		}
	}
	return r, nil
}

// tokens does what is asked for about join tokens; done is false where that is nothing.
func (k *keyCommand) tokens() (outcome Outcome, err error, done bool) {
	t := &k.o.TokenOptions
	if !t.Token && !t.Tokens && t.Revoke == "" && t.ForgetCloud == "" && !k.o.CloudInit {
		return OK, nil, false
	}
	if k.env.Tokens == nil {
		return NotAuthorized, errors.New("join tokens are made on the master's machine: without --auth, as root or the master's user"), true
	}
	switch {
	case k.o.CloudInit:
		outcome, err = k.cloudInit()
	case t.Token:
		outcome, err = k.makeToken()
	case t.Tokens:
		var list *wire.Map
		if list, err = k.env.Tokens.List(); err == nil {
			err = output.Display(k.io.Out, list, "nested", k.out)
		}
	case t.Revoke != "":
		outcome, err = k.revoke(t.Revoke)
	default:
		err = k.env.Tokens.ForgetCloud(t.ForgetCloud)
		if errors.Is(err, fs.ErrNotExist) {
			fmt.Fprintf(k.io.Out, "No machine %s has joined.\n", t.ForgetCloud)
			return NoKeyMatched, nil, true
		}
		if err == nil {
			fmt.Fprintf(k.io.Out, "%s may join again.\n", t.ForgetCloud)
		}
	}
	return outcome, err, true
}

// issue makes the token that the options ask for.
func (k *keyCommand) issue() (*seal.JoinToken, *wire.Map, error) {
	r, err := k.o.TokenOptions.request()
	if err != nil {
		return nil, nil, err
	}
	return k.env.Tokens.Issue(r)
}

func (k *keyCommand) makeToken() (Outcome, error) {
	t, about, err := k.issue()
	if err != nil {
		return OK, err
	}
	text, err := t.Text()
	if err != nil {
		return OK, err
	}
	if k.out.Out != "" && k.out.Out != "key" && k.out.Out != "nested" {
		out := wire.NewMap("token", text)
		for key, v := range about.Strings() {
			out.Set(key, v)
		}
		return OK, output.Display(k.io.Out, out, "nested", k.out)
	}
	// The token alone is the result: it can be piped to where it is needed.
	if err := k.writeSecret(text+"\n", os.O_APPEND); err != nil {
		return OK, err
	}
	var masters []string
	for _, m := range about.List("masters") {
		masters = append(masters, fmt.Sprint(m))
	}
	fmt.Fprintf(k.io.Err, "%s: token %s is for %s, until %s, who will look for the master at %s\n", k.io.Prog, about.Text("name"), whom(about), about.Text("expires"), strings.Join(masters, ", "))
	fmt.Fprintf(k.io.Err, "%s: on the machine, as root: gosalt-minion join -    (and give it the token)\n", k.io.Prog)
	return OK, nil
}

// writeSecret writes to standard output, or to the file of --out-file, which is its user's
// alone where it is new. mode is os.O_APPEND or os.O_TRUNC.
func (k *keyCommand) writeSecret(text string, mode int) error {
	if k.out.File == "" {
		_, err := io.WriteString(k.io.Out, text)
		return err
	}
	f, err := os.OpenFile(k.out.File, os.O_CREATE|os.O_WRONLY|mode, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

// whom says in words what a token is for.
func whom(about *wire.Map) string {
	text := "one minion"
	if n := about.Int("uses"); n != 1 {
		text = fmt.Sprintf("%d minions", n)
	}
	if id := about.Text("id"); id != "" {
		text += " named " + id
	}
	return text
}

func (k *keyCommand) revoke(name string) (Outcome, error) {
	names := []string{name}
	if name == "all" {
		names = nil
		list, err := k.env.Tokens.List()
		if err != nil {
			return OK, err
		}
		for n, v := range list.Strings() {
			if m, ok := v.(*wire.Map); ok && slices.Contains([]string{"valid", "damaged"}, m.Text("state")) {
				names = append(names, n)
			}
		}
		if names == nil {
			fmt.Fprintln(k.io.Out, "No join token counts now.")
			return NoKeyMatched, nil
		}
	}
	for _, n := range names {
		err := k.env.Tokens.Revoke(n)
		if errors.Is(err, fs.ErrNotExist) {
			fmt.Fprintf(k.io.Out, "There is no join token %s.\n", n)
			return NoKeyMatched, nil
		}
		if err != nil {
			return OK, err
		}
		fmt.Fprintf(k.io.Out, "Join token %s revoked.\n", n)
	}
	return OK, nil
}
