// Package grains finds out what there is to know of a machine: Salt's core grains,
// by Salt's names, with Salt's values.
//
// Nothing is run: all is read from files, from the kernel and from the environment,
// in a few milliseconds. The one thing that can take longer are the questions to
// name servers, which are asked at once and given up after a second.
//
// Start with Collect. distro.go knows the distributions, linux.go and virtual.go
// the hardware, network.go and names.go the network.
package grains

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gosalt/gosalt/internal/host"
	"github.com/gosalt/gosalt/internal/version"
	"github.com/gosalt/gosalt/internal/yamlarg"
	"github.com/gosalt/gosalt/protocol/wire"
)

// Options is what Collect works with.
type Options struct {
	// Opts is the minion's configuration by Salt's option names. Read of it are id,
	// master, append_domain, grains, grains_blacklist, grains_deep_merge, grain_opts,
	// enable_fqdns_grains, enable_gpu_grains, enable_lspci, iscsi_grains, nvme_grains
	// and fibre_channel_grains.
	Opts *wire.Map
	// ConfDir is the directory whose file "grains" holds static grains; "" is none.
	ConfDir string
	// Host is the machine; nil is this one.
	Host *host.Host
	// Machine is what the system answers; nil asks the one that this runs on.
	Machine *Machine
	// DNSTimeout bounds all questions to name servers together; 0 is a second.
	DNSTimeout time.Duration
	// Log gets what could not be read; nil drops it.
	Log *slog.Logger
}

// Collect reads all grains: the core ones, over them those of the static file, over
// these those of the configuration. What cannot be read is left out, as in Salt.
func Collect(ctx context.Context, o Options) *wire.Map {
	if o.Opts == nil {
		o.Opts = wire.NewMap()
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Machine == nil {
		o.Machine = ThisMachine(o.Log)
	}
	if o.DNSTimeout == 0 {
		o.DNSTimeout = time.Second
	}
	c := &collector{Options: o, m: o.Machine, g: wire.NewMap()}
	ctx, cancel := context.WithTimeout(ctx, o.DNSTimeout)
	defer cancel()
	names := c.startNames(ctx)

	c.process()
	c.network()
	c.kernel()
	if c.m.Kernel == "Linux" {
		c.linux()
	}
	c.identity()
	names(c.g)
	c.merge(c.static())
	// Measured: those of the configuration replace, grains_deep_merge or not.
	for k, v := range o.Opts.Map("grains").All() {
		c.g.SetAny(k, v)
	}
	return c.g
}

// collector gathers grains of one machine in the order in which they are read.
type collector struct {
	Options
	m *Machine
	g *wire.Map
	// cpuinfo is kept: several grains are in it, and a kernel may take ten
	// milliseconds to write it.
	cpuinfo *string
}

// set notes a core grain unless grains_blacklist says otherwise.
func (c *collector) set(name string, v any) {
	for _, p := range c.Opts.List("grains_blacklist") {
		if p, ok := p.(string); ok && matches(p, name) {
			return
		}
	}
	c.g.Set(name, v)
}

// matches is a name or a shell pattern, as Salt's expr_match for names.
func matches(pattern, name string) bool {
	ok, err := filepath.Match(pattern, name)
	return pattern == name || err == nil && ok
}

// setText notes a grain that is a text, unless there is none.
func (c *collector) setText(name, v string) {
	if v != "" {
		c.set(name, v)
	}
}

// merge puts grains over those that are there.
func (c *collector) merge(over *wire.Map) {
	deep := c.Opts.Bool("grains_deep_merge")
	for k, v := range over.All() {
		if name, ok := k.(string); ok && deep {
			v = deepMerge(c.g.Map(name), v)
		}
		c.g.SetAny(k, v)
	}
}

// deepMerge joins two maps, key by key; anything else is replaced.
func deepMerge(base *wire.Map, over any) any {
	m, ok := over.(*wire.Map)
	if !ok || base == nil {
		return over
	}
	out := base.Clone()
	for k, v := range m.All() {
		if name, ok := k.(string); ok {
			v = deepMerge(out.Map(name), v)
		}
		out.SetAny(k, v)
	}
	return out
}

// static reads the file of static grains. A file that cannot be read leaves the
// machine without them, as in Salt, and says so.
func (c *collector) static() *wire.Map {
	if c.ConfDir == "" {
		return nil
	}
	file := filepath.Join(c.ConfDir, "grains")
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		c.Log.Warn("static grains not read", "error", err)
		return nil
	}
	v, err := yamlarg.Load(string(text))
	m, ok := v.(*wire.Map)
	if err != nil || !ok && v != nil {
		c.Log.Warn("static grains not read: a YAML map of names and values expected", "file", file, "error", err)
	}
	return m
}

// identity is what the minion itself is called and which program it is.
func (c *collector) identity() {
	id := c.Opts.Text("id")
	c.set("id", id)
	sum := sha256.Sum256([]byte(id))
	// The hash as a number, modulo 2^31: its last 31 bits.
	c.set("server_id", int64(binary.BigEndian.Uint32(sum[28:])&(1<<31-1)))
	if v, ok := c.Opts.Get("master"); ok {
		c.set("master", v)
	}
	if v, ok := c.Opts.Get("append_domain"); ok {
		c.set("append_domain", v)
	}
	c.set("saltversion", version.Salt)
	info := []any{}
	for _, n := range version.SaltInfo() {
		info = append(info, int64(n))
	}
	c.set("saltversioninfo", info)
	c.set("gosaltversion", version.Gosalt())
	if c.Opts.Bool("grain_opts") {
		c.set("opts", c.Opts)
	}
}

// read is the text of a file of the machine, "" where there is none or it is not
// for us to read.
func (c *collector) read(path string) string {
	b, err := os.ReadFile(c.Host.Path(path))
	if err != nil {
		return ""
	}
	return string(b)
}

// cpuInfo is /proc/cpuinfo, read once.
func (c *collector) cpuInfo() string {
	if c.cpuinfo == nil {
		text := c.read("/proc/cpuinfo")
		c.cpuinfo = &text
	}
	return *c.cpuinfo
}

// line is the first line of a file, without space around it.
func (c *collector) line(path string) string {
	s, _, _ := strings.Cut(c.read(path), "\n")
	return strings.TrimSpace(s)
}

func (c *collector) exists(path string) bool {
	_, err := os.Stat(c.Host.Path(path))
	return err == nil
}

func (c *collector) isDir(path string) bool {
	st, err := os.Stat(c.Host.Path(path))
	return err == nil && st.IsDir()
}

// glob returns paths of the machine, sorted.
func (c *collector) glob(pattern string) []string {
	list, err := filepath.Glob(c.Host.Path(pattern))
	if err != nil {
		return nil
	}
	root := ""
	if c.Host != nil {
		root = c.Host.Root
	}
	for i, p := range list {
		list[i] = strings.TrimPrefix(p, root)
	}
	return list
}

// which finds a program of the machine, "" where there is none.
func (c *collector) which(name string) string {
	dirs := strings.Split(c.m.Env["PATH"], string(os.PathListSeparator))
	for _, d := range []string{"/sbin", "/bin", "/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin"} {
		if !slices.Contains(dirs, d) {
			dirs = append(dirs, d)
		}
	}
	for _, d := range dirs {
		p := filepath.Join(d, name)
		if st, err := os.Stat(c.Host.Path(p)); err == nil && st.Mode().IsRegular() && st.Mode()&0o111 != 0 {
			return p
		}
	}
	return ""
}

func texts(l []string) []any {
	out := make([]any, len(l))
	for i, s := range l {
		out[i] = s
	}
	return out
}
