package ssh

import "os/exec"

func shellCommand(line string) *exec.Cmd { return exec.Command("cmd", "/C", line) }

func endGroup(cmd *exec.Cmd) {
	if cmd.Process != nil {
		cmd.Process.Kill()
	}
}
