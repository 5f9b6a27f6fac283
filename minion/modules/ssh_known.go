//go:build unix

package modules

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/gosalt/gosalt/internal/host"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

func init() {
	register("ssh.get_known_host_entries", sshGetKnownHostEntries)
	register("ssh.recv_known_host_entries", sshRecvKnownHostEntries)
	register("ssh.check_known_host", sshCheckKnownHost)
	register("ssh.rm_known_host", sshRmKnownHost)
	register("ssh.set_known_host", sshSetKnownHost)
	register("ssh.hash_known_hosts", sshHashKnownHosts)
}

// sshFailed is how these functions say that something is wrong.
func sshFailed(why string) *wire.Map { return wire.NewMap("status", "error", "error", why) }

// knownHostsFile is the path of a file of known hosts; why says what is wrong.
func knownHostsFile(c *module.Call, user, config string) (path, why string) {
	if config == "" {
		if config = "/etc/ssh/ssh_known_hosts"; user != "" {
			config = ".ssh/known_hosts"
		}
	}
	if filepath.IsAbs(config) {
		return config, ""
	}
	if user == "" {
		return "", "Cannot determine absolute path to file."
	}
	u, err := c.Host.User(user)
	if err != nil {
		return "", "User " + user + " does not exist"
	}
	return filepath.Join(u.Home, config), ""
}

// withPort is a name as known_hosts has it: [name]:port.
func withPort(name string, port any) string {
	if !module.Truth(port) || pytext.Equal(port, int64(22)) {
		return name
	}
	return "[" + name + "]:" + pytext.Str(port)
}

// sshEntries reads lines of known_hosts; nil for none.
func sshEntries(text, kind string) ([]any, error) {
	var out []any
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) != 3 || strings.HasPrefix(strings.TrimSpace(line), "#") {
			continue
		}
		print, err := keyFingerprint(words[2], kind)
		if err != nil {
			return nil, err
		}
		if print != "" {
			out = append(out, wire.NewMap("hostname", words[0], "key", words[2], "enc", words[1], "fingerprint", print))
		}
	}
	return out, nil
}

// keygen runs ssh-keygen.
func keygen(ctx context.Context, c *module.Call, ignore bool, a ...any) (string, error) {
	v, err := c.Call(ctx, "cmd.run", []any{append([]any{"ssh-keygen"}, a...)}, wire.NewMap("python_shell", false, "ignore_retcode", ignore))
	return pytext.Str(v), err
}

type sshGetKnownHostEntriesArgs struct {
	User                any    // A user whose file is meant; None for that of the machine.
	Hostname            string // Name or address of a host.
	Config              any    `default:"None"` // The file.
	Port                any    `default:"None"` // Port of the host.
	FingerprintHashType string `default:"None"` // Hash of the fingerprints: sha256, md5 and so on.
}

// sshGetKnownHostEntries returns what is known of a host, None for nothing.
//
//	gosalt '*' ssh.get_known_host_entries <user> <hostname>
func sshGetKnownHostEntries(ctx context.Context, c *module.Call, a sshGetKnownHostEntriesArgs) (any, error) {
	file, why := knownHostsFile(c, orNothing(a.User), orNothing(a.Config))
	if why != "" {
		return sshFailed(why), nil
	}
	out, err := keygen(ctx, c, true, "-F", withPort(a.Hostname, a.Port), "-f", file)
	if err != nil {
		return nil, err
	}
	l, err := sshEntries(out, a.FingerprintHashType)
	if l == nil || err != nil {
		return nil, err
	}
	return l, nil
}

// orNothing is a text, "" for what counts as none.
func orNothing(v any) string {
	if !module.Truth(v) {
		return ""
	}
	return pytext.Str(v)
}

type sshRecvKnownHostEntriesArgs struct {
	Hostname            string // Name or address of a host.
	Enc                 any    `default:"None"` // Kind of the key.
	Port                any    `default:"None"` // Port of the host.
	HashKnownHosts      bool   `default:"True"` // Hash its name.
	Timeout             any    `default:"5"`    // Seconds to wait for it.
	FingerprintHashType string `default:"None"` // Hash of the fingerprints.
}

