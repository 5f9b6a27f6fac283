package serial

import (
	"errors"
	"fmt"
	"strings"
	"unicode"

	"github.com/gosalt/gosalt/internal/lazyre"
	"github.com/gosalt/gosalt/internal/module"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

// configOptions are the options of Python's ConfigParser that matter here.
type configOptions struct {
	noValue    bool      // keys may stand without a value
	delimiters []string  // between key and value
	comments   []string  // beginnings of lines that are comments
	inline     []string  // what begins a comment within a line
	defaults   string    // the section whose values all others have
	strict     bool      // nothing may be there twice
	emptyLines bool      // a value may hold empty lines
	raw        bool      // % has no meaning
	given      *wire.Map // what all sections have from the start
}

func configOf(opts *wire.Map) (configOptions, error) {
	o := configOptions{delimiters: []string{"=", ":"}, comments: []string{"#", ";"}, defaults: "DEFAULT", strict: true, emptyLines: true, given: wire.NewMap()}
	for k, v := range opts.Strings() {
		switch k {
		case "allow_no_value":
			o.noValue = module.Truth(v)
		case "delimiters":
			o.delimiters = texts(v)
		case "comment_prefixes":
			o.comments = texts(v)
		case "inline_comment_prefixes":
			o.inline = texts(v)
		case "default_section":
			o.defaults = pytext.Str(v)
		case "strict":
			o.strict = module.Truth(v)
		case "empty_lines_in_values":
			o.emptyLines = module.Truth(v)
		case "interpolation":
			o.raw = v == nil
		case "defaults":
			if !module.Truth(v) {
				continue
			}
			m, ok := v.(*wire.Map)
			if !ok {
				return o, fmt.Errorf("'%s' object has no attribute 'items'", pytext.TypeName(v))
			}
			for k, x := range m.All() {
				if x != nil {
					x = pytext.Str(x)
				}
				o.given.Set(strings.ToLower(pytext.Str(k)), x)
			}
		case "dict_type":
			return o, fmt.Errorf("'%s' object is not callable", pytext.TypeName(v))
		case "converters":
			if _, ok := v.(*wire.Map); !ok {
				return o, fmt.Errorf("'%s' object has no attribute 'items'", pytext.TypeName(v))
			}
		default:
			return o, fmt.Errorf("RawConfigParser.__init__() got an unexpected keyword argument '%s'", k)
		}
	}
	for _, v := range o.given.Strings() {
		if v == nil && !o.noValue {
			return o, errors.New("option values must be strings")
		}
	}
	if len(o.delimiters) == 0 {
		return o, fmt.Errorf("delimiters: at least one is needed")
	}
	return o, nil
}

// texts reads a list of texts; a text is one of its characters, as a tuple would be.
func texts(v any) []string {
	var out []string
	switch v := v.(type) {
	case string:
		for _, r := range v {
			out = append(out, string(r))
		}
	case []any:
		for _, e := range v {
			out = append(out, pytext.Str(e))
		}
	}
	return out
}

// reference is what may stand behind a % in a value.
var (
	reference         = lazyre.New(`^%\(([^)]+)\)s`)
	referenceAnywhere = lazyre.New(`%\([^)]+\)s`)
)

// dumpConfig writes sections as ConfigParser.write does: keys in lower case.
func dumpConfig(v any, opts *wire.Map) (string, error) {
	m, ok := v.(*wire.Map)
	if !ok {
		return "", fmt.Errorf("configparser can only serialize dictionaries, not <class '%s'>", pytext.TypeName(v))
	}
	o, err := configOf(opts)
	if err != nil {
		return "", err
	}
	var out strings.Builder
	defaults := o.given
	seen := map[string]bool{}
	for name, keys := range m.All() {
		section := pytext.Str(name)
		switch {
		case section == "DEFAULT" && o.defaults != section:
			//lint:ignore ST1005 Python's words
			return "", fmt.Errorf("No section: '%s'", section)
		case section == "DEFAULT":
		case section == o.defaults:
			//lint:ignore ST1005 Python's words
			return "", fmt.Errorf("Invalid section name: '%s'", section)
		case seen[section]:
			//lint:ignore ST1005 Python's words
			return "", fmt.Errorf("Section '%s' already exists", section)
		}
		seen[section] = true
		km, ok := keys.(*wire.Map)
		if !ok {
			return "", fmt.Errorf("'%s' object has no attribute 'items'", pytext.TypeName(keys))
		}
		values := wire.NewMap()
		if section == o.defaults {
			values = defaults
		}
		for k, v := range km.All() {
			if err := o.valid(v); err != nil {
				return "", err
			}
			values.Set(strings.ToLower(pytext.Str(k)), v)
		}
		if section != o.defaults {
			o.section(&out, section, values)
		}
	}
	var head strings.Builder
	if defaults.Len() > 0 {
		o.section(&head, o.defaults, defaults)
	}
	return head.String() + out.String(), nil
}

// section writes one, with its header.
func (o *configOptions) section(to *strings.Builder, name string, values *wire.Map) {
	fmt.Fprintf(to, "[%s]\n", name)
	for k, v := range values.Strings() {
		to.WriteString(k)
		if v != nil {
			to.WriteString(" " + o.delimiters[0] + " " + strings.ReplaceAll(pytext.Str(v), "\n", "\n\t"))
		}
		to.WriteString("\n")
	}
	to.WriteString("\n")
}

// valid tells what ConfigParser has against a value.
func (o *configOptions) valid(v any) error {
	if v == nil {
		if !o.noValue {
			return errors.New("option values must be strings")
		}
		return nil
	}
	s := pytext.Str(v)
	if !o.raw {
		rest := strings.ReplaceAll(s, "%%", "")
		rest = referenceAnywhere.ReplaceAllString(rest, "")
		if i := strings.IndexByte(rest, '%'); i >= 0 {
			return fmt.Errorf("invalid interpolation syntax in %s at position %d", pytext.Repr(s), i)
		}
	}
	return nil
}

// loadConfig reads sections as ConfigParser does. In its errors the file is '<???>', as in
// Python's where it has no name.
func loadConfig(text string, opts *wire.Map) (any, error) {
	o, err := configOf(opts)
	if err != nil {
		return nil, err
	}
	r := &configReader{configOptions: o, sections: wire.NewMap(), defaults: o.given, added: map[[2]string]bool{}}
	for i, line := range strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n") {
		if err := r.line(line, i+1); err != nil {
			return nil, err
		}
	}
	r.end()
	if r.wrong.Len() > 0 {
		return nil, errors.New("Source contains parsing errors: '<???>'" + r.wrong.String())
	}
	out := wire.NewMap()
	for name := range r.sections.Strings() {
		own := r.sections.Map(name)
		all := r.defaults.Clone()
		for k, v := range own.Strings() {
			all.Set(k, v)
		}
		for k, v := range all.Clone().Strings() {
			if o.raw {
				continue
			}
			s, _ := v.(string) // no value becomes an empty one
			if s, err = interpolate(s, k, name, all, 1); err != nil {
				return nil, err
			}
			all.Set(k, s)
		}
		out.Set(name, all)
	}
	return out, nil
}

