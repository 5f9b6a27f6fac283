package cli

import (
	"strings"

	"github.com/gosalt/gosalt/internal/optparse"
	"github.com/gosalt/gosalt/protocol/wire"
)

const groupSSH = "SSH Options"

// SSHOptions are the options and arguments of gosalt-ssh: those of gosalt that make sense
// without minions, and how machines are reached.
type SSHOptions struct {
	GosaltOptions

	Raw   bool // -r
	Hosts bool // -H

	roster, rosterFile, scanPorts                    string
	scanTimeout                                      float64
	maxProcs                                         int
	wipe, randThinDir, regenThin, preFlight          bool
	priv, privPasswd, user, passwd                   string
	ignoreHostKeys, noHostKeys, acceptNew            bool
	askPass, keyDeploy, identitiesOnly, sudo, update bool
	sshOptions, forwards                             []string
	refresh                                          bool
	ignored, ignored2, ignored3, ignored4, jid       string
}

// ParseSSH reads gosalt-ssh's command line. An error is for IO.Fail.
func ParseSSH(io IO, args []string) (*SSHOptions, error) {
	o := newSSH(io)
	rest, err := o.parse(io, args, &o.ArgsStdin)
	if err != nil {
		return nil, err
	}
	o.RunOptions.finish()
	if err := o.Out.finish(o.parser); err != nil {
		return nil, err
	}
	if o.Job.TargetType, err = o.targetType(); err != nil {
		return nil, err
	}
	o.Hosts = o.Job.TargetType == "list_hosts"
	if o.Hosts {
		o.Job.TargetType = "glob"
	}
	if err := o.ViewOptions.check(&o.GosaltOptions); err != nil {
		return nil, err
	}
	if _, err := wire.ParseJobID(o.jid); o.jid != "" && err != nil {
		return nil, o.Errorf("'%s' is not a valid JID", o.jid)
	}
	if o.Hosts {
		o.Job.Target = "*"
		if len(rest) > 0 {
			o.Job.Target = rest[0]
		}
		if t, ok := o.Job.Target.(string); ok && strings.Contains(t, "V@") { // -H stands in the place of -C, and no name has an @
			o.Job.TargetType = "compound"
		}
		o.Job.Compound = Compound{Funs: []string{"test.ping"}, Args: [][]any{{}}} // it is not run
		return o, nil
	}
	if o.Raw {
		if len(rest) < 2 {
			return nil, o.readJob(rest)
		}
		o.Job.Target = rest[0]
		if o.Job.TargetType == "list" {
			o.Job.Target = SplitTargetList(rest[0])
		}
		o.Job.Compound = Compound{Funs: []string{"ssh._raw"}, Args: [][]any{{strings.Join(rest[1:], " ")}}}
		return o, nil
	}
	if err := o.readJob(rest); err != nil {
		return nil, err
	}
	if err := o.StatesOptions.checkFiles(&o.CommonOptions); err != nil {
		return nil, err
	}
	return o, o.StatesOptions.prepare(&o.CommonOptions, &o.Job.Compound)
}

