package ssh

import (
	"context"
	"strings"

	xssh "golang.org/x/crypto/ssh"
)

// deployScript adds the line on its standard input to authorized_keys, unless its key is
// there. It has no single quote in it, nor a newline: any login shell may start it.
const deployScript = `umask 077; cd || exit 3; IFS= read -r line || exit 4; key=${line%% gosalt-comment *}; ` +
	`f=.ssh/authorized_keys; mkdir -p .ssh || exit 5; ` +
	`if [ -f $f ] && grep -qF "$key" $f; then echo present; exit 0; fi; ` +
	`if [ -s $f ] && [ -n "$(tail -c 1 $f)" ]; then echo >> $f || exit 6; fi; ` +
	`printf "%s\n" "${line##* gosalt-comment }" >> $f || exit 6; chmod go-w .ssh $f; ` +
	`if command -v restorecon >/dev/null 2>&1; then restorecon -F .ssh $f >/dev/null 2>&1; fi; echo added`

// KeyDeploy puts a public key, a line as of a .pub file, into the user's authorized_keys
// on the machine, once, as ssh-copy-id does. It tells whether the key was new there.
func KeyDeploy(ctx context.Context, c *Conn, pubkey string) (added bool, err error) {
	pub, comment, _, _, err := xssh.ParseAuthorizedKey([]byte(pubkey))
	if err != nil {
		return false, &Error{Host: c.s.name, Kind: KindKeyFile, Err: err, Msg: "this is no public key: " + OneLine(pubkey)}
	}
	key := strings.TrimSpace(string(xssh.MarshalAuthorizedKey(pub)))
	line := strings.TrimSpace(key + " " + OneLine(comment))
	out, errs, code, err := c.Run(ctx, "exec /bin/sh -c '"+deployScript+"'", strings.NewReader(key+" gosalt-comment "+line+"\n"))
	if err != nil {
		return false, err
	}
	switch text := string(out); {
	case code == 0 && strings.HasSuffix(strings.TrimSpace(text), "added"):
		return true, nil
	case code == 0 && strings.HasSuffix(strings.TrimSpace(text), "present"):
		return false, nil
	}
	reason := OneLine(string(errs))
	if reason == "" {
		reason = OneLine(string(out))
	}
	return false, &Error{Host: c.s.name, Kind: KindOther, Msg: "the key could not be put into ~/.ssh/authorized_keys of " + c.s.user + ": " + reason,
		Hint: "is the home directory there, and writable?"}
}
