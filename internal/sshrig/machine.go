//go:build linux

package sshrig

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"

	"github.com/gosalt/gosalt/internal/testmachine"
)

// A MachineServer is a server in a throw-away machine, with accounts of its own. It is
// reached from outside, as any other.
type MachineServer struct {
	Server
	Machine *testmachine.Machine
}

// MachineOptions of a server in a machine.
type MachineOptions struct {
	Machine testmachine.Options
	// Users are made there, besides root. All are let in with Server.Key, those with a
	// Password with that too.
	Users []User
	// Config is put in front of sshd_config.
	Config string
}

// A User is an account of a machine.
type User struct {
	Name     string
	Password string // for login and sudo; "" is none
	Shell    string // /bin/sh when empty
	// Sudo is what its line in sudoers ends with, as "ALL" or "NOPASSWD: ALL"; "" is no right.
	Sudo string
}

// InMachine boots a machine, makes users there, and serves SSH logins to it.
func InMachine(t testing.TB, o MachineOptions) *MachineServer {
	t.Helper()
	Need(t)
	if o.Machine.Bind == nil {
		o.Machine.Bind = map[string]string{}
	}
	s := &MachineServer{Server: *newServer(t, Options{})}
	s.User = "root"
	// The machine sees the keys where they are.
	o.Machine.Bind[s.Dir] = "/mnt/rig"
	m := testmachine.New(t, o.Machine)
	s.Machine = m
	s.Home = "/root"
	conf := o.Config + "\n" + strings.ReplaceAll(s.baseConfig(), s.Dir, "/etc/ssh/rig") + `UsePAM yes
StrictModes no
PermitRootLogin yes
PasswordAuthentication yes
KbdInteractiveAuthentication yes
AuthorizedKeysFile /etc/ssh/rig/authorized_keys .ssh/authorized_keys
`
	m.Write("/etc/ssh/rig/sshd_config", conf)
	setup := "set -e; mkdir -p /run/sshd; cp /mnt/rig/host_* /mnt/rig/authorized_keys /etc/ssh/rig/; chown -R 0:0 /etc/ssh/rig; chmod 600 /etc/ssh/rig/host_*\n"
	for _, u := range o.Users {
		shell := u.Shell
		if shell == "" {
			shell = "/bin/sh"
		}
		setup += fmt.Sprintf("useradd -m -s %s %s\n", shell, u.Name)
		if u.Password != "" {
			setup += fmt.Sprintf("echo '%s:%s' | chpasswd\n", u.Name, u.Password)
		}
		if u.Sudo != "" {
			setup += fmt.Sprintf("echo '%s ALL=(ALL) %s' > /etc/sudoers.d/%s; chmod 440 /etc/sudoers.d/%s\n", u.Name, u.Sudo, u.Name, u.Name)
		}
	}
	if r := m.Try(setup, "/bin/sh"); r.Code != 0 {
		t.Fatalf("set up the machine: %d %s%s", r.Code, r.Stdout, r.Stderr)
	}
	// The machine has a network of its own. Each connection is accepted here, and handed to
	// an sshd of its own in there, as inetd does it.
	l, err := net.Listen("tcp", net.JoinHostPort(s.Host, strconv.Itoa(s.Port)))
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			f, err := c.(*net.TCPConn).File()
			c.Close()
			if err != nil {
				continue
			}
			cmd := m.Command(sshd, "-i", "-e", "-f", "/etc/ssh/rig/sshd_config")
			cmd.Stdin, cmd.Stdout, cmd.Stderr = f, f, s.log
			err = cmd.Start()
			f.Close()
			if err != nil {
				fmt.Fprintln(s.log, err)
				continue
			}
			go cmd.Wait() // it ends with its connection, or with the machine
		}
	}()
	t.Cleanup(func() { l.Close() })
	return s
}
