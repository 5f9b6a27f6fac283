package module

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Doc is what there is to know of a function, read from the comments of its sources.
type Doc struct {
	Name string
	// Text is the function's comment without the Go name it begins with. Indented
	// lines are examples.
	Text string
	Args []ArgDoc
	// Label says for which machines this one is: "dnf and yum". It is "" for all.
	Label string
	// Variants are what the name stands for on other machines.
	Variants []Doc
}

// ArgDoc describes one argument.
type ArgDoc struct {
	Name     string
	Text     string // the field's comment
	Required bool
	Default  string // as the tag has it; "" too when Required
	Variadic bool   // takes all further positional arguments or keywords
}

// sourcePackage is the comments of one package: functions by name, fields by
// "type.field".
type sourcePackage struct {
	funcs  map[string]string
	fields map[string]string
}

// Doc reads the documentation of a function. The sources of its package are read
// at the first call for it, so that nothing is spent on this when nobody asks.
func (r *Registry) Doc(name string) (Doc, error) {
	f, err := r.lookup(name)
	if err != nil {
		return Doc{}, err
	}
	variants := f.variants
	if f.only {
		f, variants = variants[0], variants[1:]
	}
	d, err := r.docOf(f)
	for _, v := range variants {
		if other, err := r.docOf(v); err == nil {
			d.Variants = append(d.Variants, other)
		}
	}
	return d, err
}

func (r *Registry) docOf(f *Function) (Doc, error) {
	pkg, fn := f.goName()
	src, err := r.source(pkg)
	if err != nil {
		return Doc{}, err
	}
	d := Doc{Name: f.Name, Label: f.label, Text: examples(withoutGoName(src.funcs[fn], fn))}
	for _, a := range f.signature().all {
		text := ""
		owner, err := r.source(a.ownerPkg)
		if err == nil {
			text = owner.fields[a.owner+"."+a.field]
		}
		d.Args = append(d.Args, ArgDoc{
			Name: a.name, Text: text, Required: a.required && !a.variadic, Default: a.text, Variadic: a.variadic,
		})
	}
	return d, nil
}

// DocText is the documentation as text, indented and framed as Salt's are: what
// sys.doc returns and what a wrong call is answered with. It is "" for a name
// without a function.
func (r *Registry) DocText(name string) string {
	d, err := r.Doc(name)
	if err != nil {
		return ""
	}
	var b strings.Builder
	b.WriteString("\n")
	for line := range strings.SplitSeq(d.String(), "\n") {
		if line != "" {
			b.WriteString("    " + line)
		}
		b.WriteString("\n")
	}
	b.WriteString("    ")
	return b.String()
}

// String is the text of the function, then each argument with its default; then those
// of other machines.
func (d Doc) String() string {
	var b strings.Builder
	if d.Label != "" {
		b.WriteString("With " + d.Label + ": ")
	}
	b.WriteString(d.Text)
	for i, a := range d.Args {
		if i == 0 {
			b.WriteString("\n\nArguments:\n")
		}
		fmt.Fprintf(&b, "\n%s", a.Name)
		if !a.Required && !a.Variadic {
			fmt.Fprintf(&b, " (default %s)", quoteDefault(a.Default))
		}
		b.WriteString("\n    " + strings.ReplaceAll(a.Text, "\n", "\n    "))
	}
	for _, v := range d.Variants {
		b.WriteString("\n\n" + v.String())
	}
	return b.String()
}

func quoteDefault(s string) string {
	if s == "" {
		return "''"
	}
	return s
}

// Undocumented lists what has no comment: functions by name, arguments as
// "mod.fun argument". Tests hold it to be empty.
func (r *Registry) Undocumented() []string {
	var out []string
	for _, name := range r.Names() {
		d, err := r.Doc(name)
		if err != nil {
			out = append(out, err.Error())
			continue
		}
		for _, d := range append([]Doc{d}, d.Variants...) {
			if d.Text == "" {
				out = append(out, strings.TrimSpace(name+" "+d.Label))
			}
			for _, a := range d.Args {
				if a.Text == "" {
					out = append(out, strings.TrimSpace(name+" "+a.Name+" "+d.Label))
				}
			}
		}
	}
	return out
}

func (r *Registry) source(pkg string) (*sourcePackage, error) {
	r.docs.Lock()
	defer r.docs.Unlock()
	if p := r.packages[pkg]; p != nil {
		return p, nil
	}
	files, ok := r.sources[pkg]
	if !ok {
		return nil, fmt.Errorf("the sources of %s are not in this program: Registry.Sources was not called for it", pkg)
	}
	p := &sourcePackage{funcs: map[string]string{}, fields: map[string]string{}}
	err := fs.WalkDir(files, ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || path.Ext(name) != ".go" {
			return err
		}
		text, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		return p.add(name, text)
	})
	if err != nil {
		return nil, fmt.Errorf("read the documentation of %s: %w", pkg, err)
	}
	r.packages[pkg] = p
	return p, nil
}

func (p *sourcePackage) add(name string, text []byte) error {
	file, err := parser.ParseFile(token.NewFileSet(), name, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	for _, d := range file.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Recv == nil && d.Doc != nil {
				p.funcs[d.Name.Name] = strings.TrimSpace(d.Doc.Text())
			}
		case *ast.GenDecl:
			for _, s := range d.Specs {
				if t, ok := s.(*ast.TypeSpec); ok {
					p.addFields(t)
				}
			}
		}
	}
	return nil
}

func (p *sourcePackage) addFields(t *ast.TypeSpec) {
	st, ok := t.Type.(*ast.StructType)
	if !ok {
		return
	}
	for _, f := range st.Fields.List {
		text := strings.TrimSpace(f.Doc.Text())
		if text == "" {
			text = strings.TrimSpace(f.Comment.Text())
		}
		for _, n := range f.Names {
			p.fields[t.Name.Name+"."+n.Name] = text
		}
	}
}

// examples puts Salt's heading over the indented lines of a comment.
func examples(text string) string {
	var out []string
	inside := false
	for line := range strings.SplitSeq(text, "\n") {
		code, indented := strings.CutPrefix(line, "\t")
		if indented && !inside && !strings.Contains(text, "CLI Example:") {
			out = append(out, "CLI Example:", "")
		}
		if line != "" {
			inside = indented
		}
		if indented {
			line = "    " + code
		}
		out = append(out, line)
	}
	return strings.Join(out, "\n")
}

// withoutGoName makes "cmdRun runs a command" into "Runs a command".
func withoutGoName(text, name string) string {
	rest, ok := strings.CutPrefix(text, name+" ")
	if !ok {
		return text
	}
	first, size := utf8.DecodeRuneInString(rest)
	return string(unicode.ToUpper(first)) + rest[size:]
}
