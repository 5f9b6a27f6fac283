package decrypt

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"filippo.io/age"
	"filippo.io/age/armor"
)

// ageKeys are the identities of the files, read again when a file has changed.
type ageKeys struct {
	mu    sync.Mutex
	files map[string]ageFile
}

type ageFile struct {
	changed time.Time
	size    int64
	keys    []age.Identity
}

// maxAgeFile is the size of the largest file of identities.
const maxAgeFile = 1 << 20

func (d *Decrypter) openAge(block string, most int) ([]byte, error) {
	if len(d.o.AgeFiles) == 0 {
		return nil, errors.New("no identity is configured: set age_identity_file")
	}
	keys, err := d.age.read(d.o.AgeFiles)
	if err != nil {
		return nil, err
	}
	r, err := age.Decrypt(armor.NewReader(strings.NewReader(block)), keys...)
	var none *age.NoIdentityMatchError
	if errors.As(err, &none) {
		return nil, fmt.Errorf("none of the identities in %s can open it", strings.Join(d.o.AgeFiles, ", "))
	}
	if err != nil {
		return nil, fmt.Errorf("the block is damaged: %w", err)
	}
	plain, err := io.ReadAll(io.LimitReader(r, int64(most)+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("the block is damaged: %w", err)
	case len(plain) > most:
		return nil, fmt.Errorf("it has more than %d bytes when open", most)
	}
	return plain, nil
}

func (a *ageKeys) read(files []string) ([]age.Identity, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	var all []age.Identity
	for _, name := range files {
		keys, err := a.file(name)
		if err != nil {
			return nil, fmt.Errorf("age_identity_file: %w", err)
		}
		all = append(all, keys...)
	}
	return all, nil
}

func (a *ageKeys) file(name string) ([]age.Identity, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if known, ok := a.files[name]; ok && known.changed.Equal(fi.ModTime()) && known.size == fi.Size() {
		return known.keys, nil
	}
	keys, err := age.ParseIdentities(io.LimitReader(f, maxAgeFile))
	if err != nil {
		// The library's errors may hold a line of the file, and so the key.
		return nil, fmt.Errorf("%s holds no identities: lines like AGE-SECRET-KEY-1... are expected, as age-keygen writes them", name)
	}
	if a.files == nil {
		a.files = map[string]ageFile{}
	}
	a.files[name] = ageFile{fi.ModTime(), fi.Size(), keys}
	return keys, nil
}
