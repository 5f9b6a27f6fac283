//go:build unix

package modules

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gosalt/gosalt/internal/host"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pyre"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

func init() {
	register("file.append", fileAppend)
	register("file.prepend", filePrepend)
	register("file.write", fileWrite)
	register("file.read", fileRead)
	register("file.touch", fileTouch)
	register("file.seek_read", fileSeekRead)
	register("file.seek_write", fileSeekWrite)
	register("file.truncate", fileTruncate)
	register("file.contains", fileContains)
	register("file.contains_regex", fileContainsRegex)
	register("file.contains_glob", fileContainsGlob)
	register("file.grep", fileGrep)
}

// maxText is the size of the largest file that is changed or searched as a whole.
const maxText = 256 << 20

// wholeText reads a file that is to be changed as a whole.
func wholeText(c *module.Call, path string) (string, error) {
	st, err := os.Stat(c.Host.Path(path))
	if err == nil && st.Size() > maxText {
		return "", module.Failf("%s has %d bytes: at most %d can be changed as a text", path, st.Size(), int64(maxText))
	}
	b, err := c.Host.ReadFile(path)
	if err != nil {
		return "", systemError(err, path)
	}
	return string(b), nil
}

type fileLinesArgs struct {
	Path   string    // A path.
	Args   []any     `arg:"*"`  // The lines.
	Kwargs *wire.Map `arg:"**"` // args: the lines as a list, or a single one; texts with = in them are taken for keywords otherwise.
}

// texts are the lines with a line break each.
func (a fileLinesArgs) texts() (text string, n int) {
	lines := a.Args
	if v, ok := a.Kwargs.Get("args"); ok {
		if lines, ok = v.([]any); !ok {
			lines = []any{v}
		}
	}
	var b strings.Builder
	for _, l := range lines {
		b.WriteString(pytext.Str(l) + "\n")
	}
	return b.String(), len(lines)
}

// fileAppend adds lines to the end of a file, after a line break where there is none.
//
//	gosalt '*' file.append /etc/motd "With all thine offerings thou shalt offer salt."
//	gosalt '*' file.append /etc/motd args='cheese=spam'
//	gosalt '*' file.append /etc/motd args="['cheese=spam','spam=cheese']"
func fileAppend(ctx context.Context, c *module.Call, a fileLinesArgs) (string, error) {
	path := expandUser(c, a.Path)
	text, n := a.texts()
	f, err := c.Host.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return "", systemError(err, path)
	}
	defer f.Close()
	end, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return "", systemError(err, path)
	}
	if end > 0 {
		last := make([]byte, 1)
		if _, err := f.ReadAt(last, end-1); err != nil {
			return "", systemError(err, path)
		}
		if last[0] != '\n' {
			text = "\n" + text
		}
	}
	if _, err := f.WriteString(text); err != nil {
		return "", systemError(err, path)
	}
	if err := f.Close(); err != nil {
		return "", systemError(err, path)
	}
	return fmt.Sprintf(`Wrote %d lines to "%s"`, n, path), nil
}

// filePrepend puts lines before those of a file, which need not be there yet.
//
//	gosalt '*' file.prepend /etc/motd "Offerings are for salt."
//	gosalt '*' file.prepend /etc/motd args='cheese=spam'
func filePrepend(ctx context.Context, c *module.Call, a fileLinesArgs) (string, error) {
	path := expandUser(c, a.Path)
	text, n := a.texts()
	old, err := wholeText(c, path)
	if err != nil {
		old = ""
	}
	if err := c.Host.Rewrite(path, []byte(text+old)); err != nil {
		return "", systemError(err, path)
	}
	return fmt.Sprintf(`Prepended %d lines to "%s"`, n, path), nil
}

// fileWrite makes a file hold the given lines and nothing else.
//
//	gosalt '*' file.write /etc/motd "With all thine offerings thou shalt offer salt."
//	gosalt '*' file.write /etc/motd args="['cheese=spam','spam=cheese']"
func fileWrite(ctx context.Context, c *module.Call, a fileLinesArgs) (string, error) {
	path := expandUser(c, a.Path)
	text, n := a.texts()
	if err := c.Host.Rewrite(path, []byte(text)); err != nil {
		return "", systemError(err, path)
	}
	return fmt.Sprintf(`Wrote %d lines to "%s"`, n, path), nil
}

type fileReadArgs struct {
	Path   string // A path.
	Binary bool   `default:"False"` // Return bytes, not text.
}

