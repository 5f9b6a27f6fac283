package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gosalt/gosalt/cli/output"
	"github.com/gosalt/gosalt/protocol/seal"
	"github.com/gosalt/gosalt/protocol/wire"
)

// KeyEnv is what gosalt-key works on.
type KeyEnv struct {
	Store KeyStore
	// Tokens are the master's join tokens; nil where they cannot be had.
	Tokens JoinTokens
	// Gone finds those of the minions whose machine is not there any more; nil where there is no
	// inventory. unsure, unless it is "", says why this is not to be relied on.
	Gone func(ctx context.Context, ids []wire.MinionID) (gone map[wire.MinionID]bool, unsure string, err error)
	// Conf is the master's configuration by Salt's option names; nil has Salt's
	// defaults. It is read for pki_dir, hash_type, keysize, rotate_aes_key,
	// preserve_minions, master_sign_key_name, master_pubkey_signature,
	// signing_algorithm and how results are shown.
	Conf *wire.Map
	// Passphrase is that of keys that are made or signed with (key_pass, signing_key_pass).
	Passphrase seal.Secret
	// Generate makes a private key of so many bits; nil is seal.Generate.
	Generate func(bits int) (*seal.PrivateKey, error)
}

// setting is a text of the configuration, or a default.
func (e KeyEnv) setting(name, fallback string) string {
	return first(e.Conf.Text(name), fallback)
}

// RunKey is gosalt-key: it lists, shows, accepts, rejects and deletes the keys of
// minions, or makes keys. It returns the exit code.
func RunKey(ctx context.Context, io IO, o *KeyOptions, env KeyEnv) int {
	k := &keyCommand{io: io, o: o, env: env, out: o.Out.Settings(io, env.Conf)}
	if !o.Explicit("rotate_aes_key") {
		confBool(env.Conf, "rotate_aes_key", &o.RotateAESKey)
	}
	if !o.Explicit("preserve_minions") {
		confBool(env.Conf, "preserve_minions", &o.PreserveMinions)
	}
	if n := env.Conf.Int("keysize"); n > 0 && !o.Explicit("keysize") {
		o.KeySize = int(n)
	}
	outcome, err := k.run(ctx)
	if outcome, refused := keyRefused(io, err); refused {
		return outcome.Code(o.Strict)
	}
	if err != nil {
		fmt.Fprintf(io.Err, "Error: %v\n", err)
		if outcome == OK {
			outcome = MinionFailed
		}
	}
	return outcome.Code(o.Strict)
}

type keyCommand struct {
	io  IO
	o   *KeyOptions
	env KeyEnv
	out output.Options
}

// run does the first action asked for, in Salt's order; without one it lists all keys.
func (k *keyCommand) run(ctx context.Context) (Outcome, error) {
	o := k.o
	all := func(on bool, pattern string) string {
		if pattern == "" && on {
			return "*"
		}
		return pattern
	}
	if outcome, err, done := k.tokens(); done {
		return outcome, err
	}
	if o.Gone {
		return k.gone(ctx)
	}
	switch {
	case o.GenKeys != "":
		return k.genKeys()
	case o.GenSignature:
		return k.genSignature()
	case o.List != "":
		return k.list(keyListStates(o.List))
	case o.ListAll:
		return k.list(keyStates)
	case o.Print != "" || o.PrintAll:
		return k.print(all(o.PrintAll, o.Print))
	case o.Accept != "" || o.AcceptAll:
		return k.change(ctx, "accept", all(o.AcceptAll, o.Accept), KeyAccepted, o.IncludeAll || o.IncludeRejected, KeyRejected)
	case o.Reject != "" || o.RejectAll:
		return k.change(ctx, "reject", all(o.RejectAll, o.Reject), KeyRejected, o.IncludeAll || o.IncludeAccepted, KeyAccepted)
	case o.Delete != "" || o.DeleteAll:
		return k.change(ctx, "delete", all(o.DeleteAll, o.Delete), "", o.IncludeAccepted, "")
	case o.Finger != "" || o.FingerAll:
		return k.finger(all(o.FingerAll, o.Finger))
	}
	return k.list(keyStates)
}

