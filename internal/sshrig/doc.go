// Package sshrig starts real OpenSSH servers for tests, on addresses 127.x.y.z and free
// ports, with keys and configurations of their own, and puts bad networks before them.
//
//	srv := sshrig.New(t, sshrig.Options{})
//	// srv.Host, srv.Port, srv.User, srv.Key (path of a private key), srv.KnownHosts
//
// A plain Server runs as whoever runs the test and lets that user in, with a home
// directory of its own: nothing of the system is touched. What needs accounts, passwords
// or sudo runs in a throw-away machine: InMachine. Proxy breaks connections.
//
// Tests are skipped, with the reason, where OpenSSH's server is missing.
package sshrig
