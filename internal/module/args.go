package module

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"unicode"

	"github.com/gosalt/gosalt/protocol/wire"
)

// params is the signature read from an argument struct.
type params struct {
	fun    string // "echo" of "test.echo": how Python's messages name a function
	typ    reflect.Type
	list   []param // those that have a name
	all    []param // the variadic ones too, in the order of a call
	byName map[string]int
	star   []int    // field index of the variadic []any, nil without one
	kwargs []int    // field index of the keyword *wire.Map, nil without one
	reads  []string // of the further keywords those that the function looks at, nil where it may be any
}

// param is one named argument.
type param struct {
	name     string
	index    []int
	typ      reflect.Type
	field    string // the Go field's name, for its comment
	owner    string // the Go struct that declares the field
	ownerPkg string
	required bool
	text     string // the default as its tag has it
	kwOnly   bool
	variadic bool
	split    string
}

// readParams reads the signature from a struct. order is that of Positional.
func readParams(name string, t reflect.Type, order []string) *params {
	p := &params{fun: name[strings.IndexByte(name, '.')+1:], typ: t, byName: map[string]int{}}
	if t.Kind() != reflect.Struct {
		panic(fmt.Sprintf("module: %s takes %s: its arguments must be a struct", name, t))
	}
	p.read(name, t, nil)
	if order != nil {
		p.reorder(name, order)
	}
	last := param{required: true}
	for _, a := range p.list {
		if a.kwOnly {
			continue
		}
		if a.required && !last.required {
			panic(fmt.Sprintf("module: %s: %s is required, and stands after arguments that are not", name, a.name))
		}
		last = a
	}
	return p
}

// reorder brings the named arguments to the front; the others are given by name.
func (p *params) reorder(name string, order []string) {
	front := make([]param, len(order))
	var rest []param
	for _, a := range p.all {
		is := func(s string) bool { n, _, _ := strings.Cut(s, "="); return n == a.name }
		switch i := slices.IndexFunc(order, is); {
		case i >= 0:
			a.kwOnly = false
			if _, def, ok := strings.Cut(order[i], "="); ok {
				a.text = def
			}
			front[i] = a
		default:
			a.kwOnly = !a.variadic
			rest = append(rest, a)
		}
	}
	p.all, p.list, p.byName = append(front, rest...), nil, map[string]int{}
	for i, a := range p.all {
		if a.name == "" {
			panic(fmt.Sprintf("module: %s has no argument named %s", name, order[i]))
		}
		if !a.variadic {
			if _, err := a.defaultValue(); err != nil {
				panic(fmt.Sprintf("module: %s: default of %s: %v", name, a.name, err))
			}
			p.byName[a.name] = len(p.list)
			p.list = append(p.list, a)
		}
	}
}

func (p *params) read(name string, t reflect.Type, at []int) {
	for i := range t.NumField() {
		f := t.Field(i)
		index := append(append([]int(nil), at...), i)
		if f.Anonymous {
			p.read(name, f.Type, index)
			continue
		}
		if !f.IsExported() {
			panic(fmt.Sprintf("module: %s: argument %s.%s is not exported", name, t, f.Name))
		}
		argName, flags, _ := strings.Cut(f.Tag.Get("arg"), ",")
		if argName == "*" || argName == "**" {
			p.variadic(name, f, index, argName)
			p.all = append(p.all, param{
				name: argName + snake(f.Name), field: f.Name, owner: t.Name(), ownerPkg: t.PkgPath(), variadic: true,
			})
			continue
		}
		if argName == "" {
			argName = snake(f.Name)
		}
		text, optional := f.Tag.Lookup("default")
		a := param{
			name: argName, index: index, typ: f.Type, field: f.Name, owner: t.Name(), ownerPkg: t.PkgPath(),
			required: !optional, text: text, kwOnly: flags == "kw", split: f.Tag.Get("split"),
		}
		if _, ok := p.byName[argName]; ok {
			panic(fmt.Sprintf("module: %s has two arguments named %s", name, argName))
		}
		if _, err := a.defaultValue(); err != nil {
			panic(fmt.Sprintf("module: %s: default of %s: %v", name, argName, err))
		}
		p.byName[argName] = len(p.list)
		p.list = append(p.list, a)
		p.all = append(p.all, a)
	}
}

