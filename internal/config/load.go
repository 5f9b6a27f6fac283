package config

import (
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/gosalt/gosalt/internal/lazyre"
	"github.com/gosalt/gosalt/protocol/wire"
)

// LoadMaster reads DIR/master and the files that belong to it. The problems are all
// that was found, of every severity; where one is an Error, the configuration is nil
// and the error a *LoadError. A missing file leaves the defaults.
func LoadMaster(dir string) (*Master, []Problem, error) {
	return LoadMasterFile(filepath.Join(dir, "master"))
}

// LoadMasterFile is LoadMaster for a main file of another name.
func LoadMasterFile(path string) (*Master, []Problem, error) {
	return loadMaster(path, systemFiles)
}

func loadMaster(path string, n names) (*Master, []Problem, error) {
	path, r, err := begin(path)
	if err != nil {
		return nil, r.problems, err
	}
	m := DefaultMaster()
	root := r.readAll(path, m.DefaultInclude)
	set := r.decode(root, m)
	m.ConfFile, m.Raw = path, root.wireMap()
	m.Places = placesOf(root, "inventory", "vm_profiles")
	r.unknown(root, masterSide)

	m.lower()
	m.adjustLog(set)
	m.adjustDirs(set, func(k string) { r.checkRootDir(set[k]) })
	m.TokenDir = filepath.Join(m.CacheDir, "tokens")
	if m.ID == "" {
		id, addr, _ := m.guessID(n)
		if !addr {
			id = m.withDomain(id)
		}
		m.ID = id + "_master"
	} else {
		m.ID = m.withDomain(m.ID)
	}
	m.prependRoot(m)
	if m.JobStore == "" {
		m.JobStore = filepath.Join(m.CacheDir, "jobstore")
	}
	if m.ControlSocket == "" {
		m.ControlSocket = filepath.Join(m.SockDir, "control.sock")
	}
	if set["keep_jobs"] != nil && m.KeepJobsSeconds == 24*time.Hour {
		m.KeepJobsSeconds = m.KeepJobs
	}
	r.check(set, &m.Common, masterChecks(m))
	if set["minimum_auth_version"] != nil && m.MinimumAuthVersion < 3 {
		n := set["minimum_auth_version"]
		r.add(Problem{File: n.file, Line: n.line, Column: n.col, Option: "minimum_auth_version", Severity: Warning,
			Text: "minimum_auth_version: below 3 an eavesdropper can replay what minions send: raise it as soon as the last old minion is gone"})
	}
	if err := r.err(); err != nil {
		return nil, r.problems, err
	}
	return m, r.problems, nil
}

// MinionOptions are what LoadMinionWith takes from outside the files.
type MinionOptions struct {
	ID       string // goes above the id of the files, as gosalt-call --id does
	ForgetID bool   // does not write a guessed id to the file minion_id
	Text     []byte // takes the place of the files; the path says where they would be
}

// LoadMinion reads DIR/minion and the files that belong to it, and works out the id.
// Problems and error are as LoadMaster's.
func LoadMinion(dir string) (*Minion, []Problem, error) {
	return LoadMinionWith(filepath.Join(dir, "minion"), MinionOptions{})
}

// LoadMinionWith is LoadMinion for a main file of any name, and with options.
func LoadMinionWith(path string, o MinionOptions) (*Minion, []Problem, error) {
	return loadMinion(path, o, system)
}

