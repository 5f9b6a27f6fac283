package zmq

import (
	"testing"
	"time"

	"github.com/gosalt/gosalt/protocol/transport/transporttest"
)

func TestTransport(t *testing.T) {
	transporttest.Run(t, func(t *testing.T) transporttest.Pair {
		o := Options{EvictIdle: time.Nanosecond}
		r, err := NewRouter("127.0.0.1:0", o)
		if err != nil {
			t.Fatal(err)
		}
		p, err := NewPublisher("127.0.0.1:0", o)
		if err != nil {
			t.Fatal(err)
		}
		return transporttest.Pair{
			Requests: r, Publisher: p, Dialer: NewDialer(DialOptions{}), EvictIdle: r.EvictIdle,
			Nobody: "127.0.0.1:1",
		}
	})
}
