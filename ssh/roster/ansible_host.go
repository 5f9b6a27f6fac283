package roster

import (
	"github.com/gosalt/gosalt/internal/ansible"
	"github.com/gosalt/gosalt/protocol/wire"
	"github.com/gosalt/gosalt/ssh"
	"github.com/gosalt/gosalt/ssh/sshconfig"
)

// ansibleHost makes an entry of a host's variables.
func (r *Roster) ansibleHost(id, source string, vars *wire.Map) ssh.Host {
	entry, rest, wrong := ansible.Entry(vars)
	for _, o := range entry.List("ssh_options") {
		if s, ok := o.(string); ok && wrong == nil {
			_, _, wrong = sshconfig.Split(s)
		}
	}
	if rest.Len() > 0 {
		entry.Set("minion_opts", rest)
	}
	h := r.parseHost(id, entry, func(string) string { return source })
	if wrong != nil && h.Err == nil {
		h.Err = &ssh.Error{Host: id, Kind: ssh.KindRoster, Msg: (&Error{Source: source, Host: id, Msg: wrong.Error()}).Error()}
	}
	h.Attrs = vars
	return h
}
