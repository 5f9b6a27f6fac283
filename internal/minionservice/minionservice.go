// Package minionservice has the texts by which systems run gosalt-minion as a service: one
// form, whether gosalt-ssh bootstrap installs it or the user-data of gosalt-key --cloud-init.
package minionservice

import (
	"fmt"

	"github.com/gosalt/gosalt/internal/config"
)

// Name is the service's name.
const Name = "gosalt-minion"

// Systemd is the unit of systemd. by says who wrote it, program is its path. It has no
// Type=notify: a boot is not to wait for the master.
func Systemd(by, program string) string {
	return fmt.Sprintf(`# Written by %s.
[Unit]
Description=The gosalt minion
Wants=network-online.target
After=network-online.target
StartLimitIntervalSec=0

[Service]
ExecStart=%s -c %s
Restart=always
RestartSec=5
KillMode=process

[Install]
WantedBy=multi-user.target
`, by, program, config.DefaultDir)
}

// OpenRC is the script of OpenRC: Alpine, Gentoo.
func OpenRC(by, program string) string {
	return fmt.Sprintf(`#!/sbin/openrc-run
# Written by %s.
description="The gosalt minion"
supervisor=supervise-daemon
command=%s
command_args="-c %s"
respawn_delay=5
respawn_max=0

depend() {
	use net dns logger
	after firewall
}
`, by, program, config.DefaultDir)
}
