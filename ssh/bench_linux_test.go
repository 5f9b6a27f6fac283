package ssh

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gosalt/gosalt/internal/sshrig"
)

// BenchmarkRun logs in to 50 machines at once and runs a command on each; cpu-ms is what
// that costs this end.
func BenchmarkRun(b *testing.B) {
	o := Options{ConfigFiles: []string{}, AgentSocket: "none", Identities: []string{}}
	var hosts []Host
	known := ""
	for range 4 {
		var addrs []string
		for range 13 {
			addrs = append(addrs, sshrig.Address())
		}
		srv := sshrig.New(b, sshrig.Options{Listen: addrs})
		text, err := os.ReadFile(srv.KnownHosts)
		if err != nil {
			b.Fatal(err)
		}
		known += string(text)
		for _, a := range addrs {
			hosts = append(hosts, Host{ID: a, Host: a, Port: srv.Port, User: srv.User, Priv: srv.Key})
		}
	}
	hosts = hosts[:50]
	o.KnownHosts = []string{filepath.Join(b.TempDir(), "known_hosts")}
	if err := os.WriteFile(o.KnownHosts[0], []byte(known), 0o600); err != nil {
		b.Fatal(err)
	}
	cpu := func() time.Duration {
		var r syscall.Rusage
		syscall.Getrusage(syscall.RUSAGE_SELF, &r)
		return time.Duration(r.Utime.Nano() + r.Stime.Nano())
	}
	before := cpu()
	for b.Loop() {
		d := NewDialer(o)
		var wg sync.WaitGroup
		for _, h := range hosts {
			wg.Go(func() {
				c, err := d.Dial(b.Context(), h)
				if err != nil {
					b.Error(err)
					return
				}
				defer c.Close()
				if out, _, code, err := c.Run(b.Context(), "uptime", nil); err != nil || code != 0 || len(out) == 0 {
					b.Error(fmt.Errorf("%s: %d %v", h.ID, code, err))
				}
			})
		}
		wg.Wait()
		d.Close()
	}
	b.ReportMetric(float64((cpu()-before).Milliseconds())/float64(b.N), "cpu-ms/op")
}
