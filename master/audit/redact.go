package audit

import (
	"slices"
	"strings"
	"unicode/utf16"

	"github.com/gosalt/gosalt/internal/lazyre"
)

// redacted stands for a secret.
const redacted = "[redacted]"

// secretWords make a field a secret when they are a word of its name: "password",
// "db_password", "ssh-passphrase", "authToken".
var secretWords = []string{
	"password", "passwd", "passphrase", "pass", "secret", "token", "pwd", "credential", "credentials",
	"apikey", "privkey", "priv", "tok", "session", "aes", "cookie", "authorization",
}

// secretPairs make a field a secret when they stand in its name side by side.
var secretPairs = []string{"api key", "private key", "access key", "secret key", "key pass", "root key", "host key"}

// secretName tells whether a field's name says that its value is a secret.
func secretName(name string) bool {
	words := splitName(name)
	for _, w := range words {
		if slices.Contains(secretWords, w) {
			return true
		}
	}
	joined := " " + strings.Join(words, " ") + " "
	for _, p := range secretPairs {
		if strings.Contains(joined, " "+p+" ") {
			return true
		}
	}
	return false
}

// splitName splits a name into lower-case words, at anything but letters and digits
// and before a capital letter.
func splitName(name string) []string {
	var words []string
	word := ""
	flush := func() {
		if word != "" {
			words = append(words, strings.ToLower(word))
			word = ""
		}
	}
	lower := false
	for _, r := range name {
		upper := r >= 'A' && r <= 'Z'
		letter := upper || r >= 'a' && r <= 'z' || r >= '0' && r <= '9'
		if !letter || upper && lower {
			flush()
		}
		if letter {
			word += string(r)
		}
		lower = letter && !upper
	}
	flush()
	return words
}

// plainFlag tells whether a value is too small to be a secret: nothing, or a bool.
func plainFlag(v any) bool {
	_, isBool := v.(bool)
	return v == nil || isBool || v == ""
}

var (
	pemKey = lazyre.New(`(?s)-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|\z)`)
	// userinfo is the password of an address: scheme://user:password@host.
	userinfo = lazyre.New(`([A-Za-z][A-Za-z0-9+.-]*://[^\s/:@]*:)[^\s/@]+@`)
	// assignment is the name of name=value, name: value, "name": "value", --name value.
	assignment = lazyre.New(`[A-Za-z][A-Za-z0-9_.-]*(["']?\s*[=:]\s*|\s+)`)
	// assigned is the value.
	assigned = lazyre.New(`^("(?:[^"\\]|\\.)*"?|'[^']*'?|[^\s"',;&)}\]]+)`)
)

// redactText takes secrets out of a text by their form.
func redactText(s string) string {
	if strings.Contains(s, "PRIVATE KEY-----") {
		s = pemKey.ReplaceAllString(s, redacted)
	}
	if strings.Contains(s, "://") {
		s = userinfo.ReplaceAllString(s, "${1}"+redacted+"@")
	}
	if !strings.ContainsAny(s, "=:-") {
		return s
	}
	var out strings.Builder
	done := 0
	for at := 0; ; {
		m := assignment.FindStringSubmatchIndex(s[at:])
		if m == nil {
			break
		}
		begin, sep, end := at+m[0], at+m[2], at+m[3]
		at = end
		// A blank assigns only after an option: "--password x", not "the password is".
		option := begin > 0 && s[begin-1] == '-'
		if !option && strings.TrimSpace(s[sep:end]) == "" || !secretName(s[begin:sep]) {
			continue
		}
		if value := assigned.FindString(s[end:]); value != "" {
			out.WriteString(s[done:end])
			out.WriteString(redacted)
			at = end + len(value)
			done = at
		}
	}
	if done == 0 {
		return s
	}
	return out.String() + s[done:]
}

func sortedStrings(s []string) []string {
	slices.Sort(s)
	return s
}

func surrogates(r rune) (hi, lo rune) { return utf16.EncodeRune(r) }
