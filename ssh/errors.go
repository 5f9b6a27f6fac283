package ssh

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
)

// Kind is what went wrong, for callers that decide by it.
type Kind string

const (
	KindResolve        Kind = "unknown host name"
	KindRefused        Kind = "refused"
	KindTimeout        Kind = "timeout"
	KindNoRoute        Kind = "no route"
	KindNotSSH         Kind = "not an SSH server"
	KindNegotiation    Kind = "no common algorithm"
	KindHostKeyUnknown Kind = "host key unknown"
	KindHostKeyChanged Kind = "host key changed"
	KindHostKeyRevoked Kind = "host key revoked"
	KindKnownHosts     Kind = "known_hosts"
	KindAuth           Kind = "authentication failed"
	KindKeyFile        Kind = "unreadable key file"
	KindPassphrase     Kind = "key needs a passphrase"
	KindBadPassphrase  Kind = "wrong passphrase"
	KindAgent          Kind = "agent"
	KindClosed         Kind = "closed by the other end"
	KindRoster         Kind = "wrong roster entry"
	KindOption         Kind = "unsupported option"
	KindProxy          Kind = "proxy"
	KindForward        Kind = "port forwarding"
	KindSession        Kind = "session refused"
	KindLimit          Kind = "too much output"
	KindCanceled       Kind = "canceled"
	KindExec           Kind = "not run" // by a Host.Exec
	KindOther          Kind = "failed"
)

// Error is why a machine could not be reached, or a command not be run on it.
type Error struct {
	Host string // its name in the roster
	Kind Kind
	Msg  string // what happened, in a line
	Hint string // what to do, in a line; may be empty
	Err  error  // the cause, where there is one
}

// Error is one line: what happened, and what to do.
func (e *Error) Error() string {
	s := e.Msg
	if e.Kind != KindRoster && e.Kind != KindExec {
		s = "ssh: " + s
	}
	if e.Hint != "" {
		s += " (" + e.Hint + ")"
	}
	return s
}

// Unwrap is the cause.
func (e *Error) Unwrap() error { return e.Err }

// KindOf is the kind of an error of this package, "" of any other.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return ""
}

// OneLine makes text of the other end fit to be shown: one line, no control characters,
// of bounded length.
func OneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\r' || r == '\t':
			return ' '
		case r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0:
			return -1
		}
		return r
	}, s)
	s = strings.Join(strings.Fields(s), " ")
	if r := []rune(s); len(r) > 300 {
		s = string(r[:300]) + "…"
	}
	return s
}

// networkError says in OpenSSH's words why no connection to an address came about.
func networkError(host, addr string, err error) *Error {
	h, p, splitErr := net.SplitHostPort(addr)
	where := "connect to host " + h + " port " + p + ": "
	if splitErr != nil {
		where = "connect to " + addr + ": "
	}
	e := &Error{Host: host, Err: err}
	var dns *net.DNSError
	switch {
	case errors.As(err, &dns):
		e.Kind = KindResolve
		e.Msg = "could not resolve hostname " + h + ": " + dnsText(dns)
		e.Hint = "check the spelling, or give an address as host: in the roster"
		if dns.IsTimeout {
			e.Hint = "the name server did not answer; give an address as host: in the roster"
		}
	case errors.Is(err, syscall.ECONNREFUSED):
		e.Kind, e.Msg = KindRefused, where+"Connection refused"
		e.Hint = "is sshd running there, on this port?"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.EHOSTDOWN):
		e.Kind, e.Msg = KindNoRoute, where+"No route to host"
		e.Hint = "is the machine up, and does a firewall let port " + p + " through?"
	case errors.Is(err, syscall.ENETUNREACH):
		e.Kind, e.Msg = KindNoRoute, where+"Network is unreachable"
		e.Hint = "this machine has no way to that address"
	case errors.Is(err, context.Canceled):
		e.Kind, e.Msg = KindCanceled, where+"canceled"
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded), isTimeout(err):
		e.Kind, e.Msg = KindTimeout, where+"Connection timed out"
		e.Hint = "is the machine up, and does a firewall let port " + p + " through?"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.EPIPE):
		e.Kind, e.Msg = KindClosed, where+"Connection closed by the other end"
	default:
		e.Kind, e.Msg = KindOther, where+OneLine(rootText(err))
	}
	return e
}

func isTimeout(err error) bool {
	var t net.Error
	return errors.As(err, &t) && t.Timeout()
}

// dnsText is why a name has no address.
func dnsText(e *net.DNSError) string {
	switch {
	case e.IsNotFound:
		return "no such host"
	case e.IsTimeout:
		return "no answer in time"
	}
	return OneLine(e.Err)
}

// rootText is the innermost text of an error of package net, which repeats addresses.
func rootText(err error) string {
	var op *net.OpError
	if errors.As(err, &op) && op.Err != nil {
		err = op.Err
	}
	var sys *os.SyscallError
	if errors.As(err, &sys) {
		err = sys.Err
	}
	return strings.TrimPrefix(err.Error(), "ssh: ")
}
