package seal

import (
	"crypto/subtle"
	"fmt"
	"io"
	"log/slog"
)

// hidden is what a secret prints as, however it is printed.
const hidden = "[secret]"

// Secret holds text that must never be printed: a password, a token, a key. The zero
// value is the empty secret. It is safe inside other types too: it holds a pointer,
// so that even reflection over unexported fields shows no more than an address.
type Secret struct{ text *string }

// NewSecret hides text.
func NewSecret(text string) Secret { return Secret{&text} }

// Reveal is the text itself.
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// Empty tells whether there is no text.
func (s Secret) Empty() bool { return s.text == nil || *s.text == "" }

// Equal compares with text in a time that depends on nothing but lengths.
func (s Secret) Equal(text string) bool {
	return subtle.ConstantTimeCompare([]byte(s.Reveal()), []byte(text)) == 1
}

// String hides the text.
func (Secret) String() string { return hidden }

// GoString hides the text.
func (Secret) GoString() string { return hidden }

// Format hides the text from every verb.
func (Secret) Format(f fmt.State, _ rune) { io.WriteString(f, hidden) }

// LogValue hides the text.
func (Secret) LogValue() slog.Value { return slog.StringValue(hidden) }

// MarshalText hides the text from JSON, YAML and MsgPack.
func (Secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }
