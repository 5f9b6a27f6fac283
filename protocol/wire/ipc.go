package wire

import (
	"bufio"
	"bytes"
	"io"

	"github.com/vmihailenco/msgpack/v5"
)

// Salt's event sockets carry maps {"head": {}, "body": bytes} one after another, without
// a length in front. A body is a tag, two line breaks, and packed data.

// EncodeEvent packs an event as Salt's event sockets carry it.
func EncodeEvent(tag string, data *Map) ([]byte, error) {
	body := append([]byte(tag), "\n\n"...)
	body, err := Append(body, data, Local)
	if err != nil {
		return nil, err
	}
	return Encode(NewMap("head", NewMap(), "body", body), Local)
}

// An EventReader reads events from one of Salt's event sockets.
type EventReader struct {
	dec *msgpack.Decoder
	lim Limits
}

// NewEventReader reads events whose body is within the limits.
func NewEventReader(r io.Reader, lim Limits) *EventReader {
	return &EventReader{dec: msgpack.NewDecoder(bufio.NewReader(r)), lim: lim.orSafe()}
}

// Next returns the next event; io.EOF after the last. After an error nothing more can be
// read: where the next message begins is not known.
func (r *EventReader) Next() (tag string, data *Map, err error) {
	n, err := r.dec.DecodeMapLen()
	if err != nil {
		return "", nil, err
	}
	if n < 0 || n > 4 {
		return "", nil, malformed("event", "frame with %d entries: head and body are expected", n)
	}
	var body []byte
	for range n {
		key, err := r.bytes(16)
		if err != nil {
			return "", nil, err
		}
		if string(key) == "body" {
			if body, err = r.bytes(r.lim.Bytes); err != nil {
				return "", nil, err
			}
			continue
		}
		// A head is empty, or a map of texts.
		m, err := r.dec.DecodeMapLen()
		if err != nil || m > 16 {
			return "", nil, malformed("event", "head of a frame: a small map is expected")
		}
		for range 2 * max(m, 0) {
			if _, err := r.bytes(1024); err != nil {
				return "", nil, err
			}
		}
	}
	name, packed, ok := bytes.Cut(body, []byte("\n\n"))
	if !ok {
		return "", nil, malformed("event", "body of %d bytes without two line breaks after the tag", len(body))
	}
	data, err = DecodeMap(packed, Local, r.lim)
	return string(name), data, err
}

// bytes reads text or bytes of at most so many bytes.
func (r *EventReader) bytes(most int) ([]byte, error) {
	n, err := r.dec.DecodeBytesLen()
	if err != nil {
		return nil, err
	}
	if n < 0 || n > most {
		return nil, malformed("event", "text of %d bytes: at most %d are allowed here", n, most)
	}
	b := make([]byte, n)
	return b, r.dec.ReadFull(b)
}
