package audit

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"
)

// Report is what Verify found.
type Report struct {
	Files       []string  // in the order in which they were written
	Entries     int       // whole lines
	First, Last time.Time // of the first and the last entry
	// FromStart is true where the first entry is number 1: nothing older was removed.
	FromStart bool
	// Torn lists lines that a crash left unfinished, "file:line"; the chain goes on
	// over them.
	Torn []string
}

// BrokenError says where a chain does not hold.
type BrokenError struct {
	File string
	Line int // from 1
	Why  string
}

// Error tells where and why.
func (e *BrokenError) Error() string {
	return fmt.Sprintf("%s:%d: audit log does not hold from here on: %s", e.File, e.Line, e.Why)
}

// Verify reads a log, with its closed files, and checks that each line names the
// SHA-256 of the line before and the next number. What it cannot see is that lines
// were cut off at the very end, or that everything was written anew: keep the last
// line's hash elsewhere where that matters. The error is a *BrokenError, or one of
// reading. A log that does not exist has no entries.
func Verify(path string) (Report, error) {
	files, err := rotated(path)
	if err != nil {
		return Report{}, err
	}
	if _, err := os.Lstat(path); err == nil {
		files = append(files, path)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return Report{}, err
	}
	v := verifier{Report: Report{Files: files}}
	for i, name := range files {
		if err := v.file(name, i == len(files)-1); err != nil {
			return v.Report, err
		}
	}
	return v.Report, nil
}

type verifier struct {
	Report
	begun bool
	last  position
	torn  bool // the line before is unfinished
}

func (v *verifier) file(name string, newest bool) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	r := bufio.NewReaderSize(f, 64<<10)
	for n := 1; ; n++ {
		line, err := readLine(r)
		if errors.Is(err, io.EOF) && len(line) == 0 {
			break
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return &BrokenError{name, n, err.Error()}
		}
		ended := err == nil
		if why := v.line(name, n, line); why != "" {
			return &BrokenError{name, n, why}
		}
		if !ended {
			break
		}
	}
	if v.torn && !newest {
		return &BrokenError{name, 1, "the file ends in the middle of a line, but the log goes on in another"}
	}
	return nil
}

// line checks one line and says what is wrong with it, "" when nothing is.
func (v *verifier) line(name string, n int, line []byte) (why string) {
	var head struct {
		Seq  uint64    `json:"seq"`
		Prev string    `json:"prev"`
		Time time.Time `json:"time"`
		What string    `json:"what"`
	}
	if err := json.Unmarshal(line, &head); err != nil {
		if v.torn {
			return "two unfinished lines follow each other"
		}
		v.torn = true
		v.last.hash = hashLine(line)
		v.Torn = append(v.Torn, fmt.Sprintf("%s:%d", name, n))
		return ""
	}
	switch {
	case v.torn && head.What != whatTorn:
		return "the line before is unfinished, and this one does not say so"
	case !v.begun && v.torn && head.Seq != 1:
		return "the log begins with an unfinished line"
	case !v.begun && !v.torn && head.Seq == 1 && head.Prev != start.hash:
		return "the first entry does not begin a chain"
	case v.begun && head.Seq != v.last.seq+1:
		return fmt.Sprintf("entry %d follows on entry %d", head.Seq, v.last.seq)
	case (v.begun || v.torn) && head.Prev != v.last.hash:
		return fmt.Sprintf("the line before entry %d is not the one it was written behind", head.Seq)
	}
	if !v.begun {
		v.First, v.FromStart = head.Time, head.Seq == 1
	}
	v.begun, v.torn = true, false
	v.last = position{head.Seq, hashLine(line)}
	v.Last = head.Time
	v.Entries++
	return ""
}

// readLine reads one line without its newline, io.EOF where none ends it.
func readLine(r *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		line = append(line, part...)
		if len(line) > tailMax {
			return nil, fmt.Errorf("line is longer than %d bytes", tailMax)
		}
		switch {
		case err == nil:
			return line[:len(line)-1], nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return line, err
		}
	}
}
