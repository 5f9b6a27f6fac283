package cli

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/gosalt/gosalt/internal/optparse"
	"github.com/gosalt/gosalt/internal/version"
	"github.com/gosalt/gosalt/protocol/seal"
	"github.com/gosalt/gosalt/protocol/wire"
)

// JoinOptions are the options of gosalt-minion join.
type JoinOptions struct {
	ConfigDir string // -c
	ID        wire.MinionID
	TokenFile string
	Remove    bool // --remove-token-file
	AWS       bool
	Finger    string
	Timeout   int // seconds
	NoStart   bool
	NewMaster bool

	Masters  []string        // with AWS
	Token    *seal.JoinToken // without it
	InArgs   string          // the token's text, where it was given as an argument: others can see it
	id       string
	logLevel string
	parser   *optparse.Parser
}

// LogLevel is the least level of messages on the terminal.
func (o *JoinOptions) LogLevel() string { return o.logLevel }

// NewJoin makes the option table.
func NewJoin(io IO) *JoinOptions {
	o := &JoinOptions{ConfigDir: DefaultConfigDir, Timeout: 120, logLevel: "warning"}
	if dir := io.env("SALT_CONFIG_DIR"); dir != "" {
		o.ConfigDir = dir
	}
	p := &optparse.Parser{Prog: io.Prog + " join", Usage: "%prog [options] TOKEN|-\n       %prog [options] --token-file FILE\n       %prog [options] --aws MASTER...",
		Description: "%prog makes this machine a minion that its master knows at once: it makes a key, has it accepted, and writes the configuration. " +
			"A token comes from gosalt-key --token on the master. Others on this machine can see arguments: give - to have the token read from standard input."}
	p.Add("",
		optparse.Action(func(*optparse.Parser) *optparse.Exit {
			return &optparse.Exit{Out: io.Prog + " " + version.Text() + "\n"}
		}, "--version").Help("show program's version number and exit"),
		optparse.Action(func(p *optparse.Parser) *optparse.Exit { return &optparse.Exit{Out: p.Help()} }, "-h", "--help").
			Help("show this help message and exit"),
		optparse.Text(&o.ConfigDir, "config_dir", "-c", "--config-dir").
			Help("Directory of the configuration; minion.d/gosalt-join.conf is written in it. Default: '%default'."),
		optparse.Text(&o.id, "id", "--id").
			Help("Name of this minion. Default: the one that the token is for, else id of the configuration, else the instance id with --aws, else this machine's name."),
		optparse.Text(&o.TokenFile, "token_file", "--token-file").Metavar("FILE").
			Help("Read the token from this file: alone, or as a line NAME=TOKEN as in files of environment variables."),
		optparse.Flag(&o.Remove, "remove_token_file", "--remove-token-file").
			Help("Remove that file once the minion is accepted."),
		optparse.Flag(&o.AWS, "aws", "--aws").
			Help("Show the identity document of this EC2 instance instead of a token, to the masters that are named (autosign_cloud there)."),
		optparse.Text(&o.Finger, "finger", "--finger").Metavar("FINGERPRINT").
			Help("Fingerprint of the master's key (gosalt-key -F master.pub there), with --aws; a token has it in it. Default: master_finger of the configuration, else the key that answers first is trusted."),
		optparse.Int(&o.Timeout, "timeout", "-t", "--timeout").
			Help("Seconds to go on trying while the master cannot be reached, or does not know this machine yet. Default: %default."),
		optparse.Flag(&o.NoStart, "no_start", "--no-start").
			Help("Leave the service alone. By default it is enabled and started, where one is installed as gosalt-minion."),
		optparse.Flag(&o.NewMaster, "new_master", "--new-master").
			Help("Leave the master that this machine belongs to."),
		optparse.Choice(&o.logLevel, LogLevels, "log_level", "-l", "--log-level").
			Help("Least level of messages shown. Default: '%default'."),
	)
	o.parser = p
	return o
}

// JoinReference is the page of gosalt-minion join for docs/ref, in Markdown.
func JoinReference() string {
	return NewJoin(IO{Prog: "gosalt-minion"}).parser.Markdown() + `
## Exit codes

| code | when |
|---|---|
| 0 | the machine has joined |
| 1 | what answers is not the master that is meant, or not gosalt's; the token is damaged; this machine belongs to another master |
| 64 | unknown option, missing or bad value |
| 69 | the master cannot be reached, or did not know this machine in time; the service does not start |
| 77 | the master says no, or this user may not write there |
`
}

// ParseJoin reads the command line after "join", and the token from where it says. An
// error is for IO.Fail.
func ParseJoin(io IO, args []string) (*JoinOptions, error) {
	o := NewJoin(io)
	rest, err := o.parser.Parse(args)
	if err != nil {
		return nil, err
	}
	if o.id != "" {
		if o.ID, err = wire.ParseMinionID(o.id); err != nil {
			return nil, o.parser.Errorf("--id: %v", err)
		}
	}
	if o.Timeout < 1 {
		return nil, o.parser.Errorf("--timeout %d: at least 1 second expected", o.Timeout)
	}
	if o.AWS {
		if err := seal.CheckMasters(rest); err != nil || o.TokenFile != "" {
			return nil, o.parser.Errorf("--aws takes the addresses of masters, and no token")
		}
		o.Masters = rest
		return o, nil
	}
	text := ""
	switch {
	case o.Finger != "":
		return nil, o.parser.Errorf("--finger is for --aws: a token has the fingerprint of its master in it")
	case o.TokenFile != "" && len(rest) > 0 || len(rest) > 1:
		return nil, o.parser.Errorf("one token is expected: as an argument, by - or by --token-file")
	case o.TokenFile != "":
		f, err := os.Open(o.TokenFile)
		if err != nil {
			return nil, fmt.Errorf("read the token: %w", err)
		}
		defer f.Close()
		if text, err = readToken(f); err != nil {
			return nil, fmt.Errorf("%s: %w", o.TokenFile, err)
		}
	case len(rest) == 0:
		return nil, o.parser.Errorf("a token is expected: gosalt-key --token on the master makes one")
	case rest[0] == "-":
		if text, err = readToken(io.In); err != nil {
			return nil, fmt.Errorf("standard input: %w", err)
		}
	default:
		text, o.InArgs = rest[0], rest[0]
	}
	if o.Token, err = seal.ParseJoinToken(text); err != nil {
		return nil, err
	}
	o.Masters = o.Token.Masters
	return o, nil
}

// readToken finds the token in a text: its first line that is neither empty nor a comment,
// what stands before a "=" left out.
func readToken(r io.Reader) (string, error) {
	sc := bufio.NewScanner(io.LimitReader(r, 64<<10))
	for sc.Scan() {
		line := strings.TrimSpace(sc.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		if _, v, ok := strings.Cut(line, "="); ok {
			line = strings.Trim(strings.TrimSpace(v), `"'`)
		}
		return line, nil
	}
	if err := sc.Err(); err != nil {
		return "", err
	}
	return "", errors.New("there is no token in it")
}
