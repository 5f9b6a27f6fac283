package modules

import (
	"log/slog"
	"net"
	"net/netip"
	"reflect"
	"testing"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/protocol/wire"
)

// TestDnsutilLookup asks a server on the loopback.
func TestDnsutilLookup(t *testing.T) {
	server := dnsServer(t)
	r := New()
	call := func(fun string, args []any, kv ...any) any {
		t.Helper()
		kv = append(kv, "nameserver", server)
		got := r.Run(t.Context(), &module.Call{Log: slog.New(slog.DiscardHandler)}, fun, args, wire.NewMap(kv...))
		if !got.Success {
			t.Errorf("%s %v: %v", fun, args, got.Return)
		}
		return got.Return
	}
	list := func(v ...any) []any { return append([]any{}, v...) }
	for _, c := range []struct {
		fun  string
		args []any
		kv   []any
		want any
	}{
		{"dnsutil.A", list("www.example.test"), nil, list("192.0.2.1", "192.0.2.2")},
		{"dnsutil.A", list("alias.example.test"), nil, list("192.0.2.1", "192.0.2.2")},
		{"dnsutil.A", list("192.0.2.9"), nil, list("192.0.2.9")},
		{"dnsutil.A", list("nosuch.example.test"), nil, list()},
		{"dnsutil.A", list("broken.example.test"), nil, list()},
		{"dnsutil.A", list("."), nil, list()},
		{"dnsutil.AAAA", list("www.example.test"), nil, list("2001:db8::1")},
		{"dnsutil.NS", list("example.test"), nil, list("192.0.2.1", "192.0.2.2")},
		{"dnsutil.NS", list("example.test", false), nil, list("www.example.test.")},
		{"dnsutil.MX", list("example.test"), nil, list(list("10", "www.example.test."), list("20", "nosuch.example.test."))},
		{"dnsutil.MX", list("example.test"), []any{"resolve", true}, list(list("10", "192.0.2.1"))},
		{"dnsutil.SPF", list("example.test"), nil, list("192.0.2.0/24", "2001:db8::/32", "198.51.100.1")},
		{"dnsutil.SPF", list("redirect.example.test", "TXT"), nil, list("198.51.100.1")},
		{"dnsutil.SPF", list("closed.example.test"), nil, list()}, // what follows all is not looked at
		{"dnsutil.SPF", list("nosuch.example.test"), nil, list()},
	} {
		if got := call(c.fun, c.args, c.kv...); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s %v %v: %#v, want %#v", c.fun, c.args, c.kv, got, c.want)
		}
	}
	for fun, args := range map[string][]any{"dnsutil.SPF": list("loop.example.test", "TXT", server), "dnsutil.A": list("x", "not an address")} {
		if got := r.Run(t.Context(), &module.Call{Log: slog.New(slog.DiscardHandler)}, fun, args, nil); got.Success {
			t.Errorf("%s %v: %v, want an error", fun, args, got.Return)
		}
	}
	for s, want := range map[string]bool{"127.0.0.1": true, "10.0.0.0/8": true, "10.0.0.0/0": false, "10.0.0.0/33": false, "::1": true, "::/4": false, "fd00::/64": true, "x": false, "1.2.3": false} {
		if got := r.Run(t.Context(), &module.Call{}, "dnsutil.check_ip", list(s), nil).Return; got != want {
			t.Errorf("check_ip %s: %v", s, got)
		}
	}
}

// dnsServer answers for example.test.
func dnsServer(t *testing.T) string {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	www := dnsmessage.MustNewName("www.example.test.")
	body := map[string][]dnsmessage.ResourceBody{
		"www.example.test. A":    {&dnsmessage.AResource{A: netip.MustParseAddr("192.0.2.1").As4()}, &dnsmessage.AResource{A: netip.MustParseAddr("192.0.2.2").As4()}},
		"www.example.test. AAAA": {&dnsmessage.AAAAResource{AAAA: netip.MustParseAddr("2001:db8::1").As16()}},
		"example.test. NS":       {&dnsmessage.NSResource{NS: www}},
		"example.test. MX":       {&dnsmessage.MXResource{Pref: 20, MX: dnsmessage.MustNewName("nosuch.example.test.")}, &dnsmessage.MXResource{Pref: 10, MX: www}},
		"example.test. TXT": {&dnsmessage.TXTResource{TXT: []string{"a note"}},
			&dnsmessage.TXTResource{TXT: []string{"v=spf1 +ip4:192.0.2.0/24 ip6:2001:db8::/32 a mx ip4:nonsense include:", "other.example.test -all"}}},
		"other.example.test. TXT":    {&dnsmessage.TXTResource{TXT: []string{"v=spf1 ip4:198.51.100.1 ~all"}}},
		"redirect.example.test. TXT": {&dnsmessage.TXTResource{TXT: []string{"v=spf1 redirect=other.example.test"}}},
		"closed.example.test. TXT":   {&dnsmessage.TXTResource{TXT: []string{"v=spf1 -all redirect=other.example.test"}}},
		"loop.example.test. TXT":     {&dnsmessage.TXTResource{TXT: []string{"v=spf1 include:loop.example.test"}}},
	}
	go func() {
		buf := make([]byte, 1500)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			var m dnsmessage.Message
			if m.Unpack(buf[:n]) != nil || len(m.Questions) != 1 {
				continue
			}
			q := m.Questions[0]
			m.Header = dnsmessage.Header{ID: m.ID, Response: true, Authoritative: true, RecursionAvailable: true}
			m.Additionals = nil
			h := dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, TTL: 60}
			if q.Name.String() == "alias.example.test." {
				m.Answers = append(m.Answers, dnsmessage.Resource{Header: h, Body: &dnsmessage.CNAMEResource{CNAME: www}})
				h.Name = www
			}
			rr := body[h.Name.String()+" "+q.Type.String()[len("Type"):]]
			for _, b := range rr {
				m.Answers = append(m.Answers, dnsmessage.Resource{Header: h, Body: b})
			}
			switch {
			case q.Name.String() == "broken.example.test.":
				m.RCode = dnsmessage.RCodeServerFailure
			case len(m.Answers) == 0 && h.Name != www && q.Name.String() != "example.test.":
				m.RCode = dnsmessage.RCodeNameError
			}
			b, err := m.Pack()
			if err != nil {
				t.Error(err)
				return
			}
			if _, err := conn.WriteTo(b, from); err != nil {
				return
			}
		}
	}()
	return conn.LocalAddr().String()
}
