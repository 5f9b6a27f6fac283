package module

// Fail is the result of a function that did not come to run, in Salt's words.
func (r *Registry) Fail(c *Call, fun string, err error) Result {
	return r.failed(r.prepare(c, fun), &Function{Name: fun}, err)
}
