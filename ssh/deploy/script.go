package deploy

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"github.com/gosalt/gosalt/internal/agent"
	"github.com/gosalt/gosalt/ssh"
)

// Quote makes one word of text for a POSIX shell, and for csh and fish as far as they
// agree with it.
func Quote(s string) string {
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// command is what the user's login shell is given, whatever shell that is: one line, in
// single quotes, for the machine's sh. With sudo it asks for the password by a text that
// nothing else prints.
func command(h ssh.Host, script, prompt string) string {
	var b strings.Builder
	if h.TTY {
		b.WriteString("stty raw -echo; ")
	}
	b.WriteString("exec ")
	if h.Sudo || h.SudoUser != "" {
		b.WriteString("sudo -H ")
		if h.SudoPassword().Reveal() == "" {
			b.WriteString("-n ")
		} else {
			b.WriteString("-S -p " + Quote(prompt) + " ")
		}
		if h.SudoUser != "" {
			b.WriteString("-u " + Quote(h.SudoUser) + " ")
		}
		b.WriteString("-- ")
	}
	return b.String() + "/bin/sh -c " + Quote(script)
}

// place is where agents are in a home directory, in the shell's words.
const home = `"${XDG_CACHE_HOME:-$HOME/.cache}/gosalt/agents"`

// places are the directories that are tried, in the shell's words. All but the home
// directory are made so that only their owner can write there, and are used only where
// they belong to the user: others can make directories beside them.
func places(h ssh.Host, uid string) []string {
	var out []string
	if h.ThinDir != "" {
		out = append(out, inShell(h.ThinDir))
	}
	out = append(out, home)
	for _, base := range []string{"/var/tmp", "/tmp", "/dev/shm", "/run/user/" + uid} {
		out = append(out, base+"/.gosalt-"+uid)
	}
	return out
}

// inShell is a directory that a roster names, where %%USER and ~ have no meaning but for
// the beginning "~/".
func inShell(dir string) string {
	if rest, ok := strings.CutPrefix(dir, "~/"); ok {
		return `"$HOME"/` + shellQuoteDouble(rest)
	}
	return shellQuoteDouble(dir)
}

// shellQuoteDouble quotes without single quotes: the script is within them.
func shellQuoteDouble(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "$", `\$`, "`", "\\`", "'", "", "\n", "").Replace(s) + `"`
}

// runScript starts the agent where it is, and says what the machine is where it is not.
// It has no single quotes, since it stands in them, and no exclamation marks, which csh
// takes for its own. Where the agent is in the home directory no program but the shell
// is started before it.
func runScript(h ssh.Host, mark string, sums []string, wipe bool) string {
	mark = apart(mark)
	args := agent.ArgStream + " " + mark
	if wipe {
		args += " " + agent.ArgWipe
	}
	var b strings.Builder
	if h.CmdUmask != "" {
		fmt.Fprintf(&b, "umask %s; ", shellQuoteDouble(h.CmdUmask))
	}
	if h.SetPath != "" {
		fmt.Fprintf(&b, "PATH=%s; export PATH; ", strings.ReplaceAll(shellQuoteDouble(h.SetPath), `\$`, "$"))
	}
	if len(sums) == 0 {
		sums = []string{"none"}
	}
	// A bash with a low SHLVL takes commands of the agent's for a login, and reads ~/.bashrc.
	b.WriteString("SHLVL=2; export SHLVL; ")
	fmt.Fprintf(&b, `try() { for h in %s; do if [ -x "$1/$h" ] && [ -O "$1" ]; then exec "$1/$h" %s; fi; done; }; `, strings.Join(sums, " "), args)
	if h.ThinDir != "" {
		fmt.Fprintf(&b, "try %s; ", inShell(h.ThinDir))
	}
	fmt.Fprintf(&b, `try %s; u=$(id -u); for d in /var/tmp /tmp /dev/shm "/run/user/$u"; do try "$d/.gosalt-$u"; done; `, home)
	fmt.Fprintf(&b, `gz=; command -v gzip >/dev/null 2>&1 && gz=gzip; echo; echo "%s need $(uname -s) $(uname -m) $u $gz"`, mark)
	return b.String()
}

