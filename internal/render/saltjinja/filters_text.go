package saltjinja

import (
	"crypto/hmac"
	"crypto/md5"
	crand "crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha3"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"hash"
	"io"
	"math"
	"math/big"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gosalt/gosalt/internal/pydate"
	"github.com/gosalt/gosalt/internal/pyre"
	"github.com/gosalt/gosalt/internal/pytext"
	"github.com/gosalt/gosalt/jinja/py"
)

func compileWhole(expr string) (*pyre.Regexp, error) { return pyre.Compile(`\A`+expr+`\Z`, "") }

// bytesOf is salt.utils.stringutils.to_bytes.
func bytesOf(v py.Value) (string, error) {
	if b, ok := v.(py.Bytes); ok {
		return string(b), nil
	}
	if s, ok := py.AsString(v); ok {
		return s, nil
	}
	return "", py.Raise("TypeError", "expected str, bytes, or bytearray not <class '%s'>", py.FullTypeName(v))
}

// textArg is an argument that must be text; what says what Python says of others.
func textArg(v py.Value, attr string) (string, error) {
	s, ok := py.AsString(v)
	if !ok {
		return "", undefinedOr(v, py.Raise("AttributeError", "'%s' object has no attribute '%s'", py.TypeName(v), attr))
	}
	return s, nil
}

// toNum is salt.utils.stringutils.to_num of a text.
func toNum(s string) py.Value {
	if n, err := py.ParseInt(s, 10); err == nil {
		return n
	}
	if f, err := py.ToFloat(s); err == nil {
		return f
	}
	return s
}

var globalUUID = [16]byte{0x91, 0x63, 0x3E, 0xBF, 0x1C, 0x86, 0x5E, 0x33, 0x93, 0x5A, 0x28, 0x06, 0x1F, 0x4B, 0x48, 0x0E}

// uuid5 is the UUID of a name (RFC 9562, section 5.5) below Salt's own.
func uuid5(name string) string {
	h := sha1.New()
	h.Write(globalUUID[:])
	io.WriteString(h, name)
	u := h.Sum(nil)[:16]
	u[6] = u[6]&0x0f | 5<<4
	u[8] = u[8]&0x3f | 0x80
	s := hex.EncodeToString(u)
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
}

// shellQuote is shlex.quote.
func shellQuote(s string) string {
	if s == "" {
		return "''"
	}
	for _, r := range s {
		if !(r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || strings.ContainsRune("@%+=:,./-", r)) {
			return "'" + strings.ReplaceAll(s, "'", `'"'"'`) + "'"
		}
	}
	return s
}

