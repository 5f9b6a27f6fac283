// Package agent is what a gosalt-minion that was copied to a machine by SSH does with its
// own file there: it proves to be whole, removes others that nobody uses any more, and
// itself where it is not to stay. How it comes there is package ssh/deploy's.
package agent

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// What gosalt-minion is started with on such a machine.
const (
	// ArgStream and a mark: serve one job over standard input and output.
	ArgStream = "--ssh-stream"
	// ArgCheck and a SHA-256: print it if this file has it. A file that was cut off, or is
	// for another processor, cannot even do that.
	ArgCheck = "--ssh-check"
	// ArgWipe after the mark: remove the program and all that it kept, when the job is done.
	ArgWipe = "--wipe"
)

// Unused is how long an agent is kept that nobody has started.
const Unused = 30 * 24 * time.Hour

// Check tells whether the file of the running program has this SHA-256.
func Check(want string) error {
	name, err := os.Executable()
	if err != nil {
		return err
	}
	got, err := Sum(name)
	if err != nil {
		return err
	}
	if got != want {
		return fmt.Errorf("%s has the SHA-256 %s, and %s was sent", name, got, want)
	}
	return nil
}

// Sum is the SHA-256 of a file in hexadecimal.
func Sum(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// isAgent tells whether a file's name is an agent's: its SHA-256.
func isAgent(name string) bool {
	return len(name) == 64 && strings.Trim(name, "0123456789abcdef") == ""
}

// Tidy notes by the file's time that the running agent is in use, and removes those
// beside it that have not been for long, and what was left of copies that broke off.
func Tidy(exe string, now time.Time) {
	if !isAgent(filepath.Base(exe)) {
		return
	}
	if st, err := os.Stat(exe); err == nil && now.Sub(st.ModTime()) < 24*time.Hour {
		return // once a day
	}
	_ = os.Chtimes(exe, now, now)
	entries, err := os.ReadDir(filepath.Dir(exe))
	if err != nil {
		return
	}
	for _, e := range entries {
		name := filepath.Join(filepath.Dir(exe), e.Name())
		info, err := e.Info()
		if err != nil || name == exe || !info.Mode().IsRegular() {
			continue
		}
		age := now.Sub(info.ModTime())
		if isAgent(e.Name()) && age > Unused || strings.HasPrefix(e.Name(), ".copy-") && age > time.Hour {
			_ = os.Remove(name)
		}
	}
}

// Wipe removes the running agent and what it kept, and other versions of it beside it.
// One of those that runs goes on: it has its file open.
func Wipe(exe, data string) {
	_ = os.RemoveAll(data)
	if !isAgent(filepath.Base(exe)) {
		return
	}
	dir := filepath.Dir(exe)
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if isAgent(e.Name()) && e.Type().IsRegular() {
			_ = os.Remove(filepath.Join(dir, e.Name()))
		}
	}
	if os.Remove(dir) == nil && filepath.Base(filepath.Dir(dir)) == "gosalt" { // where nothing else is in them
		_ = os.Remove(filepath.Dir(dir))
	}
}
