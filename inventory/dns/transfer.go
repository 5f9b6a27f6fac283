package dns

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/gosalt/gosalt/inventory"
)

// Limits of a transfer: a zone of a million names is no inventory.
const (
	maxRecords = 1_000_000
	maxBytes   = 256 << 20
)

// zoneHost is what a zone says of one name.
type zoneHost struct {
	name  string
	addrs []netip.Addr
	txt   []string
}

// transfer asks for a whole zone (RFC 5936), and returns its names, sorted. The records of
// a name need not stand together, so that all are kept until the end.
func transfer(ctx context.Context, server, zone string) ([]*zoneHost, error) {
	fail := func(r inventory.Reason, hint, format string, args ...any) error {
		return &inventory.Error{Scope: zone, Call: "AXFR", Reason: r, Msg: fmt.Sprintf(format, args...), Hint: hint}
	}
	lost := func(err error) error {
		return fail(inventory.NoAnswer, "does the server "+portText(server)+" hand out the zone to this machine?", "%v", err)
	}
	var d net.Dialer
	dctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	conn, err := d.DialContext(dctx, "tcp", server)
	if err != nil {
		return nil, lost(err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	name, err := dnsmessage.NewName(fqdn(zone))
	if err != nil {
		return nil, fail(inventory.BadConfig, "", "%v", err)
	}
	q := dnsmessage.Message{Header: dnsmessage.Header{ID: uint16(time.Now().UnixNano())},
		Questions: []dnsmessage.Question{{Name: name, Type: dnsmessage.TypeAXFR, Class: dnsmessage.ClassINET}}}
	b, err := q.Pack()
	if err != nil {
		return nil, fail(inventory.BadConfig, "", "%v", err)
	}
	conn.SetDeadline(time.Now().Add(patience))
	if _, err := conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...)); err != nil {
		return nil, lost(err)
	}
	hosts := map[string]*zoneHost{}
	soas, records, total := 0, 0, 0
	for soas < 2 {
		conn.SetDeadline(time.Now().Add(patience))
		var n [2]byte
		if _, err := io.ReadFull(conn, n[:]); err != nil {
			return nil, lost(err)
		}
		msg := make([]byte, binary.BigEndian.Uint16(n[:]))
		if _, err := io.ReadFull(conn, msg); err != nil {
			return nil, lost(err)
		}
		if total += len(msg); total > maxBytes {
			return nil, fail(inventory.BadAnswer, "", "the zone has more than %d bytes", maxBytes)
		}
		var p dnsmessage.Parser
		h, err := p.Start(msg)
		if err != nil || h.ID != q.ID || !h.Response {
			return nil, fail(inventory.BadAnswer, "", "what came is no answer to the question")
		}
		switch h.RCode {
		case dnsmessage.RCodeSuccess:
		case dnsmessage.RCodeRefused, dnsmessage.RCode(9): // NOTAUTH
			return nil, fail(inventory.NotPermitted, "the server has to allow the transfer to this machine (allow-transfer)", "the server refuses to hand out the zone")
		case dnsmessage.RCodeNameError:
			return nil, fail(inventory.NotFound, "", "the server has no such zone")
		default:
			return nil, fail(inventory.BadAnswer, "", "the server answers %v", h.RCode)
		}
		if err := p.SkipAllQuestions(); err != nil {
			return nil, fail(inventory.BadAnswer, "", "%v", err)
		}
		for soas < 2 {
			rh, err := p.AnswerHeader()
			if errors.Is(err, dnsmessage.ErrSectionDone) {
				break
			}
			if err != nil {
				return nil, fail(inventory.BadAnswer, "", "%v", err)
			}
			if records++; records > maxRecords {
				return nil, fail(inventory.BadAnswer, "", "the zone has more than %d records", maxRecords)
			}
			if records == 1 && rh.Type != dnsmessage.TypeSOA {
				return nil, fail(inventory.BadAnswer, "", "a transfer has to begin with the zone's SOA record")
			}
			if err := take(&p, rh, hosts, &soas); err != nil {
				return nil, fail(inventory.BadAnswer, "", "%v", err)
			}
		}
		if records == 0 {
			return nil, fail(inventory.NotPermitted, "the server has to allow the transfer to this machine (allow-transfer)", "the server answers with nothing")
		}
	}
	list := make([]*zoneHost, 0, len(hosts))
	for _, k := range slices.Sorted(maps.Keys(hosts)) {
		list = append(list, hosts[k])
	}
	return list, nil
}

// take reads one record.
func take(p *dnsmessage.Parser, rh dnsmessage.ResourceHeader, hosts map[string]*zoneHost, soas *int) error {
	name := plain(rh.Name.String())
	host := func() *zoneHost {
		h := hosts[name]
		if h == nil {
			h = &zoneHost{name: name}
			hosts[name] = h
		}
		return h
	}
	if !valid(name) || strings.HasPrefix(name, "*.") || rh.Class != dnsmessage.ClassINET {
		if rh.Type == dnsmessage.TypeSOA {
			*soas++
		}
		return p.SkipAnswer()
	}
	switch rh.Type {
	case dnsmessage.TypeSOA:
		*soas++
		return p.SkipAnswer()
	case dnsmessage.TypeA:
		r, err := p.AResource()
		if err != nil {
			return err
		}
		h := host()
		h.addrs = append(h.addrs, netip.AddrFrom4(r.A))
	case dnsmessage.TypeAAAA:
		r, err := p.AAAAResource()
		if err != nil {
			return err
		}
		h := host()
		h.addrs = append(h.addrs, netip.AddrFrom16(r.AAAA))
	case dnsmessage.TypeTXT:
		r, err := p.TXTResource()
		if err != nil {
			return err
		}
		h := host()
		h.txt = append(h.txt, strings.Join(r.TXT, ""))
	default:
		return p.SkipAnswer()
	}
	return nil
}
