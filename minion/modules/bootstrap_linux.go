package modules

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/gosalt/gosalt/internal/config"
	"github.com/gosalt/gosalt/internal/durable"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/control"
	"github.com/gosalt/gosalt/protocol/seal"
	"github.com/gosalt/gosalt/protocol/wire"
)

func init() {
	register("bootstrap.install", bootstrapInstall)
	register("bootstrap.remove", bootstrapRemove)
}

// bootConfig is the file with what the minion is told at its bootstrap. It stands beside
// what else there may be in /etc/salt/minion.
var bootConfig = filepath.Join(config.DefaultDir, "minion.d", "gosalt-bootstrap.conf")

type bootstrapInstallArgs struct {
	Master     *string `default:"None"`  // Address of the master as this machine sees it, "10.0.0.1" or "10.0.0.1:4506". By default where the SSH session comes from.
	Timeout    int     `default:"60"`    // Seconds to wait until the minion is connected; 0 does not wait.
	ReplaceKey bool    `default:"False"` // Take this machine's key though the master has another one for its id, as of a machine that was set up anew.
	Token      bool    `default:"False"` // Have the machine join by a token that counts once, for ten minutes and for its id, in the place of accepting its key through the SSH session: it is a minion only when it has shown the token to the running master.
}

// bootstrapInstall makes the machine a minion: it installs gosalt-minion as a service, under
// the id that the roster has, with its key accepted by the master and the master's key
// pinned beforehand, and waits until it is connected. What is so already stays; another
// gosalt-minion is replaced by this one. It is for machines that are reached over SSH.
//
//	gosalt-ssh 'web*' bootstrap
//	gosalt-ssh web1 bootstrap master=10.0.0.1
//	gosalt-ssh -C 'V@tag:role=web' bootstrap token=True
func bootstrapInstall(ctx context.Context, c *module.Call, a bootstrapInstallArgs) (*wire.Map, error) {
	b, err := beginBootstrap(ctx, c)
	if err != nil {
		return nil, err
	}
	if err := b.choose(ctx, a.Master); err != nil {
		return nil, err
	}
	if pid := otherMinion(); pid > 0 {
		return nil, module.Failf("salt-minion runs on this machine (process %d): stop and disable it first, or this machine would be two minions", pid)
	}
	if name := otherService(); name != "" {
		return nil, module.Failf("salt-minion is installed on this machine, and starts when it boots (%s): disable or remove it first, or this machine would be two minions", name)
	}
	if b.service, err = b.bootManager(); err != nil {
		return nil, err
	}
	b.say("installing the program")
	if err := b.installProgram(ctx); err != nil {
		return nil, err
	}
	if err := b.configure(); err != nil {
		return nil, err
	}
	if err := b.exchangeKeys(ctx, a.ReplaceKey, a.Token); err != nil {
		return nil, err
	}
	b.say("starting the service (%s)", b.service.kind())
	since := time.Now()
	if err := b.start(ctx); err != nil {
		return nil, err
	}
	comment, err := b.await(ctx, time.Duration(a.Timeout)*time.Second, since)
	if err != nil {
		return nil, err
	}
	return wire.NewMap("comment", comment, "changes", b.changes), nil
}

type bootstrapRemoveArgs struct {
	Cache bool `default:"False"` // Remove what the minion kept, too: its cache directory, and its log file.
}

// bootstrapRemove undoes bootstrap.install: service, program, configuration and keys are
// removed, and the minion's key is taken off the master. What bootstrap.install has not
// made stays.
//
//	gosalt-ssh web1 bootstrap.remove
//	gosalt-ssh web1 bootstrap.remove cache=True
func bootstrapRemove(ctx context.Context, c *module.Call, a bootstrapRemoveArgs) (*wire.Map, error) {
	b, err := beginBootstrap(ctx, c)
	if err != nil {
		return nil, err
	}
	if b.record.Config != "" {
		if b.service, err = b.bootManager(); err != nil {
			return nil, err
		}
		b.say("stopping the service (%s)", b.service.kind())
	}
	pub, err := b.undo(ctx, a.Cache)
	if err != nil {
		return nil, err
	}
	if b.record.Config == "" && otherKey() {
		return wire.NewMap("comment", "the minion on this machine was not installed by bootstrap: nothing is removed, and its key stays accepted", "changes", b.changes), nil
	}
	answer, err := b.ask(ctx, "remove", "pub", pub)
	if err != nil {
		return nil, err
	}
	if answer.Bool("changed") {
		b.changes.Set("key", answer.Text("text"))
	}
	comment := b.id + " is no minion any more"
	switch {
	case b.changes.Len() == 0:
		comment = "nothing that bootstrap installs is on this machine"
	case b.record.Config == "":
		comment = "nothing that bootstrap installs was on this machine; its key is off the master"
	}
	return wire.NewMap("comment", comment, "changes", b.changes), nil
}

