package zmq_test

import (
	"context"
	"fmt"
	"log"

	"github.com/gosalt/gosalt/protocol/transport"
	"github.com/gosalt/gosalt/protocol/transport/zmq"
)

type greeter struct{}

func (greeter) Request(_ context.Context, p transport.Peer, body []byte) []byte {
	p.Authenticate() // once the body has proved who it is
	return append([]byte("hello, "), body...)
}
func (greeter) Gone(transport.Peer, bool) {}

// A master answers, a minion asks.
func Example() {
	port, err := zmq.NewRouter("127.0.0.1:0", zmq.Options{})
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- port.Serve(ctx, greeter{}) }()

	master := zmq.NewDialer(zmq.DialOptions{}).Requester(port.Addr().String())
	answer, err := master.Do(ctx, []byte("m1"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(answer))
	master.Close()

	stop()
	fmt.Println(<-done)
	// Output:
	// hello, m1
	// <nil>
}