func newSSH(io IO) *SSHOptions {
	o := &SSHOptions{GosaltOptions: GosaltOptions{ShowTimeout: true, ArgsSeparator: ","}}
	o.CommonOptions.declare(io, "%prog [options] '<target>' <function> [arguments]",
		"%prog runs functions and states on machines that are reached by SSH. They need a shell and nothing else: the agent is copied there once, and does the job by the same code as a minion.")
	p := o.parser
	p.Add("",
		o.declareStdin(), o.declareHardCrash(), o.declareNoParse(io),
		optparse.Flag(&o.Raw, "raw_shell", "-r", "--raw", "--raw-shell").
			Help("Have the login shell run a command. No agent is copied to the machine."),
		optparse.Text(&o.roster, "roster", "--roster").
			Help("Where the machines are named: flat, sshconfig, ansible, cache, scan and others, or several with commas. Default: flat."),
		optparse.Text(&o.rosterFile, "roster_file", "--roster-file").
			Help("File of the roster. Default: the file roster beside the configuration."),
		optparse.Flag(&o.refresh, "refresh_cache", "--refresh", "--refresh-cache").
			Help("Have the machines tell their grains first, and take their pillar anew, and list the sources of the inventory now. Else targets by grains go by what machines told with their last job."),
		optparse.Int(&o.maxProcs, "ssh_max_procs", "--max-procs").Metavar("N").
			Help("So many machines at a time. Default: 25."),
		optparse.Text(&o.ignored, "extra_filerefs", "--extra-filerefs").
			Help("Taken for Salt's sake: an agent fetches the files that it needs."),
		optparse.Text(&o.ignored2, "min_extra_mods", "--min-extra-modules").Help("Taken for Salt's sake: the agent has all modules."),
		optparse.Text(&o.ignored3, "thin_extra_mods", "--thin-extra-modules").Help("Taken for Salt's sake: the agent has all modules."),
		optparse.Flag(&o.Verbose, "verbose", "-v", "--verbose").Help("Show the job's id, and more of what is done."),
		optparse.Flag(&o.Static, "static", "-s", "--static").Help("Show the results together, when all machines have returned."),
		optparse.Flag(&o.wipe, "ssh_wipe", "-w", "--wipe").Help("Remove the agent, and what it kept, when the job is done."),
		optparse.Flag(&o.randThinDir, "rand_thin_dir", "-W", "--rand-thin-dir").Help("As --wipe: the agent leaves nothing."),
		optparse.Flag(&o.regenThin, "regen_thin", "-t", "--regen-thin", "--thin").Help("Copy the agent anew, though it is there."),
		optparse.Text(&o.ignored4, "python2_bin", "--python2-bin", "--python3-bin").Help("Taken for Salt's sake: the machine needs no Python."),
		optparse.Flag(&o.preFlight, "ssh_run_pre_flight", "--pre-flight").Help("Run the script ssh_pre_flight of a machine before each job, not only before the agent is copied."),
		optparse.Text(&o.ReturnConfig, "return_config", "--return_config").Metavar("RETURNER_CONF").Help("Name of the returner's configuration to use."),
		optparse.Text(&o.Returner, "return", "--return").Metavar("RETURNER").Help("Returner, or several with commas, that results are also sent to."),
		optparse.Text(&o.jid, "jid", "--jid").Help("Id of the job, 20 digits, in the place of one that is made."),
		optparse.Flag(&o.ShowJID, "show_jid", "--show-jid").Help("Show the job's id."),
		optparse.Flag(&o.Summary, "cli_summary", "--summary").Help("Show in the end how many machines returned, did not, or failed."),
	)
	p.Add(groupSSH,
		optparse.List(&o.forwards, "ssh_remote_port_forwards", "--remote-port-forwards").Help("Ports of the machine that lead here, as of ssh -R."),
		optparse.List(&o.sshOptions, "ssh_options", "--ssh-option").Help("An option of OpenSSH, as ProxyJump=bastion; may be given several times."),
		optparse.Text(&o.priv, "ssh_priv", "--priv").Help("File of the private key; 'agent-forwarding' uses the agent's and forwards it."),
		optparse.Text(&o.privPasswd, "ssh_priv_passwd", "--priv-passwd").Help("Passphrase of the private key. Other users of this machine see it; --askpass asks for it."),
		optparse.Flag(&o.ignoreHostKeys, "ignore_host_keys", "-i", "--ignore-host-keys").Help("Do not check who the machines are. Someone in between could take their place."),
		optparse.Flag(&o.noHostKeys, "no_host_keys", "--no-host-keys").Help("As --ignore-host-keys."),
		optparse.Flag(&o.acceptNew, "ssh_accept_new", "--accept-new").Help("Take the keys of machines that are seen for the first time, and keep them in known_hosts. One that changes later is refused."),
		optparse.Text(&o.user, "ssh_user", "--user").Help("Account on the machines, where the roster names none. Default: root."),
		optparse.Text(&o.passwd, "ssh_passwd", "--passwd").Help("Password. Other users of this machine see it; --askpass asks for it."),
		optparse.Flag(&o.askPass, "ssh_askpass", "--askpass").Help("Ask for the password."),
		optparse.Flag(&o.keyDeploy, "ssh_key_deploy", "--key-deploy").Help("Put the public key of this master into authorized_keys, so that no password is needed from then on."),
		optparse.Flag(&o.identitiesOnly, "ssh_identities_only", "--identities-only").Help("Offer only the key that is named, though an agent has more."),
		optparse.Flag(&o.sudo, "ssh_sudo", "--sudo").Help("Run as root by sudo."),
		optparse.Flag(&o.update, "ssh_update_roster", "--update-roster").Help("Add a machine that is named as user@host to the roster, when it was reached."),
	)
	p.Add("Scan Roster Options",
		optparse.Text(&o.scanPorts, "ssh_scan_ports", "--scan-ports").Help("Ports that the roster scan tries, with commas. Default: 22."),
		optparse.Float(&o.scanTimeout, "ssh_scan_timeout", "--scan-timeout").Help("Seconds that it waits at each. Default: 0.01."),
	)
	o.TargetOptions.declare(p, true)
	o.Out.declare(p)
	o.ViewOptions.declare(p)
	o.StatesOptions.declare(p)
	o.declareLogging(true, "ssh_log_file", "/var/log/salt/ssh")
	return o
}

// over are the settings of the command line, by the names of the configuration's.
func (o *SSHOptions) over() *wire.Map {
	m := wire.NewMap()
	text := func(key, v string) {
		if v != "" {
			m.Set(key, v)
		}
	}
	on := func(key string, v bool) {
		if v {
			m.Set(key, true)
		}
	}
	list := func(key string, v []string) {
		l := make([]any, len(v))
		for i, s := range v {
			l[i] = s
		}
		if len(l) > 0 {
			m.Set(key, l)
		}
	}
	text("roster", o.roster)
	text("roster_file", o.rosterFile)
	text("ssh_user", o.user)
	text("ssh_passwd", o.passwd)
	text("ssh_priv", o.priv)
	text("ssh_priv_passwd", o.privPasswd)
	text("ssh_scan_ports", o.scanPorts)
	if o.scanTimeout > 0 {
		m.Set("ssh_scan_timeout", o.scanTimeout)
	}
	if o.maxProcs > 0 {
		m.Set("ssh_max_procs", int64(o.maxProcs))
	}
	on("ssh_sudo", o.sudo)
	on("ssh_identities_only", o.identitiesOnly)
	on("ssh_wipe", o.wipe || o.randThinDir)
	on("regen_thin", o.regenThin)
	on("ssh_run_pre_flight", o.preFlight)
	on("ignore_host_keys", o.ignoreHostKeys || o.noHostKeys)
	on("ssh_accept_new", o.acceptNew)
	on("ssh_key_deploy", o.keyDeploy)
	on("ssh_update_roster", o.update)
	on("refresh_cache", o.refresh)
	text("jid", o.jid)
	list("ssh_options", o.sshOptions)
	list("ssh_remote_port_forwards", o.forwards)
	if o.Raw {
		m.Set("raw", o.Job.Args[0][0])
	}
	if o.Hosts {
		m.Set("list", "hosts")
	}
	if o.LogLevel != "" {
		m.Set("log_level", o.LogLevel)
	}
	return m
}
