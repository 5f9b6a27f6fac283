package modules

import (
	"bytes"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/gosalt/gosalt/internal/host"
)

// partialAfter is how long a line without an end waits for the rest of it before it
// is shown as it is: whoever watches is to see the question that a command asks.
const partialAfter = time.Second

// maxLiveLine is the length from which a line is passed on without its end.
const maxLiveLine = 16 << 10

// liveOutput makes lines of what a command prints, for those who watch the job.
type liveOutput struct {
	encoding string
	emit     func(stream, text string) // whole lines, with line breaks between them

	mu     sync.Mutex
	begun  map[string][]byte // by stream: the line that is not complete yet
	timer  *time.Timer
	closed bool
}

func newLiveOutput(encoding string, emit func(stream, text string)) *liveOutput {
	return &liveOutput{encoding: encoding, emit: emit, begun: map[string][]byte{}}
}

// write takes what was read from a stream. It does not wait for anything.
func (l *liveOutput) write(stream string, chunk []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || strings.Contains(l.encoding, "16") || strings.Contains(l.encoding, "32") {
		return // lines of UTF-16 cannot be told by their bytes
	}
	b := append(l.begun[stream], chunk...)
	if i := bytes.LastIndexByte(b, '\n'); i >= 0 {
		l.pass(stream, b[:i])
		b = b[i+1:]
	}
	for len(b) > maxLiveLine {
		n := maxLiveLine
		for n > maxLiveLine-utf8.UTFMax && !utf8.RuneStart(b[n]) {
			n--
		}
		l.pass(stream, b[:n])
		b = b[n:]
	}
	l.begun[stream] = bytes.Clone(b)
	if len(b) == 0 {
		return
	}
	if l.timer == nil {
		l.timer = time.AfterFunc(partialAfter, l.partial)
	} else {
		l.timer.Reset(partialAfter)
	}
}

// pass emits lines. What a carriage return has overwritten is not part of a line.
func (l *liveOutput) pass(stream string, b []byte) {
	text, _, err := host.Text(b, l.encoding)
	if err != nil {
		return // the result says so
	}
	if strings.ContainsRune(text, '\r') {
		lines := strings.Split(text, "\n")
		for i, line := range lines {
			line = strings.TrimRight(line, "\r")
			lines[i] = line[strings.LastIndexByte(line, '\r')+1:]
		}
		text = strings.Join(lines, "\n")
	}
	l.emit(stream, text)
}

// partial passes on the lines that have waited for their end for long enough.
func (l *liveOutput) partial() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed {
		l.flush(false)
	}
}

// flush needs the lock. Unless it is the end, the first bytes of a character stay.
func (l *liveOutput) flush(end bool) {
	for _, stream := range []string{"stdout", "stderr"} {
		b := l.begun[stream]
		var rest []byte
		if !end {
			for i := 1; i < utf8.UTFMax && i <= len(b); i++ {
				if c := b[len(b)-i:]; utf8.RuneStart(c[0]) {
					if !utf8.FullRune(c) {
						b, rest = b[:len(b)-i], c
					}
					break
				}
			}
		}
		if len(b) > 0 {
			l.pass(stream, b)
			l.begun[stream] = bytes.Clone(rest)
		}
	}
}

// close passes on what is left; later writes are of no effect.
func (l *liveOutput) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	if l.timer != nil {
		l.timer.Stop()
	}
	l.flush(true)
	l.closed = true
}
