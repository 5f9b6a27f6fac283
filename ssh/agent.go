package ssh

import (
	"fmt"
	"net"
	"sync"
	"time"

	xssh "golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// An agentConn is a connection to an agent that all connections of a Dialer share. Its
// keys are listed once in a while.
type agentConn struct {
	socket string
	born   time.Time

	once sync.Once
	conn net.Conn
	ag   agent.ExtendedAgent
	keys []agentKey
	err  error
}

// An agentKey is a key that the agent signs with.
type agentKey struct {
	signer  xssh.Signer
	comment string
}

// agentTimeout is how long an agent may take to list its keys.
const agentTimeout = 10 * time.Second

func (a *agentConn) open() ([]agentKey, error) {
	a.once.Do(func() {
		a.conn, a.err = net.DialTimeout("unix", a.socket, agentTimeout)
		if a.err != nil {
			a.err = fmt.Errorf("connect to the agent at %s: %s", a.socket, rootText(a.err))
			return
		}
		a.ag = agent.NewClient(a.conn)
		a.conn.SetDeadline(time.Now().Add(agentTimeout))
		list, err := a.ag.List()
		if err != nil {
			a.err = fmt.Errorf("list the keys of the agent at %s: %s", a.socket, OneLine(err.Error()))
			return
		}
		signers, err := a.ag.Signers()
		// A person may have to confirm signatures: they have the time that it takes.
		a.conn.SetDeadline(time.Time{})
		if err != nil {
			a.err = fmt.Errorf("list the keys of the agent at %s: %s", a.socket, OneLine(err.Error()))
			return
		}
		for _, s := range signers {
			k := agentKey{signer: s}
			for _, l := range list {
				if string(l.Blob) == string(s.PublicKey().Marshal()) {
					k.comment = l.Comment
				}
			}
			a.keys = append(a.keys, k)
		}
	})
	return a.keys, a.err
}

func (a *agentConn) close() {
	a.once.Do(func() { a.err = net.ErrClosed })
	if a.conn != nil {
		a.conn.Close()
	}
}

// agent returns the connection to an agent.
func (d *Dialer) agent(socket string) *agentConn {
	d.mu.Lock()
	defer d.mu.Unlock()
	a := d.agents[socket]
	if a == nil || time.Since(a.born) > freshFor {
		if old := a; old != nil {
			// Logins that began with it may still want a signature.
			time.AfterFunc(agentLinger, old.close)
		}
		a = &agentConn{socket: socket, born: time.Now()}
		d.agents[socket] = a
	}
	return a
}

// agentLinger is how long a connection to the agent lives on when there is a newer one.
const agentLinger = 5 * time.Minute
