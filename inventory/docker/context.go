package docker

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/gosalt/gosalt/inventory"
)

// configDir is where the docker command keeps its configuration.
func configDir() string {
	if d := os.Getenv("DOCKER_CONFIG"); d != "" {
		return d
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return ""
	}
	return filepath.Join(home, ".docker")
}

// currentContext is the one that "docker context use" chose; "" is none.
func currentContext() string {
	b, err := readSmall(filepath.Join(configDir(), "config.json"))
	if err != nil {
		return ""
	}
	var c struct {
		CurrentContext string `json:"currentContext"`
	}
	if json.Unmarshal(b, &c) != nil {
		return ""
	}
	return c.CurrentContext
}

// contextEndpoint reads a context: contexts/meta/SUM/meta.json, with SUM of its name, and
// certificates in contexts/tls/SUM/docker.
func contextEndpoint(v *inventory.Values, env inventory.Env, name string) (endpoint, error) {
	sum := sha256.Sum256([]byte(name))
	dir := filepath.Join(configDir(), "contexts")
	path := filepath.Join(dir, "meta", hex.EncodeToString(sum[:]), "meta.json")
	b, err := readSmall(path)
	if errors.Is(err, fs.ErrNotExist) {
		return endpoint{}, fmt.Errorf("there is no context %q below %s: docker context ls lists them", name, dir)
	}
	if err != nil {
		return endpoint{}, fmt.Errorf("context %q: %w", name, err)
	}
	var meta struct {
		Endpoints map[string]struct {
			Host          string
			SkipTLSVerify bool
		}
	}
	if err := json.Unmarshal(b, &meta); err != nil {
		return endpoint{}, fmt.Errorf("context %q: %s: %w", name, path, err)
	}
	d, ok := meta.Endpoints["docker"]
	if !ok || d.Host == "" {
		return endpoint{}, fmt.Errorf("context %q: %s names no host of docker", name, path)
	}
	e := endpoint{addr: d.Host}
	certs := filepath.Join(dir, "tls", hex.EncodeToString(sum[:]), "docker")
	if _, err := os.Stat(certs); err == nil {
		if e.tls, err = tlsOf(d.Host, certs); err != nil {
			return endpoint{}, fmt.Errorf("context %q: %w", name, err)
		}
		e.tls.InsecureSkipVerify = d.SkipTLSVerify
		return e, nil
	}
	ends, err := withTLS(v, env, []string{d.Host})
	if err != nil {
		return endpoint{}, fmt.Errorf("context %q: %w", name, err)
	}
	if ends[0].tls != nil && d.SkipTLSVerify {
		ends[0].tls.InsecureSkipVerify = true
	}
	return ends[0], nil
}
