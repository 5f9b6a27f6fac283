// Package gitaddr is what functions and states have in common that hand addresses to git.
package gitaddr

import (
	"errors"
	"net/url"

	"github.com/gosalt/gosalt/internal/lazyre"
)

// ErrNotHTTPS is that a user or a password is given for an address of another kind.
//
//lint:ignore ST1005 these are the words of Salt
var ErrNotHTTPS = errors.New("Basic Auth only supported for HTTPS")

// Login puts a user into an address. A password goes another way, so that neither the
// process list nor the repository's configuration shows it: the address stays as it is.
func Login(address, user, pass string) (string, error) {
	if user == "" && pass == "" {
		return address, nil
	}
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" {
		return "", ErrNotHTTPS
	}
	if pass == "" {
		u.User = url.User(user)
	}
	return u.String(), nil
}

var login = lazyre.New(`(?i)(https?)://.*@`)

// Has tells whether there is an address with a user in a text.
func Has(s string) bool { return login.MatchString(s) }

// Redact takes users and passwords out of the addresses of a text.
func Redact(s string) string { return login.ReplaceAllString(s, "$1://<redacted>@") }
