// Package ssh reaches machines on which no agent runs: it opens connections as
// OpenSSH's client would, with the user's agent, keys, certificates, known_hosts and
// ~/.ssh/config, and runs commands over them. It starts no program of its own but a
// ProxyCommand.
//
//	d := ssh.NewDialer(ssh.Options{})
//	defer d.Close()
//	conn, err := d.Dial(ctx, ssh.Host{ID: "web1", Host: "10.0.0.7", User: "root"})
//	out, errOut, code, err := conn.Run(ctx, "uptime", nil)
//
// Every error is a *Error: what happened and what to do, in a line without secrets. A
// Dialer shares what connections have in common: parsed keys, the agent, known_hosts,
// jump hosts. Host is what a roster says of a machine; rosters are in package roster.
//
// Start at Dialer.Dial (dial.go); then settings.go (what holds for one host, from the
// roster, its ssh_options and ~/.ssh/config), knownhosts.go, auth.go, session.go.
package ssh
