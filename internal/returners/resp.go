package returners

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"
)

// resp is a connection to a Redis server: its protocol, version 2, as far as the few
// commands of the returner need it. A whole client would add two megabytes to the
// minion.
type resp struct {
	c net.Conn
	r *bufio.Reader
	w *bufio.Writer
}

// Limits of what a server may send.
const (
	respBytes    = 256 << 20 // of one answer's texts
	respElements = 10_000_000
	respDepth    = 8
)

// respError is an error that the server answered.
type respError string

func (e respError) Error() string { return string(e) }

func dialResp(ctx context.Context, network, addr string) (*resp, error) {
	d := net.Dialer{Timeout: 10 * time.Second}
	c, err := d.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return newResp(c), nil
}

func newResp(c net.Conn) *resp { return &resp{c, bufio.NewReader(c), bufio.NewWriter(c)} }

func (p *resp) close() { p.c.Close() }

// do sends commands at once and reads their answers: texts, int64, lists, nil. The
// first error that the server answers is returned; after any error the connection is
// not to be used again.
func (p *resp) do(ctx context.Context, cmds [][]string) ([]any, error) {
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(storeTimeout)
	}
	p.c.SetDeadline(deadline)
	stop := context.AfterFunc(ctx, func() { p.c.SetDeadline(time.Now()) })
	defer stop()
	sent := make(chan error, 1)
	go func() { // answers may fill the other direction before all is sent
		for _, cmd := range cmds {
			fmt.Fprintf(p.w, "*%d\r\n", len(cmd))
			for _, a := range cmd {
				fmt.Fprintf(p.w, "$%d\r\n", len(a))
				p.w.WriteString(a)
				p.w.WriteString("\r\n")
			}
		}
		sent <- p.w.Flush()
	}()
	answers := make([]any, 0, len(cmds))
	var failed error
	for range cmds {
		budget := respBudget{respBytes, respElements}
		v, err := p.read(&budget, 0)
		if err != nil {
			p.c.SetDeadline(time.Now()) // ends the sending
			<-sent
			return nil, err
		}
		if e, ok := v.(respError); ok && failed == nil {
			failed = e
		}
		answers = append(answers, v)
	}
	if err := <-sent; err != nil {
		return nil, err
	}
	return answers, failed
}

type respBudget struct{ bytes, elements int }

func (p *resp) read(b *respBudget, depth int) (any, error) {
	line, err := p.r.ReadSlice('\n')
	if err != nil {
		return nil, err
	}
	if len(line) < 3 || line[len(line)-2] != '\r' || depth > respDepth {
		return nil, errors.New("answer is not of Redis's protocol")
	}
	kind, text := line[0], string(line[1:len(line)-2])
	if kind == '+' {
		return text, nil
	}
	if kind == '-' {
		return respError(text), nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return nil, fmt.Errorf("answer is not of Redis's protocol: %.40q", text)
	}
	switch {
	case kind == ':':
		return n, nil
	case (kind == '$' || kind == '*') && n == -1:
		return nil, nil
	case kind == '$' && n >= 0:
		if b.bytes -= int(min(n, respBytes+1)); b.bytes < 0 {
			return nil, fmt.Errorf("answer of more than %d bytes", respBytes)
		}
		return p.bulk(int(n))
	case kind == '*' && n >= 0:
		if b.elements -= int(min(n, respElements+1)); b.elements < 0 {
			return nil, fmt.Errorf("answer of more than %d elements", respElements)
		}
		list := []any{}
		for range n {
			v, err := p.read(b, depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		return list, nil
	}
	return nil, fmt.Errorf("answer is not of Redis's protocol: %.40q", line)
}

// bulk reads a text of n bytes, taking memory as they come.
func (p *resp) bulk(n int) (any, error) {
	b, err := io.ReadAll(io.LimitReader(p.r, int64(n)))
	if err != nil {
		return nil, err
	}
	if len(b) < n {
		return nil, io.ErrUnexpectedEOF
	}
	var end [2]byte
	if _, err := io.ReadFull(p.r, end[:]); err != nil {
		return nil, err
	}
	if string(end[:]) != "\r\n" {
		return nil, errors.New("answer is not of Redis's protocol: a text without an end")
	}
	return string(b), nil
}