// sshRecvKnownHostEntries asks a host for its keys, None for none.
//
//	gosalt '*' ssh.recv_known_host_entries <hostname> enc=<enc> port=<port>
func sshRecvKnownHostEntries(ctx context.Context, c *module.Call, a sshRecvKnownHostEntriesArgs) (any, error) {
	cmd := []any{"ssh-keyscan"}
	if module.Truth(a.Port) {
		cmd = append(cmd, "-p", pytext.Str(a.Port))
	}
	if module.Truth(a.Enc) {
		cmd = append(cmd, "-t", pytext.Str(a.Enc))
	}
	if a.HashKnownHosts {
		cmd = append(cmd, "-H")
	}
	cmd = append(cmd, "-T", pytext.Str(a.Timeout), a.Hostname)
	text := ""
	for n := 0; n < 5 && strings.TrimSpace(text) == ""; n++ {
		v, err := c.Call(ctx, "cmd.run", []any{cmd}, wire.NewMap("python_shell", false))
		if err != nil {
			return nil, err
		}
		text = pytext.Str(v)
	}
	l, err := sshEntries(text, a.FingerprintHashType)
	if l == nil || err != nil {
		return nil, err
	}
	return l, nil
}

type sshCheckKnownHostArgs struct {
	User                any    `default:"None"` // A user whose file is meant; None for that of the machine.
	Hostname            any    `default:"None"` // Name or address of a host.
	Key                 any    `default:"None"` // The key that it is to have.
	Fingerprint         any    `default:"None"` // Or its fingerprint.
	Config              any    `default:"None"` // The file.
	Port                any    `default:"None"` // Port of the host.
	FingerprintHashType string `default:"None"` // Hash of the fingerprints.
}

// sshCheckKnownHost tells what setting a known host would do: add, update, or nothing: exists.
//
//	gosalt '*' ssh.check_known_host <user> <hostname> key='AAAA...FAaQ=='
func sshCheckKnownHost(ctx context.Context, c *module.Call, a sshCheckKnownHostArgs) (any, error) {
	if !module.Truth(a.Hostname) {
		return sshFailed("hostname argument required"), nil
	}
	v, err := sshGetKnownHostEntries(ctx, c, sshGetKnownHostEntriesArgs{a.User, pytext.Str(a.Hostname), a.Config, a.Port, a.FingerprintHashType})
	if _, failed := v.(*wire.Map); failed || err != nil {
		return v, err
	}
	l, _ := v.([]any)
	switch {
	case len(l) == 0:
		return "add", nil
	case module.Truth(a.Key) && !hasEntry(l, "key", a.Key), !module.Truth(a.Key) && module.Truth(a.Fingerprint) && !hasEntry(l, "fingerprint", a.Fingerprint):
		return "update", nil
	}
	return "exists", nil
}

func hasEntry(l []any, key string, v any) bool {
	return slices.ContainsFunc(l, func(e any) bool {
		m, _ := e.(*wire.Map)
		return pytext.Equal(mapValue(m, key), v)
	})
}

type sshRmKnownHostArgs struct {
	User     any `default:"None"` // A user whose file is meant; None for that of the machine.
	Hostname any `default:"None"` // Name or address of a host.
	Config   any `default:"None"` // The file.
	Port     any `default:"None"` // Port of the host.
}

// sshRmKnownHost removes what is known of a host.
//
//	gosalt '*' ssh.rm_known_host <user> <hostname>
func sshRmKnownHost(ctx context.Context, c *module.Call, a sshRmKnownHostArgs) (*wire.Map, error) {
	if !module.Truth(a.Hostname) {
		return sshFailed("hostname argument required"), nil
	}
	return changeKnownHosts(ctx, c, orNothing(a.User), orNothing(a.Config), "removed", "-R", withPort(pytext.Str(a.Hostname), a.Port))
}

type sshHashKnownHostsArgs struct {
	User   any `default:"None"` // A user whose file is meant; None for that of the machine.
	Config any `default:"None"` // The file.
}

// sshHashKnownHosts hashes the names in a file of known hosts.
//
//	gosalt '*' ssh.hash_known_hosts
func sshHashKnownHosts(ctx context.Context, c *module.Call, a sshHashKnownHostsArgs) (*wire.Map, error) {
	return changeKnownHosts(ctx, c, orNothing(a.User), orNothing(a.Config), "updated", "-H")
}