func (k *keyCommand) show(v any) error { return output.Display(k.io.Out, v, "key", k.out) }

func (k *keyCommand) list(states []KeyState) (Outcome, error) {
	m, err := listKeys(k.env.Store, states)
	if err != nil {
		return OK, err
	}
	return OK, k.show(m.value())
}

// noMatch is OK for Salt, even when an unknown key was to be shown.
func noMatch(v *wire.Map) Outcome {
	if v.Len() == 0 {
		return NoKeyMatched
	}
	return OK
}

func (k *keyCommand) print(patterns string) (Outcome, error) {
	return k.texts(patterns, func(pem string) (string, error) { return pem, nil })
}

// texts shows something of each matching public key.
func (k *keyCommand) texts(patterns string, text func(pem string) (string, error)) (Outcome, error) {
	m, err := matchKeys(k.env.Store, patterns)
	if err != nil {
		return OK, err
	}
	v, err := k.keyTexts(m, text)
	if err != nil {
		return OK, err
	}
	return noMatch(v), k.show(v)
}

func (k *keyCommand) keyTexts(m keyMatches, text func(pem string) (string, error)) (*wire.Map, error) {
	v := wire.NewMap()
	for _, s := range keyStates {
		if len(m[s]) == 0 {
			continue
		}
		keys := wire.NewMap()
		for _, id := range m[s] {
			pem, err := k.env.Store.Read(s, id)
			if err != nil {
				return nil, err
			}
			t, err := text(pem)
			if err != nil {
				return nil, fmt.Errorf("key of %s: %w", id, err)
			}
			keys.Set(string(id), t)
		}
		v.Set(string(s), keys)
	}
	return v, nil
}

// finger shows fingerprints, those of the master's own keys among them.
func (k *keyCommand) finger(patterns string) (Outcome, error) {
	hash := k.env.setting("hash_type", "sha256")
	m, err := matchKeys(k.env.Store, patterns)
	if err != nil {
		return OK, err
	}
	v, err := k.keyTexts(m, func(pem string) (string, error) { return seal.Fingerprint(pem, hash) })
	if err != nil {
		return OK, err
	}
	local, err := k.localFingers(patterns, hash)
	if err != nil {
		return OK, err
	}
	if local.Len() > 0 {
		v.Set("local", local)
	}
	return noMatch(v), k.show(v)
}

func (k *keyCommand) localFingers(patterns, hash string) (*wire.Map, error) {
	matches, err := shellPatterns(patterns)
	if err != nil {
		return nil, err
	}
	dir := k.pkiDir()
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("list the master's own keys: %w", err)
	}
	local := wire.NewMap()
	for _, e := range entries {
		name := e.Name()
		if ext := filepath.Ext(name); !e.Type().IsRegular() || ext != ".pub" && ext != ".pem" || !matches(name) {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return nil, fmt.Errorf("read a key of the master: %w", err)
		}
		f, err := seal.Fingerprint(string(text), hash)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		local.Set(name, f)
	}
	return local, nil
}

func (k *keyCommand) pkiDir() string { return k.env.setting("pki_dir", "/etc/salt/pki/master") }

// change accepts, rejects or deletes (to is "") the keys that match: it shows them,
// asks, and does it. Waiting keys always count, those of the state also when include
// is set, denied ones by --include-denied; to delete, all count.
func (k *keyCommand) change(ctx context.Context, verb, patterns string, to KeyState, include bool, also KeyState) (Outcome, error) {
	m, err := matchKeys(k.env.Store, patterns)
	if err != nil {
		return OK, err
	}
	from := []KeyState{KeyPending}
	if include && also != "" {
		from = append(from, also)
	}
	if k.o.IncludeDenied {
		from = append(from, KeyDenied)
	}
	if to == "" {
		from = keyStates
	}
	for s := range m {
		if !slices.Contains(from, s) {
			delete(m, s)
		}
	}
	return k.confirm(ctx, verb, patterns, m, from, to)
}