func addText(t table) {
	t.add("quote", "txt", func(c *py.Call) (py.Value, error) {
		s, ok := py.AsString(c.Args[0])
		if !ok {
			some, err := py.Truth(c.T, c.Args[0])
			if err != nil {
				return nil, err
			}
			if !some {
				return "''", nil
			}
			return nil, py.Raise("TypeError", "expected string or bytes-like object, got '%s'", py.TypeName(c.Args[0]))
		}
		return shellQuote(s), nil
	})
	t.add("uuid_/uuid", "val", func(c *py.Call) (py.Value, error) {
		s, err := bytesOf(c.Args[0])
		if err != nil {
			return nil, err
		}
		return uuid5(s), nil
	})
	t.add("to_bytes", "s, encoding=None, errors='strict'", func(c *py.Call) (py.Value, error) {
		s, err := bytesOf(c.Args[0])
		if err != nil {
			return nil, err
		}
		return py.Bytes(s), nil
	})
	for _, n := range []string{"to_num", "str_to_num"} {
		t.add("to_num/"+n, "text", func(c *py.Call) (py.Value, error) {
			switch x := c.Args[0].(type) {
			case int64, *big.Int:
				return x, nil
			case bool, float64:
				return py.ToInt(x)
			case *py.Undefined:
				return nil, x.Fail()
			}
			s, ok := py.AsString(c.Args[0])
			if !ok {
				return nil, py.Raise("TypeError", "int() argument must be a string, a bytes-like object or a real number, not '%s'", py.TypeName(c.Args[0]))
			}
			return toNum(s), nil
		})
	}
	t.add("is_hex", "value", func(c *py.Call) (py.Value, error) {
		s, ok := py.AsString(c.Args[0])
		if !ok {
			return false, nil
		}
		_, err := py.ParseInt(s, 16)
		return err == nil, nil
	})
	t.add("random/random_str", "size=32", func(c *py.Call) (py.Value, error) {
		n, ok := py.AsInt(c.Args[0])
		if !ok || n < 0 || n > 1<<20 {
			return nil, py.Raise("ValueError", "a size from 0 to 1048576 is expected")
		}
		b := make([]byte, n)
		if _, err := crand.Read(b); err != nil {
			return nil, err
		}
		return base64.StdEncoding.EncodeToString(b)[:n], nil
	})
	t.add("contains_whitespace", "text", func(c *py.Call) (py.Value, error) {
		found := false
		err := py.Each(c.T, c.Args[0], func(e py.Value) error {
			s, err := textArg(e, "isspace")
			found = found || s != "" && strings.TrimFunc(s, py.IsSpace) == ""
			return err
		})
		return found, err
	})
	t.add("human_to_bytes", "size, default_unit='B', handle_metric=False", humanToBytes)
	t.add("camel_to_snake_case/to_snake_case", "camel_input", snakeCase)
	t.add("snake_to_camel_case/to_camelcase", "snake_input, uppercamel=False", func(c *py.Call) (py.Value, error) {
		s, err := textArg(c.Args[0], "split")
		if err != nil {
			return nil, err
		}
		upper, err := py.Truth(c.T, c.Args[1])
		if err != nil {
			return nil, err
		}
		words := strings.Split(s, "_")
		for i, w := range words {
			if i == 0 && !upper {
				continue
			}
			v, _, err := py.CallMethod(c.T, w, "capitalize", nil, nil, nil)
			if err != nil {
				return nil, err
			}
			words[i], _ = py.AsString(v)
		}
		return strings.Join(words, ""), nil
	})
	for _, n := range []string{"strftime", "date_format"} {
		t.add("strftime/"+n, "date=None, format='%Y-%m-%d'", func(c *py.Call) (py.Value, error) {
			at, err := dateCast(c.Args[0])
			if err != nil {
				return nil, err
			}
			f, ok := py.AsString(c.Args[1])
			if !ok {
				return nil, undefinedOr(c.Args[1], py.Raise("TypeError", "strftime() argument 1 must be str, not %s", py.TypeName(c.Args[1])))
			}
			return pydate.Strftime(at, f), nil
		})
	}
	addHashes(t)
}

// dateCast is salt.utils.dateutils.date_cast, without the module timelib.
func dateCast(v py.Value) (time.Time, error) {
	var f float64
	switch x := v.(type) {
	case nil:
		return time.Now(), nil
	case time.Time:
		return x, nil
	case *py.Undefined:
		return time.Time{}, x.Fail()
	case int64:
		f = float64(x)
	case float64:
		f = x
	default:
		s, ok := py.AsString(v)
		n, err := strconv.ParseFloat(py.Strip(s), 64)
		if !ok || err != nil {
			return time.Time{}, py.Raise("RuntimeError", "Unable to parse %s. Consider installing timelib", pytext.Str(v))
		}
		f = n
	}
	if math.IsNaN(f) || math.Abs(f) > 253402300799 {
		return time.Time{}, py.Raise("RuntimeError", "Unable to parse %s. Consider installing timelib", pytext.Str(v))
	}
	sec, frac := math.Modf(f)
	return time.Unix(int64(sec), int64(math.RoundToEven(frac*1e6))*1000), nil
}

