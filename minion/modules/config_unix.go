//go:build unix

package modules

// hostsFile is where hosts(5) is.
func hostsFile() string { return "/etc/hosts" }