// confirm shows the keys that an action is about, asks, and does it.
func (k *keyCommand) confirm(ctx context.Context, verb, patterns string, m keyMatches, from []KeyState, to KeyState) (Outcome, error) {
	if m.empty() {
		fmt.Fprintf(k.io.Out, "The key glob '%s' does not match any %s keys.\n", patterns, k.countedStates(verb))
		return NoKeyMatched, nil
	}
	past := strings.TrimSuffix(verb, "e") + "ed"
	fmt.Fprintf(k.io.Out, "The following keys are going to be %s:\n", past)
	if err := k.show(m.value()); err != nil {
		return OK, err
	}
	if !k.o.Yes {
		if yes, outcome, err := k.ask(ctx, verb != "delete"); !yes {
			return outcome, err
		}
	}
	return OK, k.apply(m, from, past, to)
}

// countedStates names the states that were looked at, for the message that none matched.
func (k *keyCommand) countedStates(verb string) string {
	names := []string{"unaccepted"}
	accepted, rejected := k.o.IncludeAccepted, k.o.IncludeRejected
	switch verb {
	case "accept":
		accepted, rejected = false, rejected || k.o.IncludeAll
	case "reject":
		accepted, rejected = accepted || k.o.IncludeAll, false
	}
	if accepted {
		names = append(names, "accepted")
	}
	if rejected {
		names = append(names, "rejected")
	}
	if k.o.IncludeDenied {
		names = append(names, "denied")
	}
	if len(names) == 1 {
		return names[0]
	}
	return strings.Join(names[:len(names)-1], ", ") + " or " + names[len(names)-1]
}

// ask puts the question; an empty line is the default. Ctrl-C and the end of the
// input are no.
func (k *keyCommand) ask(ctx context.Context, yesByDefault bool) (bool, Outcome, error) {
	question, fallback := "Proceed? [N/y] ", "n"
	if yesByDefault {
		question, fallback = "Proceed? [n/Y] ", "y"
	}
	io.WriteString(k.io.Out, question)
	type answer struct {
		line string
		err  error
	}
	answers := make(chan answer, 1)
	go func() { // ends with its line; a process that was interrupted ends before it
		line, err := bufio.NewReader(k.io.In).ReadString('\n')
		answers <- answer{line, err}
	}()
	select {
	case <-ctx.Done():
		fmt.Fprintf(k.io.Err, "\nExiting on CTRL-c\n")
		return false, MinionFailed, nil
	case a := <-answers:
		if a.err != nil && a.line == "" {
			fmt.Fprintf(k.io.Err, "Error: EOF when reading a line\n")
			k.io.Hint("answer the question, or give -y")
			return false, NoAnswer, nil
		}
		text := strings.TrimRight(a.line, "\r\n")
		if text == "" {
			text = fallback
		}
		return strings.HasPrefix(strings.ToLower(text), "y"), OK, nil
	}
}

// apply moves or deletes the keys, and says so of each.
func (k *keyCommand) apply(m keyMatches, from []KeyState, past string, to KeyState) error {
	var failed error
	var kept []wire.MinionID
	for _, s := range from {
		for _, id := range slices.Clone(m[s]) {
			var err error
			switch to {
			case "":
				if err = k.env.Store.Delete(s, id); k.o.PreserveMinions && s == KeyAccepted {
					kept = append(kept, id)
				}
			case KeyAccepted:
				if pem, err2 := k.env.Store.Read(s, id); err2 != nil {
					err = err2
				} else if _, err2 := seal.ParsePublic([]byte(pem)); err2 != nil {
					fmt.Fprintf(k.io.Err, "Unable to accept invalid key for %s.\n", id)
					failed = errors.Join(failed, fmt.Errorf("key of %s: %w", id, err2))
					continue
				} else {
					err = k.env.Store.Move(id, s, to)
				}
			default:
				err = k.env.Store.Move(id, s, to)
			}
			if err != nil {
				failed = errors.Join(failed, err)
				continue
			}
			fmt.Fprintf(k.io.Out, "Key for minion %s %s.\n", id, past)
		}
	}
	if to == KeyAccepted {
		return failed
	}
	if err := k.env.Store.Forget(kept); err != nil {
		failed = errors.Join(failed, err)
	}
	if k.o.RotateAESKey {
		if err := k.env.Store.RotateAES(); err != nil {
			failed = errors.Join(failed, err)
		}
	}
	return failed
}