// changeKnownHosts has ssh-keygen change a file; owner and mode stay as they should be.
func changeKnownHosts(ctx context.Context, c *module.Call, user, config, status string, options ...any) (*wire.Map, error) {
	file, why := knownHostsFile(c, user, config)
	if why != "" {
		return sshFailed(why), nil
	}
	st, err := c.Host.Info(file, true)
	if err != nil || st.Type != "file" {
		return sshFailed("Known hosts file " + file + " does not exist"), nil
	}
	out, err := keygen(ctx, c, false, append(options, "-f", file)...)
	if err != nil {
		return nil, err
	}
	if status == "updated" {
		if err := c.Host.Chmod(file, st.Mode); err != nil {
			return nil, systemError(err, file)
		}
	}
	if err := ownedBy(c, file, user); err != nil {
		return nil, err
	}
	return wire.NewMap("status", status, "comment", out), nil
}

// ownedBy gives a file to a user, where there is one to give it to.
func ownedBy(c *module.Call, file, user string) error {
	if user == "" || os.Geteuid() != 0 {
		return nil
	}
	u, err := c.Host.User(user)
	if err != nil {
		return err
	}
	return c.Host.SetOwner(file, u.UID, u.GID, true)
}

type sshSetKnownHostArgs struct {
	User                any    `default:"None"`                // A user whose file is meant; None for that of the machine.
	Hostname            any    `default:"None"`                // Name or address of a host.
	Fingerprint         any    `default:"None"`                // The fingerprint that the host's key has to have.
	Key                 any    `default:"None"`                // The key, in place of asking the host.
	Port                any    `default:"None"`                // Port of the host.
	Enc                 any    `default:"None"`                // Kind of the key.
	Config              any    `default:"None"`                // The file.
	HashKnownHosts      bool   `default:"True"`                // Hash its name.
	Timeout             any    `default:"5"`                   // Seconds to wait for the host.
	FingerprintHashType string `default:"None"`                // Hash of the fingerprints.
	Test                bool   `arg:"test,kw" default:"False"` // Only tell what would be done.
}

// sshSetKnownHost makes a host known by its key. It returns a map with the status exists,
// updated or error.
//
//	gosalt '*' ssh.set_known_host <user> fingerprint='xx:xx:..:xx' enc='ssh-rsa' config='.ssh/known_hosts'
func sshSetKnownHost(ctx context.Context, c *module.Call, a sshSetKnownHostArgs) (any, error) {
	if !module.Truth(a.Hostname) {
		return sshFailed("hostname argument required"), nil
	}
	standard := a.Port == nil || pytext.Equal(a.Port, int64(22))
	if !standard && a.HashKnownHosts {
		return sshFailed("argument port can not be used in conjunction with argument hash_known_hosts"), nil
	}
	name, user := pytext.Str(a.Hostname), orNothing(a.User)
	old, err := sshGetKnownHostEntries(ctx, c, sshGetKnownHostEntriesArgs{a.User, name, a.Config, a.Port, a.FingerprintHashType})
	if _, failed := old.(*wire.Map); failed || err != nil {
		return old, err
	}
	stored, _ := old.([]any)
	var keys []any
	for _, e := range stored {
		if m := e.(*wire.Map); a.Enc == nil || pytext.Equal(mapValue(m, "enc"), a.Enc) {
			keys = append(keys, mapValue(m, "key"))
		}
	}
	if keys == nil {
		keys = []any{}
	}
	exists := wire.NewMap("status", "exists", "keys", keys)
	byPrint, byKey := module.Truth(a.Fingerprint), module.Truth(a.Key)
	has := func(v any) bool { return slices.ContainsFunc(keys, func(k any) bool { return pytext.Equal(k, v) }) }
	update := len(stored) == 0 || byPrint && !hasEntry(stored, "fingerprint", a.Fingerprint) || byKey && !has(a.Key)
	if !update && (a.Key != nil || a.Fingerprint != nil) {
		return exists, nil
	}
	entries := []any{wire.NewMap("hostname", name, "enc", a.Enc, "key", a.Key)}
	if !byKey {
		v, err := sshRecvKnownHostEntries(ctx, c, sshRecvKnownHostEntriesArgs{name, a.Enc, a.Port, a.HashKnownHosts, a.Timeout, a.FingerprintHashType})
		if err != nil {
			return nil, err
		}
		l, _ := v.([]any)
		switch {
		case len(l) == 0:
			return sshFailed("Unable to receive remote host keys"), nil
		case byPrint && !hasEntry(l, "fingerprint", a.Fingerprint):
			return sshFailed("Remote host public keys found but none of their fingerprints match the one you have provided"), nil
		case !update && !slices.ContainsFunc(l, func(e any) bool { return !has(mapValue(e.(*wire.Map), "key")) }) &&
			!slices.ContainsFunc(keys, func(k any) bool { return !hasEntry(l, "key", k) }):
			return exists, nil
		}
		entries = l
	}
	file, why := knownHostsFile(c, user, orNothing(a.Config))
	if why != "" {
		return sshFailed(why), nil
	}
	if a.Test {
		return wire.NewMap("status", "updated", "old", old, "new", entries), nil
	}
	if err := a.store(ctx, c, file, user, name, entries, standard); err != nil {
		return nil, err
	}
	if byKey && a.HashKnownHosts {
		if _, err := sshHashKnownHosts(ctx, c, sshHashKnownHostsArgs{a.User, file}); err != nil {
			return nil, err
		}
	}
	return wire.NewMap("status", "updated", "old", old, "new", entries), nil
}