// fileRead returns the contents of a file.
//
//	gosalt '*' file.read /path/to/file
func fileRead(ctx context.Context, c *module.Call, a fileReadArgs) (any, error) {
	text, err := wholeText(c, a.Path)
	if err != nil {
		return nil, err
	}
	if a.Binary {
		return []byte(text), nil
	}
	if !utf8.ValidString(text) {
		return nil, module.Failf("%s is no UTF-8 text: read it with binary=True", a.Path)
	}
	return text, nil
}

type fileTouchArgs struct {
	Name  string // A path.
	Atime any    `default:"None"` // Time of the last access, in seconds since 1970; now where mtime alone is given.
	Mtime any    `default:"None"` // Time of the last change, likewise.
}

// fileTouch makes a file if there is none, and sets its times.
//
//	gosalt '*' file.touch /var/log/emptyfile
func fileTouch(ctx context.Context, c *module.Call, a fileTouchArgs) (bool, error) {
	return touch(c, expandUser(c, a.Name), a.Atime, a.Mtime)
}

func touch(c *module.Call, name string, atime, mtime any) (bool, error) {
	if !c.Host.Exists(name) {
		f, err := c.Host.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o666)
		if err != nil {
			return false, module.Failf("%s", host.Strerror(err))
		}
		_ = f.Close()
	}
	now := time.Now()
	at, mt := now, now
	for _, t := range []struct {
		v    any
		into *time.Time
	}{{atime, &at}, {mtime, &mt}} {
		switch v := t.v.(type) {
		case nil:
		case int64:
			*t.into = time.Unix(v, 0)
		case float64:
			*t.into = time.Unix(int64(v), int64((v-float64(int64(v)))*1e9))
		case string:
			n, err := strconv.ParseUint(v, 10, 62)
			if err != nil {
				return false, module.Invalidf("atime and mtime must be integers")
			}
			*t.into = time.Unix(int64(n), 0)
		default:
			return false, module.Invalidf("atime and mtime must be integers")
		}
	}
	if err := c.Host.SetTimes(name, at, mt); err != nil {
		return false, module.Failf("%s", host.Strerror(err))
	}
	return c.Host.Exists(name), nil
}

type fileSeekReadArgs struct {
	Path   string // A path.
	Size   int64  // Bytes to read at most.
	Offset int64  // Where to begin.
}

// fileSeekRead returns some bytes from within a file.
//
//	gosalt '*' file.seek_read /path/to/file 4096 0
func fileSeekRead(ctx context.Context, c *module.Call, a fileSeekReadArgs) (any, error) {
	path := expandUser(c, a.Path)
	f, err := os.Open(c.Host.Path(path))
	if err != nil {
		return nil, systemError(err, path)
	}
	defer f.Close()
	if a.Size < 0 || a.Offset < 0 {
		return nil, errors.New("[Errno 22] Invalid argument")
	}
	b := make([]byte, min(a.Size, maxText))
	n, err := f.ReadAt(b, a.Offset)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, systemError(err, path)
	}
	return b[:n], nil
}

type fileSeekWriteArgs struct {
	Path   string // A path.
	Data   any    // What to write, text or bytes.
	Offset int64  // Where to begin.
}

// fileSeekWrite writes into a file from some place on and returns how many bytes.
//
//	gosalt '*' file.seek_write /path/to/file 'some data' 4096
func fileSeekWrite(ctx context.Context, c *module.Call, a fileSeekWriteArgs) (int64, error) {
	path := expandUser(c, a.Path)
	data, ok := a.Data.([]byte)
	if !ok {
		data = []byte(pytext.Str(a.Data))
	}
	f, err := c.Host.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return 0, systemError(err, path)
	}
	defer f.Close()
	if a.Offset < 0 {
		return 0, errors.New("[Errno 22] Invalid argument")
	}
	n, err := f.WriteAt(data, a.Offset)
	if err == nil {
		err = f.Sync()
	}
	if err != nil {
		return 0, systemError(err, path)
	}
	return int64(n), nil
}

type fileTruncateArgs struct {
	Path   string // A path.
	Length int64  // Bytes that are kept.
}

// fileTruncate cuts a file off behind some bytes.
//
//	gosalt '*' file.truncate /path/to/file 512
func fileTruncate(ctx context.Context, c *module.Call, a fileTruncateArgs) (any, error) {
	path := expandUser(c, a.Path)
	f, err := c.Host.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, systemError(err, path)
	}
	defer f.Close()
	if err := f.Truncate(a.Length); err != nil {
		return nil, systemError(err, "")
	}
	return nil, nil
}

