package returners

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Levels and facilities of syslog(3), by their numbers.
var (
	syslogLevels     = []string{"EMERG", "ALERT", "CRIT", "ERR", "WARNING", "NOTICE", "INFO", "DEBUG"}
	syslogFacilities = []string{"KERN", "USER", "MAIL", "DAEMON", "AUTH", "SYSLOG", "LPR", "NEWS", "UUCP", "CRON", "AUTHPRIV",
		"FTP", "", "", "", "", "LOCAL0", "LOCAL1", "LOCAL2", "LOCAL3", "LOCAL4", "LOCAL5", "LOCAL6", "LOCAL7"}
	syslogOptions = []string{"PID", "CONS", "ODELAY", "NDELAY", "NOWAIT", "PERROR"}
)

// syslogReturner sends lines of JSON to the system's log.
type syslogReturner struct {
	socket   string
	priority int
	tag      string
	pid      bool
	c        net.Conn
}

// openSyslog makes the returner syslog, which sends each result as JSON to the
// system's log. Options: syslog.level (LOG_INFO), syslog.facility (LOG_USER),
// syslog.tag (the program's name, 32 characters at most), syslog.options (a list, of
// which LOG_PID counts), syslog.socket (/dev/log; gosalt's own).
func openSyslog(o Options, _ Env) (Returner, error) {
	find := func(option, def string, names []string) (int, error) {
		v := o.Text("syslog", option, def)
		i := slices.Index(names, strings.TrimPrefix(v, "LOG_"))
		if i < 0 || !strings.HasPrefix(v, "LOG_") {
			return 0, fmt.Errorf("syslog.%s: one of LOG_%s expected, got %q", option, strings.Join(slices.DeleteFunc(slices.Clone(names), func(s string) bool { return s == "" }), ", LOG_"), v)
		}
		return i, nil
	}
	level, err := find("level", "LOG_INFO", syslogLevels)
	if err != nil {
		return nil, err
	}
	facility, err := find("facility", "LOG_USER", syslogFacilities)
	if err != nil {
		return nil, err
	}
	s := &syslogReturner{socket: o.Text("syslog", "socket", "/dev/log"), priority: facility<<3 | level,
		tag: o.Text("syslog", "tag", filepath.Base(os.Args[0]))}
	if len(s.tag) > 32 {
		return nil, fmt.Errorf("syslog.tag: at most 32 characters expected, got %q", s.tag)
	}
	for _, opt := range o.List("syslog", "options") {
		if !slices.Contains(syslogOptions, strings.TrimPrefix(opt, "LOG_")) {
			return nil, fmt.Errorf("syslog.options: some of LOG_%s expected, got %q", strings.Join(syslogOptions, ", LOG_"), opt)
		}
		s.pid = s.pid || opt == "LOG_PID"
	}
	return s, nil
}

func (s *syslogReturner) Store(ctx context.Context, recs []Record) (int, error) {
	for i, r := range recs {
		if r.Kind != Return {
			continue
		}
		text, err := JSON(r.Data)
		if err != nil {
			return i, err
		}
		if err := s.send(ctx, text); err != nil {
			return i, err
		}
	}
	return len(recs), nil
}

func (s *syslogReturner) send(ctx context.Context, text string) error {
	tag := s.tag
	if s.pid {
		tag = fmt.Sprintf("%s[%d]", tag, os.Getpid())
	}
	line := fmt.Sprintf("<%d>%s %s: %s", s.priority, time.Now().Format(time.Stamp), tag, text)
	var err error
	for range 2 { // the log's daemon may have been started anew
		if s.c == nil {
			var d net.Dialer
			if s.c, err = d.DialContext(ctx, "unixgram", s.socket); err != nil {
				s.c = nil
				if s.c, err = d.DialContext(ctx, "unix", s.socket); err != nil {
					s.c = nil
					return err
				}
				line += "\n"
			}
		}
		if deadline, ok := ctx.Deadline(); ok {
			s.c.SetWriteDeadline(deadline)
		}
		if _, err = s.c.Write([]byte(line)); err == nil {
			return nil
		}
		if errors.Is(err, syscall.EMSGSIZE) {
			return Refuse(fmt.Errorf("a message of %d bytes is more than the system's log takes", len(line)))
		}
		s.Close()
	}
	return err
}

func (s *syslogReturner) Close() {
	if s.c != nil {
		s.c.Close()
		s.c = nil
	}
}