// bootstrap is one run of it.
type bootstrap struct {
	c       *module.Call
	id      string
	terms   *wire.Map // what the master said at the beginning
	master  string    // the address to use, with a port where that is not Salt's
	record  bootRecord
	cfg     *config.Minion // of the minion as it is installed
	service bootService
	changes *wire.Map
	stale   bool // the service has to be started anew
}

// beginBootstrap asks the other end whether this is a bootstrap at all, and what for.
func beginBootstrap(ctx context.Context, c *module.Call) (*bootstrap, error) {
	b := &bootstrap{c: c, id: c.Opts.Text("id"), changes: wire.NewMap()}
	if c.Master == nil || c.Host.Root != "" {
		return nil, errNoBootstrap
	}
	var err error
	if b.terms, err = b.ask(ctx, "begin"); err != nil {
		return nil, err
	}
	if os.Geteuid() != 0 {
		return nil, module.Failf("a minion is installed by root, and this is uid %d: set sudo: True for the host in the roster, or --sudo", os.Geteuid())
	}
	if b.record, err = readBootRecord(); err != nil {
		return nil, err
	}
	return b, nil
}

var errNoBootstrap = module.Failf("this is done over SSH, and alone in its job: gosalt-ssh TARGET bootstrap")

// ask asks who is at the other end of the SSH session.
func (b *bootstrap) ask(ctx context.Context, step string, more ...any) (*wire.Map, error) {
	load := wire.NewMap("cmd", wire.CmdBootstrap, "step", step)
	for i := 0; i < len(more); i += 2 {
		load.SetAny(more[i], more[i+1])
	}
	v, err := b.c.Master.Ask(ctx, "", load)
	if err != nil {
		var e *wire.Error
		if errors.As(err, &e) {
			return nil, module.Failf("%s", e.Msg)
		}
		return nil, err
	}
	if m, ok := v.(*wire.Map); ok && m.Len() > 0 {
		return m, nil
	}
	return nil, errNoBootstrap
}

// say tells who watches what is being done.
func (b *bootstrap) say(format string, args ...any) {
	b.c.Progress(wire.NewMap("stdout", fmt.Sprintf(format, args...)))
}

// choose finds the address of the master, and tries it where a master should answer.
func (b *bootstrap) choose(ctx context.Context, master *string) error {
	b.master = b.terms.Text("master")
	if master != nil && *master != "" {
		b.master = *master
	}
	if b.master == "" {
		return module.Failf("what the master's address is cannot be told: %s; give the address by which this machine reaches it, as master=10.0.0.1", b.terms.Text("no_master"))
	}
	if strings.ContainsAny(b.master, " \t\r\n,") {
		return module.Failf("master=%q: one name or address is expected", b.master)
	}
	port := b.terms.Int("port")
	if _, _, err := net.SplitHostPort(b.master); err != nil && port > 0 && port != 4506 {
		b.master = net.JoinHostPort(strings.Trim(b.master, "[]"), strconv.FormatInt(port, 10))
	}
	if !b.terms.Bool("running") || b.c.Reach == nil {
		return nil
	}
	b.say("looking for the master at %s", b.master)
	if err := b.c.Reach(ctx, b.master); err != nil {
		return module.Failf("this machine does not reach the master at %s: %v; give the address by which it does as master=ADDRESS, and let it through to the master's ports 4505 and 4506", b.master, err)
	}
	return nil
}

// configure writes the configuration, and reads what holds then.
func (b *bootstrap) configure() error {
	opts := wire.NewMap()
	if m := b.terms.Map("opts"); m != nil {
		opts = m.Clone()
	}
	opts.Set("id", b.id)
	opts.Set("master", b.master)
	text := "# Written by gosalt-ssh bootstrap, and written anew by the next one.\n" + pytext.YAML(opts, 2, false)
	if err := b.makeDirs(filepath.Dir(bootConfig)); err != nil {
		return err
	}
	// The mode keeps what a roster gives its minions from other users.
	changed, err := b.write(bootConfig, text, 0o600)
	if err != nil {
		return err
	}
	if changed {
		b.changes.Set("config", bootConfig)
		b.stale = true
	}
	b.record.Config = bootConfig
	if b.cfg, err = installedConfig(); err != nil {
		return err
	}
	if b.cfg.ID != b.id || len(b.cfg.Master) != 1 || b.cfg.Master[0] != b.master {
		return module.Failf("another file in %s, read after %s, says id: %s and master: %s: remove that there", config.DefaultDir, bootConfig, b.cfg.ID, strings.Join(b.cfg.Master, ", "))
	}
	return b.record.write()
}

