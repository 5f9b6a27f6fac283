// Package logs sets up a daemon's logging: slog, by Salt's level names, to standard
// error and to a file.
package logs

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
	"unicode"
)

// Levels are Salt's names for log levels, from the most to the least talkative.
var Levels = []string{"all", "garbage", "trace", "profile", "debug", "info", "warning", "error", "critical", "quiet"}

// quiet is above every level in use.
const quiet = slog.Level(100)

// Level reads one of Salt's names.
func Level(name string) (slog.Level, error) {
	switch strings.ToLower(name) {
	case "all", "garbage", "trace", "profile":
		return slog.LevelDebug - 4, nil
	case "debug":
		return slog.LevelDebug, nil
	case "info":
		return slog.LevelInfo, nil
	case "warning", "warn", "":
		return slog.LevelWarn, nil
	case "error":
		return slog.LevelError, nil
	case "critical":
		return slog.LevelError + 4, nil
	case "quiet":
		return quiet, nil
	}
	return 0, fmt.Errorf("log level %q: one of %s expected", name, strings.Join(Levels, ", "))
}

// Options say where a logger writes.
type Options struct {
	Console      io.Writer // nil: nowhere
	ConsoleLevel string
	File         string // "" or "/dev/null": none
	FileLevel    string // "" is ConsoleLevel
	// Bare leaves out time and job, as Salt's commands do on a terminal: "[ERROR   ] text".
	Bare bool
}

// Open makes a logger. A log file that cannot be opened is an error to be shown, with
// which the logger still works for the console.
func Open(o Options) (*slog.Logger, io.Closer, error) {
	cl, err := Level(o.ConsoleLevel)
	if err != nil {
		return slog.New(slog.DiscardHandler), io.NopCloser(nil), err
	}
	fl := cl
	if o.FileLevel != "" {
		if fl, err = Level(o.FileLevel); err != nil {
			return slog.New(slog.DiscardHandler), io.NopCloser(nil), err
		}
	}
	h := &handler{mu: &sync.Mutex{}, bare: o.Bare}
	if o.Console != nil {
		stamp := "15:04:05 "
		if o.Bare {
			stamp = ""
		}
		h.outs = append(h.outs, out{o.Console, cl, stamp})
	}
	var closer io.Closer = io.NopCloser(nil)
	var ferr error
	if o.File != "" && o.File != os.DevNull && fl < quiet {
		if err := os.MkdirAll(filepath.Dir(o.File), 0o750); err != nil {
			ferr = fmt.Errorf("open log file: %w; logging goes to standard error only, see log_file", err)
		} else if f, err := os.OpenFile(o.File, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o640); err != nil {
			ferr = fmt.Errorf("open log file: %w; logging goes to standard error only, see log_file", err)
		} else {
			h.outs = append(h.outs, out{f, fl, "2006-01-02 15:04:05.000 "})
			closer = f
		}
	}
	return slog.New(h), closer, ferr
}

type out struct {
	w     io.Writer
	level slog.Level
	stamp string
}

// handler writes one line for each record: time, level, message, attributes. What
// peers sent is written with its control characters escaped.
type handler struct {
	mu    *sync.Mutex
	outs  []out
	attrs string
	group string
	bare  bool
}

func (h *handler) Enabled(_ context.Context, l slog.Level) bool {
	for _, o := range h.outs {
		if l >= o.level {
			return true
		}
	}
	return false
}

func (h *handler) Handle(_ context.Context, r slog.Record) error {
	var b strings.Builder
	fmt.Fprintf(&b, "[%-8s] %s", levelName(r.Level), clean(r.Message))
	b.WriteString(h.attrs)
	r.Attrs(func(a slog.Attr) bool {
		appendAttr(&b, h.group, a)
		return true
	})
	b.WriteByte('\n')
	when := r.Time
	if when.IsZero() {
		when = time.Now()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, o := range h.outs {
		if r.Level >= o.level {
			io.WriteString(o.w, when.Format(o.stamp)+b.String())
		}
	}
	return nil
}

func (h *handler) WithAttrs(as []slog.Attr) slog.Handler {
	var b strings.Builder
	b.WriteString(h.attrs)
	for _, a := range as {
		if h.bare && a.Key == "jid" {
			continue
		}
		appendAttr(&b, h.group, a)
	}
	n := *h
	n.attrs = b.String()
	return &n
}

func (h *handler) WithGroup(name string) slog.Handler {
	n := *h
	n.group += name + "."
	return &n
}

func appendAttr(b *strings.Builder, group string, a slog.Attr) {
	v := a.Value.Resolve()
	if v.Kind() == slog.KindGroup {
		for _, s := range v.Group() {
			appendAttr(b, group+a.Key+".", s)
		}
		return
	}
	text := v.String()
	if text == "" || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r == '"' || r == '=' || !unicode.IsPrint(r) }) {
		text = fmt.Sprintf("%q", text)
	}
	b.WriteByte(' ')
	b.WriteString(group + a.Key + "=" + text)
}

// clean escapes what would break a line.
func clean(s string) string {
	if strings.ContainsFunc(s, unicode.IsControl) {
		return strings.Trim(fmt.Sprintf("%q", s), `"`)
	}
	return s
}

func levelName(l slog.Level) string {
	switch {
	case l >= slog.LevelError+4:
		return "CRITICAL"
	case l >= slog.LevelError:
		return "ERROR"
	case l >= slog.LevelWarn:
		return "WARNING"
	case l >= slog.LevelInfo:
		return "INFO"
	}
	return "DEBUG"
}
