package compile

import (
	"context"
	"fmt"
	"os"

	"github.com/gosalt/gosalt/jinja/py"
)

// Text renders the text of an SLS file that is on no file server (state.template_str).
func (c *Compiler) Text(ctx context.Context, text, env string) (*py.Dict, Errors, error) {
	return c.alone(ctx, &file{text: text}, env)
}

// Local renders an SLS file of this machine (state.template).
func (c *Compiler) Local(ctx context.Context, path, env string) (*py.Dict, Errors, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return newDict(), Errors{{Msg: fmt.Sprintf("Specified SLS %s in saltenv %s cannot be read: %v", path, env, err), Err: err}}, nil
	}
	return c.alone(ctx, &file{source: path, path: path, text: string(b)}, env)
}

func (c *Compiler) alone(ctx context.Context, f *file, env string) (*py.Dict, Errors, error) {
	if env == "" {
		env = "base"
	}
	return c.renderFile(ctx, f, f.path, env, map[string]bool{}, NewMatches(env))
}
