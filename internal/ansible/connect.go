package ansible

import (
	"fmt"
	"slices"
	"strings"

	"github.com/gosalt/gosalt/protocol/wire"
)

// keys are the variables that say how to connect, and the keys of a roster that say the
// same; of several names of one the first that is there counts.
var keys = []struct {
	key   string
	names []string
}{
	{"host", []string{"ansible_host", "ansible_ssh_host"}},
	{"port", []string{"ansible_port", "ansible_ssh_port"}},
	{"user", []string{"ansible_user", "ansible_ssh_user"}},
	{"passwd", []string{"ansible_password", "ansible_ssh_password", "ansible_ssh_pass"}},
	{"priv", []string{"ansible_private_key_file", "ansible_ssh_private_key_file"}},
	{"timeout", []string{"ansible_timeout", "ansible_ssh_timeout"}},
	{"sudo", []string{"ansible_become", "ansible_sudo"}},
	{"sudo_user", []string{"ansible_become_user", "ansible_sudo_user"}},
}

// Entry makes an entry of a roster of a host's variables, and returns those that are not
// about connecting. wrong is what stands in the way of reaching it.
func Entry(vars *wire.Map) (entry, rest *wire.Map, wrong error) {
	entry = wire.NewMap()
	rest = vars.Clone()
	take := func(names ...string) (any, bool) {
		var out any
		found := false
		for _, n := range names {
			if v, ok := rest.Get(n); ok {
				rest.Delete(n)
				if s, isText := v.(string); isText && strings.Contains(s, "{{") {
					wrong = fmt.Errorf("%s is a template, %q, which is not worked out here", n, s)
					if strings.Contains(n, "pass") {
						wrong = fmt.Errorf("%s is a template, which is not worked out here", n)
					}
				}
				if !found {
					out, found = v, true
				}
			}
		}
		return out, found
	}
	for _, k := range keys {
		if v, ok := take(k.names...); ok {
			entry.Set(k.key, v)
		}
	}
	if v, ok := take("ansible_become_password", "ansible_become_pass", "ansible_sudo_pass", "ansible_sudo_password"); ok && v != nil && v != "" {
		// Salt takes a password for sudo as the wish for sudo.
		if !entry.Has("sudo") {
			entry.Set("sudo", true)
		}
		entry.Set("sudo_passwd", v)
	}
	if v, ok := take("ansible_become_method"); ok && v != "sudo" && entry.Has("sudo") {
		wrong = fmt.Errorf("ansible_become_method is %v: there is only sudo", v)
	}
	if v, ok := take("ansible_connection"); ok && !slices.Contains([]any{"ssh", "smart", "paramiko", "paramiko_ssh", "ansible.builtin.ssh"}, v) {
		wrong = fmt.Errorf("ansible_connection is %v: it can only be reached over ssh", v)
	}
	var options []any
	for _, name := range []string{"ansible_ssh_common_args", "ansible_ssh_extra_args", "ansible_ssh_args"} {
		if v, ok := take(name); ok {
			opts, err := sshArgs(fmt.Sprint(v))
			if err != nil {
				wrong = fmt.Errorf("%s: %w", name, err)
			}
			options = append(options, opts...)
		}
	}
	if len(options) > 0 {
		entry.Set("ssh_options", options)
	}
	return entry, rest, wrong
}

// sshArgs reads arguments of ssh, as "-o ProxyJump=a -J b", as options.
func sshArgs(s string) ([]any, error) {
	words, err := Words(s)
	if err != nil {
		return nil, err
	}
	var out []any
	flags := map[string]string{"J": "ProxyJump", "i": "IdentityFile", "p": "Port", "l": "User", "F": "", "c": "Ciphers", "m": "MACs", "b": "BindAddress", "W": "", "o": ""}
	for i := 0; i < len(words); i++ {
		w := words[i]
		if len(w) < 2 || w[0] != '-' {
			return nil, fmt.Errorf("%q is no argument of ssh that is known", w)
		}
		f, val := w[1:2], w[2:]
		key, takes := flags[f]
		if takes && val == "" {
			if i++; i >= len(words) {
				return nil, fmt.Errorf("%s needs a value", w)
			}
			val = words[i]
		}
		switch {
		case f == "o":
			if !strings.ContainsAny(strings.TrimSpace(val), "= \t") {
				return nil, fmt.Errorf("%q is not of the form Name=value", val)
			}
			out = append(out, val)
		case takes && key != "":
			out = append(out, key+"="+val)
		case f == "A":
			out = append(out, "ForwardAgent=yes")
		case f == "4":
			out = append(out, "AddressFamily=inet")
		case f == "6":
			out = append(out, "AddressFamily=inet6")
		case strings.Trim(w[1:], "CqvxXTantkK") == "":
			// About compression, output and X11: nothing to do here.
		default:
			return nil, fmt.Errorf("%q is no argument of ssh that is known", w)
		}
	}
	return out, nil
}

// Words splits a line as a shell does, with # for a comment.
func Words(s string) ([]string, error) {
	var out []string
	var w strings.Builder
	in := false
	var quote rune
	escaped := false
	for _, ch := range s {
		switch {
		case escaped:
			w.WriteRune(ch)
			escaped = false
		case ch == '\\' && quote != '\'':
			escaped, in = true, true
		case quote != 0 && ch == quote:
			quote = 0
		case quote != 0:
			w.WriteRune(ch)
		case ch == '"' || ch == '\'':
			quote, in = ch, true
		case ch == ' ' || ch == '\t':
			if in {
				out = append(out, w.String())
				w.Reset()
				in = false
			}
		case ch == '#':
			// Within a word, too: so Python's shlex has it.
			if in {
				out = append(out, w.String())
			}
			return out, nil
		default:
			w.WriteRune(ch)
			in = true
		}
	}
	if quote != 0 {
		return nil, fmt.Errorf("a quote that is not closed: %s", s)
	}
	if in {
		out = append(out, w.String())
	}
	return out, nil
}
