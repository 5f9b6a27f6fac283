package fileclient

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// ftp fetches from an FTP server (RFC 959, passive as in RFC 2428), without a name as
// "anonymous".
func (f *Fetcher) ftp(ctx context.Context, u *url.URL, w io.Writer) (err error) {
	l := f.Limits.withDefaults()
	ctx, cancel := context.WithTimeoutCause(ctx, l.Total, fmt.Errorf("not done within %s", l.Total))
	defer cancel()
	defer func() {
		if err != nil {
			if ctx.Err() != nil {
				err = context.Cause(ctx)
			}
			//lint:ignore ST1005 Salt's words
			err = fmt.Errorf("Could not retrieve %s from FTP server. Exception: %w", Redact(u.String()), err)
		}
	}()
	name := strings.TrimLeft(u.Path, "/")
	user, pass := "anonymous", "anonymous@"
	if u.User != nil && u.User.Username() != "" {
		user = u.User.Username()
		pass, _ = u.User.Password()
	}
	if strings.ContainsAny(name+user+pass, "\r\n\x00") {
		return fmt.Errorf("line breaks are not allowed in an address")
	}
	port := u.Port()
	if port == "" {
		port = "21"
	}
	d := net.Dialer{Timeout: l.Connect}
	nc, err := d.DialContext(ctx, "tcp", net.JoinHostPort(u.Hostname(), port))
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { nc.Close() })
	defer stop()
	nc.SetDeadline(time.Now().Add(l.Stall))
	c := textproto.NewConn(nc)
	defer c.Close()
	if _, _, err := c.ReadResponse(220); err != nil {
		return err
	}
	say := func(expect int, format string, a ...any) (int, string, error) {
		nc.SetDeadline(time.Now().Add(l.Stall))
		if err := c.PrintfLine(format, a...); err != nil {
			return 0, "", err
		}
		return c.ReadResponse(expect)
	}
	code, msg, err := say(0, "USER %s", user)
	if err == nil && code == 331 {
		code, msg, err = say(0, "PASS %s", pass)
	}
	if err != nil {
		return err
	}
	if code != 230 {
		return fmt.Errorf("%d %s", code, msg)
	}
	if _, _, err := say(2, "TYPE I"); err != nil {
		return err
	}
	addr, err := passive(say, nc)
	if err != nil {
		return err
	}
	data, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	defer data.Close()
	stopData := context.AfterFunc(ctx, func() { data.Close() })
	defer stopData()
	if _, _, err := say(1, "RETR %s", name); err != nil {
		return err
	}
	n, err := io.Copy(w, io.LimitReader(deadline{data, l.Stall}, l.Size+1))
	if err != nil {
		return err
	}
	if n > l.Size {
		return fmt.Errorf("more than http_max_body allows (%d bytes)", l.Size)
	}
	data.Close()
	nc.SetDeadline(time.Now().Add(l.Stall))
	if _, _, err := c.ReadResponse(2); err != nil {
		return err
	}
	c.PrintfLine("QUIT") // whatever becomes of it, the file is here
	return nil
}

// passive asks where to fetch data from. Only the port of the answer counts: a server must
// not send us elsewhere.
func passive(say func(int, string, ...any) (int, string, error), nc net.Conn) (string, error) {
	host, _, err := net.SplitHostPort(nc.RemoteAddr().String())
	if err != nil {
		return "", err
	}
	if _, msg, err := say(229, "EPSV"); err == nil {
		parts := strings.Split(msg, "|")
		if len(parts) < 5 {
			return "", fmt.Errorf("EPSV: %.100q: a port between bars expected", msg)
		}
		if port, err := strconv.ParseUint(parts[3], 10, 16); err == nil && port > 0 {
			return net.JoinHostPort(host, parts[3]), nil
		}
		return "", fmt.Errorf("EPSV: %.100q: a port between bars expected", msg)
	}
	_, msg, err := say(227, "PASV")
	if err != nil {
		return "", err
	}
	_, list, _ := strings.Cut(msg, "(")
	list, _, ok := strings.Cut(list, ")")
	n := strings.Split(list, ",")
	if !ok || len(n) != 6 {
		return "", fmt.Errorf("PASV: %.100q: six numbers expected", msg)
	}
	hi, err1 := strconv.ParseUint(strings.TrimSpace(n[4]), 10, 8)
	lo, err2 := strconv.ParseUint(strings.TrimSpace(n[5]), 10, 8)
	if err1 != nil || err2 != nil {
		return "", fmt.Errorf("PASV: %.100q: six numbers expected", msg)
	}
	return net.JoinHostPort(host, strconv.FormatUint(hi<<8|lo, 10)), nil
}

// deadline is a connection on which each read has so long.
type deadline struct {
	c net.Conn
	d time.Duration
}

func (r deadline) Read(p []byte) (int, error) {
	r.c.SetReadDeadline(time.Now().Add(r.d))
	return r.c.Read(p)
}
