package host

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// Talk runs a program that speaks with us over its standard input and output, in a process
// group of its own. talk is called in this goroutine with both ends; when it returns, or
// ctx ends, the whole group is killed. What the program writes to standard error is
// returned, up to MaxOutput bytes of it. An error is that of the start, the cause of ctx,
// or what talk returned. Merge, Stdin, Timeout and Output are without effect.
func (h *Host) Talk(ctx context.Context, c Command, talk func(to io.Writer, from io.Reader) error) (stderr []byte, err error) {
	if h.Rehearses() {
		return nil, errRehearsed
	}
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	cmd, err := c.build()
	if err != nil {
		return nil, err
	}
	c.Stdin, c.Merge = []byte{}, false
	pipes, err := c.connect(cmd)
	if err != nil {
		return nil, err
	}
	group, err := startGroup(cmd)
	pipes.closeChild()
	if err != nil {
		pipes.closeOurs()
		return nil, fmt.Errorf("start %s: %w", c.Args[0], err)
	}
	defer group.close()
	limit := c.MaxOutput
	if limit == 0 {
		limit = DefaultMaxOutput
	}
	var reading sync.WaitGroup
	reading.Go(func() {
		stderr, _ = io.ReadAll(io.LimitReader(pipes.stderr, limit))
		_, _ = io.Copy(io.Discard, pipes.stderr) // it must not wait for us to read
	})
	stop := context.AfterFunc(ctx, func() {
		group.kill()
		expire(pipes.stdin, pipes.stdout)
	})
	err = talk(pipes.stdin, pipes.stdout)
	stop()
	_ = pipes.stdin.Close()
	group.kill()
	t := time.AfterFunc(drainTime, func() { expire(pipes.stderr) }) // others may hold it open
	reading.Wait()
	t.Stop()
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(endTime):
	}
	pipes.closeOurs()
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	return stderr, err
}

// expire makes those that read or write the files give up.
func expire(files ...*os.File) {
	for _, f := range files {
		_ = f.SetDeadline(time.Unix(1, 0))
	}
}