type fileContainsArgs struct {
	Path string // A path.
	Text any    // What is looked for; blanks around it do not count.
}

// fileContains tells whether a text is in a file.
//
//	gosalt '*' file.contains /etc/crontab 'mymaintenance.sh'
func fileContains(ctx context.Context, c *module.Call, a fileContainsArgs) (bool, error) {
	f, err := os.Open(c.Host.Path(expandUser(c, a.Path)))
	if err != nil {
		return false, nil // no file, no text
	}
	defer f.Close()
	want := pyStrip(pytext.Str(a.Text))
	if want == "" {
		st, err := f.Stat()
		return err == nil && st.Size() > 0, nil
	}
	// The end of each block is kept, in case that the text goes over it.
	buf := make([]byte, 64<<10+len(want))
	kept := 0
	for {
		n, err := f.Read(buf[kept:])
		if strings.Contains(string(buf[:kept+n]), want) {
			return true, nil
		}
		if err != nil || ctx.Err() != nil {
			return false, context.Cause(ctx)
		}
		keep := min(kept+n, len(want)-1)
		copy(buf, buf[kept+n-keep:kept+n])
		kept = keep
	}
}

// pyStrip is Python's str.strip.
func pyStrip(s string) string { return strings.TrimSpace(s) }

type fileContainsRegexArgs struct {
	Path  string // A path.
	Regex string // A regular expression, held against each line.
	Lchar string `default:""` // Characters to take off the beginning of each line first.
}

// fileContainsRegex tells whether a regular expression matches within a line of a file.
//
//	gosalt '*' file.contains_regex /etc/crontab '^maint'
func fileContainsRegex(ctx context.Context, c *module.Call, a fileContainsRegexArgs) (bool, error) {
	f, err := os.Open(c.Host.Path(expandUser(c, a.Path)))
	if err != nil {
		return false, nil // no file, no match
	}
	defer f.Close()
	re, err := pyre.Compile(a.Regex, "")
	if err != nil {
		return false, err
	}
	r := bufio.NewReader(f)
	for {
		line, rerr := r.ReadString('\n')
		if line == "" || rerr != nil && !errors.Is(rerr, io.EOF) {
			return false, nil // what cannot be read does not match
		}
		if m, err := re.Search(strings.TrimLeft(line, a.Lchar)); m != nil || err != nil {
			return m != nil, err
		}
	}
}

type fileContainsGlobArgs struct {
	Path     string // A path.
	GlobExpr string // A shell pattern for the whole contents.
}

// fileContainsGlob tells whether a shell pattern matches the contents of a file.
//
//	gosalt '*' file.contains_glob /etc/foobar '*cheese*'
func fileContainsGlob(ctx context.Context, c *module.Call, a fileContainsGlobArgs) (bool, error) {
	path := expandUser(c, a.Path)
	if !c.Host.Exists(path) || c.Host.IsDir(path) {
		return false, nil
	}
	text, err := wholeText(c, path)
	return err == nil && text != "" && globMatch(a.GlobExpr, text), nil
}

type fileGrepArgs struct {
	Path    string // A path; a shell pattern means all that match.
	Pattern string // What grep looks for.
	Opts    []any  `arg:"*"` // Options of grep, each by itself.
}

// fileGrep runs the program grep on files and returns what cmd.run_all does.
//
//	gosalt '*' file.grep /etc/passwd nobody
//	gosalt '*' file.grep /etc/sysconfig/network-scripts/ifcfg-eth0 ipaddr -- -i
func fileGrep(ctx context.Context, c *module.Call, a fileGrepArgs) (any, error) {
	cmd := []any{"grep"}
	for _, o := range a.Opts {
		words, err := host.Words(pytext.Str(o))
		if err != nil {
			return nil, err
		}
		if len(words) > 1 {
			return nil, module.Invalidf("Passing multiple command line arguments in a single string is not supported, please pass the following arguments separately: %s", pytext.Str(o))
		}
		for _, w := range words {
			cmd = append(cmd, w)
		}
	}
	cmd = append(cmd, a.Pattern)
	path := expandUser(c, a.Path)
	paths := globPaths(c, path)
	if len(paths) == 0 {
		paths = []string{path}
	}
	for _, p := range paths {
		cmd = append(cmd, p)
	}
	return c.Call(ctx, "cmd.run_all", []any{cmd}, wire.NewMap("python_shell", false))
}
