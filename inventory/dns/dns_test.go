package dns

import (
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/gosalt/gosalt/inventory"
	"github.com/gosalt/gosalt/inventory/inventorytest"
	"github.com/gosalt/gosalt/protocol/wire"
)

// A zone of the server below: "name TYPE data", one a line.
const zone = `
example.test SOA
web1.example.test A 10.0.0.1
web1.example.test AAAA fd00::1
web1.example.test TXT role=web
web1.example.test TXT a note
db.example.test A 10.0.0.2
db.example.test A 203.0.113.2
alias.example.test CNAME web1.example.test
_ssh._tcp.example.test SRV 2222 web1.example.test
_ssh._tcp.example.test SRV 22 db.example.test
*.wild.example.test A 10.9.9.9
late.example.test A 10.0.0.4
web1.example.test A 10.0.0.11
`

type record struct {
	name, typ string
	data      []string
}

func records() (out []record) {
	for l := range strings.Lines(zone) {
		if f := strings.Fields(l); len(f) > 1 {
			out = append(out, record{f[0] + ".", f[1], f[2:]})
		}
	}
	return out
}

func (r record) put(t *testing.T, b *dnsmessage.Builder) {
	h := dnsmessage.ResourceHeader{Name: dnsmessage.MustNewName(r.name), Class: dnsmessage.ClassINET, TTL: 60}
	var err error
	switch r.typ {
	case "SOA":
		err = b.SOAResource(h, dnsmessage.SOAResource{NS: h.Name, MBox: h.Name, Serial: 1})
	case "A":
		err = b.AResource(h, dnsmessage.AResource{A: netip.MustParseAddr(r.data[0]).As4()})
	case "AAAA":
		err = b.AAAAResource(h, dnsmessage.AAAAResource{AAAA: netip.MustParseAddr(r.data[0]).As16()})
	case "TXT":
		err = b.TXTResource(h, dnsmessage.TXTResource{TXT: []string{strings.Join(r.data, " ")}})
	case "CNAME":
		err = b.CNAMEResource(h, dnsmessage.CNAMEResource{CNAME: dnsmessage.MustNewName(r.data[0] + ".")})
	case "SRV":
		port, _ := strconv.Atoi(r.data[0])
		err = b.SRVResource(h, dnsmessage.SRVResource{Port: uint16(port), Target: dnsmessage.MustNewName(r.data[1] + ".")})
	}
	if err != nil {
		t.Error(err)
	}
}

// answer makes the messages that answer a question: several for a transfer.
func answer(t *testing.T, q []byte) [][]byte {
	var p dnsmessage.Parser
	h, err := p.Start(q)
	if err != nil {
		return nil
	}
	question, err := p.Question()
	if err != nil {
		return nil
	}
	name := strings.ToLower(question.Name.String())
	message := func(code dnsmessage.RCode, rs []record) []byte {
		b := dnsmessage.NewBuilder(nil, dnsmessage.Header{ID: h.ID, Response: true, Authoritative: true, RecursionAvailable: true, RCode: code})
		b.EnableCompression()
		b.StartQuestions()
		b.Question(question)
		b.StartAnswers()
		for _, r := range rs {
			r.put(t, &b)
		}
		m, err := b.Finish()
		if err != nil {
			t.Error(err)
		}
		return m
	}
	if question.Type == dnsmessage.TypeAXFR {
		if name != "example.test." {
			return [][]byte{message(dnsmessage.RCodeRefused, nil)}
		}
		rs := records()
		rs = append(rs, rs[0])
		return [][]byte{message(0, rs[:5]), message(0, rs[5:])}
	}
	if strings.HasPrefix(name, "broken.") {
		return [][]byte{message(dnsmessage.RCodeServerFailure, nil)}
	}
	var rs []record
	known := false
	for _, r := range records() {
		if r.name == name {
			known = true
			if "Type"+r.typ == question.Type.GoString()[len("dnsmessage."):] {
				rs = append(rs, r)
			}
			if r.typ == "CNAME" {
				rs = append(rs, r)
				for _, o := range records() {
					if o.name == r.data[0]+"." && "Type"+o.typ == question.Type.GoString()[len("dnsmessage."):] {
						rs = append(rs, o)
					}
				}
			}
		}
	}
	if !known {
		return [][]byte{message(dnsmessage.RCodeNameError, nil)}
	}
	return [][]byte{message(0, rs)}
}

