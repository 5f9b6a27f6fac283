package serial

import (
	"bytes"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"math/big"
	"strconv"
	"strings"
	"time"

	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

// plistHead begins a property list of XML.
const plistHead = `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
`

// maxDepth bounds lists and maps inside one another.
const maxDepth = 500

// dumpPlist writes a property list as Python's plistlib does: in XML, or with
// fmt: FMT_BINARY in the binary form.
func dumpPlist(v any, opts *wire.Map) ([]byte, error) {
	w, inBinary := &plistWriter{sorted: true}, false
	for k, v := range opts.Strings() {
		switch k {
		case "sort_keys":
			w.sorted = module.Truth(v)
		case "skipkeys":
			w.skip = module.Truth(v)
		case "fmt":
			inBinary = v == "FMT_BINARY"
		default:
			return nil, fmt.Errorf("dumps() got an unexpected keyword argument '%s'", k)
		}
	}
	if inBinary {
		return dumpBinaryPlist(v, w.sorted, w.skip)
	}
	w.b.WriteString(plistHead)
	if err := w.value(v, 0); err != nil {
		return nil, err
	}
	w.b.WriteString("</plist>\n")
	return w.b.Bytes(), nil
}

type plistWriter struct {
	b            bytes.Buffer
	sorted, skip bool
}

func (w *plistWriter) line(level int, format string, a ...any) {
	w.b.WriteString(strings.Repeat("\t", level))
	fmt.Fprintf(&w.b, format+"\n", a...)
}

var plistEscape = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "\r\n", "\n", "\r", "\n")

func (w *plistWriter) text(level int, element, s string) error {
	for _, r := range s {
		if r < 32 && r != '\t' && r != '\n' && r != '\r' {
			return errors.New("strings can't contain control characters; use bytes instead")
		}
	}
	w.line(level, "<%s>%s</%s>", element, plistEscape.Replace(s), element)
	return nil
}

func (w *plistWriter) value(v any, level int) error {
	if level > maxDepth {
		return errors.New("maximum recursion depth exceeded")
	}
	switch v := v.(type) {
	case string:
		return w.text(level, "string", v)
	case bool:
		w.line(level, "<%t/>", v)
	case int64:
		w.line(level, "<integer>%d</integer>", v)
	case uint64:
		w.line(level, "<integer>%d</integer>", v)
	case int:
		w.line(level, "<integer>%d</integer>", v)
	case *big.Int: // what has more than 64 bits
		return errors.New(v.String())
	case float64:
		w.line(level, "<real>%s</real>", pytext.Repr(v))
	case time.Time:
		w.line(level, "<date>%s</date>", v.Format("2006-01-02T15:04:05Z"))
	case []byte:
		w.line(level, "<data>")
		text := base64.StdEncoding.EncodeToString(v)
		width := max(16, 76-8*level) / 4 * 4
		for len(text) > 0 {
			n := min(width, len(text))
			w.line(level, "%s", text[:n])
			text = text[n:]
		}
		w.line(level, "</data>")
	case []any:
		if len(v) == 0 {
			w.line(level, "<array/>")
			return nil
		}
		w.line(level, "<array>")
		for _, e := range v {
			if err := w.value(e, level+1); err != nil {
				return err
			}
		}
		w.line(level, "</array>")
	case *wire.Map:
		return w.dict(v, level)
	default:
		return fmt.Errorf("unsupported type: <class '%s'>", pytext.TypeName(v))
	}
	return nil
}

func (w *plistWriter) dict(m *wire.Map, level int) error {
	if m.Len() == 0 {
		w.line(level, "<dict/>")
		return nil
	}
	keys, vals, err := plistEntries(m, w.sorted, w.skip)
	if err != nil {
		return err
	}
	w.line(level, "<dict>")
	for i, k := range keys {
		if err := w.text(level+1, "key", k.(string)); err != nil {
			return err
		}
		if err := w.value(vals[i], level+1); err != nil {
			return err
		}
	}
	w.line(level, "</dict>")
	return nil
}

// plistEntries are the entries of a dict in the order in which they are written, all with
// keys that are strings.
func plistEntries(m *wire.Map, sorted, skip bool) (keys, vals []any, err error) {
	var ks, vs []any
	for k, v := range m.All() {
		ks, vs = append(ks, k), append(vs, v)
	}
	if sorted {
		var ok bool
		if ks, vs, ok = pytext.Sorted(m); !ok {
			return nil, nil, errors.New("keys of different types cannot be sorted")
		}
	}
	for i, k := range ks {
		if _, ok := k.(string); ok {
			keys, vals = append(keys, k), append(vals, vs[i])
		} else if !skip {
			return nil, nil, errors.New("keys must be strings")
		}
	}
	return keys, vals, nil
}

// loadPlist reads a property list, of XML or binary.
func loadPlist(b []byte) (any, error) {
	if bytes.HasPrefix(b, []byte(bplistMagic)) {
		return loadBinaryPlist(b)
	}
	d := xml.NewDecoder(bytes.NewReader(b))
	d.Strict = true
	for {
		t, err := d.Token()
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = errors.New("Invalid file") //lint:ignore ST1005 Python's words
			}
			return nil, err
		}
		s, ok := t.(xml.StartElement)
		if !ok {
			continue
		}
		if s.Name.Local == "plist" {
			continue
		}
		return plistValue(d, s, 0)
	}
}

func plistValue(d *xml.Decoder, s xml.StartElement, depth int) (any, error) {
	if depth > maxDepth {
		return nil, errors.New("maximum recursion depth exceeded")
	}
	switch s.Name.Local {
	case "dict", "array":
		return plistMany(d, s.Name.Local == "dict", depth)
	case "true", "false":
		return s.Name.Local == "true", d.Skip()
	}
	var text string
	if err := d.DecodeElement(&text, &s); err != nil {
		return nil, err
	}
	switch s.Name.Local {
	case "string", "key":
		return text, nil
	case "integer":
		base := 10
		if t := strings.TrimPrefix(strings.ToLower(text), "0x"); len(t) != len(text) {
			text, base = t, 16
		}
		n, err := strconv.ParseInt(text, base, 64)
		return n, err
	case "real":
		f, err := strconv.ParseFloat(text, 64)
		if err == nil && math.IsNaN(f) {
			err = errors.New("a real is not a number")
		}
		return f, err
	case "date":
		return time.Parse("2006-01-02T15:04:05Z", text)
	case "data":
		return base64.StdEncoding.DecodeString(strings.Join(strings.Fields(text), ""))
	}
	return nil, fmt.Errorf("unknown element <%s>", s.Name.Local)
}

// plistMany reads what is in a list, or the keys and values of a map.
func plistMany(d *xml.Decoder, dict bool, depth int) (any, error) {
	list, m := []any{}, wire.NewMap()
	key, hasKey := "", false
	for {
		t, err := d.Token()
		if err != nil {
			return nil, err
		}
		switch t := t.(type) {
		case xml.EndElement:
			switch {
			case hasKey:
				return nil, fmt.Errorf("missing value for key '%s'", key)
			case dict:
				return m, nil
			}
			return list, nil
		case xml.StartElement:
			v, err := plistValue(d, t, depth+1)
			if err != nil {
				return nil, err
			}
			switch isKey := t.Name.Local == "key"; {
			case !dict:
				list = append(list, v)
			case isKey && !hasKey:
				key, _ = v.(string)
				hasKey = true
			case isKey || !hasKey:
				return nil, fmt.Errorf("unexpected element <%s> in a dict", t.Name.Local)
			default:
				m.Set(key, v)
				hasKey = false
			}
		}
	}
}
