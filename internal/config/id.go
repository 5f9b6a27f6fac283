package config

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gosalt/gosalt/internal/lazyre"
)

// names is where a guessed id comes from; tests replace it.
type names struct {
	hostname func() (string, error)
	fqdn     func(host string) string
	files    []string // with names of this host
	addrs    func() []string
}

var system = names{
	hostname: os.Hostname,
	fqdn:     fqdn,
	files:    []string{"/etc/hostname", "/etc/nodename", "/etc/hosts"},
	addrs:    hostAddrs,
}

// systemFiles is system without a question to the network: a master's id is no key's
// name, and the command line, which reads a master's configuration each time, must not
// wait for a name server.
var systemFiles = names{
	hostname: os.Hostname,
	fqdn:     func(host string) string { return hostsFQDN("/etc/hosts", host) },
	files:    system.files,
	addrs:    hostAddrs,
}

// hostsFQDN is the first name with a dot of the line of a hosts file that names a host,
// else the host's name as it is.
func hostsFQDN(file, host string) string {
	for _, line := range readLines(file) {
		line, _, _ = strings.Cut(line, "#")
		words := strings.Fields(line)
		if len(words) < 2 || !slices.Contains(words[1:], host) {
			continue
		}
		for _, w := range words[1:] {
			if strings.Contains(w, ".") {
				return w
			}
		}
	}
	return host
}

// localNames are names and addresses that every host has, as
// salt.utils.network._generate_minion_id lists them: anchored at the start only.
var localNames = lazyre.New(`^(?:localhost.*|ip6-.*|127[.]\d|0\.0\.0\.0|::1.*|ipv6-.*|fe00::.*|fe02::.*|1.0.0.*.ip6.arpa)`)

// guess is the first usable of: the full name of this host, its name, the names that
// its files give to 127.* and ::1 or that stand alone in a line, its addresses.
func (n names) guess() string {
	var list []string
	add := func(s string) {
		if s != "" && !slices.Contains(list, s) && !localNames.MatchString(s) {
			list = append(list, s)
		}
	}
	if host, err := n.hostname(); err == nil {
		add(n.fqdn(host))
		add(host)
	}
	for _, f := range n.files {
		if len(list) > 0 {
			break
		}
		for _, line := range readLines(f) {
			line, _, _ = strings.Cut(line, "#")
			words := strings.Fields(line)
			if len(words) == 1 || len(words) > 1 && (strings.HasPrefix(words[0], "127.") || words[0] == "::1") {
				for _, w := range words {
					add(w)
				}
			}
		}
	}
	if len(list) == 0 {
		for _, a := range n.addrs() {
			add(a)
		}
	}
	if len(list) == 0 {
		return "localhost"
	}
	return list[0]
}

func readLines(path string) []string {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	var lines []string
	for s := bufio.NewScanner(f); s.Scan(); {
		lines = append(lines, s.Text())
	}
	return lines
}

// fqdn is the full name of a host, as Python's socket.getfqdn finds it: of the names
// of its address, the first that holds a dot, else the host's name as it is.
func fqdn(host string) string {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	addrs, err := net.DefaultResolver.LookupHost(ctx, host)
	if err != nil {
		return host
	}
	for _, a := range addrs {
		found, err := net.DefaultResolver.LookupAddr(ctx, a)
		if err != nil || len(found) == 0 {
			continue
		}
		for _, name := range found {
			if name = strings.TrimSuffix(name, "."); strings.Contains(name, ".") {
				return name
			}
		}
		return strings.TrimSuffix(found[0], ".")
	}
	return host
}

// hostAddrs are the IPv4 addresses of this host but loopback.
func hostAddrs() []string {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	var list []string
	for _, a := range all {
		if ip, ok := a.(*net.IPNet); ok && ip.IP.To4() != nil && !ip.IP.IsLoopback() {
			list = append(list, ip.IP.String())
		}
	}
	return list
}

// idFile is where a guessed id is kept: at Salt's place below root_dir. A configuration
// elsewhere that shares the root directory has it beside itself, so that several
// minions of one host do not share it (Salt has them share /etc/salt/minion_id).
func (c *Common) idFile() string {
	dir := filepath.Dir(c.ConfFile)
	if filepath.Clean(c.RootDir) == "/" && dir != DefaultDir {
		return filepath.Join(dir, "minion_id")
	}
	return filepath.Join(c.RootDir, DefaultDir, "minion_id")
}

// guessID works out an id where none is set. It says whether the id is an IPv4 address,
// and whether it was kept from an earlier time.
func (c *Common) guessID(n names) (id string, addr, kept bool) {
	if c.MinionIDCaching {
		if lines := readLines(c.idFile()); len(lines) > 0 {
			id := strings.TrimPrefix(strings.TrimSpace(lines[0]), "\ufeff")
			if id != "" && id != "localhost" {
				return id, false, true
			}
		}
	}
	id = n.guess()
	if c.MinionIDLowercase {
		id = strings.ToLower(id)
	}
	switch d := c.MinionIDRemoveDomain; {
	case d == "True":
		id, _, _ = strings.Cut(id, ".")
	case d != "" && strings.HasSuffix(strings.ToUpper(id), "."+strings.ToUpper(d)):
		id = id[:len(id)-len("."+d)]
	}
	ip := net.ParseIP(id)
	return id, ip != nil && ip.To4() != nil, false
}

// withDomain adds append_domain to an id.
func (c *Common) withDomain(id string) string {
	if c.AppendDomain == "" || strings.HasSuffix(id, c.AppendDomain) || strings.HasSuffix(id, ".") {
		return id
	}
	return id + "." + c.AppendDomain
}

// keepID writes a guessed id where it is found the next time.
func (c *Common) keepID(id string) error {
	path := c.idFile()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("keep the id %s: %w", id, err)
	}
	tmp := path + ".new"
	if err := os.WriteFile(tmp, []byte(id), 0o644); err != nil {
		return fmt.Errorf("keep the id %s: %w", id, err)
	}
	if err := os.Rename(tmp, path); err != nil {
		os.Remove(tmp)
		return fmt.Errorf("keep the id %s: %w", id, err)
	}
	return nil
}
