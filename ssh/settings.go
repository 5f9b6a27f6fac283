package ssh

import (
	"fmt"
	"net"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gosalt/gosalt/ssh/sshconfig"
	xssh "golang.org/x/crypto/ssh"
)

// settings are what holds for one connection, after all that speaks of it was heard.
type settings struct {
	name     string // in messages
	hostName string // to connect to
	alias    string // to look for in known_hosts in place of the name; "" is the name
	port     int
	user     string
	network  string // tcp, tcp4, tcp6
	bind     string

	jump         string // ProxyJump; "" is none
	proxyCommand string

	identities     []identityFile
	certificates   []string
	identitiesOnly bool
	agentSocket    string // "" is none
	forwardAgent   bool

	knownHosts []string
	policy     Policy
	hash       bool // names in known_hosts

	pubkey, password, keyboard bool
	ciphers, macs, kex         []string
	hostKeyAlgorithms          []string

	connectTimeout, authTimeout, channelTimeout time.Duration
	attempts                                    int
	keepalive                                   time.Duration
	keepaliveMax                                int

	env      map[string]string
	forwards []string
	batch    bool
}

// An identityFile is a private key to try. One that was named has to be there.
type identityFile struct {
	path     string
	explicit bool // named for this host: it has to be readable
	roster   bool // its passphrase is Host.PrivPasswd
}

// ignored are options of OpenSSH that change nothing here: they are about its terminal,
// its shared connections, or what we never do.
var ignored = map[string]bool{
	"addkeystoagent": true, "canonicalizehostname": false, "checkhostip": true, "clearallforwardings": true, "compression": true,
	"controlmaster": true, "controlpath": true, "controlpersist": true, "enableescapecommandline": true, "escapechar": true,
	"exitonforwardfailure": true, "fingerprinthash": true, "forwardx11": true, "forwardx11trusted": true,
	"forwardx11timeout": true, "gssapiauthentication": true, "gssapidelegatecredentials": true, "hostbasedauthentication": true,
	"hashknownhosts": false, "ignoreunknown": true, "ipqos": true, "loglevel": true, "logverbose": true,
	"nohostauthenticationforlocalhost": false, "numberofpasswordprompts": true, "obscurekeystroketiming": true,
	"permitlocalcommand": true, "pubkeyacceptedalgorithms": true, "pubkeyacceptedkeytypes": true, "rekeylimit": true,
	"requesttty": true, "requiredrsasize": true, "sendenv": true, "stdinnull": true, "streamlocalbindmask": true,
	"streamlocalbindunlink": true, "syslogfacility": true, "tag": true, "tcpkeepalive": true, "tunnel": true,
	"updatehostkeys": true, "usekeychain": true, "verifyhostkeydns": true, "visualhostkey": true, "xauthlocation": true,
	"protocol": true, "cipher": true, "warnweakcrypto": true, "proxyusefdpass": true, "refuseconnection": true,
}

// supported are the options that mean here what they mean to OpenSSH.
var supported = []string{
	"AddressFamily", "BatchMode", "BindAddress", "CASignatureAlgorithms", "CertificateFile", "ChallengeResponseAuthentication",
	"Ciphers", "ConnectionAttempts", "ConnectTimeout", "ForwardAgent", "GlobalKnownHostsFile", "HashKnownHosts",
	"HostKeyAlgorithms", "HostKeyAlias", "HostName", "IdentitiesOnly", "IdentityAgent", "IdentityFile",
	"KbdInteractiveAuthentication", "KexAlgorithms", "MACs", "PasswordAuthentication", "Port", "PreferredAuthentications",
	"ProxyCommand", "ProxyJump", "PubkeyAuthentication", "RemoteForward", "ServerAliveCountMax", "ServerAliveInterval",
	"SetEnv", "StrictHostKeyChecking", "User", "UserKnownHostsFile",
}

var supportedKeys = func() map[string]string {
	m := map[string]string{}
	for _, k := range supported {
		m[strings.ToLower(k)] = k
	}
	return m
}()