// serve is a server of the zone on loopback, by UDP and TCP.
func serve(t *testing.T) string {
	var tcp net.Listener
	var udp net.PacketConn
	var err error
	for range 50 { // the same number has to be free for both
		if tcp, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
		if udp, err = net.ListenPacket("udp", tcp.Addr().String()); err == nil {
			break
		}
		tcp.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tcp.Close(); udp.Close() })
	go func() {
		b := make([]byte, 4096)
		for {
			n, from, err := udp.ReadFrom(b)
			if err != nil {
				return
			}
			for _, m := range answer(t, b[:n]) {
				udp.WriteTo(m, from)
			}
		}
	}()
	go func() {
		for {
			c, err := tcp.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				for {
					var n [2]byte
					if _, err := io.ReadFull(c, n[:]); err != nil {
						return
					}
					b := make([]byte, binary.BigEndian.Uint16(n[:]))
					if _, err := io.ReadFull(c, b); err != nil {
						return
					}
					for _, m := range answer(t, b) {
						c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(m))), m...))
					}
				}
			}()
		}
	}()
	return tcp.Addr().String()
}

// silent takes connections and datagrams, and says nothing.
func silent(t *testing.T) string {
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tcp.Close() })
	udp, err := net.ListenPacket("udp", tcp.Addr().String())
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { udp.Close() })
	return tcp.Addr().String()
}

func list(s ...any) []any { return s }

func service(t *testing.T) inventorytest.Service {
	server := serve(t)
	quiet := silent(t)
	return inventorytest.Service{Kind: Kind, Want: 3,
		Config: wire.NewMap("resolver", server, "names", list("web1.example.test", "WEB1.example.test."), "services", list("_ssh._tcp.example.test"), "zones", list("example.test"), "txt", true),
		Partial: &inventorytest.Failure{Config: wire.NewMap("resolver", server, "names", list("none.example.test", "web1.example.test", "broken.example.test"), "zones", list("other.test")),
			Want: 1, Scope: "none.example.test", Reason: inventory.NotFound, Call: "lookup of none.example.test"},
		Failures: map[string]inventorytest.Failure{
			"no service":   {Config: wire.NewMap("resolver", server, "services", list("_none._tcp.example.test")), Reason: inventory.NotFound, Call: "SRV"},
			"refused zone": {Config: wire.NewMap("resolver", server, "zones", list("other.test")), Reason: inventory.NotPermitted, Call: "AXFR", Hint: true},
			"failing":      {Config: wire.NewMap("resolver", server, "names", list("broken.example.test")), Call: "lookup of broken.example.test"},
			"nothing":      {Config: wire.NewMap("txt", true), Reason: inventory.BadConfig},
			"zone of none": {Config: wire.NewMap("zones", list("example.test")), Reason: inventory.BadConfig},
			"resolver":     {Config: wire.NewMap("names", list("a"), "resolver", "dns.example"), Reason: inventory.BadConfig},
			"bad name":     {Config: wire.NewMap("names", list("a b")), Reason: inventory.BadConfig},
		},
		Hangs: map[string]*wire.Map{
			"names": wire.NewMap("resolver", quiet, "names", list("a.example.test")),
			"zones": wire.NewMap("resolver", quiet, "zones", list("example.test")),
		}}
}

func TestSuite(t *testing.T) { inventorytest.Run(t, service) }

func TestMachines(t *testing.T) {
	s := service(t)
	all := func(kv ...any) map[string]inventory.Machine {
		got := map[string]inventory.Machine{}
		cfg := wire.NewMap(kv...)
		r, _ := s.Config.Get("resolver")
		cfg.Set("resolver", r)
		for m, err := range s.Open(t, cfg).List(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			got[m.ID] = m
		}
		return got
	}
	got := all("services", list("_ssh._tcp.example.test"), "txt", true)
	if w := got["web1.example.test"]; w.SSH.Int("port") != 2222 || w.Tags["role"] != "web" || len(w.Tags) != 1 || len(w.Private) != 3 || w.Scope != "_ssh._tcp.example.test" {
		t.Errorf("%+v", w)
	}
	got = all("zones", list("example.test"), "txt", true)
	if len(got) != 3 || len(got["web1.example.test"].Private) != 3 || got["web1.example.test"].Tags["role"] != "web" || got["db.example.test"].Public[0].String() != "203.0.113.2" {
		t.Errorf("%+v", got)
	}
	got = all("names", list("alias.example.test"), "each_address", true)
	if m := got["alias.example.test/10.0.0.1"]; len(got) != 3 || m.Label != "alias.example.test-10-0-0-1" || len(m.Private) != 1 {
		t.Errorf("%+v", got)
	}
}
