package roster

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gosalt/gosalt/internal/nodeset"
	"github.com/gosalt/gosalt/internal/target"
	"github.com/gosalt/gosalt/protocol/wire"
	"github.com/gosalt/gosalt/ssh"
)

// addressOf is the address that a text is, or an invalid one.
func addressOf(s string) netip.Addr {
	ip, err := netip.ParseAddr(strings.Trim(s, "[]"))
	if err != nil {
		return netip.Addr{}
	}
	return ip.Unmap()
}

const (
	maxScan     = 1 << 16 // addresses of one scan
	scanWorkers = 256
)

// texts is a target as a list of texts.
func texts(tgt any) []string {
	switch x := tgt.(type) {
	case []string:
		return x
	case []any:
		out := make([]string, len(x))
		for i, e := range x {
			out[i] = fmt.Sprint(e)
		}
		return out
	}
	return strings.FieldsFunc(fmt.Sprint(tgt), func(r rune) bool { return r == ',' || r == ' ' })
}

// loadScan takes the machines at the addresses of the target that answer on a port of SSH.
func loadScan(_ context.Context, r *Roster) error {
	r.scans = append(r.scans, func(ctx context.Context, tgt any, _ string) ([]ssh.Host, error) {
		var addrs []netip.Addr
		for _, t := range texts(tgt) {
			list, err := addresses(t)
			if err != nil {
				return nil, &Error{Msg: "the roster scan: " + err.Error(), Hint: "its target is an address or a network, as 10.0.0.0/24"}
			}
			if addrs = append(addrs, list...); len(addrs) > maxScan {
				return nil, &Error{Msg: fmt.Sprintf("the roster scan: these are more than %d addresses", maxScan)}
			}
		}
		open := r.scan(ctx, addrs)
		var out []ssh.Host
		for i, ip := range addrs {
			if port := open[i]; port != 0 {
				out = append(out, r.parseHost(ip.String(), wire.NewMap("host", ip.String(), "port", int64(port)), func(string) string { return "the scan of " + ip.String() }))
			}
		}
		return out, ctx.Err()
	})
	return nil
}

// addresses are those of hosts that a text means: an address, or a network without the
// addresses that are for all in it.
func addresses(s string) ([]netip.Addr, error) {
	if ip := addressOf(s); ip.IsValid() {
		return []netip.Addr{ip}, nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return nil, fmt.Errorf("%q is no address and no network", s)
	}
	if p != p.Masked() {
		return nil, fmt.Errorf("%s has host bits: the network is %s", s, p.Masked())
	}
	if p.Addr().BitLen()-p.Bits() > 16 {
		return nil, fmt.Errorf("%s has more than %d addresses", s, maxScan)
	}
	var out []netip.Addr
	for ip := p.Addr(); ip.IsValid() && p.Contains(ip); ip = ip.Next() {
		out = append(out, ip)
	}
	switch {
	case p.Addr().BitLen()-p.Bits() < 2:
	case p.Addr().Is4():
		out = out[1 : len(out)-1]
	default:
		out = out[1:]
	}
	return out, nil
}

func (r *Roster) scanPorts() []int {
	if len(r.cfg.ScanPorts) > 0 {
		return r.cfg.ScanPorts
	}
	return []int{22}
}

// scan finds the first open port of each address, 0 where there is none.
func (r *Roster) scan(ctx context.Context, addrs []netip.Addr) []int {
	timeout := r.cfg.ScanTimeout
	if timeout <= 0 {
		timeout = 10 * time.Millisecond
	}
	open := make([]int, len(addrs))
	next := make(chan int)
	var wg sync.WaitGroup
	for range min(scanWorkers, len(addrs)) {
		wg.Go(func() {
			for i := range next {
				for _, port := range r.scanPorts() {
					d := net.Dialer{Timeout: timeout}
					if c, err := d.DialContext(ctx, "tcp", netip.AddrPortFrom(addrs[i], uint16(port)).String()); err == nil {
						c.Close()
						open[i] = port
						break
					}
				}
			}
		})
	}
	for i := range addrs {
		select {
		case next <- i:
			continue
		case <-ctx.Done():
		}
		break
	}
	close(next)
	wg.Wait()
	return open
}

