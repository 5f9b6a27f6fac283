package vm

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gosalt/gosalt/internal/durable"
	"github.com/gosalt/gosalt/internal/lazyre"
)

// The phases of a machine.
const (
	creating = "creating" // it may be there or not
	waiting  = "waiting"  // it is there, and nobody was told yet
	made     = "made"
	ending   = "ending"
)

// A Record is what is known of a machine from before it is made until it is gone for
// certain. It is a file, so that a machine is found again after a crash.
type Record struct {
	Ref       string    `json:"ref"` // random; the machine has it in a tag
	Name      string    `json:"name"`
	Profile   string    `json:"profile"`
	Source    string    `json:"source"`
	ID        string    `json:"id,omitempty"` // "" as long as the provider has not told it
	By        string    `json:"by"`
	Begun     time.Time `json:"begun"`
	Phase     string    `json:"phase"`
	NotMade   bool      `json:"not_made,omitempty"`  // its source has refused to make it
	Throwaway bool      `json:"throwaway,omitempty"` // it goes with who made it
	Minion    string    `json:"minion,omitempty"`    // whose key goes with it
	Token     string    `json:"token,omitempty"`     // of the join token in its user-data
	Things    []string  `json:"things,omitempty"`    // what was begun for it, each before it was made
	Last      time.Time `json:"last,omitzero"`       // when the last of them was
}

// what names the machine in messages.
func (r *Record) what() string {
	s := fmt.Sprintf("%s (profile %s, source %s", r.Name, r.Profile, r.Source)
	if r.ID != "" {
		s += ", " + r.ID
	}
	return s + ")"
}

// fresh tells whether what was begun last may still be on its way. What is made before the
// machine itself, as a large disk, may take longer than that.
func (r *Record) fresh(settle time.Duration) bool {
	begun := r.Begun
	if r.Last.After(begun) {
		begun = r.Last
	}
	return r.ID == "" && !r.NotMade && time.Since(begun) < settle
}

// leftover tells whether the machine has to go when its owner is dead: nobody was told
// that it is there, or nobody needs it any more.
func (r *Record) leftover() bool { return r.Throwaway || r.Phase != made }

// records is the directory of records.
type records struct {
	dir  string
	held *sync.Map // references of the machines that calls of this process hold
}

var refForm = lazyre.New(`^[a-z0-9]{26}$`)

func (s records) put(r *Record) error {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return fmt.Errorf("records of machines: %w", err)
	}
	return durable.WriteFile(filepath.Join(s.dir, r.Ref+".json"), append(b, '\n'), 0o600)
}

// drop forgets a machine that is gone.
func (s records) drop(ref string) error {
	err := os.Remove(filepath.Join(s.dir, ref+".json"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	os.Remove(filepath.Join(s.dir, ref+".lock"))
	return durable.SyncDir(s.dir)
}

func (s records) get(ref string) (*Record, error) {
	name := filepath.Join(s.dir, ref+".json")
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	r := &Record{}
	if err := json.Unmarshal(b, r); err != nil {
		return nil, fmt.Errorf("%s is damaged: %w; with that file removed, vm.list shows the machine by its tag, and vm.destroy ends it", name, err)
	}
	r.Ref = ref
	return r, nil
}

// list returns all records, the oldest first. One that cannot be read does not hide the
// others.
func (s records) list() (list []*Record, err error) {
	entries, err := os.ReadDir(s.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("records of machines: %w", err)
	}
	var errs []error
	for _, e := range entries {
		ref, ok := strings.CutSuffix(e.Name(), ".json")
		if !ok || !refForm.MatchString(ref) {
			continue
		}
		r, err := s.get(ref)
		switch {
		case errors.Is(err, fs.ErrNotExist): // just gone
		case err != nil:
			errs = append(errs, err)
		default:
			list = append(list, r)
		}
	}
	slices.SortStableFunc(list, func(a, b *Record) int { return a.Begun.Compare(b.Begun) })
	return list, errors.Join(errs...)
}

// hold makes this process the owner of a machine. ok is false where another call has it,
// here or in another process. The kernel lets go when the owner dies, however it dies.
func (s records) hold(ref string) (release func(), ok bool, err error) {
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return nil, false, fmt.Errorf("records of machines: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(s.dir, ref+".lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, false, fmt.Errorf("records of machines: %w", err)
	}
	if ok, err = durable.TryLock(f); !ok {
		f.Close()
		return nil, false, err
	}
	s.held.Store(ref, true)
	return func() { s.held.Delete(ref); f.Close() }, true, nil
}
