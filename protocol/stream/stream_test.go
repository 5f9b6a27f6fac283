package stream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/gosalt/gosalt/protocol/wire"
)

// pair joins a client with a server, after what a login shell says.
func pair(t *testing.T, noise string) (*Server, *Client) {
	t.Helper()
	toServer, fromClient := io.Pipe()
	toClient, fromServer := io.Pipe()
	t.Cleanup(func() { fromClient.Close(); fromServer.Close() })
	s := NewServer(toServer, fromServer)
	made := make(chan *Client)
	go func() {
		io.WriteString(fromClient, noise)
		c, err := NewClient(toClient, fromClient, "MARK", "version 1")
		if err != nil {
			t.Error(err)
		}
		made <- c
	}()
	rest, said, err := s.Await("MARK")
	if err != nil || rest != "version 1" || said != noise {
		t.Fatalf("after the mark %q, before it %q, %v", rest, said, err)
	}
	return s, <-made
}

func TestRequests(t *testing.T) {
	s, c := pair(t, "Welcome!\nYou have mail.\n$ ")
	go s.Start(wire.NewMap("id", "web1"))
	start, err := c.Start()
	if err != nil || start.Text("id") != "web1" {
		t.Fatal(start, err)
	}
	signals := make(chan int, 1)
	ended := make(chan error, 1)
	go func() { ended <- c.Run(func(sig int) { signals <- sig }) }()
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() {
		served <- s.Serve(ctx, func(_ context.Context, load *wire.Map, _ int) (any, error) {
			switch load.Text("cmd") {
			case "echo":
				v, _ := load.Get("v")
				return v, nil
			case "bulk":
				return Bulk{wire.NewMap("n", load.Int("n")), bytes.Repeat([]byte("x"), int(load.Int("n")))}, nil
			}
			return nil, &wire.Error{Kind: wire.Forbidden, Op: "test", Msg: "no"}
		})
	}()
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			v, err := c.Do(t.Context(), wire.NewMap("cmd", "echo", "v", fmt.Sprint(i)), false)
			if err != nil || v != fmt.Sprint(i) {
				t.Errorf("%d: %v, %v", i, v, err)
			}
			v, err = c.Do(t.Context(), wire.NewMap("cmd", "bulk", "n", int64(i*5000)), false)
			if b, ok := v.(Bulk); err != nil || !ok || len(b.Data) != i*5000 || b.Head.Int("n") != int64(i*5000) {
				t.Errorf("%d: %T, %v", i, v, err)
			}
		})
	}
	wg.Wait()
	if v, err := c.Do(t.Context(), wire.NewMap("cmd", "echo", "v", "text"), true); err != nil || string(v.([]byte)) != "text" {
		t.Error(v, err)
	}
	var e *wire.Error
	if _, err := c.Do(t.Context(), wire.NewMap("cmd", "other"), false); !errors.As(err, &e) || e.Kind != wire.Forbidden {
		t.Error(err)
	}
	if err := s.Signal(15); err != nil || <-signals != 15 {
		t.Error(err)
	}
	cancel()
	s.f.w.(io.Closer).Close()
	c.f.w.(io.Closer).Close()
	if err := <-served; err != nil && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	<-ended
	if _, err := c.Do(t.Context(), wire.NewMap("cmd", "echo"), false); err == nil || !strings.Contains(err.Error(), "ended") {
		t.Error(err)
	}
}

func TestNoMark(t *testing.T) {
	for _, said := range []string{"", "This account is currently not available.\n", strings.Repeat("noise ", 20000), "MARK without an end"} {
		s := NewServer(strings.NewReader(said), io.Discard)
		if _, noise, err := s.Await("MARK"); !errors.Is(err, ErrNoMark) || noise == "" && said != "" || len(noise) > maxNoise+64<<10 {
			t.Errorf("%.40q: %d bytes, %v", said, len(noise), err)
		}
	}
}

// FuzzServe: whatever a minion sends, the server ends without harm.
func FuzzServe(f *testing.F) {
	var b bytes.Buffer
	c := framer{w: &b}
	load, _ := wire.Encode(wire.NewMap("cmd", "ping"), wire.Network)
	c.send(kindRequest, 1, load)
	f.Add(b.Bytes())
	f.Add([]byte{0, 0, 0, 5, 2, 0, 0, 0, 1})
	f.Add([]byte{255, 255, 255, 255, 2, 0, 0, 0, 1})
	f.Fuzz(func(t *testing.T, in []byte) {
		s := NewServer(bytes.NewReader(in), io.Discard)
		_ = s.Serve(t.Context(), func(context.Context, *wire.Map, int) (any, error) { return wire.NewMap(), nil })
		cl := &Client{f: framer{r: s.f.r, w: io.Discard}, waiting: map[uint32]chan answer{}}
		_ = cl.Run(func(int) {})
	})
}