// SupportsOption tells whether an option of OpenSSH's client, in any case, is one that
// SSHOptions may have and that means something here.
func SupportsOption(name string) bool { return supportedKeys[strings.ToLower(name)] != "" }

// settingsOf puts together what holds for a host.
func (d *Dialer) settingsOf(h Host) (*settings, *Error) {
	fail := func(source, format string, args ...any) *Error {
		e := &Error{Host: h.Name(), Kind: KindOption, Msg: fmt.Sprintf(format, args...)}
		if source != "" {
			e.Msg = source + ": " + e.Msg
		}
		return e
	}
	target := h.Host
	if target == "" {
		target = h.ID
	}
	target = strings.TrimSuffix(strings.TrimPrefix(target, "["), "]")
	if target == "" {
		return nil, fail(h.Source, "no host to connect to")
	}
	if strings.HasPrefix(target, "-") || strings.ContainsAny(target, " \t\r\n\x00/") {
		return nil, fail(h.Source, "%q is no name or address of a machine", target)
	}

	// The first that says a thing decides: the roster, its ssh_options, ~/.ssh/config.
	opts := map[string][]sshconfig.Value{}
	source := h.Source
	if source == "" {
		source = "ssh_options"
	}
	for _, line := range h.SSHOptions {
		line = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(line), "-o"))
		key, args, err := sshconfig.Split(line)
		if err != nil || key == "" || len(args) == 0 {
			return nil, fail(source, "ssh option %q is not of the form Name=value", line)
		}
		if _, ok := supportedKeys[key]; !ok && !ignored[key] {
			e := fail(source, "the ssh option %s is not supported", line)
			e.Hint = "gosalt knows " + strings.Join(supported, ", ")
			if n := nearestOption(key); n != "" {
				e.Hint = "did you mean " + n + "?"
			}
			return nil, e
		}
		opts[key] = append(opts[key], sshconfig.Value{Key: key, Args: args, Source: source})
	}
	conf, err := d.config()
	if err != nil {
		return nil, &Error{Host: h.Name(), Kind: KindOption, Msg: err.Error(), Err: err}
	}
	who := sshconfig.Who{Host: target, User: h.User, LocalUser: d.localUser}
	if v := opts["user"]; who.User == "" && len(v) > 0 {
		who.User = v[0].Text()
	}
	file := conf.Lookup(who)
	get := func(key string) (sshconfig.Value, bool) {
		if v := opts[key]; len(v) > 0 {
			return v[0], true
		}
		return file.Get(key)
	}
	all := func(key string) []sshconfig.Value { return append(slices.Clone(opts[key]), file.All(key)...) }

	s := &settings{name: h.Name(), hostName: target, user: h.User, port: h.Port, network: "tcp"}
	if v, ok := get("hostname"); ok {
		s.hostName = expand(v.Text(), map[byte]string{'h': target})
	}
	var bad *Error
	wrong := func(v sshconfig.Value, want string) {
		if bad == nil {
			name := supportedKeys[v.Key]
			bad = fail(v.Source, "%s is %q", name, v.Text())
			bad.Hint = "it takes " + want
		}
	}
	text := func(key string, to *string) {
		if v, ok := get(key); ok {
			*to = v.Text()
		}
	}
	yes := func(key string, to *bool) {
		if v, ok := get(key); ok {
			switch strings.ToLower(v.Text()) {
			case "yes", "true":
				*to = true
			case "no", "false":
				*to = false
			default:
				wrong(v, "yes or no")
			}
		}
	}
	number := func(key string, min, max int, to *int) {
		if v, ok := get(key); ok {
			n, err := strconv.Atoi(v.Text())
			if err != nil || n < min || n > max {
				wrong(v, fmt.Sprintf("a number from %d to %d", min, max))
				return
			}
			*to = n
		}
	}
	seconds := func(key string, to *time.Duration) {
		if v, ok := get(key); ok {
			if t := strings.ToLower(v.Text()); t == "none" {
				return
			}
			n, err := parseTime(v.Text())
			if err != nil {
				wrong(v, "a time, as 10 or 1m30s")
				return
			}
			*to = n
		}
	}

	if s.port == 0 {
		s.port = 22
		number("port", 1, 65535, &s.port)
	} else if s.port < 1 || s.port > 65535 {
		return nil, fail(h.Source, "port %d is not one from 1 to 65535", s.port)
	}
	if s.user == "" {
		s.user = d.localUser
		text("user", &s.user)
	}
	if v, ok := get("addressfamily"); ok {
		switch strings.ToLower(v.Text()) {
		case "any":
		case "inet":
			s.network = "tcp4"
		case "inet6":
			s.network = "tcp6"
		default:
			wrong(v, "any, inet or inet6")
		}
	}
	text("bindaddress", &s.bind)
	if v, ok := get("hostkeyalias"); ok {
		s.alias = v.Text()
	}
	tokens := map[byte]string{
		'%': "%", 'h': s.hostName, 'n': target, 'p': strconv.Itoa(s.port), 'r': s.user, 'u': d.localUser, 'd': d.home,
		'k': s.alias, 'L': shortHost(d.localHost), 'l': d.localHost, 'i': d.localUID,
	}
	if s.alias == "" {
		tokens['k'] = target
	}
	path := func(p string) string { return d.tilde(expand(p, tokens)) }

	// A jump and a command are two ways to say the same: the first that is said counts.
	if v, ok := get("proxyjump"); ok && (len(opts["proxyjump"]) > 0 || len(opts["proxycommand"]) == 0) {
		if t := v.Text(); strings.ToLower(t) != "none" {
			s.jump = expand(t, tokens)
		}
	}
	if v, ok := get("proxycommand"); ok && (len(opts["proxyjump"]) == 0 || len(opts["proxycommand"]) > 0) && s.jump == "" {
		if t := v.Text(); strings.ToLower(t) != "none" {
			s.proxyCommand = expand(t, tokens)
		}
	}

	s.identitiesOnly = h.IdentitiesOnly
	if !s.identitiesOnly {
		yes("identitiesonly", &s.identitiesOnly)
	}
	s.agentSocket = d.agentSocket
	if v, ok := get("identityagent"); ok {
		switch t := v.Text(); {
		case t == "none":
			s.agentSocket = ""
		case t == "SSH_AUTH_SOCK":
			s.agentSocket = d.getenv("SSH_AUTH_SOCK")
		case strings.HasPrefix(t, "$"):
			s.agentSocket = d.getenv(strings.Trim(t[1:], "{}"))
		default:
			s.agentSocket = path(t)
		}
	}
	if v, ok := get("forwardagent"); ok {
		// A path names another agent to forward; ours is the one that we use.
		s.forwardAgent = strings.ToLower(v.Text()) != "no"
	}
	if h.Priv == AgentForwarding {
		s.forwardAgent = true
	} else if h.Priv != "" {
		s.identities = append(s.identities, identityFile{path: path(h.Priv), explicit: true, roster: true})
	}
	for _, v := range opts["identityfile"] {
		if t := v.Text(); strings.ToLower(t) != "none" {
			s.identities = append(s.identities, identityFile{path: path(t), explicit: true})
		}
	}
	// OpenSSH passes over those of its configuration that are not there.
	for _, v := range file.All("identityfile") {
		if t := v.Text(); strings.ToLower(t) != "none" {
			s.identities = append(s.identities, identityFile{path: path(t)})
		}
	}
	if len(s.identities) == 0 && len(all("identityfile")) == 0 {
		for _, p := range d.identities {
			s.identities = append(s.identities, identityFile{path: d.tilde(p)})
		}
	}
	for _, v := range all("certificatefile") {
		s.certificates = append(s.certificates, path(v.Text()))
	}

	s.knownHosts = d.knownHosts
	if d.o.KnownHosts == nil {
		var files []string
		for _, key := range []string{"userknownhostsfile", "globalknownhostsfile"} {
			names := d.defaultKnownHosts(key)
			if v, ok := get(key); ok {
				names = v.Args
			}
			for _, n := range names {
				if strings.ToLower(n) != "none" && n != "/dev/null" {
					files = append(files, path(n))
				}
			}
		}
		s.knownHosts = files
	} else if v, ok := opts["userknownhostsfile"]; ok {
		s.knownHosts = nil
		for _, n := range v[0].Args {
			if strings.ToLower(n) != "none" && n != "/dev/null" {
				s.knownHosts = append(s.knownHosts, path(n))
			}
		}
	}
	s.policy = d.o.HostKeys
	if v, ok := get("stricthostkeychecking"); ok && (d.o.HostKeys == Strict || len(opts["stricthostkeychecking"]) > 0) {
		switch strings.ToLower(v.Text()) {
		case "yes", "true", "ask":
			s.policy = Strict
		case "accept-new":
			s.policy = AcceptNew
		case "no", "off", "false":
			s.policy = Ignore
		default:
			wrong(v, "yes, ask, accept-new or no")
		}
	}
	yes("hashknownhosts", &s.hash)

	s.pubkey, s.password, s.keyboard = true, true, true
	yes("pubkeyauthentication", &s.pubkey)
	yes("passwordauthentication", &s.password)
	yes("challengeresponseauthentication", &s.keyboard)
	yes("kbdinteractiveauthentication", &s.keyboard)
	yes("batchmode", &s.batch)
	if v, ok := get("preferredauthentications"); ok {
		// The order stays ours; what is not in the list is not done.
		list := strings.Split(strings.ToLower(v.Text()), ",")
		s.pubkey = s.pubkey && slices.Contains(list, "publickey")
		s.password = s.password && slices.Contains(list, "password")
		s.keyboard = s.keyboard && slices.Contains(list, "keyboard-interactive")
	}
	good, weak := xssh.SupportedAlgorithms(), xssh.InsecureAlgorithms()
	algos := func(key string, to *[]string, defaults, known []string) {
		*to = defaults
		if v, ok := get(key); ok {
			list, err := algorithms(v.Text(), defaults, known)
			if err != nil {
				wrong(v, err.Error())
				return
			}
			*to = list
		}
	}
	algos("ciphers", &s.ciphers, defaultCiphers, slices.Concat(good.Ciphers, weak.Ciphers))
	algos("macs", &s.macs, good.MACs, slices.Concat(good.MACs, weak.MACs))
	algos("kexalgorithms", &s.kex, defaultKex, slices.Concat(good.KeyExchanges, weak.KeyExchanges))
	algos("hostkeyalgorithms", &s.hostKeyAlgorithms, defaultHostKeys, slices.Concat(good.HostKeys, weak.HostKeys))

	s.connectTimeout, s.authTimeout, s.channelTimeout = d.o.ConnectTimeout, d.o.AuthTimeout, d.o.ChannelTimeout
	if h.Timeout > 0 {
		s.connectTimeout = h.Timeout
	} else {
		seconds("connecttimeout", &s.connectTimeout)
	}
	s.attempts = 1
	number("connectionattempts", 1, 100, &s.attempts)
	s.keepalive, s.keepaliveMax = d.o.Keepalive, d.o.KeepaliveMax
	seconds("serveraliveinterval", &s.keepalive)
	if s.keepalive == 0 {
		// ServerAliveInterval 0, which many write to mean no more than the default.
		s.keepalive = -1
	}
	number("serveralivecountmax", 1, 1000, &s.keepaliveMax)

	for _, v := range all("setenv") {
		for _, a := range v.Args {
			name, val, ok := strings.Cut(a, "=")
			if !ok || name == "" {
				wrong(v, "NAME=value")
				continue
			}
			if s.env == nil {
				s.env = map[string]string{}
			}
			if _, has := s.env[name]; !has {
				s.env[name] = val
			}
		}
	}
	for _, v := range all("remoteforward") {
		s.forwards = append(s.forwards, strings.Join(v.Args, ":"))
	}
	s.forwards = append(s.forwards, h.RemotePortForwards...)
	if bad != nil {
		return nil, bad
	}
	return s, nil
}

