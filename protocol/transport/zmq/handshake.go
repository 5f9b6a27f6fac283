package zmq

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/go-zeromq/zmq4"
)

// Frame flags, ZMTP 3.1 (RFC 37), "framing".
const (
	flagMore    = 1
	flagLong    = 2
	flagCommand = 4
)

const (
	greetingSize = 64
	maxCommand   = 1024 // bytes of a command's body; a READY of libzmq is below 300
)

// role is what a connection is on our side.
type role uint8

const (
	roleRouter role = iota
	rolePub
	roleReq
	roleSub
)

// roles names, for each role, the socket type we announce and those we take as peers.
var roles = [...]struct {
	typ   zmq4.SocketType
	peers []string
}{
	roleRouter: {zmq4.Router, []string{"REQ", "DEALER"}},
	rolePub:    {zmq4.Pub, []string{"SUB", "XSUB"}},
	roleReq:    {zmq4.Req, []string{"ROUTER", "REP"}},
	roleSub:    {zmq4.Sub, []string{"PUB", "XPUB"}},
}

// greeting is what we open with: ZMTP 3.1, mechanism NULL. minor is 0 in the copy that
// is replayed to the library.
func greeting(minor byte) []byte {
	g := make([]byte, greetingSize)
	g[0], g[9], g[10], g[11] = 0xff, 0x7f, 3, minor
	copy(g[12:], "NULL")
	return g
}

// parseGreeting checks a peer's greeting and returns the minor version it speaks. The
// eight bytes between the signature's ends are filler that libzmq uses for other things.
func parseGreeting(g []byte) (minor byte, err error) {
	switch {
	case g[0] != 0xff || g[9]&1 == 0:
		return 0, fmt.Errorf("no ZMTP greeting: want ff … 7f, got %02x … %02x", g[0], g[9])
	case g[10] < 3:
		return 0, fmt.Errorf("ZMTP version: want 3 or later, got %d", g[10])
	case strings.TrimRight(string(g[12:32]), "\x00") != "NULL":
		return 0, fmt.Errorf("security mechanism: want NULL, got %.20q", g[12:32])
	case g[32] > 1:
		return 0, fmt.Errorf("as-server: want 0 or 1, got %d", g[32])
	case g[10] > 3: // a later version speaks ours to us
		return 1, nil
	}
	return g[11], nil
}

// appendHeader appends a frame's header.
func appendHeader(b []byte, flags byte, n int) []byte {
	if n > 255 {
		return binary.BigEndian.AppendUint64(append(b, flags|flagLong), uint64(n))
	}
	return append(b, flags, byte(n))
}

// appendCommand appends a whole command frame.
func appendCommand(b []byte, name string, body []byte) []byte {
	b = appendHeader(b, flagCommand, 1+len(name)+len(body))
	return append(append(append(b, byte(len(name))), name...), body...)
}

// ready is our READY command. REQ and ROUTER send an Identity, as libzmq does.
func ready(typ zmq4.SocketType) []byte {
	b := appendProperty(nil, "Socket-Type", string(typ))
	if typ == zmq4.Req || typ == zmq4.Router || typ == zmq4.Dealer {
		b = appendProperty(b, "Identity", "")
	}
	return appendCommand(nil, "READY", b)
}

func appendProperty(b []byte, name, value string) []byte {
	b = append(append(b, byte(len(name))), name...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(value)))
	return append(b, value...)
}

// splitCommand parts a command's body into its name and what follows.
func splitCommand(b []byte) (name string, rest []byte, err error) {
	if len(b) == 0 || b[0] == 0 || int(b[0]) > len(b)-1 {
		return "", nil, errors.New("command without a name")
	}
	n := 1 + int(b[0])
	return string(b[1:n]), b[n:], nil
}

// parseReady returns the socket type in the body of a peer's READY command. It refuses
// what RFC 37 does not allow; of the properties only Socket-Type means anything here.
func parseReady(b []byte) (typ string, err error) {
	name, b, err := splitCommand(b)
	if err != nil {
		return "", err
	}
	switch name {
	case "READY":
	case "ERROR":
		if len(b) > 0 {
			b = b[1:]
		}
		return "", fmt.Errorf("peer refused the handshake: %.200q", b)
	default:
		return "", fmt.Errorf("want command READY, got %.32q", name)
	}
	seen := map[string]bool{}
	for len(b) > 0 {
		k := int(b[0])
		if k == 0 || len(b) < 1+k+4 {
			return "", errors.New("READY: property name cut off")
		}
		prop := strings.ToLower(string(b[1 : 1+k]))
		if strings.Trim(prop, "abcdefghijklmnopqrstuvwxyz0123456789-_.+") != "" {
			return "", fmt.Errorf("READY: property name %.64q has characters that are not allowed", prop)
		}
		n := binary.BigEndian.Uint32(b[1+k:])
		b = b[1+k+4:]
		if uint64(n) > uint64(len(b)) {
			return "", fmt.Errorf("READY: property %.64q announces %d bytes, %d are left", prop, n, len(b))
		}
		if seen[prop] {
			return "", fmt.Errorf("READY: property %.64q twice", prop)
		}
		seen[prop] = true
		value := b[:n]
		b = b[n:]
		switch {
		case prop == "socket-type":
			typ = string(value)
		case prop == "identity" && n > 255:
			return "", fmt.Errorf("READY: identity of %d bytes, at most 255 are allowed", n)
		}
	}
	if typ == "" {
		return "", errors.New("READY: no Socket-Type")
	}
	return typ, nil
}

// shake does both sides of the handshake and opens the library's connection above it.
// The caller has set a deadline on the connection.
func (c *conn) shake() error {
	if _, err := c.nc.Write(append(greeting(1), ready(roles[c.role].typ)...)); err != nil {
		return fmt.Errorf("send greeting: %w", err)
	}
	if err := c.need(greetingSize); err != nil {
		return fmt.Errorf("read greeting: %w", err)
	}
	minor, err := parseGreeting(c.peek(greetingSize))
	if err != nil {
		return err
	}
	c.skip(greetingSize)
	f, err := c.header()
	if err != nil {
		return fmt.Errorf("read READY: %w", err)
	}
	if f.flags&^flagLong != flagCommand || f.n > maxCommand {
		return fmt.Errorf("want command READY, got a frame with flags %d and %d bytes", f.flags, f.n)
	}
	if err := c.need(int(f.n)); err != nil {
		return fmt.Errorf("read READY: %w", err)
	}
	typ, err := parseReady(c.peek(int(f.n)))
	if err != nil {
		return err
	}
	c.skip(int(f.n))
	ok := false
	for _, p := range roles[c.role].peers {
		ok = ok || p == typ
	}
	if !ok {
		return fmt.Errorf("peer is a %.16q, a %s talks to %s", typ, roles[c.role].typ, strings.Join(roles[c.role].peers, " and "))
	}
	c.minor = minor
	return c.open(typ)
}