type configReader struct {
	configOptions
	sections, defaults, current *wire.Map
	added                       map[[2]string]bool // sections and keys that were read
	section, key                string
	lines                       []string // of the value of key
	indent                      int
	wrong                       strings.Builder // lines that are nothing, told when all are read
}

// end takes the value that is complete.
func (r *configReader) end() {
	if r.key == "" || r.lines == nil {
		return
	}
	for len(r.lines) > 0 && r.lines[len(r.lines)-1] == "" {
		r.lines = r.lines[:len(r.lines)-1]
	}
	r.current.Set(r.key, strings.TrimRightFunc(strings.Join(r.lines, "\n"), unicode.IsSpace))
	r.key, r.lines = "", nil
}

func (r *configReader) line(line string, n int) error {
	comment := false
	value := line
	for _, c := range r.inline {
		for i := 0; i < len(value); i++ {
			if strings.HasPrefix(value[i:], c) && (i == 0 || value[i-1] == ' ' || value[i-1] == '\t') {
				value, comment = value[:i], true
				break
			}
		}
	}
	value = strings.TrimSpace(value)
	for _, c := range r.comments {
		if strings.HasPrefix(strings.TrimSpace(line), c) {
			value, comment = "", true
		}
	}
	if value == "" {
		switch {
		case !r.emptyLines:
			r.indent = 1 << 30
		case !comment && r.lines != nil:
			r.lines = append(r.lines, "")
		}
		return nil
	}
	indent := len(line) - len(strings.TrimLeftFunc(line, unicode.IsSpace))
	if r.current != nil && r.lines != nil && indent > r.indent {
		r.lines = append(r.lines, value)
		return nil
	}
	r.indent = indent
	if strings.HasPrefix(value, "[") && strings.LastIndexByte(value, ']') > 1 {
		r.end()
		return r.header(value[1:strings.LastIndexByte(value, ']')], n)
	}
	if r.current == nil {
		return fmt.Errorf("File contains no section headers.\nfile: '<???>', line: %d\n%s", n, pytext.Repr(line+"\n")) //lint:ignore ST1005 Python's words
	}
	at, size := -1, 0
	for _, d := range r.delimiters {
		if i := strings.Index(value, d); i >= 0 && (at < 0 || i < at) {
			at, size = i, len(d)
		}
	}
	if at <= 0 && !(at < 0 && r.noValue) {
		fmt.Fprintf(&r.wrong, "\n\t[line %2d]: %s", n, pytext.Repr(line+"\n"))
		return nil
	}
	r.end()
	key := value
	if at > 0 {
		key = value[:at]
	}
	key = strings.ToLower(strings.TrimRightFunc(key, unicode.IsSpace))
	if r.strict && r.added[[2]string{r.section, key}] {
		return fmt.Errorf("While reading from '<???>' [line %2d]: option '%s' in section '%s' already exists", n, key, r.section) //lint:ignore ST1005 Python's words
	}
	r.added[[2]string{r.section, key}] = true
	if at < 0 {
		r.current.Set(key, nil)
		return nil
	}
	r.key, r.lines = key, []string{strings.TrimSpace(value[at+size:])}
	r.current.Set(key, "")
	return nil
}