// installedConfig is the configuration that the service will have.
func installedConfig() (*config.Minion, error) {
	cfg, problems, err := config.LoadMinionWith(filepath.Join(config.DefaultDir, "minion"), config.MinionOptions{ForgetID: true})
	for _, p := range problems {
		if p.Severity == config.Error {
			return nil, module.Failf("%s", p)
		}
	}
	return cfg, err
}

// exchangeKeys makes the minion's key where it has none, has the master accept it, and
// keeps the master's, so that neither has to trust what it sees first. token has the machine
// show a token for that.
func (b *bootstrap) exchangeKeys(ctx context.Context, replace, token bool) error {
	dir := b.cfg.PKIDir
	if err := b.makeDirs(dir); err != nil {
		return err
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return err
	}
	private, public := filepath.Join(dir, "minion.pem"), filepath.Join(dir, "minion.pub")
	text, err := os.ReadFile(private)
	var key *seal.PrivateKey
	made := ""
	switch {
	case errors.Is(err, os.ErrNotExist):
		b.say("making a key")
		if key, err = seal.Generate(b.cfg.KeySize); err != nil {
			return fmt.Errorf("make the minion's key: %w", err)
		}
		pem, err := key.PEM(seal.Secret{})
		if err != nil {
			return fmt.Errorf("make the minion's key: %w", err)
		}
		b.record.Keys = []string{private, public}
		if err := b.record.write(); err != nil {
			return err
		}
		if err := errors.Join(durable.WriteFile(public, []byte(key.Public().PEM()), 0o644), durable.WriteFile(private, pem, 0o400)); err != nil {
			return whyNot("the minion's key cannot be written", err)
		}
		made = "made, and "
		b.stale = true
	case err != nil:
		return err
	default:
		if key, err = seal.ParsePrivate(text, seal.Secret{}); err != nil {
			return module.Failf("the key of this machine, %s, cannot be used: %v; remove it to have a new one made", private, err)
		}
	}
	if err := b.pin(); err != nil {
		return err
	}
	step := "accept"
	if token {
		step = "token"
	}
	answer, err := b.ask(ctx, step, "pub", key.Public().PEM(), "replace", replace, "master", b.master)
	if err != nil {
		return err
	}
	if text := answer.Text("token"); text != "" {
		if err := b.join(ctx, text); err != nil {
			return err
		}
	}
	if answer.Bool("changed") || made != "" {
		b.changes.Set("key", made+answer.Text("text"))
	}
	return nil
}

// bootJoin is what gosalt-minion join writes.
var bootJoin = filepath.Join(config.DefaultDir, "minion.d", "gosalt-join.conf")

// join shows a token to the master, as gosalt-minion join does on any machine. What that
// writes is in our own configuration already.
func (b *bootstrap) join(ctx context.Context, token string) error {
	b.say("joining with a token that counts once")
	_, err := os.Lstat(bootJoin)
	ours := errors.Is(err, os.ErrNotExist) || b.record.Join != ""
	if ours {
		b.record.Join = bootJoin
		if err := b.record.write(); err != nil {
			return err
		}
	}
	cmd := exec.CommandContext(ctx, b.record.Program, "join", "-c", config.DefaultDir, "--no-start", "--timeout", "60", "-")
	cmd.Stdin = strings.NewReader(token + "\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		return module.Failf("this machine cannot join: %s", strings.TrimSpace(string(out[:min(len(out), 4<<10)])))
	}
	if !ours {
		return nil
	}
	if err := os.Remove(bootJoin); err != nil && !errors.Is(err, os.ErrNotExist) {
		return whyNot("what the join wrote cannot be removed", err)
	}
	b.record.Join = ""
	return b.record.write()
}

// pin keeps the master's key.
func (b *bootstrap) pin() error {
	dir := b.cfg.PKIDir
	pinned := filepath.Join(dir, "minion_master.pub")
	if old, err := os.ReadFile(pinned); err == nil && seal.CleanKey(string(old)) == seal.CleanKey(b.terms.Text("pub")) {
		return nil
	}
	b.record.MasterKey = pinned
	if err := b.record.write(); err != nil {
		return err
	}
	if _, err := b.write(pinned, b.terms.Text("pub"), 0o644); err != nil {
		return err
	}
	b.changes.Set("master", b.master)
	b.stale = true
	return nil
}

