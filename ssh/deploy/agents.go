package deploy

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/gosalt/gosalt/internal/agent"
)

// Agents are the gosalt-minion programs that can be copied to machines, one for each
// system and processor. Its methods may be called concurrently.
type Agents struct {
	dirs []string

	mu    sync.Mutex
	known map[string]*Agent // by "linux/amd64"
}

// Agent is one such program.
type Agent struct {
	OS, Arch string
	Path     string
	SHA256   string
	Size     int64

	packOnce sync.Once
	packed   []byte
	packErr  error
}

// Systems are the systems that gosalt-minion is built for, as Go names them.
var Systems = []string{"linux/amd64", "linux/arm64", "linux/386", "linux/arm"}

// NewAgents looks for agents in these directories, as gosalt-minion-linux-arm64 and the
// like, and beside the running program, where gosalt-minion is that of its own system.
func NewAgents(dirs ...string) *Agents {
	if exe, err := os.Executable(); err == nil {
		if real, err := filepath.EvalSymlinks(exe); err == nil {
			exe = real
		}
		d := filepath.Dir(exe)
		dirs = append(slices.Clone(dirs), d, filepath.Join(d, "agents"), filepath.Join(d, "..", "lib", "gosalt"))
	}
	return &Agents{dirs: dirs, known: map[string]*Agent{}}
}

// For finds the agent for a system.
func (a *Agents) For(goos, arch string) (*Agent, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	key := goos + "/" + arch
	if ag, ok := a.known[key]; ok {
		return ag, nil
	}
	names := []string{"gosalt-minion-" + goos + "-" + arch}
	if goos == runtime.GOOS && arch == runtime.GOARCH {
		names = append(names, "gosalt-minion")
	}
	for _, dir := range a.dirs {
		for _, name := range names {
			path := filepath.Join(dir, name)
			st, err := os.Stat(path)
			if err != nil || !st.Mode().IsRegular() {
				continue
			}
			sum, err := agent.Sum(path)
			if err != nil {
				return nil, fmt.Errorf("agent for %s: %w", key, err)
			}
			ag := &Agent{OS: goos, Arch: arch, Path: path, SHA256: sum, Size: st.Size()}
			a.known[key] = ag
			return ag, nil
		}
	}
	return nil, fmt.Errorf("there is no gosalt-minion for %s: build it with make agents, or put %s into one of %s", key, names[0], strings.Join(a.dirs, ", "))
}

// sums are the SHA-256 of all agents that there are.
func (a *Agents) sums() []string {
	var out []string
	for _, s := range Systems {
		goos, arch, _ := strings.Cut(s, "/")
		if ag, err := a.For(goos, arch); err == nil {
			out = append(out, ag.SHA256)
		}
	}
	return out
}

// content is the program, or the program compressed, and how many bytes that are.
func (ag *Agent) content(gz bool) (io.ReadCloser, int64, error) {
	if !gz {
		f, err := os.Open(ag.Path)
		return f, ag.Size, err
	}
	ag.packOnce.Do(func() { ag.packed, ag.packErr = pack(ag.Path) })
	if ag.packErr != nil {
		return nil, 0, ag.packErr
	}
	return io.NopCloser(bytes.NewReader(ag.packed)), int64(len(ag.packed)), nil
}

func pack(path string) ([]byte, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	w, err := gzip.NewWriterLevel(&out, gzip.BestSpeed)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(b); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// goNames are what uname says of the systems that we have agents for.
func goNames(system, machine string) (goos, arch string, err error) {
	goos = strings.ToLower(system)
	switch machine {
	case "x86_64", "amd64":
		arch = "amd64"
	case "aarch64", "arm64":
		arch = "arm64"
	case "i386", "i486", "i586", "i686", "x86":
		arch = "386"
	case "armv5tel", "armv6l", "armv7l", "armv8l", "arm":
		arch = "arm"
	}
	if goos != "linux" || arch == "" {
		return "", "", fmt.Errorf("the machine runs %s on %s, for which there is no gosalt-minion: it can be reached with raw commands only (-r)", system, machine)
	}
	return goos, arch, nil
}
