package cli

import (
	"fmt"
	"io"

	"github.com/gosalt/gosalt/cli/output"
	"github.com/gosalt/gosalt/protocol/wire"
)

// vmReport is the JUnit report that a call of vm.test asks for with junit=; nil where none
// does. The file is written here, by who called and where that was, and not by the master.
func (o *RunnerOptions) vmReport() (*statesReport, error) {
	if o.Fun != "vm.test" || o.Doc || len(o.Args) == 0 {
		return nil, nil
	}
	kw, ok := o.Args[len(o.Args)-1].(*wire.Map)
	if !ok || !kw.Bool("__kwarg__") || kw.Text("junit") == "" {
		return nil, nil
	}
	if o.Async {
		return nil, o.Errorf("junit= is for who waits, and not with --async")
	}
	s := &StatesOptions{JUnit: kw.Text("junit")}
	if err := s.checkFiles(&o.CommonOptions); err != nil {
		return nil, err
	}
	fun := "vm.test"
	if len(o.Args) > 1 {
		fun = fmt.Sprintf("vm.test %v", o.Args[0])
	}
	return newStatesReport(s, fun), nil
}

// vmTest writes the report: a suite for each run, or one that says why there is none.
func (r *statesReport) vmTest(v any, code int) error {
	if runs, ok := v.(*wire.Map); ok && runs.Len() > 0 {
		for id, ret := range runs.Strings() {
			r.take(id, ret, code)
		}
	} else {
		r.take(r.fun, v, max(code, 1))
	}
	return r.finish(io.Discard, output.Defaults())
}
