package seal

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"
	"time"

	"github.com/gosalt/gosalt/protocol/wire"
)

// A Bind is what a gosalt minion subscribes to beside Salt's topics, so that the
// master knows whose subscription it is: its name's digest and the time, under its
// session key. Nothing is ever published under such a topic, and a Salt master
// takes it for one that never has news.
//
//	gosalt:<SHA-1 of the id, hex>:<Unix seconds>:<HMAC-SHA256, hex>
type Bind struct {
	Topic string // SHA-1 of the id in hex: the topic of Salt's zmq_filtering
	Time  int64  // when it was made, Unix seconds
	mac   []byte
}

const bindPrefix = "gosalt:"

// Topic is the digest by which topics name a minion: SHA-1 of the id, in hex.
func Topic(id wire.MinionID) string {
	sum := sha1.Sum([]byte(id))
	return hex.EncodeToString(sum[:])
}

// BindTopic makes the topic for a minion whose session key this is.
func (k *Key) BindTopic(id wire.MinionID, now time.Time) string {
	b := Bind{Topic: Topic(id), Time: now.Unix()}
	return bindPrefix + b.Topic + ":" + strconv.FormatInt(b.Time, 10) + ":" + hex.EncodeToString(k.bindMAC(b))
}

// ParseBind takes such a topic apart; ok is false for every other topic.
func ParseBind(topic []byte) (b Bind, ok bool) {
	rest, ok := strings.CutPrefix(string(topic), bindPrefix)
	if !ok || len(topic) > 200 {
		return Bind{}, false
	}
	parts := strings.Split(rest, ":")
	if len(parts) != 3 || len(parts[0]) != 2*sha1.Size {
		return Bind{}, false
	}
	t, err := strconv.ParseInt(parts[1], 10, 64)
	if err != nil {
		return Bind{}, false
	}
	mac, err := hex.DecodeString(parts[2])
	if err != nil || len(mac) != sha256.Size {
		return Bind{}, false
	}
	return Bind{Topic: parts[0], Time: t, mac: mac}, true
}

// CheckBind tells whether a bind was made with this session key.
func (k *Key) CheckBind(b Bind) bool { return hmac.Equal(k.bindMAC(b), b.mac) }

func (k *Key) bindMAC(b Bind) []byte {
	m := hmac.New(sha256.New, []byte(k.text.Reveal()))
	m.Write([]byte("gosalt bind\x00" + b.Topic + "\x00" + strconv.FormatInt(b.Time, 10)))
	return m.Sum(nil)
}
