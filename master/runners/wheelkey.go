package runners

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/target"
	"github.com/gosalt/gosalt/protocol/seal"
	"github.com/gosalt/gosalt/protocol/wire"
)

// Keys are the keys that a master knows, by the names of their directories: minions,
// minions_pre, minions_rejected, minions_denied. What changes them is audited, and fires
// its event. All methods may be called concurrently.
type Keys interface {
	// KeyIDs lists the minions of a directory, sorted.
	KeyIDs(state string) ([]wire.MinionID, error)
	// ReadKey returns a key as PEM.
	ReadKey(state string, id wire.MinionID) (string, error)
	// MoveKey accepts or rejects a key.
	MoveKey(id wire.MinionID, from, to, user string) error
	// RemoveKey deletes a key, and what is kept of a minion that has none left.
	RemoveKey(state string, id wire.MinionID, user string) error
	// SeedKey stores a key as accepted before its minion has come.
	SeedKey(id wire.MinionID, pem, user string) error
	// ForgetKeys removes the files of all keys, the master's own and those of minions.
	ForgetKeys(user string) error
	// MasterKeys are the files of the master's own keys by name, "" for private ones.
	MasterKeys() (map[string]string, error)
}

// keyStates are the directories in Salt's order.
var keyStates = []string{"minions", "minions_pre", "minions_rejected", "minions_denied"}

func registerWheelKey(w *module.Registry) {
	module.Register(w, "key.list", wheelKeyList)
	module.Register(w, "key.list_all", wheelKeyListAll)
	module.Register(w, "key.name_match", wheelKeyNameMatch)
	module.Register(w, "key.accept", wheelKeyAccept)
	module.Register(w, "key.accept_dict", wheelKeyAcceptDict)
	module.Register(w, "key.reject", wheelKeyReject)
	module.Register(w, "key.reject_dict", wheelKeyRejectDict)
	module.Register(w, "key.delete", wheelKeyDelete)
	module.Register(w, "key.delete_dict", wheelKeyDeleteDict)
	module.Register(w, "key.print", wheelKeyPrint)
	module.Register(w, "key.finger", wheelKeyFinger)
	module.Register(w, "key.finger_master", wheelKeyFingerMaster)
	module.Register(w, "key.master_key_str", wheelKeyMasterKeyStr)
	module.Register(w, "key.gen", wheelKeyGen)
	module.Register(w, "key.gen_accept", wheelKeyGenAccept)
}

type keyListArgs struct {
	Match string // Which: accepted, unaccepted (pre), rejected, denied or all; the first three letters do.
}

type keyMatchArgs struct {
	Match string // Ids: a glob, or several with commas.
}

type keyAcceptArgs struct {
	Match string // Ids: a glob, or several with commas.
	keyAcceptOptions
}

type keyAcceptOptions struct {
	IncludeRejected bool `default:"False"` // Rejected keys, too.
	IncludeDenied   bool `default:"False"` // Denied keys, too.
}

type keyRejectArgs struct {
	Match string // Ids: a glob, or several with commas.
	keyRejectOptions
}

type keyRejectOptions struct {
	IncludeAccepted bool `default:"False"` // Accepted keys, too.
	IncludeDenied   bool `default:"False"` // Denied keys, too.
}

type keyAcceptDictArgs struct {
	Match *wire.Map // Lists of ids by the name of the directory: {minions_pre: [web1]}.
	keyAcceptOptions
}

type keyRejectDictArgs struct {
	Match *wire.Map // Lists of ids by the name of the directory: {minions_pre: [web1]}.
	keyRejectOptions
}

type keyDictArgs struct {
	Match *wire.Map // Lists of ids by the name of the directory: {minions: [web1]}.
}

type keyFingerArgs struct {
	Match    string // Ids: a glob, or several with commas; names of the master's key files, too.
	HashType string `default:"None"` // The hash: the master's hash_type where not given.
}

type keyFingerMasterArgs struct {
	HashType string `default:"None"` // The hash: the master's hash_type where not given.
}

type keyGenArgs struct {
	ID      string `arg:"id_" default:"None"` // A name for it; of no effect but to be checked.
	Keysize int    `default:"2048"`           // Bits.
}

type keyGenAcceptArgs struct {
	ID      string `arg:"id_"`       // The minion's id.
	Keysize int    `default:"2048"`  // Bits.
	Force   bool   `default:"False"` // Even where the minion has an accepted key: that is replaced.
}