func humanToBytes(c *py.Call) (py.Value, error) {
	s, err := py.Str(c.T, c.Args[0])
	if err != nil {
		return nil, err
	}
	s = py.Strip(s)
	end := 0
	for end < len(s) && (s[end] >= '0' && s[end] <= '9' || s[end] == '.') {
		end++
	}
	unit := strings.ToLower(strings.TrimLeftFunc(s[end:], py.IsSpace))
	if i := strings.IndexByte(unit, '\n'); i >= 0 {
		return nil, py.Raise("AttributeError", "'NoneType' object has no attribute 'group'")
	}
	if unit == "" {
		d, err := textArg(c.Args[1], "lower")
		if err != nil {
			return nil, err
		}
		unit = strings.ToLower(d)
	}
	metric, err := py.Truth(c.T, c.Args[2])
	if err != nil {
		return nil, err
	}
	num := toNum(s[:end])
	if _, ok := num.(string); ok {
		return int64(0), nil
	}
	const prefixes = "bkmgtpezy"
	p := 0
	if unit != "" {
		p = strings.IndexByte(prefixes, unit[0])
	}
	decimal := false
	switch {
	case unit != "" && p > 0 && unit[1:] == "b":
		decimal = metric
	case unit == "b", p > 0 && (unit[1:] == "" || unit[1:] == "ib"):
	default:
		return int64(0), nil
	}
	factor := new(big.Int).Lsh(big.NewInt(1), uint(p)*10)
	if decimal {
		factor.Exp(big.NewInt(10), big.NewInt(int64(p)*3), nil)
	}
	v, err := py.Binary(c.T, "*", num, py.NewInt(factor))
	if err != nil {
		return nil, err
	}
	return py.ToInt(v)
}

func snakeCase(c *py.Call) (py.Value, error) {
	s, ok := py.AsString(c.Args[0])
	if !ok {
		return nil, undefinedOr(c.Args[0], py.Raise("TypeError", "'%s' object is not subscriptable", py.TypeName(c.Args[0])))
	}
	if s == "" {
		return nil, py.Raise("IndexError", "string index out of range")
	}
	runes := []rune(s)
	lower := func(i int) bool { return i >= 0 && i < len(runes) && py.IsLower(string(runes[i])) }
	var b strings.Builder
	for i, r := range runes {
		if i > 0 && py.IsUpper(string(r)) && (lower(i-1) || i != len(runes)-1 && lower(i+1)) {
			b.WriteByte('_')
		}
		b.WriteString(strings.ToLower(string(r)))
	}
	return b.String(), nil
}

// digests are the hashes of Python's hashlib that are here.
var digests = map[string]func() hash.Hash{
	"md5": md5.New, "sha1": sha1.New, "sha224": sha256.New224, "sha256": sha256.New, "sha384": sha512.New384, "sha512": sha512.New,
	"sha3_224": func() hash.Hash { return sha3.New224() }, "sha3_256": func() hash.Hash { return sha3.New256() },
	"sha3_384": func() hash.Hash { return sha3.New384() }, "sha3_512": func() hash.Hash { return sha3.New512() },
}

func digest(kind, s string) string {
	h := digests[kind]()
	io.WriteString(h, s)
	return hex.EncodeToString(h.Sum(nil))
}