// loadClustershell takes the machines that the target names in ClusterShell's notation.
func loadClustershell(_ context.Context, r *Roster) error {
	r.scans = append(r.scans, func(ctx context.Context, tgt any, _ string) ([]ssh.Host, error) {
		var names []string
		for _, t := range nodeset.Split(strings.Join(asList(tgt), ",")) {
			list, err := nodeset.Expand(strings.TrimSpace(t))
			if err != nil {
				return nil, &Error{Msg: "the roster clustershell: " + err.Error(), Hint: "its target is a set of names, as web[1-3,7],db1"}
			}
			names = append(names, list...)
		}
		var out []ssh.Host
		ports := r.scanPorts()
		for _, n := range names {
			if strings.ContainsAny(n, "*?") {
				return nil, &Error{Msg: fmt.Sprintf("the roster clustershell: %q is a pattern", n), Hint: "its target is a set of names, as web[1-3,7],db1"}
			}
			entry := wire.NewMap("host", n)
			if len(ports) == 1 && ports[0] != 22 {
				entry.Set("port", int64(ports[0]))
			} else if len(ports) > 1 {
				if ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", n); err == nil && len(ips) > 0 {
					if p := r.scan(ctx, []netip.Addr{ips[0].Unmap()})[0]; p != 0 {
						entry.Set("port", int64(p))
					}
				}
			}
			out = append(out, r.parseHost(n, entry, func(string) string { return "target " + n }))
		}
		return out, nil
	})
	return nil
}

func asList(tgt any) []string {
	if s, ok := tgt.(string); ok {
		return []string{s}
	}
	return texts(tgt)
}

// loadRange takes the machines that a range server has for the target.
func loadRange(_ context.Context, r *Roster) error {
	if r.cfg.RangeServer == "" {
		return &Error{Msg: "the roster range needs a range server", Hint: "range_server names it, as range.example.com:80"}
	}
	r.scans = append(r.scans, func(ctx context.Context, tgt any, kind string) ([]ssh.Host, error) {
		expr := strings.Join(asList(tgt), ",")
		names, err := expandRange(ctx, r.cfg.RangeServer, expr)
		if err != nil {
			return nil, err
		}
		var out []ssh.Host
		for _, n := range names {
			// As in Salt, a glob is what the server's names are asked about, not the other way.
			if kind == "glob" && !strings.ContainsAny(expr, "%&@{},:()") && !target.Fnmatch(expr, n) {
				continue
			}
			out = append(out, r.parseHost(n, wire.NewMap("host", n), func(string) string { return "range " + expr }))
		}
		return out, nil
	})
	return nil
}

// expandRange asks a range server (seco.range) for the machines that an expression means.
func expandRange(ctx context.Context, server, expr string) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	fail := func(format string, args ...any) error {
		return &Error{Source: "range server " + server, Msg: fmt.Sprintf(format, args...)}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+server+"/range/list?"+strings.ReplaceAll(url.QueryEscape(expr), "+", "%20"), nil)
	if err != nil {
		return nil, fail("%s", err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, fail("it does not answer: %s", err)
	}
	defer resp.Body.Close()
	if ex := resp.Header.Get("RangeException"); ex != "" {
		return nil, fail("%q: %s", expr, strconv.Quote(ex))
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fail("%q: it answers %s", expr, resp.Status)
	}
	var out []string
	sc := bufio.NewScanner(io.LimitReader(resp.Body, 16<<20))
	for sc.Scan() {
		if n := strings.TrimSpace(sc.Text()); n != "" {
			out = append(out, n)
		}
	}
	if err := sc.Err(); err != nil {
		return nil, fail("%s", err)
	}
	return out, nil
}
