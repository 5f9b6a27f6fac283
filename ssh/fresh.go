package ssh

import (
	"io/fs"
	"os"
	"time"
)

// A Dialer of a master lives for weeks. What it has read of a file holds while the file
// is the same; the rest, as the keys of an agent, for a short time.

// freshFor is how long what cannot be compared is taken for true.
const freshFor = 10 * time.Second

// A stamp tells one state of a file from another.
type stamp struct {
	size int64
	mod  time.Time
	file fs.FileInfo // nil: there is none
}

func stampOf(path string) stamp {
	st, err := os.Stat(path)
	if err != nil {
		return stamp{}
	}
	return stamp{st.Size(), st.ModTime(), st}
}

// same tells whether nothing has changed between two looks at a file.
func (s stamp) same(t stamp) bool {
	if s.file == nil || t.file == nil {
		return s.file == nil && t.file == nil
	}
	return s.size == t.size && s.mod.Equal(t.mod) && os.SameFile(s.file, t.file)
}
