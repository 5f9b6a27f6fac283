package fileclient

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"strings"

	"github.com/gosalt/gosalt/internal/fileserver"
	"github.com/gosalt/gosalt/protocol/wire"
)

// maxChunk is the size of the largest piece that a Salt master sends: its
// file_buffer_size is the administrator's to set.
const maxChunk = 64 << 20

// fetchSalt brings a file from a Salt master, piece after piece, until one is empty.
func (r *Remote) fetchSalt(ctx context.Context, env, path, dest string, cache bool, level int) error {
	info, err := r.Stat(ctx, env, path)
	if err != nil {
		return err
	}
	w, err := r.open(dest, cache)
	if err != nil {
		return err
	}
	defer w.Abort()
	h, err := fileserver.NewHash(info.HashType)
	if err != nil {
		return fmt.Errorf("fetch %s: the master names a hash: %w", URL(path), err)
	}
	for loc := int64(0); ; {
		load := wire.NewMap("cmd", wire.CmdServeFile, "path", path, "saltenv", env, "loc", loc)
		if level > 0 {
			load.Set("gzip", int64(level))
		}
		v, err := r.conn.Do(ctx, load, true)
		if err != nil {
			return fmt.Errorf("fetch %s: %w", URL(path), err)
		}
		data, err := chunk(v)
		if err != nil {
			return fmt.Errorf("fetch %s: %w", URL(path), err)
		}
		if len(data) == 0 {
			break
		}
		h.Write(data)
		if _, err := w.Write(data); err != nil {
			return err
		}
		loc += int64(len(data))
	}
	if !strings.EqualFold(hex.EncodeToString(h.Sum(nil)), info.Hash) {
		return errChanged
	}
	return w.Commit()
}

// chunk takes the data out of an answer to _serve_file.
func chunk(v any) ([]byte, error) {
	m, ok := v.(*wire.Map)
	if !ok {
		return nil, badAnswer(wire.CmdServeFile, v, "a map with data")
	}
	d, _ := m.Get("data")
	data, ok := d.([]byte)
	if s, isText := d.(string); isText {
		data, ok = []byte(s), true
	}
	if !ok {
		return nil, badAnswer(wire.CmdServeFile, d, "data")
	}
	if g, _ := m.Get("gzip"); len(data) == 0 || empty(g) || g == int64(0) {
		return data, nil
	}
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	out, err := io.ReadAll(io.LimitReader(z, maxChunk+1))
	if err == nil && len(out) > maxChunk {
		err = fmt.Errorf("a piece holds more than %d bytes when unpacked", maxChunk)
	}
	return out, err
}
