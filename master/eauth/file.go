package eauth

import (
	"bufio"
	"bytes"
	"context"
	"crypto"
	"crypto/md5"
	_ "crypto/sha1" // for crypto.SHA1
	_ "crypto/sha256"
	_ "crypto/sha3"
	_ "crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/tg123/go-htpasswd"
	_ "golang.org/x/crypto/blake2b" // for crypto.BLAKE2b_512
	_ "golang.org/x/crypto/blake2s" // for crypto.BLAKE2s_256

	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/protocol/wire"
)

// file knows the passwords in a file, which is read anew for each login.
type file struct {
	noGroups
	name  string
	check func(text []byte, user, password string) error
}

// hashes are the digests of Python's hashlib by their names there.
var hashes = map[string]crypto.Hash{
	"md5": crypto.MD5, "sha1": crypto.SHA1, "sha224": crypto.SHA224, "sha256": crypto.SHA256, "sha384": crypto.SHA384, "sha512": crypto.SHA512,
	"sha3_224": crypto.SHA3_224, "sha3_256": crypto.SHA3_256, "sha3_384": crypto.SHA3_384, "sha3_512": crypto.SHA3_512,
	"blake2b": crypto.BLAKE2b_512, "blake2s": crypto.BLAKE2s_256,
}

// newFile reads the settings, which have names that begin with ^:
//
//	external_auth:
//	  file:
//	    ^filename: /etc/salt/users
//	    ^filetype: text              # or htpasswd, htdigest
//	    ^hashtype: sha512            # of text: plaintext by default
//	    ^field_separator: ':'
//	    ^username_field: 1
//	    ^password_field: 2
//	    ^realm: ops                  # of htdigest
//	    anna: [test.*]
func newFile(_ Config, part *wire.Map) (Backend, error) {
	text := func(name, otherwise string) string {
		if v, ok := part.Get("^" + name); ok && v != nil {
			return pytext.Str(v)
		}
		return otherwise
	}
	f := &file{name: text("filename", "")}
	if f.name == "" {
		return nil, errors.New("^filename is missing: the file with names and passwords")
	}
	switch kind := strings.ToLower(text("filetype", "text")); kind {
	case "htpasswd":
		f.check = checkHtpasswd
	case "htdigest":
		realm := text("realm", "")
		if realm == "" {
			return nil, errors.New("^realm is missing: htdigest needs it")
		}
		f.check = func(b []byte, user, password string) error { return checkHtdigest(b, realm, user, password) }
	case "text":
		t := textFile{separator: text("field_separator", ":"), hash: text("hashtype", "plaintext")}
		for _, field := range []struct {
			name, otherwise string
			to              *int
		}{{"username_field", "1", &t.user}, {"password_field", "2", &t.password}} {
			n, err := strconv.Atoi(text(field.name, field.otherwise))
			if err != nil || n < 1 {
				return nil, fmt.Errorf("^%s: a number from 1 expected", field.name)
			}
			*field.to = n - 1
		}
		if t.separator == "" {
			return nil, errors.New("^field_separator: what stands between the fields expected")
		}
		if _, known := hashes[t.hash]; !known && t.hash != "plaintext" {
			names := []string{"plaintext"}
			for n := range hashes {
				names = append(names, n)
			}
			slices.Sort(names)
			return nil, fmt.Errorf("^hashtype: %q is none of %s", t.hash, strings.Join(names, ", "))
		}
		f.check = t.check
	default:
		return nil, fmt.Errorf("^filetype: %q is none of text, htpasswd, htdigest", kind)
	}
	return f, nil
}

// maxPasswordFile bounds what is read of a file of passwords.
const maxPasswordFile = 16 << 20

func (f *file) Authenticate(_ context.Context, user, password string) error {
	st, err := os.Stat(f.name)
	if err != nil {
		return err
	}
	if !st.Mode().IsRegular() || st.Size() > maxPasswordFile {
		return fmt.Errorf("%s: a file of at most %d bytes expected", f.name, maxPasswordFile)
	}
	b, err := os.ReadFile(f.name)
	if err != nil {
		return err
	}
	return f.check(b, user, password)
}

// textFile has a user in each line, in fields.
type textFile struct {
	separator, hash string
	user, password  int // fields, from 0
}

func (t textFile) check(b []byte, user, password string) error {
	for s := bufio.NewScanner(bytes.NewReader(b)); s.Scan(); {
		fields := strings.Split(strings.TrimSpace(s.Text()), t.separator)
		if t.user >= len(fields) || t.password >= len(fields) || fields[t.user] != user {
			continue
		}
		given := password
		if t.hash != "plaintext" {
			h := hashes[t.hash].New()
			h.Write([]byte(password))
			given = hex.EncodeToString(h.Sum(nil))
		}
		if !same(fields[t.password], given) {
			return ErrDenied
		}
		return nil
	}
	return ErrDenied
}

// checkHtpasswd reads the files of Apache's htpasswd: bcrypt, apr1, SHA, crypt.
func checkHtpasswd(b []byte, user, password string) error {
	f, err := htpasswd.NewFromReader(bytes.NewReader(b), htpasswd.DefaultSystems, func(error) {})
	if err != nil {
		return err
	}
	if !f.Match(user, password) {
		return ErrDenied
	}
	return nil
}

// checkHtdigest reads the files of Apache's htdigest.
func checkHtdigest(b []byte, realm, user, password string) error {
	sum := md5.Sum([]byte(user + ":" + realm + ":" + password))
	for s := bufio.NewScanner(bytes.NewReader(b)); s.Scan(); {
		hash, ok := strings.CutPrefix(strings.TrimSpace(s.Text()), user+":"+realm+":")
		if ok && same(strings.ToLower(hash), hex.EncodeToString(sum[:])) {
			return nil
		}
	}
	return ErrDenied
}