// copyScript takes the agent from its standard input, into a directory of the user's own
// where programs may run. The file gets its name when it has proved to be whole, by
// saying its own sum: a shell takes an empty file for a script that does well.
//
// Its input has no end where it is a terminal's, or where an API cannot close it: size
// bytes are taken.
func copyScript(mark, dir, sum string, gz bool, size int64) string {
	mark = apart(mark)
	take := fmt.Sprintf("head -c %d", size)
	if gz {
		take += " | gzip -dc"
	}
	return fmt.Sprintf(`umask 077; d=%[2]s; mkdir -p "$d" 2>/dev/null; `+
		`if [ -d "$d" ] && [ -O "$d" ] && [ -w "$d" ]; then :; else echo "%[1]s skip it cannot be written"; exit 0; fi; `+
		`if [ -h "$d" ]; then echo "%[1]s skip it is a symbolic link"; exit 0; fi; chmod 700 "$d" 2>/dev/null; `+
		`p="$d/.copy-$$"; trap "rm -f \"$p\"" EXIT; trap "exit 1" HUP INT TERM; `+
		`if echo "exit 0" > "$p" 2>/dev/null; then :; else echo "%[1]s skip no space left"; exit 0; fi; chmod 700 "$p"; `+
		`if "$p" 2>/dev/null; then :; else echo "%[1]s skip programs may not run there"; exit 0; fi; `+
		`rm -f "$p"; echo "%[1]s ready"; %[4]s > "$p"; chmod 700 "$p"; `+
		`if [ "$("$p" %[5]s %[3]s)" = %[3]s ]; then mv -f "$p" "$d/%[3]s" && echo "%[1]s done"; else echo "%[1]s failed"; fi`,
		mark, dir, sum, take, agent.ArgCheck)
}

// apart writes a mark for a script so that the script does not hold it: a sudo that refuses
// to run the script quotes it, on a terminal among what is read.
func apart(mark string) string { return mark[:len(mark)/2] + `""` + mark[len(mark)/2:] }

// watched tells of a text in what is read, and leaves it out of it.
type watched struct {
	r   io.Reader
	see func()

	text string
	keep []byte // may be the beginning of the text
	rest []byte // read, and not yet handed on
	err  error
}

// Read implements io.Reader.
func (w *watched) Read(p []byte) (int, error) {
	for len(w.rest) == 0 {
		if w.err != nil {
			if len(w.keep) > 0 {
				w.rest, w.keep = w.keep, nil
				break
			}
			return 0, w.err
		}
		buf := make([]byte, 32<<10)
		n, err := w.r.Read(buf)
		w.err = err
		b := append(w.keep, buf[:n]...)
		w.keep = nil
		for {
			i := bytes.Index(b, []byte(w.text))
			if i < 0 {
				break
			}
			b = append(b[:i:i], b[i+len(w.text):]...)
			w.see()
		}
		hold := overlap(b, w.text)
		w.rest, w.keep = b[:len(b)-hold], b[len(b)-hold:]
	}
	n := copy(p, w.rest)
	w.rest = w.rest[n:]
	return n, nil
}

// overlap is how many bytes at the end of b may be the beginning of text.
func overlap(b []byte, text string) int {
	for n := min(len(text)-1, len(b)); n > 0; n-- {
		if string(b[len(b)-n:]) == text[:n] {
			return n
		}
	}
	return 0
}

// lastLines are the last lines of some text that say something, at most three.
func lastLines(s string) string {
	var out []string
	for line := range strings.Lines(s) {
		if line = strings.TrimSpace(line); line != "" {
			out = append(out, line)
		}
	}
	return strings.Join(out[max(len(out)-3, 0):], "; ")
}
