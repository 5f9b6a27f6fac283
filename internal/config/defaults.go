package config

import (
	"os"
	"os/user"
	"strconv"
	"time"

	"github.com/gosalt/gosalt/protocol/wire"
)

// DefaultMaster is a master's configuration with nothing set.
func DefaultMaster() *Master {
	return &Master{
		Common: common("master", "local", func(c *Common) {
			c.LogFile, c.PIDFile = "/var/log/salt/master", "/var/run/salt-master.pid"
			on := true
			c.ExtPillar, c.PillarSafeRenderError = []any{}, &on
			c.FileBufferSize = 1 << 20
		}),
		PublishPort: 4505, RetPort: 4506, WorkerThreads: 5, ZMQBacklog: 1000, PubHWM: 1000,
		MaxOpenFiles: 100000, MaxConnections: 24000, MaxUnauthenticated: 1024,
		MaxUnauthenticatedPerAddress: 64, HandshakeTimeout: 5 * time.Second,
		AuthRate: 10, AuthBurst: 50, RequestRate: 50, RequestBurst: 200,
		Timeout: 5 * time.Second, GatherJobTimeout: 10 * time.Second, ShowTimeout: true,
		LoopInterval: time.Minute, MaintenanceInterval: time.Hour,
		KeepJobs: 24 * time.Hour, KeepJobsSeconds: 24 * time.Hour, KeepJobsSize: 4 << 30,
		JobExpiry: 5 * time.Minute, MaxReturn: 64 << 20,
		JobCache: true, MasterJobCache: "local_cache", ReturnerSpoolSize: 1 << 30, MinionDataCache: true, MinionDataCacheEvents: true,
		AutosignTimeout: 2 * time.Hour, MaxPendingKeys: 10000, MaxPendingKeysPerAddress: 100,
		AllowMinionKeyRevoke: true, AuthEvents: true, AuthMode: 1,
		MasterPubkeySignature: "master_pubkey_signature", PublishSigningAlgorithm: "PKCS1v15-SHA1",
		PublishSession: 24 * time.Hour, RotateAESKey: true, RequestServerTTL: 5 * time.Minute,
		MinimumAuthVersion: 3, AuditLog: "/var/log/salt/audit",
		ClientACLVerify: true, ExternalAuth: wire.NewMap(), TokenExpire: 12 * time.Hour, TokenExpireUserOverride: false,
		Nodegroups: wire.NewMap(), Peer: wire.NewMap(), PeerRun: wire.NewMap(),
		FileRecvMaxSize: 100, FileserverBackend: []string{"roots"}, FileserverInterval: time.Hour, RunnerReturns: true,
	}
}

// DefaultMinion is a minion's configuration with nothing set. Its id is empty: only
// loading works one out.
func DefaultMinion() *Minion {
	return &Minion{
		Common: common("minion", "remote", func(c *Common) {
			c.LogFile, c.PIDFile = "/var/log/salt/minion", "/var/run/salt-minion.pid"
			c.FileBufferSize = 256 << 10
		}),
		Master: []string{"salt"}, MasterType: "str", MasterPort: 4506, MasterURIFormat: "default",
		MasterTries: 1, RetryDNS: 30 * time.Second, ResolveDNSFallback: true,
		AcceptanceWaitTime: 10 * time.Second, RandomReauthDelay: 10 * time.Second,
		AuthTimeout: 5 * time.Second, AuthTries: 7,
		ModuleExecutors: []string{"direct_call"}, Splaytime: 300,
		RequestChannelTimeout: time.Minute, RequestChannelTries: 3,
		ReconDefault: time.Second, ReconMax: 30 * time.Second, ReconRandomize: true,
		ReturnRetryTimer: 5 * time.Second, ReturnRetryTimerMax: 10 * time.Second, ReturnRetryTries: 3,
		SpoolAge: 7 * 24 * time.Hour, SpoolSize: 256 << 20, KeepJIDs: 24 * time.Hour, MaxReturn: 64 << 20,
		PubRet: true, Multiprocessing: true, ProcessCountMax: -1, MinionJIDQueueHWM: 100,
		EncryptionAlgorithm: "OAEP-SHA1", SigningAlgorithm: "PKCS1v15-SHA1",
		LoopInterval: time.Second, Grains: wire.NewMap(), GrainsCacheExpiration: 5 * time.Minute,
		EnableGPUGrains: true, EnableLegacyStartupEvents: true,
		CmdSafe: true, MineEnabled: true, MineInterval: time.Hour,
	}
}

// common is what both sides share; side names the directories.
func common(side, fileClient string, more func(*Common)) Common {
	c := Common{
		RootDir: "/", ConfFile: DefaultDir + "/" + side, DefaultInclude: side + ".d/*.conf",
		MinionIDCaching: true, User: currentUser(),
		PKIDir: DefaultDir + "/pki/" + side, CacheDir: "/var/cache/salt/" + side, SockDir: "/var/run/salt/" + side,
		VerifyEnv: true, ExtensionModules: "/var/cache/salt/" + side + "/extmods",
		KeyLogFile: "/var/log/salt/key", LogLevel: "warning",
		LogFmtConsole: "[%(levelname)-8s] %(message)s",
		LogFmtLogfile: "%(asctime)s,%(msecs)03d [%(name)-17s:%(lineno)-4d][%(levelname)-8s][%(process)d] %(message)s",
		LogDatefmt:    "%H:%M:%S", LogDatefmtLogfile: "%Y-%m-%d %H:%M:%S", LogGranularLevels: wire.NewMap(),
		Interface: "0.0.0.0", Transport: "zeromq",
		TCPKeepalive: true, TCPKeepaliveIdle: 300 * time.Second, TCPKeepaliveCnt: -1, TCPKeepaliveIntvl: -time.Second,
		Heartbeat: 15 * time.Second, KeySize: 2048, MasterSignKeyName: "master_sign",
		SignPubMessages: true, HashType: "sha256", MaxEventSize: 1 << 20,
		PublisherACL: wire.NewMap(), PublisherACLBlacklist: wire.NewMap(), FileClient: fileClient,
		FileRoots:                map[string][]string{"base": {"/srv/salt", "/srv/spm/salt"}},
		FileserverFollowsymlinks: true, FileserverListCacheTime: time.Second,
		Pillar:   defaultPillar(),
		Schedule: wire.NewMap(), Raw: wire.NewMap(),
	}
	more(&c)
	return c
}

// deliberate are the options whose default is not Salt's, with the reason.
var deliberate = map[string]string{
	"master:request_server_ttl":       "300: a recorded request must not work for ever",
	"minion:sign_pub_messages":        "True: without it any other minion could forge a job",
	"master:gpg_decrypt_must_succeed": "True: a password must not be replaced by its encrypted text",
	"minion:gpg_decrypt_must_succeed": "True: likewise",
	"master:decrypt_pillar_renderers": "[gpg, age]: Salt has no age",
	"minion:decrypt_pillar_renderers": "[gpg, age]: likewise",
	"minion:recon_max":                "30000: waits are spread with full jitter from 1 s to 30 s",
}

// currentUser is the name of the account this process runs under, its number where
// it has no name.
func currentUser() string {
	switch os.Geteuid() {
	case 0:
		return "root"
	case -1: // Windows, which has no numbers
		if u, err := user.Current(); err == nil {
			return u.Username
		}
	}
	id := strconv.Itoa(os.Geteuid())
	if u, err := user.LookupId(id); err == nil {
		return u.Username
	}
	return id
}
