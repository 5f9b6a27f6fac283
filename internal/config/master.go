package config

import (
	"time"

	"github.com/gosalt/gosalt/protocol/wire"
)

// Master is the configuration of a master, and of the programs beside it.
type Master struct {
	Common

	// PublishPort is where minions subscribe to jobs.
	PublishPort int `yaml:"publish_port"` // 4505

	// RetPort is where minions send their requests and returns.
	RetPort int `yaml:"ret_port"` // 4506

	// WorkerThreads is taken and has no effect: one process serves all requests.
	WorkerThreads int `yaml:"worker_threads"` // 5

	// ZMQBacklog is how many connections the system keeps before they are taken.
	ZMQBacklog int `yaml:"zmq_backlog"` // 1000

	// PubHWM is how many jobs wait for one slow subscriber before its connection is
	// closed; it comes back and asks for what it missed.
	PubHWM int `yaml:"pub_hwm"` // 1000

	// MaxOpenFiles is the number of open files asked of the system at the start.
	MaxOpenFiles int `yaml:"max_open_files"` // 100000

	// MaxConnections is how many connections are held at once; a minion has two. More
	// are closed at once. gosalt's own.
	MaxConnections int `yaml:"max_connections"` // 24000: 10,000 minions, and a fifth more while they reconnect

	// MaxUnauthenticated is how many connections may be open that have not shown an
	// accepted key. gosalt's own.
	MaxUnauthenticated int `yaml:"max_unauthenticated"` // 1024

	// MaxUnauthenticatedPerAddress is the same for one address. gosalt's own.
	MaxUnauthenticatedPerAddress int `yaml:"max_unauthenticated_per_address"` // 64: minions behind one NAT come in waves

	// HandshakeTimeout ends a connection that has not said who speaks by then, in
	// seconds. gosalt's own.
	HandshakeTimeout time.Duration `yaml:"handshake_timeout" unit:"s"` // 5

	// AuthRate is how many authentications a second one address may try; AuthBurst
	// may come at once. gosalt's own.
	AuthRate float64 `yaml:"auth_rate"` // 10

	// AuthBurst: see auth_rate.
	AuthBurst int `yaml:"auth_burst"` // 50

	// RequestRate is how many requests a second one minion may send; RequestBurst may
	// come at once. gosalt's own.
	RequestRate float64 `yaml:"request_rate"` // 50

	// RequestBurst: see request_rate.
	RequestBurst int `yaml:"request_burst"` // 200

	// Timeout is how long the command line waits for returns before it asks who is still
	// at work, in seconds.
	Timeout time.Duration `yaml:"timeout" unit:"s"` // 5

	// GatherJobTimeout is how long that question waits for its answers, in seconds.
	GatherJobTimeout time.Duration `yaml:"gather_job_timeout" unit:"s"` // 10

	// ShowTimeout names the minions that did not return.
	ShowTimeout bool `yaml:"show_timeout"` // True

	// ShowJID prints the job's id.
	ShowJID bool `yaml:"show_jid"` // False

	// CLISummary prints a summary at the end of each job.
	CLISummary bool `yaml:"cli_summary"` // False

	// LoopInterval is the time between two rounds of upkeep, in seconds.
	LoopInterval time.Duration `yaml:"loop_interval" unit:"s"` // 60

	// MaintenanceInterval is the time between two rounds of removing what is old, in
	// seconds.
	MaintenanceInterval time.Duration `yaml:"maintenance_interval" unit:"s"` // 3600

	// KeepJobs is keep_jobs_seconds in hours, Salt's older name. It counts where it is
	// set and keep_jobs_seconds is not.
	KeepJobs time.Duration `yaml:"keep_jobs" unit:"h"` // 24

	// KeepJobsSeconds is how long finished jobs stay readable, in seconds. Longer means
	// more disk and slower listings; zero keeps them for good.
	//
	//lint:ignore ST1011 the option has this name
	KeepJobsSeconds time.Duration `yaml:"keep_jobs_seconds" unit:"s"` // 86400: a day's work can be looked back on

	// KeepJobsSize is how much disk jobs may take; the oldest go first. Zero is no limit.
	// gosalt's own.
	KeepJobsSize Bytes `yaml:"keep_jobs_size"` // 4GiB

	// JobStore is the directory of the job store. gosalt's own.
	JobStore string `yaml:"job_store" opt:"path"` // jobstore below cachedir

	// JobExpiry is how long a minion that was away may still take a job, in seconds.
	// gosalt's own.
	JobExpiry time.Duration `yaml:"job_expiry" unit:"s"` // 5m: a reboot is covered, yesterday's command is not run today

	// MaxReturn is the size of the largest return taken from a minion, in bytes.
	// gosalt's own.
	MaxReturn Bytes `yaml:"max_return"` // 64MiB

	// JobCache keeps the results of jobs. False hands them to who waits for them, and to
	// returners, only: jobs are listed, and jobs.lookup_jid has nothing to tell.
	JobCache bool `yaml:"job_cache"` // True

	// ExtJobCache names a returner that gets all jobs and their results, of gosalt's and of
	// Salt's minions: redis, postgres, pgjsonb, rawfile_json, syslog. The master sends them,
	// and keeps them in its own store, too.
	ExtJobCache string `yaml:"ext_job_cache"` // none

	// EventReturn are returners that get the events of the master's bus: pgjsonb, postgres,
	// rawfile_json.
	EventReturn []string `yaml:"event_return" opt:"text"` // none

	// EventReturnWhitelist are globs of tags: only these events are sent, where set.
	EventReturnWhitelist []string `yaml:"event_return_whitelist" opt:"text"` // none: all

	// EventReturnBlacklist are globs of tags: these events are not sent.
	EventReturnBlacklist []string `yaml:"event_return_blacklist" opt:"text"` // none

	// ReturnerSpoolSize is how much may wait on disk for a returner that cannot be reached;
	// the oldest is dropped, and the log says so. gosalt's own.
	ReturnerSpoolSize Bytes `yaml:"returner_spool_size"` // 1GiB

	// MasterJobCache names the store of jobs. local_cache is gosalt's own store; another
	// returner's name has the same effect as in ext_job_cache.
	MasterJobCache string `yaml:"master_job_cache"` // local_cache

	// JobCacheStoreEndtime keeps the time of a job's end, which is that of its last return
	// so far: EndTime of jobs.list_jobs and the like.
	JobCacheStoreEndtime bool `yaml:"job_cache_store_endtime"` // False

	// MinionDataCache keeps the grains and pillar that minions were last seen with, for
	// targeting by them.
	MinionDataCache bool `yaml:"minion_data_cache"` // True

	// MinionDataCacheEvents sends an event each time that changes.
	MinionDataCacheEvents bool `yaml:"minion_data_cache_events"` // True

	// PreserveMinionCache keeps a minion's data when its key is deleted.
	PreserveMinionCache bool `yaml:"preserve_minion_cache"` // False

	// AutoAccept accepts every new key. Only the YAML bool True turns it on.
	AutoAccept bool `yaml:"auto_accept" opt:"strict"` // False

	// AutosignFile lists ids that are accepted at once: a line each, as a glob or a
	// regular expression.
	AutosignFile string `yaml:"autosign_file" opt:"path"` // none

	// AutorejectFile lists ids that are rejected at once, likewise.
	AutorejectFile string `yaml:"autoreject_file" opt:"path"` // none

	// AutosignGrainsDir holds a file for each grain, with the values, one in a line,
	// that make a new key be accepted.
	AutosignGrainsDir string `yaml:"autosign_grains_dir" opt:"path"` // none

	// AutosignTimeout is how long a file in pki_dir/minions_autosign counts, in minutes.
	AutosignTimeout time.Duration `yaml:"autosign_timeout" unit:"min"` // 120

	// AutosignCloud accepts new minions that show the identity their cloud has given them:
	// a map with aws, whose keys are accounts, regions, max_age, inventory, minion_id,
	// check_address and certificates. See docs/enrolment.md. gosalt's own.
	AutosignCloud *wire.Map `yaml:"autosign_cloud"` // none

	// JoinMasters are the addresses, with a port where it is not 4506, under which minions
	// find this master: they go into join tokens. gosalt's own.
	JoinMasters []string `yaml:"join_masters" opt:"text"` // the address of interface, or this machine's name

	// MaxMinions is how many minions may be connected; zero is no limit.
	MaxMinions int `yaml:"max_minions"` // 0

	// MaxPendingKeys is how many keys may wait to be accepted. gosalt's own.
	MaxPendingKeys int `yaml:"max_pending_keys"` // 10000

	// MaxPendingKeysPerAddress is how many of them one address may add in an hour.
	// gosalt's own.
	MaxPendingKeysPerAddress int `yaml:"max_pending_keys_per_address"` // 100

	// AllowMinionKeyRevoke lets a minion ask for the end of its own key.
	AllowMinionKeyRevoke bool `yaml:"allow_minion_key_revoke"` // True

	// AuthEvents sends an event for each authentication.
	AuthEvents bool `yaml:"auth_events"` // True

	// AuthMode is taken and has no effect, as in Salt.
	AuthMode int `yaml:"auth_mode"` // 1

	// KeyPass is the passphrase of the master's private key.
	KeyPass Secret `yaml:"key_pass"` // none

	// SigningKeyPass is the passphrase of the signing key.
	SigningKeyPass Secret `yaml:"signing_key_pass"` // none

	// MasterSignPubkey signs the master's public key with the signing key, so that
	// minions that know only that one can trust a new master.
	MasterSignPubkey bool `yaml:"master_sign_pubkey"` // False

	// MasterPubkeySignature is the name of a file in pki_dir with a signature made
	// beforehand.
	MasterPubkeySignature string `yaml:"master_pubkey_signature"` // master_pubkey_signature

	// MasterUsePubkeySignature sends that signature and needs no signing key here.
	MasterUsePubkeySignature bool `yaml:"master_use_pubkey_signature"` // False

	// PublishSigningAlgorithm signs jobs: PKCS1v15-SHA1 or PKCS1v15-SHA224. Minions of
	// 3006.18 and before know the first only.
	PublishSigningAlgorithm string `yaml:"publish_signing_algorithm"` // PKCS1v15-SHA1

	// FIPSMode refuses SHA-1.
	FIPSMode bool `yaml:"fips_mode"` // False

	// RequireMinionSignMessages refuses returns that a minion has not signed.
	RequireMinionSignMessages bool `yaml:"require_minion_sign_messages"` // False: their encryption already says whose they are

	// DropMessagesSignatureFail drops returns with a wrong signature.
	DropMessagesSignatureFail bool `yaml:"drop_messages_signature_fail"` // False

	// PublishSession is how long the key that jobs are encrypted with lives, in seconds.
	PublishSession time.Duration `yaml:"publish_session" unit:"s"` // 86400

	// RotateAESKey makes a new one whenever a key is deleted or rejected, so that who
	// was sent away reads no more jobs.
	RotateAESKey bool `yaml:"rotate_aes_key"` // True

	// PingOnRotate pings all minions after that, so that they fetch the new key before
	// the next job.
	PingOnRotate bool `yaml:"ping_on_rotate"` // False

	// RequestServerTTL is how old a request may be, in seconds; zero takes any age.
	RequestServerTTL time.Duration `yaml:"request_server_ttl" unit:"s"` // 300: a recorded request must not work for ever; Salt has 0

	// RequestServerAESSession is how long the key of one minion's requests lives, in
	// seconds; zero is 24 hours.
	RequestServerAESSession time.Duration `yaml:"request_server_aes_session" unit:"s"` // 0

	// MinimumAuthVersion is the lowest version of the protocol taken from minions. Below
	// 3 an eavesdropper can replay.
	MinimumAuthVersion int `yaml:"minimum_auth_version"` // 3

	// CompatRootKey lets Salt's own programs (salt, salt-run, salt-key, salt-cp, and what
	// uses its LocalClient) work on this master: it makes the key file by which they give
	// orders over the return port, from this machine alone, and their event sockets below
	// sock_dir. Who can read the key file is root. gosalt's own.
	CompatRootKey bool `yaml:"compat_root_key"` // False: the control socket needs no shared secret

	// ControlSocket is where the command line reaches the master. gosalt's own.
	ControlSocket string `yaml:"control_socket" opt:"path"` // control.sock below sock_dir

	// ControlSocketGroup is the group that may open the control socket; publisher_acl
	// decides what its members may do. gosalt's own.
	ControlSocketGroup string `yaml:"control_socket_group"` // none: root and the master's user

	// AuditLog is where every order, key change and refusal is written, hash-chained.
	// gosalt's own.
	AuditLog string `yaml:"audit_log" opt:"path"` // /var/log/salt/audit

	// ClientACLVerify checks publisher_acl and eauth entries.
	ClientACLVerify bool `yaml:"client_acl_verify"` // True

	// PermissiveACL lets a user of one list use what another list gives.
	PermissiveACL bool `yaml:"permissive_acl"` // False

	// SudoACL applies publisher_acl to who calls through sudo.
	SudoACL bool `yaml:"sudo_acl"` // False

	// ExternalAuth lets users authenticated elsewhere run functions.
	ExternalAuth *wire.Map `yaml:"external_auth"` // none

	// TokenExpire is how long a token counts, in seconds.
	TokenExpire time.Duration `yaml:"token_expire" unit:"s"` // 43200

	// TokenExpireUserOverride lets users say how long their token counts: True, or by
	// authentication system a list of users.
	TokenExpireUserOverride any `yaml:"token_expire_user_override"` // False

	// KeepACLInToken keeps with a token what its user may do. Else that is read from the
	// configuration at each use. With rest it is always kept.
	KeepACLInToken bool `yaml:"keep_acl_in_token"` // False

	// EauthACLModule is the authentication system that says what users may do, where that
	// is not the one that they log in with.
	EauthACLModule string `yaml:"eauth_acl_module"` // none

	// SharedSecret is the one password of the authentication system sharedsecret.
	SharedSecret Secret `yaml:"sharedsecret"` // none

	// AuthPAMService is the PAM service that Salt's pam asks. gosalt's asks PAM by
	// unix_chkpwd and su.
	AuthPAMService string `yaml:"auth.pam.service"` // login

	// TokenFile is where the command line keeps the token that --make-token gives.
	TokenFile string `yaml:"token_file"` // salt_token in ~/.config/salt where that is a directory, else in the home directory

	// Inventory says where machines are to be found: names of sources, each a map with
	// provider and the options of that. gosalt's own.
	Inventory *wire.Map `yaml:"inventory"` // none

	// VMProfiles say what machines gosalt-run vm.create and vm.test make: names, each a map
	// with source, image, size and so on. See docs/vms.md. gosalt's own.
	VMProfiles *wire.Map `yaml:"vm_profiles"` // none

	// Places are where the entries of Inventory and VMProfiles stand, for messages.
	Places Places `yaml:"-"`

	// Nodegroups are names for targets: a compound expression, or a list of its words.
	Nodegroups *wire.Map `yaml:"nodegroups" opt:"map-or-dictlist"` // none

	// PresenceEvents sends salt/presence/present and change events about who is
	// connected.
	PresenceEvents bool `yaml:"presence_events"` // False

	// DetectRemoteMinions also counts connections through remote_minions_port.
	DetectRemoteMinions bool `yaml:"detect_remote_minions"` // False

	// Peer lets minions run functions on other minions: an id and a list of functions.
	Peer *wire.Map `yaml:"peer"` // none

	// PeerRun lets minions run runners.
	PeerRun *wire.Map `yaml:"peer_run"` // none

	// MineGet says which values of the mine a minion may read: regular expressions for
	// ids, each with a list of those for names. Where it is set, what it does not name
	// is refused.
	MineGet *wire.Map `yaml:"mine_get"` // none: all that the values' own allow_tgt lets it

	// EnforceMineCache keeps the mine although minion_data_cache is off.
	EnforceMineCache bool `yaml:"enforce_mine_cache"` // False

	// FileRecv lets minions send files.
	FileRecv bool `yaml:"file_recv"` // False

	// FileRecvMaxSize is the size of the largest such file, in MiB.
	FileRecvMaxSize int `yaml:"file_recv_max_size"` // 100

	// FileserverBackend are the sources of files, in their order.
	FileserverBackend []string `yaml:"fileserver_backend"` // [roots]

	// FileserverInterval is the time between two updates of the backends that have no
	// interval of their own, in seconds.
	FileserverInterval time.Duration `yaml:"fileserver_interval" unit:"s"` // 3600

	// FileserverEvents sends salt/fileserver/<backend>/update when files have changed.
	FileserverEvents bool `yaml:"fileserver_events"` // False

	// RunnerReturns keeps the results of runners as jobs.
	RunnerReturns bool `yaml:"runner_returns"` // True

	// OrderMasters sends what a syndic needs with each job.
	OrderMasters bool `yaml:"order_masters"` // False

	// TokenDir holds tokens of external authentication.
	TokenDir string `yaml:"-" opt:"path"` // tokens below cachedir, always
}
