package config

import (
	"time"

	"github.com/gosalt/gosalt/protocol/wire"
)

// Minion is the configuration of a minion, and of gosalt-call.
type Minion struct {
	Common

	// Master is where the master is: a name or an address, with ":port" where that
	// differs from master_port, or a list of them.
	Master []string `yaml:"master" opt:"text"` // salt

	// MasterType says what a list of masters is: str (all of them at once), failover
	// (one, the next when it fails) or disable (none).
	MasterType string `yaml:"master_type"` // str

	// MasterPort is the master's ret_port.
	MasterPort int `yaml:"master_port"` // 4506

	// PublishPort is the master's publish_port; zero takes the port that the master
	// names when the minion authenticates.
	PublishPort int `yaml:"publish_port"` // 0

	// MasterURIFormat is default or ip_only: a colon in master separates no port.
	MasterURIFormat string `yaml:"master_uri_format"` // default

	// SourceInterfaceName is the interface whose address connections come from.
	SourceInterfaceName string `yaml:"source_interface_name"` // the system's choice

	// SourceAddress is that address itself.
	SourceAddress string `yaml:"source_address"` // the system's choice

	// SourceRetPort is the local port of the connection to master_port.
	SourceRetPort int `yaml:"source_ret_port"` // 0: any

	// SourcePublishPort is the local port of the connection to publish_port.
	SourcePublishPort int `yaml:"source_publish_port"` // 0: any

	// MasterFinger is the fingerprint of the master's public key; another one is
	// refused. gosalt-key -F on the master shows it.
	MasterFinger string `yaml:"master_finger"` // none: the first key seen is trusted

	// VerifyMasterPubkeySign takes a master's key only when the signing key has signed
	// it.
	VerifyMasterPubkeySign bool `yaml:"verify_master_pubkey_sign"` // False

	// AlwaysVerifySignature does so at every authentication, not only at the first.
	AlwaysVerifySignature bool `yaml:"always_verify_signature"` // False

	// RandomMaster shuffles the list of masters at the start.
	RandomMaster bool `yaml:"random_master"` // False

	// MasterShuffle is the older name of random_master for failover.
	MasterShuffle bool `yaml:"master_shuffle"` // False

	// MasterAliveInterval is the time between two looks whether the master is there, in
	// seconds; zero relies on the heartbeat alone.
	MasterAliveInterval time.Duration `yaml:"master_alive_interval" unit:"s"` // 0

	// MasterFailback goes back to the first master of the list when it is there again.
	MasterFailback bool `yaml:"master_failback"` // False

	// MasterFailbackInterval is the time between two tries of that, in seconds; zero is
	// master_alive_interval.
	MasterFailbackInterval time.Duration `yaml:"master_failback_interval" unit:"s"` // 0

	// MasterTries is how often the list of masters is gone through; -1 is for ever.
	MasterTries int `yaml:"master_tries"` // 1

	// RetryDNS is how long to wait after a name was not found, in seconds; zero gives up.
	RetryDNS time.Duration `yaml:"retry_dns" unit:"s"` // 30

	// RetryDNSCount is how often that is tried; zero is for ever.
	RetryDNSCount int `yaml:"retry_dns_count"` // 0

	// ResolveDNSFallback uses the address of the last time where a name is not found.
	ResolveDNSFallback bool `yaml:"resolve_dns_fallback"` // True

	// AcceptanceWaitTime is how long to wait before asking again whether the key is
	// accepted, in seconds.
	AcceptanceWaitTime time.Duration `yaml:"acceptance_wait_time" unit:"s"` // 10

	// AcceptanceWaitTimeMax lets that time grow, by itself each time, up to this, in
	// seconds; zero keeps it.
	AcceptanceWaitTimeMax time.Duration `yaml:"acceptance_wait_time_max" unit:"s"` // 0

	// RejectedRetry goes on asking after the key was rejected.
	RejectedRetry bool `yaml:"rejected_retry"` // False: the minion ends

	// RandomReauthDelay is the longest random wait before authenticating anew after the
	// master changed its key, in seconds, so that not all come at once.
	RandomReauthDelay time.Duration `yaml:"random_reauth_delay" unit:"s"` // 10

	// RandomStartupDelay is the longest random wait before the first connection, in
	// seconds.
	RandomStartupDelay time.Duration `yaml:"random_startup_delay" unit:"s"` // 0

	// AuthTimeout is how long an authentication waits for its answer, in seconds.
	AuthTimeout time.Duration `yaml:"auth_timeout" unit:"s"` // 5

	// AuthTries is how often it is tried before the minion gives the master up.
	AuthTries int `yaml:"auth_tries"` // 7

	// AuthSafemode goes on for ever instead.
	AuthSafemode bool `yaml:"auth_safemode"` // False

	// RequestChannelTimeout is how long a request to the master waits for its answer, in
	// seconds.
	RequestChannelTimeout time.Duration `yaml:"request_channel_timeout" unit:"s"` // 60

	// RequestChannelTries is how often it is tried.
	RequestChannelTries int `yaml:"request_channel_tries"` // 3

	// ReconDefault is the shortest wait before a lost connection is made again, in
	// milliseconds.
	ReconDefault time.Duration `yaml:"recon_default" unit:"ms"` // 1000

	// ReconMax is how far that grows, in milliseconds.
	ReconMax time.Duration `yaml:"recon_max" unit:"ms"` // 30000: with full jitter; Salt has 10000

	// ReconRandomize spreads the waits at random.
	ReconRandomize bool `yaml:"recon_randomize"` // True

	// PingInterval sends a ping to the master this often, in minutes; zero never.
	PingInterval time.Duration `yaml:"ping_interval" unit:"min"` // 0

	// ReturnRetryTimer is the shortest wait before a return is sent again, in seconds.
	ReturnRetryTimer time.Duration `yaml:"return_retry_timer" unit:"s"` // 5

	// ReturnRetryTimerMax is the longest; zero is always return_retry_timer.
	ReturnRetryTimerMax time.Duration `yaml:"return_retry_timer_max" unit:"s"` // 10

	// ReturnRetryTries is how often a return is sent while connected before it waits in
	// the spool for the next connection.
	ReturnRetryTries int `yaml:"return_retry_tries"` // 3

	// SpoolAge is how long a return waits on disk for a master that takes it, in
	// seconds. gosalt's own.
	SpoolAge time.Duration `yaml:"spool_age" unit:"s"` // 168h: a long weekend, and some

	// SpoolSize is how much disk these may take; the oldest are dropped, and a record
	// says so. gosalt's own.
	SpoolSize Bytes `yaml:"spool_size"` // 256MiB

	// KeepJIDs is how long the ids of jobs are remembered that were run, so that none
	// runs twice, in seconds. gosalt's own.
	KeepJIDs time.Duration `yaml:"keep_jids" unit:"s"` // 24h

	// MaxReturn is the size of the largest return that is sent, in bytes; what is longer
	// is cut, and says so. gosalt's own.
	MaxReturn Bytes `yaml:"max_return"` // 64MiB

	// PubRet sends returns to the master at all.
	PubRet bool `yaml:"pub_ret"` // True

	// CacheJobs keeps each job's result below cachedir, too.
	CacheJobs bool `yaml:"cache_jobs"` // False

	// Multiprocessing is taken and has no effect: jobs run concurrently in one process.
	Multiprocessing bool `yaml:"multiprocessing"` // True

	// ProcessCountMax is how many jobs run at once; others wait. -1 is no limit.
	ProcessCountMax int `yaml:"process_count_max"` // -1

	// MinionJIDQueueHWM is how many job ids are kept to see a job that came twice.
	MinionJIDQueueHWM int `yaml:"minion_jid_queue_hwm"` // 100

	// MinionSignMessages signs each return.
	MinionSignMessages bool `yaml:"minion_sign_messages"` // False

	// EncryptionAlgorithm encrypts the token of an authentication: OAEP-SHA1 or
	// OAEP-SHA224. A master of 3006.18 and before knows the first only.
	EncryptionAlgorithm string `yaml:"encryption_algorithm"` // OAEP-SHA1

	// SigningAlgorithm signs what the minion sends: PKCS1v15-SHA1 or PKCS1v15-SHA224.
	SigningAlgorithm string `yaml:"signing_algorithm"` // PKCS1v15-SHA1

	// AutosignGrains are grains that are sent with the first authentication, for a
	// master that accepts keys by them.
	AutosignGrains []string `yaml:"autosign_grains"` // none

	// LoopInterval is the time between two looks at the clock for scheduled jobs, in
	// seconds.
	LoopInterval time.Duration `yaml:"loop_interval" unit:"s"` // 1

	// ScheduleReturner are returners that get the results of all scheduled jobs, beside
	// those that a job names itself.
	ScheduleReturner []string `yaml:"schedule_returner" opt:"text"` // none

	// Return are returners that get the results of all jobs of a master, beside those
	// that a job names itself.
	Return []string `yaml:"return" opt:"text"` // none

	// SchedulerBeforeConnect starts scheduled jobs before the first connection to a
	// master, without its pillar.
	SchedulerBeforeConnect bool `yaml:"scheduler_before_connect"` // False

	// Grains are grains given here.
	Grains *wire.Map `yaml:"grains"` // none

	// GrainsCache keeps grains on disk for grains_cache_expiration.
	GrainsCache bool `yaml:"grains_cache"` // False

	// GrainsCacheExpiration is how long, in seconds.
	GrainsCacheExpiration time.Duration `yaml:"grains_cache_expiration" unit:"s"` // 300

	// GrainsDeepMerge merges maps of grains instead of replacing them.
	GrainsDeepMerge bool `yaml:"grains_deep_merge"` // False

	// GrainsRefreshEvery reads the grains anew this often, in minutes; zero never.
	GrainsRefreshEvery time.Duration `yaml:"grains_refresh_every" unit:"min"` // 0

	// GrainsBlacklist drops grains by glob.
	GrainsBlacklist []string `yaml:"grains_blacklist"` // none

	// EnableFQDNsGrains looks up all names of all addresses of this host, which can take
	// long.
	EnableFQDNsGrains bool `yaml:"enable_fqdns_grains"` // False

	// EnableGPUGrains looks for graphics cards.
	EnableGPUGrains bool `yaml:"enable_gpu_grains"` // True

	// StartEventGrains are grains sent with the start event.
	StartEventGrains []string `yaml:"start_event_grains"` // none

	// EnableLegacyStartupEvents sends the start event under Salt's old tag, too.
	EnableLegacyStartupEvents bool `yaml:"enable_legacy_startup_events"` // True

	// DisableModules are execution modules that cannot be called.
	DisableModules []string `yaml:"disable_modules"` // none

	// DisableReturners are returners that cannot be used.
	DisableReturners []string `yaml:"disable_returners"` // none

	// WhitelistModules are the only execution modules that can be called, where set.
	WhitelistModules []string `yaml:"whitelist_modules"` // none: all

	// CmdSafe lets cmd.* be used from the command line; False leaves them to states.
	CmdSafe bool `yaml:"cmd_safe"` // True

	// SudoUser is the account that functions run as, through sudo.
	SudoUser string `yaml:"sudo_user"` // none

	// ModuleExecutors run each function, one after the other until one has run it:
	// direct_call, splay (waits first, see splaytime) or sudo (see sudo_user).
	ModuleExecutors []string `yaml:"module_executors"` // [direct_call]

	// Splaytime is over how many seconds the executor splay spreads the minions.
	Splaytime float64 `yaml:"splaytime"` // 300

	// Test makes states only say what they would do.
	Test bool `yaml:"test"` // False

	// StartupStates runs states at the start: highstate, sls (see sls_list) or top (see
	// top_file).
	StartupStates string `yaml:"startup_states"` // none

	// SLSList are the states of startup_states: sls.
	SLSList []string `yaml:"sls_list"` // none

	// TopFile is the top file of startup_states: top.
	TopFile string `yaml:"top_file"` // none

	// MineEnabled sends the mine to the master.
	MineEnabled bool `yaml:"mine_enabled"` // True

	// MineInterval is how often, in minutes.
	MineInterval time.Duration `yaml:"mine_interval" unit:"min"` // 60

	// MineReturnJob keeps that as a job.
	MineReturnJob bool `yaml:"mine_return_job"` // False

	// MineFunctions are what it holds, as Salt's option has them: a map, or a list.
	MineFunctions any `yaml:"mine_functions"` // none

	// Beacons watch the host, as Salt's option has them.
	Beacons any `yaml:"beacons"` // none

	// AppendMinionIDConfigDirs adds the id to some of pki_dir, cachedir,
	// extension_modules and pidfile, for several minions with one configuration.
	AppendMinionIDConfigDirs []string `yaml:"append_minionid_config_dirs"` // none

	// UseMasterWhenLocal connects to the master although file_client is local.
	UseMasterWhenLocal bool `yaml:"use_master_when_local"` // False

	// SaltEnv is the environment of states.
	SaltEnv string `yaml:"saltenv"` // none

	// MinionPillarCache keeps a copy of the pillar in the cachedir, where programs of this
	// machine can read it. gosalt's never holds what was encrypted.
	MinionPillarCache bool `yaml:"minion_pillar_cache"` // False

	// PassToExtPillars are keys of this configuration that are sent to the master's
	// ext_pillar, a list such as [site, owner:name].
	PassToExtPillars any `yaml:"pass_to_ext_pillars"` // none

	// FIPSMode refuses SHA-1.
	FIPSMode bool `yaml:"fips_mode"` // False
}