func loadMinion(path string, o MinionOptions, n names) (*Minion, []Problem, error) {
	path, r, err := begin(path)
	if err != nil {
		return nil, r.problems, err
	}
	m := DefaultMinion()
	var root *node
	if o.Text == nil {
		root = r.readAll(path, m.DefaultInclude)
	} else {
		var p *Problem
		if root, p = parseYAML(path, o.Text); p != nil {
			r.add(*p)
			return nil, r.problems, r.err()
		}
	}
	set := r.decode(root, m)
	m.ConfFile, m.Raw = path, root.wireMap()
	r.unknown(root, minionSide)

	m.lower()
	m.adjustLog(set)
	if o.ID != "" {
		m.ID = o.ID
	}
	guessed, addr, kept := "", false, false
	if m.ID == "" {
		guessed, addr, kept = m.guessID(n)
		m.ID = guessed
	}
	if !addr {
		m.ID = m.withDomain(m.ID)
	}
	for _, d := range m.AppendMinionIDConfigDirs {
		switch d {
		case "pki_dir":
			m.PKIDir = filepath.Join(m.PKIDir, m.ID)
		case "cachedir":
			m.CacheDir = filepath.Join(m.CacheDir, m.ID)
		case "extension_modules":
			m.ExtensionModules = filepath.Join(m.ExtensionModules, m.ID)
		case "pidfile":
			m.PIDFile = filepath.Join(filepath.Dir(m.PIDFile), "salt", m.ID, filepath.Base(m.PIDFile))
		}
	}
	m.adjustDirs(set, func(k string) { r.checkRootDir(set[k]) })
	m.prependRoot(m)
	if n := set["sign_pub_messages"]; n != nil && !m.SignPubMessages {
		r.add(Problem{File: n.file, Line: n.line, Column: n.col, Option: "sign_pub_messages", Severity: Warning,
			Text: "sign_pub_messages: unsigned jobs are run: any minion of this master can forge one; have the master sign (sign_pub_messages: True there) and remove this line"})
	}
	if _, err := wire.ParseMinionID(m.ID); err != nil {
		p := Problem{File: path, Option: "id", Severity: Error, Text: fmt.Sprintf("id: %v: set another one", err)}
		if n := set["id"]; n != nil {
			p.File, p.Line, p.Column = n.file, n.line, n.col
		}
		r.add(p)
	}
	r.check(set, &m.Common, minionChecks(m))
	if err := r.err(); err != nil {
		return nil, r.problems, err
	}
	if guessed != "" && !kept && m.MinionIDCaching && !o.ForgetID {
		if err := m.keepID(guessed); err != nil {
			r.add(Problem{File: m.idFile(), Option: "id", Severity: Warning,
				Text: fmt.Sprintf("%v: set the option id, so that the minion keeps its name", err)})
		}
	}
	return m, r.problems, nil
}

func begin(path string) (string, *reader, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", &reader{}, fmt.Errorf("find the configuration %s: %w", path, err)
	}
	return abs, &reader{}, nil
}

// err is the problems of severity Error, nil when there are none.
func (r *reader) err() error {
	var bad []Problem
	for _, p := range r.problems {
		if p.Severity == Error {
			bad = append(bad, p)
		}
	}
	if bad == nil {
		return nil
	}
	return &LoadError{Problems: bad}
}

func (r *reader) checkRootDir(n *node) {
	if n != nil {
		r.add(Problem{File: n.file, Line: n.line, Column: n.col, Option: "root_dir", Severity: Warning,
			Text: fmt.Sprintf("root_dir: %s is not absolute and counts from where the program is started: write it from /", describe(n))})
	}
}

// adjustLog brings log_dir and log_file together, as
// salt.config._adjust_log_file_override does.
func (c *Common) adjustLog(set map[string]*node) {
	if c.LogDir == "" {
		return
	}
	switch {
	case set["log_file"] == nil || c.LogFile == "":
		c.LogFile = filepath.Join(c.LogDir, filepath.Base(c.LogFile))
	case !filepath.IsAbs(c.LogFile):
		c.LogFile = filepath.Join(c.LogDir, c.LogFile)
	}
}

// lower brings what is compared without case into lower case.
func (c *Common) lower() {
	c.HashType = strings.ToLower(c.HashType)
	c.LogLevel, c.LogLevelLogfile = strings.ToLower(c.LogLevel), strings.ToLower(c.LogLevelLogfile)
}

// adjustDirs are Salt's rules for directories that follow others.
func (c *Common) adjustDirs(set map[string]*node, relative func(key string)) {
	if len(c.SockDir) > len(c.CacheDir)+10 {
		c.SockDir = filepath.Join(c.CacheDir, ".salt-unix")
	}
	if c.ExtensionModules == "" {
		c.ExtensionModules = filepath.Join(c.CacheDir, "extmods")
	}
	if !filepath.IsAbs(c.RootDir) {
		relative("root_dir")
		if abs, err := filepath.Abs(c.RootDir); err == nil {
			c.RootDir = abs
		}
	}
}

var uriForm = lazyre.New(`^[A-Za-z][A-Za-z0-9+.-]*:`)

// prependRoot puts root_dir before the path options of a configuration, as
// salt.config.prepend_root_dir does: before every path, absolute or not, that does not
// lie below it already.
func (c *Common) prependRoot(cfg any) {
	root := filepath.Clean(c.RootDir)
	v := reflect.ValueOf(cfg).Elem()
	for _, o := range options(v.Type()) {
		f := v.FieldByIndex(o.index)
		if o.kind != "path" || f.String() == "" {
			continue
		}
		path := f.String()
		if (o.name == "log_file" || o.name == "key_logfile") && uriForm.MatchString(path) {
			continue
		}
		if rest := strings.TrimPrefix(path, root+"/"); rest != path {
			path = rest
		}
		f.SetString(filepath.Join(root, path))
	}
}

// check is one rule about an option's value.
type check struct {
	option string
	ok     bool
	want   string
}

