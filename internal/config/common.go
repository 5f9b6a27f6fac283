package config

import (
	"time"

	"github.com/gosalt/gosalt/protocol/wire"
)

// Common are the options that masters and minions share. The defaults of paths that
// differ by side are written as master's, minion's.
type Common struct {
	// RootDir is put before the paths of directories and files that the daemon itself
	// writes or keeps keys in, so that several daemons can live beside each other.
	RootDir string `yaml:"root_dir"` // /

	// ConfFile is the file this configuration was read from.
	ConfFile string `yaml:"conf_file"` // /etc/salt/master, /etc/salt/minion

	// DefaultInclude is a glob, relative to the configuration file, of files that are
	// read after it and go above it.
	DefaultInclude string `yaml:"default_include"` // master.d/*.conf, minion.d/*.conf

	// Include names more files to read, paths or globs relative to the configuration
	// file; they go above all others.
	Include []string `yaml:"include" opt:"text"` // none

	// ID is the name of this minion, by which the master knows its key. On a master it
	// is the name it has in its own events.
	ID string `yaml:"id"` // the host's name, see minion_id_caching

	// AppendDomain is added to the id with a dot, unless the id ends in it already, ends
	// in a dot or is an address.
	AppendDomain string `yaml:"append_domain"` // none

	// MinionIDCaching writes a guessed id to the file minion_id beside the
	// configuration and reads it from there the next time, so that an id stays when the
	// name of the host changes.
	MinionIDCaching bool `yaml:"minion_id_caching"` // True

	// MinionIDLowercase makes a guessed id lower case.
	MinionIDLowercase bool `yaml:"minion_id_lowercase"` // False

	// MinionIDRemoveDomain cuts the domain from a guessed id: True cuts everything after
	// the first dot, text cuts that one domain. Empty text stands for False.
	MinionIDRemoveDomain string `yaml:"minion_id_remove_domain" opt:"text-or-true"` // False

	// User is the account the daemon runs as. A daemon started as root changes to it.
	User string `yaml:"user"` // whoever starts it

	// PKIDir holds the keys.
	PKIDir string `yaml:"pki_dir" opt:"path"` // /etc/salt/pki/master, /etc/salt/pki/minion

	// CacheDir holds what can be lost without harm, and what must survive a restart:
	// the job store, the spool of returns.
	CacheDir string `yaml:"cachedir" opt:"path"` // /var/cache/salt/master, /var/cache/salt/minion

	// SockDir holds the sockets for programs of this host.
	SockDir string `yaml:"sock_dir" opt:"path"` // /var/run/salt/master, /var/run/salt/minion

	// PIDFile is written with the process id while the daemon runs.
	PIDFile string `yaml:"pidfile" opt:"path"` // /var/run/salt-master.pid, /var/run/salt-minion.pid

	// VerifyEnv checks at the start that the directories exist with the right owner and
	// mode, and makes those that are missing.
	VerifyEnv bool `yaml:"verify_env"` // True

	// PermissivePKIAccess lets the group read the key directory.
	PermissivePKIAccess bool `yaml:"permissive_pki_access"` // False

	// ExtensionModules is where modules synchronised from the master are kept.
	ExtensionModules string `yaml:"extension_modules" opt:"path"` // /var/cache/salt/master/extmods, /var/cache/salt/minion/extmods

	// LogFile is where the daemon logs to: a path, or a syslog address such as
	// udp://loghost:514 or file:///dev/log.
	LogFile string `yaml:"log_file" opt:"path"` // /var/log/salt/master, /var/log/salt/minion

	// LogDir is put before a relative log_file, or holds the log file when none is set.
	LogDir string `yaml:"log_dir"` // none

	// KeyLogFile is where gosalt-key logs to.
	KeyLogFile string `yaml:"key_logfile" opt:"path"` // /var/log/salt/key

	// LogLevel is the least severe message shown on the terminal: quiet, critical,
	// error, warning, info, profile, debug, trace, garbage or all.
	LogLevel string `yaml:"log_level"` // warning

	// LogLevelLogfile is the same for the log file; empty stands for log_level.
	LogLevelLogfile string `yaml:"log_level_logfile"` // as log_level

	// LogFmtConsole and LogFmtLogfile are Python format texts. Their presence is noted,
	// messages are written as key=value lines.
	LogFmtConsole string `yaml:"log_fmt_console"` // [%(levelname)-8s] %(message)s

	// LogFmtLogfile: see log_fmt_console.
	LogFmtLogfile string `yaml:"log_fmt_logfile"` // %(asctime)s,%(msecs)03d [%(name)-17s:%(lineno)-4d][%(levelname)-8s][%(process)d] %(message)s

	// LogDatefmt is the strftime format of times on the terminal.
	LogDatefmt string `yaml:"log_datefmt"` // %H:%M:%S

	// LogDatefmtLogfile is the strftime format of times in the log file.
	LogDatefmtLogfile string `yaml:"log_datefmt_logfile"` // %Y-%m-%d %H:%M:%S

	// LogGranularLevels sets the level of one part of the program: a name as it stands
	// in the log's "logger" attribute, and a level.
	LogGranularLevels *wire.Map `yaml:"log_granular_levels"` // none

	// LogRotateMaxBytes starts a new log file when the old one has this size.
	LogRotateMaxBytes Bytes `yaml:"log_rotate_max_bytes"` // 0: leave it to logrotate

	// LogRotateBackupCount is how many old log files stay.
	LogRotateBackupCount int `yaml:"log_rotate_backup_count"` // 0

	// Interface is the address the master listens on.
	Interface string `yaml:"interface"` // 0.0.0.0

	// IPv6 takes IPv6 addresses where a name has both; unset, the master decides by its
	// interface and the minion takes what the name has.
	IPv6 *bool `yaml:"ipv6"` // unset

	// Transport between master and minions. There is one: zeromq.
	Transport string `yaml:"transport"` // zeromq

	// TCPKeepalive makes the system probe silent connections, so that one through a
	// firewall that forgot it is noticed.
	TCPKeepalive bool `yaml:"tcp_keepalive"` // True

	// TCPKeepaliveIdle is the silence before the first probe, in seconds; -1 leaves it
	// to the system.
	TCPKeepaliveIdle time.Duration `yaml:"tcp_keepalive_idle" unit:"s" opt:"signed"` // 300

	// TCPKeepaliveCnt is how many unanswered probes end a connection; -1 leaves it to
	// the system.
	TCPKeepaliveCnt int `yaml:"tcp_keepalive_cnt"` // -1

	// TCPKeepaliveIntvl is the time between probes, in seconds; -1 leaves it to the
	// system.
	TCPKeepaliveIntvl time.Duration `yaml:"tcp_keepalive_intvl" unit:"s" opt:"signed"` // -1

	// ZMQFiltering sends a job only to the minions it names, by the hash of their ids,
	// where it names them as a list. Both sides must have it.
	ZMQFiltering bool `yaml:"zmq_filtering"` // False

	// Heartbeat is the time between two signs of life on a quiet connection, in seconds.
	// A peer that answers three times nothing is taken for gone. gosalt's own.
	Heartbeat time.Duration `yaml:"heartbeat" unit:"s"` // 15

	// KeySize is the number of bits of a key pair when one is made.
	KeySize int `yaml:"keysize"` // 2048

	// MasterSignKeyName is the name, without ending, of the key pair that signs a
	// master's public key.
	MasterSignKeyName string `yaml:"master_sign_key_name"` // master_sign

	// SignPubMessages signs each job, so that a minion knows it is the master's; on a
	// minion it refuses jobs that are not signed.
	SignPubMessages bool `yaml:"sign_pub_messages"` // True: every minion has the key that jobs are encrypted with, and could forge one

	// HashType is the hash of fingerprints and of files: md5, sha1, sha224, sha256,
	// sha384 or sha512.
	HashType string `yaml:"hash_type"` // sha256

	// MaxEventSize is the size of the largest event that is passed on, in bytes.
	MaxEventSize Bytes `yaml:"max_event_size"` // 1048576

	// UniqueJID adds the process id to job ids.
	UniqueJID bool `yaml:"unique_jid"` // False

	// OpenMode takes every key, also a changed one, without a look. Only the YAML bool
	// True turns it on.
	OpenMode bool `yaml:"open_mode" opt:"strict"` // False

	// PublisherACL lets users of the master's host run functions: a user's name (or a
	// regular expression for it) and a list of functions, or of targets with functions.
	PublisherACL *wire.Map `yaml:"publisher_acl"` // none: root and the master's user only

	// PublisherACLBlacklist takes away again: users, and modules (functions).
	PublisherACLBlacklist *wire.Map `yaml:"publisher_acl_blacklist"` // none

	// FileClient is where files and pillar come from: remote (the master) or local.
	FileClient string `yaml:"file_client"` // local, remote

	// FileRoots are the directories of each environment's files, first match wins.
	FileRoots map[string][]string `yaml:"file_roots"` // base: [/srv/salt, /srv/spm/salt]

	// FileIgnoreGlob hides files of the file server whose path matches one of these globs.
	FileIgnoreGlob []string `yaml:"file_ignore_glob" opt:"text"` // none

	// FileIgnoreRegex hides those in whose path one of these regular expressions is found.
	FileIgnoreRegex []string `yaml:"file_ignore_regex" opt:"text"` // none

	// FileserverFollowsymlinks serves what symbolic links in file_roots point to, even
	// outside of them. Without it nothing outside of a root is served.
	FileserverFollowsymlinks bool `yaml:"fileserver_followsymlinks"` // True

	// FileserverIgnoresymlinks leaves symbolic links out of the lists of files.
	FileserverIgnoresymlinks bool `yaml:"fileserver_ignoresymlinks"` // False

	// FileserverListCacheTime is how long a list of files is answered from memory, in
	// seconds.
	FileserverListCacheTime time.Duration `yaml:"fileserver_list_cache_time" unit:"s"` // 1: a file that was just put there is found; Salt has 20

	// FileBufferSize is the size of the pieces in which files go between Salt peers, in
	// bytes.
	FileBufferSize Bytes `yaml:"file_buffer_size"` // 1048576, 262144

	Pillar

	// Schedule is jobs that run by time, as Salt's option has them.
	Schedule *wire.Map `yaml:"schedule"` // none

	// Raw is everything that the files hold, under Salt's rules of merging, options
	// known and unknown: config.get reads data that people keep there.
	Raw *wire.Map `yaml:"-"`
}