// listed is the ids of one directory, as a result has them.
func listed(ctx context.Context, state string) ([]any, error) {
	ids, err := callOf(ctx).r.master.KeyIDs(state)
	slices.SortStableFunc(ids, func(a, b wire.MinionID) int {
		return strings.Compare(strings.ToLower(string(a)), strings.ToLower(string(b)))
	})
	out := make([]any, len(ids))
	for i, id := range ids {
		out[i] = string(id)
	}
	return out, err
}

// wheelKeyList lists the keys of one kind.
//
//	gosalt-run salt.wheel key.list accepted
func wheelKeyList(ctx context.Context, c *module.Call, a keyListArgs) (*wire.Map, error) {
	for prefix, state := range map[string]string{"acc": "minions", "pre": "minions_pre", "un": "minions_pre", "rej": "minions_rejected", "den": "minions_denied"} {
		if strings.HasPrefix(a.Match, prefix) {
			ids, err := listed(ctx, state)
			return wire.NewMap(state, ids), err
		}
	}
	if strings.HasPrefix(a.Match, "all") {
		return wheelKeyListAll(ctx, c, noArgs{})
	}
	return wire.NewMap(), nil
}

// wheelKeyListAll lists all keys by their kind, and the master's own key files.
//
//	gosalt-run salt.wheel key.list_all
func wheelKeyListAll(ctx context.Context, _ *module.Call, _ noArgs) (*wire.Map, error) {
	out := wire.NewMap()
	for _, state := range keyStates {
		ids, err := listed(ctx, state)
		if err != nil {
			return nil, err
		}
		out.Set(state, ids)
	}
	files, err := callOf(ctx).r.master.MasterKeys()
	if err != nil {
		return nil, err
	}
	names := []string{}
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	out.Set("local", names)
	return out, nil
}

// nameMatch finds keys by their ids.
func nameMatch(ctx context.Context, match string) (*wire.Map, error) {
	var exprs []*target.Target
	for glob := range strings.SplitSeq(match, ",") {
		t, err := target.Parse(glob, "glob", target.Options{})
		if err != nil {
			return nil, module.Invalidf("%w", err)
		}
		exprs = append(exprs, t)
	}
	out := wire.NewMap()
	for _, state := range keyStates {
		ids, err := listed(ctx, state)
		if err != nil {
			return nil, err
		}
		var found []any
		for _, id := range ids {
			for _, t := range exprs {
				if ok, err := t.Match(target.Subject{ID: id.(string)}); ok && err == nil {
					found = append(found, id)
				}
			}
		}
		if found != nil {
			out.Set(state, found)
		}
	}
	return out, nil
}

// dictMatch is where the ids of a map are now.
func dictMatch(ctx context.Context, dict *wire.Map) (*wire.Map, error) {
	out := wire.NewMap()
	for _, state := range keyStates {
		ids, err := listed(ctx, state)
		if err != nil {
			return nil, err
		}
		var found []any
		for from := range dict.Strings() {
			for _, id := range dict.List(from) {
				if slices.Contains(ids, id) {
					found = append(found, id)
				}
			}
		}
		if found != nil {
			out.Set(state, found)
		}
	}
	return out, nil
}

// wheelKeyNameMatch lists the keys whose ids match, by their kind.
//
//	gosalt-run salt.wheel key.name_match 'web*'
func wheelKeyNameMatch(ctx context.Context, _ *module.Call, a keyMatchArgs) (*wire.Map, error) {
	return nameMatch(ctx, a.Match)
}

// changeKeys does something to the keys of a map that are in one of the states.
func changeKeys(dict *wire.Map, states []string, do func(state string, id wire.MinionID) error) error {
	for _, state := range states {
		for _, v := range dict.List(state) {
			text, _ := v.(string)
			id, err := wire.ParseMinionID(text)
			if err != nil {
				return module.Invalidf("%w", err)
			}
			if err := do(state, id); err != nil {
				return err
			}
		}
	}
	return nil
}

// move accepts or rejects keys.
func move(ctx context.Context, dict *wire.Map, to string, from ...string) error {
	own := callOf(ctx)
	return changeKeys(dict, from, func(state string, id wire.MinionID) error {
		return own.r.master.MoveKey(id, state, to, own.user)
	})
}