// start has the system run the minion, now and after each boot.
func (b *bootstrap) start(ctx context.Context) error {
	b.record.Service = true
	if err := b.record.write(); err != nil {
		return err
	}
	changed, err := b.service.install(ctx, b.record.Program)
	if err != nil {
		return err
	}
	if changed {
		b.changes.Set("service", bootName+" ("+b.service.kind()+")")
	}
	if n, _ := b.service.state(ctx); n == bootUp && !changed && !b.stale {
		return nil
	}
	if !b.changes.Has("service") {
		b.changes.Set("service", "started ("+b.service.kind()+")")
	}
	return b.service.start(ctx)
}

// await waits until the minion is connected, and says what came of it.
func (b *bootstrap) await(ctx context.Context, most time.Duration, since time.Time) (string, error) {
	note := ""
	if text := b.service.note(); text != "" {
		note = "; " + text
	}
	told := ""
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		state, why := b.service.state(ctx)
		if state == bootFailed {
			return "", b.notUp("the service does not come up: "+why, ctx, since)
		}
		up, trouble, answers := b.asksMinion(ctx)
		switch {
		case up:
			return fmt.Sprintf("%s is a minion of %s, and connected%s", b.id, b.master, note), nil
		case most == 0:
			return fmt.Sprintf("%s is a minion of %s; it was not waited for%s", b.id, b.master, note), nil
		case answers && trouble != "" && !b.terms.Bool("running"):
			return fmt.Sprintf("%s is installed, and connects when the master at %s runs. No master runs where gosalt-ssh was started; there, its key is accepted in %s%s",
				b.id, b.master, b.terms.Text("pki_dir"), note), nil
		case time.Since(since) > most:
			if trouble == "" {
				trouble = "it has not said why"
			}
			return "", b.notUp(fmt.Sprintf("the minion runs, but has not connected to %s in %s: %s", b.master, most, trouble), ctx, since)
		}
		if text := "waiting for the minion to connect"; told != text+trouble {
			told = text + trouble
			if trouble != "" {
				text += ": " + trouble
			}
			b.say("%s", text)
		}
		select {
		case <-ctx.Done():
			return "", context.Cause(ctx)
		case <-tick.C:
		}
	}
}

// notUp is the error of a minion that is installed and does not work, with the end of
// what it logged.
func (b *bootstrap) notUp(what string, ctx context.Context, since time.Time) error {
	text := what + ". What is installed stays: mend the cause and run bootstrap again, or bootstrap.remove"
	if lines := b.service.log(ctx, since); len(lines) > 0 {
		text += "\nThe last lines of its log:\n    " + strings.Join(lines, "\n    ")
	}
	return module.Failf("%s", text)
}

// asksMinion asks the installed minion how it stands with its master.
func (b *bootstrap) asksMinion(ctx context.Context) (up bool, trouble string, answers bool) {
	answer, err := control.Ask(ctx, filepath.Join(b.cfg.SockDir, "minion_"+b.id+".sock"), wire.NewMap("op", "masters"), 5*time.Second)
	if err != nil {
		return false, "", false
	}
	for _, v := range answer.Map("return").List("masters") {
		if m, ok := v.(*wire.Map); ok {
			return m.Bool("connected"), m.Text("trouble"), true
		}
	}
	return false, "", false
}

// otherKey tells whether a minion has a key on this machine that bootstrap knows nothing of.
func otherKey() bool {
	cfg, err := installedConfig()
	if err != nil {
		return true // not to be looked into: better too careful
	}
	_, err = os.Stat(filepath.Join(cfg.PKIDir, "minion.pem"))
	return err == nil
}

// otherMinion is the process of a real salt-minion on this machine; 0 where there is none.
func otherMinion() int {
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		b, err := os.ReadFile(filepath.Join(dir, "cmdline"))
		if err != nil {
			continue
		}
		for i, arg := range strings.Split(string(b), "\x00") {
			if i < 5 && filepath.Base(arg) == "salt-minion" {
				pid, _ := strconv.Atoi(filepath.Base(dir))
				return pid
			}
		}
	}
	return 0
}

// otherService is what has a real salt-minion start at boot; "" where nothing does.
func otherService() string {
	for _, pattern := range []string{"/etc/systemd/system/*.wants/salt-minion.service", "/etc/runlevels/*/salt-minion", "/etc/rc[2-5].d/S[0-9][0-9]salt-minion"} {
		if found, _ := filepath.Glob(pattern); len(found) > 0 {
			return found[0]
		}
	}
	return ""
}
