// Package configdoc makes the reference page of the configuration from the comments of
// package config, so that the page and the code cannot disagree.
package configdoc

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"reflect"
	"strings"

	"github.com/gosalt/gosalt/internal/config"
)

// Option is what is written about one option.
type Option struct {
	Name    string // as in the file: keep_jobs_seconds
	Type    string // what a value looks like: "text", "time in seconds"
	Doc     string // what it is for, in one paragraph
	Default string // with the reason, where there is one
	Own     bool   // gosalt's own, unknown to Salt
}

// Common, Master and Minion are the options of both sides, and of one.
func Common() ([]Option, error) { return read("common.go", "Common") }

// Master are the options that only a master has.
func Master() ([]Option, error) { return read("master.go", "Master") }

// Minion are the options that only a minion has.
func Minion() ([]Option, error) { return read("minion.go", "Minion") }

// read takes the options of one struct from its source.
func read(file, name string) ([]Option, error) {
	src, err := config.Sources.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read the options of %s: %w", name, err)
	}
	f, err := parser.ParseFile(token.NewFileSet(), file, src, parser.ParseComments)
	if err != nil {
		return nil, fmt.Errorf("read the options of %s: %w", name, err)
	}
	var list []Option
	for _, d := range f.Decls {
		g, ok := d.(*ast.GenDecl)
		if !ok || g.Tok != token.TYPE {
			continue
		}
		for _, s := range g.Specs {
			t := s.(*ast.TypeSpec)
			st, ok := t.Type.(*ast.StructType)
			if !ok || t.Name.Name != name {
				continue
			}
			for _, field := range st.Fields.List {
				if o, ok := option(field); ok {
					list = append(list, o)
				}
			}
		}
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("%s has no struct %s with options", file, name)
	}
	return list, nil
}

func option(f *ast.Field) (Option, bool) {
	if f.Tag == nil || len(f.Names) != 1 {
		return Option{}, false
	}
	tag := reflect.StructTag(strings.Trim(f.Tag.Value, "`"))
	name := tag.Get("yaml")
	if name == "" || name == "-" {
		return Option{}, false
	}
	doc := strings.Join(strings.Fields(f.Doc.Text()), " ")
	// The comment begins with the field's name; the page has the option's there.
	doc = name + strings.TrimPrefix(doc, f.Names[0].Name)
	doc, own := strings.CutSuffix(doc, " gosalt's own.")
	return Option{
		Name: name, Type: typeName(f.Type, tag), Doc: doc, Own: own,
		Default: strings.Join(strings.Fields(f.Comment.Text()), " "),
	}, true
}

// typeName says what a value of a field looks like in the file.
func typeName(e ast.Expr, tag reflect.StructTag) string {
	unit := map[string]string{"ms": "milliseconds", "s": "seconds", "min": "minutes", "h": "hours"}[tag.Get("unit")]
	switch t := exprText(e); t {
	case "time.Duration":
		return "time in " + unit + `, or text such as "30s"`
	case "Bytes":
		return `bytes, or text such as "100MiB"`
	case "bool", "*bool":
		return "True or False"
	case "int":
		return "whole number"
	case "float64":
		return "number"
	case "Secret":
		return "text, never shown"
	case "[]string":
		if tag.Get("opt") == "text" {
			return "text or list of texts"
		}
		return "list of texts"
	case "map[string][]string":
		return "map of environments to lists of directories"
	case "*wire.Map":
		return "map"
	case "any":
		return "map or list"
	default:
		switch tag.Get("opt") {
		case "path":
			return "path, below root_dir"
		case "text-or-true":
			return "text or True"
		}
		return "text"
	}
}

func exprText(e ast.Expr) string {
	switch t := e.(type) {
	case *ast.Ident:
		return t.Name
	case *ast.StarExpr:
		return "*" + exprText(t.X)
	case *ast.SelectorExpr:
		return exprText(t.X) + "." + t.Sel.Name
	case *ast.ArrayType:
		return "[]" + exprText(t.Elt)
	case *ast.MapType:
		return "map[" + exprText(t.Key) + "]" + exprText(t.Value)
	}
	return fmt.Sprintf("%T", e)
}

// Markdown is the reference page of all options.
func Markdown() (string, error) {
	var b strings.Builder
	b.WriteString(`# Configuration

A master reads DIR/master, a minion DIR/minion, each with the files of its
default_include and include. DIR is /etc/salt, or what -c names. The files are
Salt's: YAML, with Salt's names and defaults; what differs says so. gosalt's own
options are marked; what Salt knows beyond these is taken without effect and
reported. Times and sizes are numbers, as in Salt, or texts with a unit.
`)
	for _, part := range []struct {
		title string
		read  func() ([]Option, error)
	}{
		{"Master and minion", Common}, {"Master", Master}, {"Minion", Minion},
	} {
		list, err := part.read()
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&b, "\n## %s\n", part.title)
		for _, o := range list {
			own := ""
			if o.Own {
				own = " gosalt's own."
			}
			fmt.Fprintf(&b, "\n**%s**: %s.%s Default: %s.\n%s\n", o.Name, o.Type, own, code(o.Default), strings.TrimPrefix(o.Doc, o.Name+" "))
		}
	}
	return b.String(), nil
}

// code sets the default apart from its reason: "5m: a reboot is covered".
func code(s string) string {
	value, reason, found := strings.Cut(s, ": ")
	if !found || strings.Contains(value, " ") {
		return strings.TrimSuffix(s, ".")
	}
	return "`" + value + "` (" + strings.TrimSuffix(reason, ".") + ")"
}