func oneOf(option, value string, allowed ...string) check {
	return check{option, slices.Contains(allowed, value), "one of " + strings.Join(allowed, ", ")}
}

func port(option string, n, low int) check {
	return check{option, n >= low && n <= 65535, fmt.Sprintf("a port, %d to 65535", low)}
}

func atLeast(option string, n, low int) check {
	return check{option, n >= low, fmt.Sprintf("%d or more", low)}
}

var logLevels = []string{"quiet", "critical", "error", "warning", "info", "profile", "debug", "trace", "garbage", "all"}

func (c *Common) checks() []check {
	list := []check{
		oneOf("log_level", c.LogLevel, logLevels...),
		oneOf("transport", c.Transport, "zeromq"),
		oneOf("file_client", c.FileClient, "local", "remote"),
		oneOf("hash_type", c.HashType, "md5", "sha1", "sha224", "sha256", "sha384", "sha512"),
		{"keysize", c.KeySize >= 2048 && c.KeySize <= 16384, "2048 to 16384 bits"},
		{"heartbeat", c.Heartbeat >= time.Second, "1 second or more"},
		{"max_event_size", c.MaxEventSize > 0, "more than 0"},
	}
	if c.LogLevelLogfile != "" {
		list = append(list, oneOf("log_level_logfile", c.LogLevelLogfile, logLevels...))
	}
	return list
}

func masterChecks(m *Master) []check {
	return []check{
		port("publish_port", m.PublishPort, 1), port("ret_port", m.RetPort, 1),
		{"ret_port", m.RetPort != m.PublishPort, fmt.Sprintf("another port than publish_port, %d", m.PublishPort)},
		{"minimum_auth_version", m.MinimumAuthVersion >= 0 && m.MinimumAuthVersion <= 3, "0 to 3"},
		oneOf("publish_signing_algorithm", m.PublishSigningAlgorithm, "PKCS1v15-SHA1", "PKCS1v15-SHA224"),
		atLeast("max_minions", m.MaxMinions, 0), atLeast("pub_hwm", m.PubHWM, 0), atLeast("zmq_backlog", m.ZMQBacklog, 0),
		atLeast("max_connections", m.MaxConnections, 16), atLeast("max_unauthenticated", m.MaxUnauthenticated, 1),
		atLeast("max_unauthenticated_per_address", m.MaxUnauthenticatedPerAddress, 1),
		atLeast("auth_burst", m.AuthBurst, 1), atLeast("request_burst", m.RequestBurst, 1),
		{"auth_rate", m.AuthRate > 0, "more than 0"}, {"request_rate", m.RequestRate > 0, "more than 0"},
		atLeast("max_pending_keys", m.MaxPendingKeys, 0), atLeast("max_pending_keys_per_address", m.MaxPendingKeysPerAddress, 0),
		{"max_return", m.MaxReturn >= 1<<10, "1KiB or more"},
		{"handshake_timeout", m.HandshakeTimeout > 0, "more than 0"},
	}
}

func minionChecks(m *Minion) []check {
	return []check{
		oneOf("master_type", m.MasterType, "str", "failover", "disable"),
		oneOf("master_uri_format", m.MasterURIFormat, "default", "ip_only"),
		{"master", m.MasterType == "disable" || len(m.Master) > 0 && !slices.Contains(m.Master, ""), "the name or address of a master"},
		port("master_port", m.MasterPort, 1), port("publish_port", m.PublishPort, 0),
		port("source_ret_port", m.SourceRetPort, 0), port("source_publish_port", m.SourcePublishPort, 0),
		oneOf("encryption_algorithm", m.EncryptionAlgorithm, "OAEP-SHA1", "OAEP-SHA224"),
		oneOf("signing_algorithm", m.SigningAlgorithm, "PKCS1v15-SHA1", "PKCS1v15-SHA224"),
		{"process_count_max", m.ProcessCountMax == -1 || m.ProcessCountMax > 0, "1 or more, or -1 for no limit"},
		atLeast("minion_jid_queue_hwm", m.MinionJIDQueueHWM, 1),
		{"max_return", m.MaxReturn >= 1<<10, "1KiB or more"},
		{"auth_timeout", m.AuthTimeout > 0, "more than 0"},
	}
}

// check reports each option that is set and breaks a rule.
func (r *reader) check(set map[string]*node, c *Common, more []check) {
	for _, k := range append(c.checks(), more...) {
		n := set[k.option]
		if k.ok || n == nil {
			continue
		}
		r.add(Problem{File: n.file, Line: n.line, Column: n.col, Option: k.option, Severity: Error,
			Text: fmt.Sprintf("%s: expected %s, got %s", k.option, k.want, describe(n))})
	}
}