func (r *configReader) header(name string, n int) error {
	r.section = name
	switch {
	case name == r.configOptions.defaults:
		r.current = r.defaults
	case r.sections.Has(name) && r.strict:
		return errors.New("While reading from '<???>' [line " + fmt.Sprintf("%2d]: section '%s' already exists", n, name))
	case r.sections.Has(name):
		r.current = r.sections.Map(name)
	default:
		r.current = wire.NewMap()
		r.sections.Set(name, r.current)
	}
	return nil
}

// interpolate puts the values of other keys in the places of %(key)s.
func interpolate(s, key, section string, values *wire.Map, depth int) (string, error) {
	if depth > 10 {
		//lint:ignore ST1005 Python's words
		return "", fmt.Errorf("Recursion limit exceeded in value substitution: option '%s' in section '%s'", key, section)
	}
	var out strings.Builder
	for s != "" {
		i := strings.IndexByte(s, '%')
		if i < 0 {
			out.WriteString(s)
			break
		}
		out.WriteString(s[:i])
		s = s[i:]
		if strings.HasPrefix(s, "%%") {
			out.WriteByte('%')
			s = s[2:]
			continue
		}
		m := reference.FindStringSubmatch(s)
		if m == nil {
			return "", fmt.Errorf("'%%' must be followed by '%%' or '(', found: %s", pytext.Repr(s))
		}
		v, ok := values.Get(strings.ToLower(m[1]))
		if !ok {
			//lint:ignore ST1005 Python's words
			return "", fmt.Errorf("Bad value substitution: option '%s' in section '%s' contains an interpolation key '%s' which is not a valid option name", key, section, m[1])
		}
		inner, err := interpolate(pytext.Str(v), key, section, values, depth+1)
		if err != nil {
			return "", err
		}
		out.WriteString(inner)
		s = s[len(m[0]):]
	}
	return out.String(), nil
}