func (o keyAcceptOptions) from() []string {
	from := []string{"minions_pre"}
	if o.IncludeRejected {
		from = append(from, "minions_rejected")
	}
	if o.IncludeDenied {
		from = append(from, "minions_denied")
	}
	return from
}

func (o keyRejectOptions) from() []string {
	from := []string{"minions_pre"}
	if o.IncludeAccepted {
		from = append(from, "minions")
	}
	if o.IncludeDenied {
		from = append(from, "minions_denied")
	}
	return from
}

// wheelKeyAccept accepts keys that wait for it, and returns where the matching keys
// are then.
//
//	gosalt-run salt.wheel key.accept 'web*'
func wheelKeyAccept(ctx context.Context, _ *module.Call, a keyAcceptArgs) (*wire.Map, error) {
	dict, err := nameMatch(ctx, a.Match)
	if err == nil {
		err = move(ctx, dict, "minions", a.from()...)
	}
	if err != nil {
		return nil, err
	}
	return nameMatch(ctx, a.Match)
}

// wheelKeyAcceptDict accepts the keys of a map.
//
//	gosalt-run salt.wheel key.accept_dict '{minions_pre: [web1, web2]}'
func wheelKeyAcceptDict(ctx context.Context, _ *module.Call, a keyAcceptDictArgs) (*wire.Map, error) {
	if err := move(ctx, a.Match, "minions", a.from()...); err != nil {
		return nil, err
	}
	return dictMatch(ctx, a.Match)
}

// wheelKeyReject rejects keys that wait to be accepted.
//
//	gosalt-run salt.wheel key.reject 'web*'
func wheelKeyReject(ctx context.Context, _ *module.Call, a keyRejectArgs) (*wire.Map, error) {
	dict, err := nameMatch(ctx, a.Match)
	if err == nil {
		err = move(ctx, dict, "minions_rejected", a.from()...)
	}
	if err != nil {
		return nil, err
	}
	return nameMatch(ctx, a.Match)
}

// wheelKeyRejectDict rejects the keys of a map.
//
//	gosalt-run salt.wheel key.reject_dict '{minions_pre: [web1]}'
func wheelKeyRejectDict(ctx context.Context, _ *module.Call, a keyRejectDictArgs) (*wire.Map, error) {
	if err := move(ctx, a.Match, "minions_rejected", a.from()...); err != nil {
		return nil, err
	}
	return dictMatch(ctx, a.Match)
}

func deleteKeys(ctx context.Context, dict *wire.Map) error {
	own := callOf(ctx)
	return changeKeys(dict, keyStates, func(state string, id wire.MinionID) error {
		return own.r.master.RemoveKey(state, id, own.user)
	})
}

// wheelKeyDelete deletes keys, whatever their kind.
//
//	gosalt-run salt.wheel key.delete web1
func wheelKeyDelete(ctx context.Context, _ *module.Call, a keyMatchArgs) (*wire.Map, error) {
	dict, err := nameMatch(ctx, a.Match)
	if err == nil {
		err = deleteKeys(ctx, dict)
	}
	if err != nil {
		return nil, err
	}
	return nameMatch(ctx, a.Match)
}

// wheelKeyDeleteDict deletes the keys of a map.
//
//	gosalt-run salt.wheel key.delete_dict '{minions: [web1], minions_pre: [web2]}'
func wheelKeyDeleteDict(ctx context.Context, _ *module.Call, a keyDictArgs) (*wire.Map, error) {
	if err := deleteKeys(ctx, a.Match); err != nil {
		return nil, err
	}
	return dictMatch(ctx, a.Match)
}

// eachKey makes a map of the matching keys by kind and id.
func eachKey(ctx context.Context, match string, value func(pem string) (string, error)) (*wire.Map, error) {
	found, err := nameMatch(ctx, match)
	if err != nil {
		return nil, err
	}
	out := wire.NewMap()
	err = changeKeys(found, keyStates, func(state string, id wire.MinionID) error {
		pem, err := callOf(ctx).r.master.ReadKey(state, id)
		if err != nil {
			return err
		}
		v, err := value(pem)
		if err != nil {
			return err
		}
		if !out.Has(state) {
			out.Set(state, wire.NewMap())
		}
		out.Map(state).Set(string(id), v)
		return nil
	})
	return out, err
}

