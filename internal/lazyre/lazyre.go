// Package lazyre makes regular expressions that are compiled when they are first used.
//
// A program that compiles a hundred of them before main starts ten milliseconds later
// and holds a megabyte more, of which a command such as test.ping has no use. At package
// level use New instead of regexp.MustCompile; TestStartsLean holds the programs to it,
// and that every expression compiles.
package lazyre

import (
	"regexp"
	"sync"
)

// Regexp is a regular expression that is compiled once, when it is first used.
type Regexp struct {
	expr string
	once sync.Once
	re   *regexp.Regexp
}

// New returns the expression, not yet compiled. It allocates nothing where it
// initialises a variable of a package.
func New(expr string) *Regexp { return &Regexp{expr: expr} }

// Get is the compiled expression. It panics where the expression is wrong.
func (r *Regexp) Get() *regexp.Regexp {
	r.once.Do(func() { r.re = regexp.MustCompile(r.expr) })
	return r.re
}

// The methods below are those of regexp.Regexp.

func (r *Regexp) MatchString(s string) bool                  { return r.Get().MatchString(s) }
func (r *Regexp) Match(b []byte) bool                        { return r.Get().Match(b) }
func (r *Regexp) FindString(s string) string                 { return r.Get().FindString(s) }
func (r *Regexp) FindStringIndex(s string) []int             { return r.Get().FindStringIndex(s) }
func (r *Regexp) FindStringSubmatch(s string) []string       { return r.Get().FindStringSubmatch(s) }
func (r *Regexp) FindStringSubmatchIndex(s string) []int     { return r.Get().FindStringSubmatchIndex(s) }
func (r *Regexp) FindSubmatch(b []byte) [][]byte             { return r.Get().FindSubmatch(b) }
func (r *Regexp) FindAllString(s string, n int) []string     { return r.Get().FindAllString(s, n) }
func (r *Regexp) FindAllStringIndex(s string, n int) [][]int { return r.Get().FindAllStringIndex(s, n) }
func (r *Regexp) FindAllSubmatch(b []byte, n int) [][][]byte { return r.Get().FindAllSubmatch(b, n) }
func (r *Regexp) FindAllSubmatchIndex(b []byte, n int) [][]int {
	return r.Get().FindAllSubmatchIndex(b, n)
}
func (r *Regexp) ReplaceAllString(s, by string) string { return r.Get().ReplaceAllString(s, by) }
func (r *Regexp) Split(s string, n int) []string       { return r.Get().Split(s, n) }

func (r *Regexp) FindAllStringSubmatch(s string, n int) [][]string {
	return r.Get().FindAllStringSubmatch(s, n)
}

func (r *Regexp) FindAllStringSubmatchIndex(s string, n int) [][]int {
	return r.Get().FindAllStringSubmatchIndex(s, n)
}

func (r *Regexp) ReplaceAllStringFunc(s string, by func(string) string) string {
	return r.Get().ReplaceAllStringFunc(s, by)
}

func (r *Regexp) ReplaceAllLiteralString(s, by string) string {
	return r.Get().ReplaceAllLiteralString(s, by)
}
