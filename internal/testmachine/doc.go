// Package testmachine boots throw-away machines for tests of what changes a system:
// accounts, packages, services, everything below /etc.
//
// A machine is the running Debian, seen through an overlay in namespaces of its own:
// what is written in it is gone with it, and nothing reaches the system itself. It has
// a network with loopback only, and a real systemd as its first process if asked.
//
//	m := testmachine.New(t, testmachine.Options{Systemd: true})
//	out := m.Run("systemctl", "is-active", "cron")
//	m.Write("/srv/salt/top.sls", "…")
//	b := m.Read("/etc/passwd")
//	for _, c := range m.Changes() { … }           // every path that was written, made or removed
//	diff := testmachine.Diff(m, n, "/var/log")    // of two machines: the same afterwards?
//
// It needs root, util-linux and a kernel with overlay; New skips the test where one is
// missing. Kernel settings outside the namespaces (/proc/sys but for net) are read-only,
// and modules cannot be loaded. What a machine sees of directories that are mounts of
// their own on the running system is what lies below them, so pass in by Options.Bind
// whatever a test needs: the programs, for one.
package testmachine