// addr is where to connect to.
func (s *settings) addr() string { return net.JoinHostPort(s.hostName, strconv.Itoa(s.port)) }

// expand replaces the tokens of ssh_config, as %h.
func expand(text string, tokens map[byte]string) string {
	if !strings.Contains(text, "%") {
		return text
	}
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] == '%' && i+1 < len(text) {
			if v, ok := tokens[text[i+1]]; ok {
				b.WriteString(v)
				i++
				continue
			}
		}
		b.WriteByte(text[i])
	}
	return b.String()
}

// parseTime reads a time as sshd_config(5) has it: 90, 1m30s, 2h.
func parseTime(s string) (time.Duration, error) {
	var total time.Duration
	for s != "" {
		i := 0
		for i < len(s) && s[i] >= '0' && s[i] <= '9' {
			i++
		}
		n, err := strconv.Atoi(s[:i])
		if err != nil || n > 1<<31/1000 {
			return 0, fmt.Errorf("bad time")
		}
		unit := time.Second
		s = s[i:]
		if s != "" {
			switch s[0] {
			case 's', 'S':
			case 'm', 'M':
				unit = time.Minute
			case 'h', 'H':
				unit = time.Hour
			case 'd', 'D':
				unit = 24 * time.Hour
			case 'w', 'W':
				unit = 7 * 24 * time.Hour
			default:
				return 0, fmt.Errorf("bad unit")
			}
			s = s[1:]
		}
		total += time.Duration(n) * unit
	}
	return total, nil
}