func (p *params) variadic(name string, f reflect.StructField, index []int, kind string) {
	switch {
	case kind == "*" && f.Type == typeList:
		p.star = index
	case kind == "**" && f.Type == typeMap:
		p.kwargs = index
		if names, ok := f.Tag.Lookup("read"); ok {
			p.reads = strings.Fields(strings.TrimPrefix(names, "-"))
		}
	default:
		panic(fmt.Sprintf(`module: %s: %s must be of type []any for arg:"*", *wire.Map for arg:"**"`, name, f.Name))
	}
}

// defaultValue reads the default tag as the type of the field.
func (a *param) defaultValue() (reflect.Value, error) {
	if a.required || a.text == "None" {
		return reflect.Zero(a.typ), nil
	}
	return convert(defaultText(a.text, a.typ), a.typ, a.split)
}

// defaultText types the text of a default for fields that take anything.
func defaultText(s string, t reflect.Type) any {
	if t.Kind() != reflect.Interface {
		return s
	}
	switch s {
	case "True":
		return true
	case "False":
		return false
	}
	if n, err := parseInt(s); err == nil {
		return n
	}
	return s
}

// bind makes the argument struct of one call. Its errors read like Python's, which
// is what scripts and people know, and name what was probably meant.
func (p *params) bind(args []any, kwargs *wire.Map) (reflect.Value, error) {
	v := reflect.New(p.typ).Elem()
	given := make([]bool, len(p.list))
	positional := p.positional()

	if p.star == nil && p.kwargs == nil && len(args) > len(positional) && !p.anyUnknown(kwargs) {
		return v, argError(p.tooMany(len(args), len(positional))) // before the values: so does Python
	}
	var rest []any
	for i, a := range args {
		if i >= len(positional) {
			rest = args[i:]
			break
		}
		given[positional[i]] = true
		if err := p.set(v, positional[i], a); err != nil {
			return v, err
		}
	}
	extra := wire.NewMap()
	for key, val := range kwargs.Strings() {
		i, known := p.byName[key]
		switch {
		case !known && p.kwargs != nil:
			extra.Set(key, val)
			continue
		case !known:
			msg := fmt.Sprintf("%s() got an unexpected keyword argument '%s'", p.fun, key)
			return v, argError(msg + p.hint(key))
		case given[i]:
			return v, argError(fmt.Sprintf("%s() got multiple values for argument '%s'", p.fun, key))
		}
		given[i] = true
		if err := p.set(v, i, val); err != nil {
			return v, err
		}
	}
	if len(rest) > 0 && p.star == nil {
		return v, argError(p.tooMany(len(args), len(positional)))
	}
	var missing []string
	for i := range p.list {
		if given[i] {
			continue
		}
		if p.list[i].required {
			missing = append(missing, p.list[i].name)
			continue
		}
		d, err := p.list[i].defaultValue()
		if err != nil {
			return v, err
		}
		v.FieldByIndex(p.list[i].index).Set(d)
	}
	if len(missing) > 0 {
		return v, argError(p.missing(missing))
	}
	if p.star != nil {
		v.FieldByIndex(p.star).Set(reflect.ValueOf(append([]any{}, rest...)))
	}
	if p.kwargs != nil {
		v.FieldByIndex(p.kwargs).Set(reflect.ValueOf(extra))
	}
	return v, nil
}

// anyUnknown tells whether a keyword is none of the function's.
func (p *params) anyUnknown(kwargs *wire.Map) bool {
	for key := range kwargs.Strings() {
		if _, known := p.byName[key]; !known {
			return true
		}
	}
	return false
}

func (p *params) set(v reflect.Value, i int, val any) error {
	a := &p.list[i]
	if val == nil && !a.required && a.text == "None" {
		return nil
	}
	got, err := convert(val, a.typ, a.split)
	if err != nil {
		return argError(fmt.Sprintf("%s() argument '%s': %v", p.fun, a.name, err))
	}
	v.FieldByIndex(a.index).Set(got)
	return nil
}

func (p *params) positional() []int {
	var out []int
	for i := range p.list {
		if !p.list[i].kwOnly {
			out = append(out, i)
		}
	}
	return out
}

// hint names the argument that a wrong name most likely meant.
func (p *params) hint(key string) string {
	var names []string
	for i := range p.list {
		names = append(names, p.list[i].name)
	}
	if near := nearest(key, names); near != "" {
		return fmt.Sprintf(". Did you mean '%s'?", near)
	}
	return ""
}