func addHashes(t table) {
	for _, kind := range []string{"md5", "sha1", "sha256", "sha512"} {
		t.add(kind+"_digest/"+kind, "instr", func(c *py.Call) (py.Value, error) {
			s, err := bytesOf(c.Args[0])
			if err != nil {
				return nil, err
			}
			return digest(kind, s), nil
		})
	}
	t.add("base64_b64encode/base64_encode", "instr", func(c *py.Call) (py.Value, error) {
		s, err := bytesOf(c.Args[0])
		if err != nil {
			return nil, err
		}
		return base64.StdEncoding.EncodeToString([]byte(s)), c.T.Alloc(2 * len(s))
	})
	t.add("base64_b64decode/base64_decode", "instr", func(c *py.Call) (py.Value, error) {
		s, err := bytesOf(c.Args[0])
		if err != nil {
			return nil, err
		}
		b, err := decodeBase64(s)
		if err != nil {
			return nil, err
		}
		if utf8.Valid(b) {
			return string(b), nil
		}
		return py.Bytes(b), nil
	})
	sign := func(msg, key py.Value) ([]byte, error) {
		m, err := bytesOf(msg)
		if err != nil {
			return nil, err
		}
		k, err := bytesOf(key)
		if err != nil {
			return nil, err
		}
		h := hmac.New(sha256.New, []byte(k))
		io.WriteString(h, m)
		return h.Sum(nil), nil
	}
	t.add("hmac_signature/hmac", "string, shared_secret, challenge_hmac", func(c *py.Call) (py.Value, error) {
		sum, err := sign(c.Args[0], c.Args[1])
		if err != nil {
			return nil, err
		}
		want, err := bytesOf(c.Args[2])
		return hmac.Equal([]byte(base64.StdEncoding.EncodeToString(sum)), []byte(want)), err
	})
	t.add("hmac_compute", "string, shared_secret", func(c *py.Call) (py.Value, error) {
		sum, err := sign(c.Args[0], c.Args[1])
		return hex.EncodeToString(sum), err
	})
	for _, n := range []string{"rand_str", "random_hash"} {
		t.add("random_hash/"+n, "size=9999999999, hash_type=None", func(c *py.Call) (py.Value, error) {
			n, ok := py.AsInt(c.Args[0])
			if _, isText := py.AsString(c.Args[0]); isText {
				return nil, py.Raise("TypeError", "can only concatenate str (not \"int\") to str")
			}
			if !ok || n < 0 {
				return nil, undefinedOr(c.Args[0], py.Raise("ValueError", "empty range for randrange() (0, %s, %s)", pytext.Str(c.Args[0]), pytext.Str(c.Args[0])))
			}
			kind, _ := py.AsString(c.Args[1])
			if kind == "" {
				kind = "md5"
			}
			if digests[kind] == nil {
				return nil, py.Raise("AttributeError", "module 'hashlib' has no attribute %s", py.Quote(kind))
			}
			return digest(kind, strconv.FormatInt(rand.Int64N(max(n, 1))+rand.Int64N(2), 10)), nil
		})
	}
	t.add("get_hash/file_hashsum", "path, form='sha256', chunk_size=65536", func(c *py.Call) (py.Value, error) {
		path, err := textArg(c.Args[0], "read")
		if err != nil {
			return nil, err
		}
		form, _ := py.AsString(c.Args[1])
		if digests[form] == nil {
			return nil, py.Raise("ValueError", "Invalid hash type: %s", form)
		}
		f, err := os.Open(path)
		if err != nil {
			return nil, osError(err, path)
		}
		defer f.Close()
		h := digests[form]()
		if _, err := io.Copy(h, f); err != nil {
			return nil, osError(err, path)
		}
		return hex.EncodeToString(h.Sum(nil)), nil
	})
}

// decodeBase64 is base64.b64decode: other characters are passed over.
func decodeBase64(s string) ([]byte, error) {
	var b strings.Builder
	pad := 0
	for i := range len(s) {
		c := s[i]
		switch {
		case c >= 'A' && c <= 'Z', c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '+', c == '/':
			if pad > 0 && b.Len()%4 != 0 {
				pad = 0
			}
			b.WriteByte(c)
		case c == '=':
			pad++
			if b.Len()%4 >= 2 && (b.Len()%4)+pad >= 4 {
				out, err := base64.RawStdEncoding.DecodeString(b.String())
				if err != nil {
					return nil, py.Raise("Error", "%s", "Incorrect padding")
				}
				return out, nil
			}
		}
	}
	switch n := b.Len(); n % 4 {
	case 0:
	case 1:
		return nil, py.Raise("Error", "Invalid base64-encoded string: number of data characters (%d) cannot be 1 more than a multiple of 4", n)
	default:
		return nil, py.Raise("Error", "Incorrect padding")
	}
	return base64.StdEncoding.DecodeString(b.String())
}