// algorithms reads a list as OpenSSH has it: names and patterns, with a leading +, - or ^
// to add to the defaults, remove from them, or put first.
func algorithms(text string, defaults, known []string) ([]string, error) {
	mode := byte(0)
	if text != "" && strings.IndexByte("+-^", text[0]) >= 0 {
		mode, text = text[0], text[1:]
	}
	var named []string
	for _, w := range strings.Split(text, ",") {
		for _, k := range known {
			if sshconfig.MatchPattern(w, k) && !slices.Contains(named, k) {
				named = append(named, k)
			}
		}
	}
	without := func(list, out []string) []string {
		return slices.DeleteFunc(slices.Clone(list), func(k string) bool { return slices.Contains(out, k) })
	}
	switch mode {
	case '+':
		return append(slices.Clone(defaults), without(named, defaults)...), nil
	case '-':
		named = without(defaults, named)
	case '^':
		return append(named, without(defaults, named)...), nil
	}
	if len(named) == 0 {
		return nil, fmt.Errorf("one or more of %s", strings.Join(known, ","))
	}
	return named, nil
}

// nearestOption is the option that was probably meant, "" when none is near.
func nearestOption(key string) string {
	best, name := 3, ""
	for k, n := range supportedKeys {
		if d := distance(key, k); d < best || d == best && name != "" && n < name {
			best, name = d, n
		}
	}
	return name
}

// distance counts the letters to change, add or remove to make one text of the other.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		prev := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			prev, row[j] = row[j], min(row[j]+1, row[j-1]+1, prev+cost)
		}
	}
	return row[len(b)]
}

func shortHost(name string) string { s, _, _ := strings.Cut(name, "."); return s }

// localUser is who runs us, for the login where nothing else is said.
func localUser() (name, home, uid string) {
	if u, err := user.Current(); err == nil {
		name, home, uid = u.Username, u.HomeDir, u.Uid
		if runtime.GOOS == "windows" {
			_, after, ok := strings.Cut(name, `\`)
			if ok {
				name = after
			}
		}
	}
	return name, home, uid
}

func (d *Dialer) tilde(p string) string {
	if p == "~" {
		return d.home
	}
	if rest, ok := strings.CutPrefix(p, "~/"); ok {
		return filepath.Join(d.home, rest)
	}
	return p
}