func (p *params) tooMany(given, most int) string {
	least := 0
	for _, i := range p.positional() {
		if p.list[i].required {
			least++
		}
	}
	takes, plural := fmt.Sprint(most), "s"
	if least < most {
		takes = fmt.Sprintf("from %d to %d", least, most)
	} else if most == 1 {
		plural = ""
	}
	were := "were"
	if given == 1 {
		were = "was"
	}
	return fmt.Sprintf("%s() takes %s positional argument%s but %d %s given", p.fun, takes, plural, given, were)
}

func (p *params) missing(names []string) string {
	kind := "positional"
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = "'" + n + "'"
		if p.list[p.byName[n]].kwOnly {
			kind = "keyword-only"
		}
	}
	plural, text := "s", quoted[0]
	switch n := len(quoted); {
	case n == 1:
		plural = ""
	case n == 2:
		text = quoted[0] + " and " + quoted[1]
	default:
		text = strings.Join(quoted[:n-1], ", ") + ", and " + quoted[n-1]
	}
	return fmt.Sprintf("%s() missing %d required %s argument%s: %s", p.fun, len(names), kind, plural, text)
}

func argError(msg string) *Error { return &Error{Kind: Arguments, Msg: msg} }

// snake writes a Go name as Salt writes arguments: PythonShell is python_shell, UseVT use_vt.
func snake(s string) string {
	var b strings.Builder
	runes := []rune(s)
	for i, r := range runes {
		if unicode.IsUpper(r) {
			next := i+1 < len(runes) && unicode.IsLower(runes[i+1])
			if i > 0 && (!unicode.IsUpper(runes[i-1]) || next) {
				b.WriteByte('_')
			}
			r = unicode.ToLower(r)
		}
		b.WriteRune(r)
	}
	return b.String()
}

// Spec is the signature of a function as sys.argspec shows it.
type Spec struct {
	Args     []string // all that have a name, those that are required first
	Defaults []any    // of the last ones of Args, in the wire's value model
	Varargs  bool     // takes further positional arguments
	Kwargs   bool     // takes further keywords
	Reads    []string // of those the ones that are looked at; nil where that may be any
	KwOnly   []string // those of Args that are given by name only
}

// Map is the signature in the form of sys.argspec; None stands for what there is not.
func (s Spec) Map() *wire.Map {
	m := wire.NewMap("args", nil, "defaults", nil, "varargs", nil, "kwargs", nil)
	if len(s.Args) > 0 {
		m.Set("args", s.Args)
	}
	if len(s.Defaults) > 0 {
		m.Set("defaults", s.Defaults)
	}
	if s.Varargs {
		m.Set("varargs", true)
	}
	if s.Kwargs {
		m.Set("kwargs", true)
	}
	return m
}

// Meant returns the argument that was most likely meant by a further keyword that the
// function takes and does not look at, or "".
func (s Spec) Meant(name string) string {
	if s.Reads == nil || slices.Contains(s.Reads, name) || slices.Contains(s.Args, name) {
		return ""
	}
	return nearest(name, slices.Concat(s.Args, s.Reads))
}

// Spec returns the signature; read only.
func (f *Function) Spec() Spec {
	return f.reading().spec()
}

func makeSpec(name string, p *params) Spec {
	s := Spec{Varargs: p.star != nil, Kwargs: p.kwargs != nil, Reads: p.reads}
	for i := range p.list {
		a := &p.list[i]
		s.Args = append(s.Args, a.name)
		if a.kwOnly {
			s.KwOnly = append(s.KwOnly, a.name)
		}
		if a.required {
			continue
		}
		var d any
		if a.text != "None" {
			v, err := a.defaultValue()
			if err == nil {
				d, err = ToWire(v.Interface())
			}
			if err != nil {
				panic(fmt.Sprintf("module: %s: default of %s: %v", name, a.name, err))
			}
		}
		s.Defaults = append(s.Defaults, d)
	}
	return s
}

// Bind makes the arguments of a struct type of keywords, as a call of a function of
// that name would. Its error says what does not fit.
func Bind[A any](name string, kwargs *wire.Map) (A, error) {
	var a A
	v, err := readParams(name, reflect.TypeFor[A](), nil).bind(nil, kwargs)
	if err != nil {
		return a, err
	}
	return v.Interface().(A), nil
}