// store puts entries at the end of the file, in the place of those that it has of the host.
func (a *sshSetKnownHostArgs) store(ctx context.Context, c *module.Call, file, user, name string, entries []any, standard bool) error {
	mode := uint32(0o600)
	var lines []string
	b, err := c.Host.ReadFile(file)
	switch {
	case err == nil:
		if st, err := c.Host.Info(file, true); err == nil {
			mode = st.Mode
		}
		for l := range strings.Lines(string(b)) {
			lines = append(lines, l)
		}
		gone, err := a.linesOf(ctx, c, file, name)
		if err != nil {
			return err
		}
		slices.Sort(gone)
		for _, n := range slices.Backward(gone) {
			if n > 0 && n <= len(lines) {
				lines = slices.Delete(lines, n-1, n)
			}
		}
	case !errors.Is(err, fs.ErrNotExist):
		return module.Failf("Couldn't append to known hosts file: '%s'", host.OSError(err, file))
	}
	for i, e := range entries {
		m := e.(*wire.Map)
		at := m.Text("hostname")
		if !a.HashKnownHosts && !standard && !strings.Contains(at, ":") {
			at = "[" + at + "]:" + pytext.Str(a.Port)
			m = m.Clone()
			m.Set("port", a.Port)
			entries[i] = m
		}
		lines = append(lines, at+" "+pytext.Str(mapValue(m, "enc"))+" "+pytext.Str(mapValue(m, "key"))+"\n")
	}
	if dir := filepath.Dir(file); !c.Host.IsDir(dir) {
		if err := c.Host.MakeDirs(dir, host.Keep, 0o22); err != nil {
			return systemError(err, dir)
		}
		if user != "" {
			if err := ownedBy(c, dir, user); err != nil {
				return err
			}
			if err := c.Host.Chmod(dir, 0o700); err != nil {
				return systemError(err, dir)
			}
		}
	}
	if err := c.Host.WriteFile(file, []byte(strings.Join(lines, ""))); err != nil {
		return module.Failf("Couldn't append to known hosts file: '%s'", host.OSError(err, file))
	}
	if err := ownedBy(c, file, user); err != nil {
		return err
	}
	if err := c.Host.Chmod(file, mode); err != nil {
		return systemError(err, file)
	}
	return nil
}

// linesOf are the numbers of the lines with keys of a host, of its kind.
func (a *sshSetKnownHostArgs) linesOf(ctx context.Context, c *module.Call, file, name string) ([]int, error) {
	out, err := keygen(ctx, c, true, "-F", withPort(name, a.Port), "-f", file)
	if err != nil {
		return nil, err
	}
	lines := pytext.SplitLines(out, false)
	var gone []int
	for i := 0; i+1 < len(lines); i += 2 {
		head, body := strings.Fields(lines[i]), strings.Fields(lines[i+1])
		if len(head) == 0 || len(body) < 2 {
			continue
		}
		if a.Enc != nil && body[len(body)-2] != pytext.Str(a.Enc) {
			continue
		}
		if n, err := strconv.Atoi(head[len(head)-1]); err == nil {
			gone = append(gone, n)
		}
	}
	return gone, nil
}
