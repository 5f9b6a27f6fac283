package saltyaml

import (
	"errors"
	"strings"
	"unicode/utf8"

	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

// RenderJSON is what Salt's json renderer makes of a file: a first line "#!…" is left
// out, and nothing is an empty map. Errors are of type *pytext.JSONError.
func RenderJSON(text string) (any, error) {
	if _, rest, ok := strings.Cut(text, "\n"); ok && strings.HasPrefix(text, "#!") {
		text = rest
	}
	if strings.TrimFunc(text, pythonSpace) == "" {
		return wire.NewMap(), nil
	}
	return pytext.ParseJSON(text)
}

// Message is what Salt shows for an error of Load, Render or RenderJSON.
func Message(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Salt()
	}
	return err.Error()
}

// LoadYAML is Salt's load_yaml filter, behind import_yaml too: bytes that are UTF-8 become
// text, and an error is what Salt means to say, with an excerpt of the text. (With libyaml
// Salt 3006 fails to make the excerpt and shows an AttributeError.)
func LoadYAML(text string) (any, error) {
	v, err := Load(text)
	var e *Error
	if errors.As(err, &e) {
		problem := e.Problem
		if at := e.Excerpt(); at != "" {
			problem += "\n" + at
		}
		return nil, &filterError{"Encountered error loading yaml: " + problem, err}
	}
	return decodeText(v, map[*wire.Map]bool{}), err
}

// LoadJSON is Salt's load_json filter, behind import_json too.
func LoadJSON(text string) (any, error) {
	v, err := pytext.ParseJSON(text)
	if err != nil {
		return nil, &filterError{"Unable to load json from " + text, err}
	}
	return v, nil
}

// filterError has Salt's words for a cause that they leave out.
type filterError struct {
	text  string
	cause error
}

func (e *filterError) Error() string { return e.text }

func (e *filterError) Unwrap() error { return e.cause }

// decodeText turns bytes into text, in place.
func decodeText(v any, done map[*wire.Map]bool) any {
	switch x := v.(type) {
	case []byte:
		if utf8.Valid(x) {
			return string(x)
		}
	case []any:
		for i := range x {
			x[i] = decodeText(x[i], done)
		}
	case *wire.Map:
		if done[x] {
			return x
		}
		done[x] = true
		for k, c := range x.All() {
			switch c.(type) {
			case []byte, []any, *wire.Map:
				x.SetAny(k, decodeText(c, done))
			}
		}
	}
	return v
}