// wheelKeyPrint returns keys as PEM, by kind and id.
//
//	gosalt-run salt.wheel key.print web1
func wheelKeyPrint(ctx context.Context, _ *module.Call, a keyMatchArgs) (*wire.Map, error) {
	return eachKey(ctx, a.Match, func(pem string) (string, error) { return pem, nil })
}

func hashType(ctx context.Context, given string) string {
	if given != "" {
		return given
	}
	return callOf(ctx).r.master.Opts().Text("hash_type")
}

// wheelKeyFinger returns the finger prints of keys, by kind and id.
//
//	gosalt-run salt.wheel key.finger 'web*'
func wheelKeyFinger(ctx context.Context, _ *module.Call, a keyFingerArgs) (*wire.Map, error) {
	hash := hashType(ctx, a.HashType)
	out, err := eachKey(ctx, a.Match, func(pem string) (string, error) { return seal.Fingerprint(pem, hash) })
	if err != nil {
		return nil, err
	}
	own, err := ownFingers(ctx, hash, a.Match)
	if err == nil && own.Len() > 0 {
		out.Set("local", own)
	}
	return out, err
}

// ownFingers are the finger prints of the master's public key files that match.
func ownFingers(ctx context.Context, hash, match string) (*wire.Map, error) {
	files, err := callOf(ctx).r.master.MasterKeys()
	if err != nil {
		return nil, err
	}
	out := wire.NewMap()
	expr := target.CompileExpr(match)
	for name, pem := range files {
		if pem == "" || !expr.Match(name) {
			continue
		}
		finger, err := seal.Fingerprint(pem, hash)
		if err != nil {
			return nil, err
		}
		out.Set(name, finger)
	}
	return out, nil
}

// wheelKeyFingerMaster returns the finger print of the master's public key.
//
//	gosalt-run salt.wheel key.finger_master
func wheelKeyFingerMaster(ctx context.Context, _ *module.Call, a keyFingerMasterArgs) (*wire.Map, error) {
	own, err := ownFingers(ctx, hashType(ctx, a.HashType), "master.pub")
	return wire.NewMap("local", own), err
}

// wheelKeyMasterKeyStr returns the master's public key as PEM.
//
//	gosalt-run salt.wheel key.master_key_str
func wheelKeyMasterKeyStr(ctx context.Context, _ *module.Call, _ noArgs) (*wire.Map, error) {
	files, err := callOf(ctx).r.master.MasterKeys()
	return wire.NewMap("local", wire.NewMap("master.pub", files["master.pub"])), err
}

// wheelKeyGen makes a key pair and returns both halves as PEM; nothing is stored.
//
//	gosalt-run salt.wheel key.gen
func wheelKeyGen(_ context.Context, _ *module.Call, a keyGenArgs) (*wire.Map, error) {
	if a.ID != "" {
		if _, err := wire.ParseMinionID(a.ID); err != nil {
			return nil, module.Invalidf("%w", err)
		}
	} else {
		var b [8]byte
		rand.Read(b[:])
		a.ID = hex.EncodeToString(b[:])
	}
	pair, err := seal.Generate(a.Keysize)
	if err != nil {
		return nil, module.Failf("%w", err)
	}
	priv, err := pair.PEM(seal.NewSecret(""))
	if err != nil {
		return nil, err
	}
	return wire.NewMap("priv", string(priv), "pub", pair.Public().PEM()), nil
}

// wheelKeyGenAccept makes a key pair for a minion, accepts its public half, and
// returns both; an empty map where the minion has an accepted key already.
//
//	gosalt-run salt.wheel key.gen_accept web1
func wheelKeyGenAccept(ctx context.Context, c *module.Call, a keyGenAcceptArgs) (*wire.Map, error) {
	id, err := wire.ParseMinionID(a.ID)
	if err != nil {
		return nil, module.Invalidf("%w", err)
	}
	own := callOf(ctx)
	ids, err := own.r.master.KeyIDs("minions")
	if err != nil || slices.Contains(ids, id) && !a.Force {
		return wire.NewMap(), err
	}
	pair, err := wheelKeyGen(ctx, c, keyGenArgs{ID: a.ID, Keysize: a.Keysize})
	if err != nil {
		return nil, err
	}
	return pair, own.r.master.SeedKey(id, pair.Text("pub"), own.user)
}
