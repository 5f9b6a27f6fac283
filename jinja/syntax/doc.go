// Package syntax reads Jinja templates: the lexer, the tree, the parser. It
// knows nothing of values or rendering, so linters and formatters can use it alone.
//
// Start reading at [Parse], then ast.go.
package syntax
