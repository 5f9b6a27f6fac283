//go:build !unix

package zmq

// initRaw has nothing to prepare: without non-blocking calls each connection that waits
// holds a buffer, and each write goes through the queue.
func (c *conn) initRaw() {}

func (c *conn) fill() (int, error) { return c.fillBlocking() }

func (c *conn) fillNow() (int, error) { return 0, nil }

func (c *conn) tryWrite([]byte) (int, error) { return 0, nil }
