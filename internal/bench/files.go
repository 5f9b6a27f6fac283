package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// bigFile is the size of the file that is fetched.
const bigFile = 1_000_000_000

// files measures how long a minion needs for a file of 1 GB, with its hash checked, and
// how much memory both sides needed at most.
func (b *bench) files() error {
	memory := map[string]string{}
	f := Figure{What: "cp.get_file of 1 GB over loopback, least", Unit: "s", Goal: 2}
	err := b.both(f, func(t tools, name string, tries int) (float64, error) {
		s, err := b.site("files-" + name)
		if err != nil {
			return 0, err
		}
		srv := filepath.Join(s.dir, "srv")
		if err := os.Mkdir(srv, 0o700); err != nil {
			return 0, err
		}
		if err := fill(filepath.Join(srv, "big"), bigFile); err != nil {
			return 0, err
		}
		conf, err := os.OpenFile(filepath.Join(s.dir, "master"), os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			return 0, err
		}
		if _, err := fmt.Fprintf(conf, "file_roots: {base: [%q]}\n", srv); err != nil {
			return 0, err
		}
		if err := conf.Close(); err != nil {
			return 0, err
		}
		master, err := b.master(t, s)
		if err != nil {
			return 0, err
		}
		minion, err := b.minion(t, s)
		if err != nil {
			return 0, err
		}
		least := 0.0
		for range min(tries, b.repeats) {
			dest := filepath.Join(s.dir, "got")
			os.Remove(dest)
			began := time.Now()
			out, err := t.command(b.ctx, "salt", "-c", s.dir, "-t", "120", "--out", "json", "alpha", "cp.get_file", "salt://big", dest).Output()
			took := time.Since(began).Seconds()
			if err != nil || !bytes.Contains(out, []byte(dest)) {
				return 0, fmt.Errorf("cp.get_file printed %.200q: %w", out, err)
			}
			if st, err := os.Stat(dest); err != nil || st.Size() != bigFile {
				return 0, fmt.Errorf("the file that came is not the one that was sent: %w", err)
			}
			if least == 0 || took < least {
				least = took
			}
		}
		memory[name] = fmt.Sprintf("%s: %.0f MB/s, memory at most: master %.0f MB, minion %.0f MB", name, bigFile/1e6/least, peak(master), peak(minion))
		return least, nil
	})
	if err == nil {
		last := &b.figures[len(b.figures)-1]
		last.Notes = memory["ours"] + "; " + memory["salt"] + last.Notes
	}
	return err
}

// peak is the most memory that the processes of a daemon have held so far, in MB.
func peak(p *process) float64 {
	var sum float64
	for _, pid := range p.tree() {
		sum += field(fmt.Sprintf("/proc/%d/status", pid), "VmHWM:")
	}
	return sum / 1000
}

// fill makes a file of so many bytes that do not repeat soon.
func fill(name string, size int64) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer f.Close()
	block := make([]byte, 1<<20)
	for i := range block {
		block[i] = byte(i*i>>3 ^ i>>7)
	}
	for at := int64(0); at < size; at += int64(len(block)) {
		copy(block, fmt.Sprintf("%020d", at))
		if _, err := f.Write(block[:min(int64(len(block)), size-at)]); err != nil {
			return err
		}
	}
	_, err = f.Seek(0, io.SeekStart)
	return err
}
