package seal

import (
	"bytes"
	"compress/gzip"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"testing"

	"github.com/gosalt/gosalt/protocol/wire"
)

// readVectors reads one of the files recorded from Salt.
func readVectors(t testing.TB, name string, into any) {
	t.Helper()
	f, err := os.Open("testdata/" + name + ".json.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if err := d.Decode(into); err != nil {
		t.Fatal(err)
	}
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

type staticVectors struct {
	RSAKeys map[string]struct {
		Bits           int
		Passphrase     string
		PrivatePEM     string `json:"private_pem"`
		PublicPEM      string `json:"public_pem"`
		PublicPEMClean string `json:"public_pem_clean"`
		FingerSHA256   string `json:"finger_sha256"`
		FingerMD5      string `json:"finger_md5"`
	} `json:"rsa_keys"`
	CleanKey []struct{ In, Out string } `json:"clean_key"`
	X931     []struct {
		Key, What, Error string
		MessageHex       string `json:"message_hex"`
		SignatureHex     string `json:"signature_hex"`
	} `json:"rsa_x931"`
	Sign []struct {
		Key          string
		Algorithm    Algorithm
		MessageHex   string `json:"message_hex"`
		SignatureHex string `json:"signature_hex"`
	} `json:"rsa_sign"`
	OAEP []struct {
		Key           string
		Algorithm     Algorithm
		CiphertextHex string `json:"ciphertext_hex"`
		PlaintextHex  string `json:"plaintext_hex"`
	} `json:"rsa_oaep"`
	MasterSig []struct {
		Algorithm  Algorithm
		SigningKey string `json:"signing_key"`
		SignedText string `json:"signed_text"`
		PubSig     string `json:"pub_sig_base64_with_newline"`
	} `json:"master_pubkey_signature"`
	Crypticle struct {
		KeyString string `json:"key_string"`
		IVHex     string `json:"iv_hex"`
		Examples  []struct {
			Value         string
			Nonce         string
			PlaintextHex  string `json:"plaintext_hex"`
			CiphertextHex string `json:"ciphertext_hex"`
			HMACHex       string `json:"hmac_hex"`
		}
		MustFailHex       string   `json:"must_fail_hmac_hex"`
		KeyStringExamples []string `json:"key_string_examples"`
		SerialSequence    struct {
			Steps []struct {
				Serial int64
				Result map[string]any
			}
		} `json:"serial_sequence"`
	}
	ClearSignedReply struct {
		SigningKey string `json:"signing_key"`
		Algorithm  Algorithm
		InnerHex   string `json:"inner_hex"`
		FrameHex   string `json:"frame_hex"`
		Nonce      string
	} `json:"clear_signed_reply"`
	PrivateReplyPillar struct {
		Nonce            string
		OneTimeKeyString string `json:"one_time_key_string"`
		EncryptKey       string `json:"encrypt_key"`
		SigningKey       string `json:"signing_key"`
		FrameHex         string `json:"frame_hex"`
	} `json:"private_reply_pillar"`
}

// static is Salt's own functions' output, with the keys parsed.
func static(t testing.TB) (*staticVectors, map[string]*PrivateKey) {
	t.Helper()
	v := new(staticVectors)
	readVectors(t, "static", v)
	keys := make(map[string]*PrivateKey)
	for name, k := range v.RSAKeys {
		p, err := ParsePrivate([]byte(k.PrivatePEM), NewSecret(k.Passphrase), AllowBits(1024))
		if err != nil {
			t.Fatalf("key %s: %v", name, err)
		}
		keys[name] = p
	}
	return v, keys
}

func TestVectorKeys(t *testing.T) {
	v, keys := static(t)
	for name, k := range v.RSAKeys {
		p := keys[name]
		if p.Public().Bits() != k.Bits {
			t.Errorf("%s: %d bits, %d expected", name, p.Public().Bits(), k.Bits)
		}
		if k.PublicPEM == "" {
			continue
		}
		if got := p.Public().PEM(); got != k.PublicPEM {
			t.Errorf("%s: public PEM differs:\n%s", name, got)
		}
		if got := CleanKey(k.PublicPEM); k.PublicPEMClean != "" && got != k.PublicPEMClean {
			t.Errorf("%s: cleaned PEM differs:\n%s", name, got)
		}
		pub, err := ParsePublic([]byte(k.PublicPEM))
		if err != nil || !pub.Equal(p.Public()) {
			t.Errorf("%s: public key differs (%v)", name, err)
		}
		for hash, want := range map[string]string{"sha256": k.FingerSHA256, "md5": k.FingerMD5} {
			if got, err := Fingerprint(k.PublicPEM, hash); want != "" && got != want {
				t.Errorf("%s: %s fingerprint %s (%v), Salt's is %s", name, hash, got, err, want)
			}
		}
	}
	for _, c := range v.CleanKey {
		if got := CleanKey(c.In); got != c.Out {
			t.Errorf("CleanKey(%q) = %q, Salt's is %q", c.In, got, c.Out)
		}
	}
}

func TestVectorX931(t *testing.T) {
	v, keys := static(t)
	for _, x := range v.X931 {
		m := unhex(t, x.MessageHex)
		s, err := keys[x.Key].SignX931(m)
		if x.Error != "" {
			if err == nil {
				t.Errorf("%s: signed, Salt says %s", x.What, x.Error)
			}
			continue
		}
		if err != nil || hex.EncodeToString(s) != x.SignatureHex {
			t.Errorf("%s: signature differs (%v)", x.What, err)
		}
		if back, err := keys[x.Key].Public().Recover(unhex(t, x.SignatureHex)); err != nil || !bytes.Equal(back, m) {
			t.Errorf("%s: recovered %x (%v)", x.What, back, err)
		}
	}
}

func TestVectorSign(t *testing.T) {
	v, keys := static(t)
	for _, x := range v.Sign {
		s, err := keys[x.Key].Sign(x.Algorithm, unhex(t, x.MessageHex))
		if err != nil || hex.EncodeToString(s) != x.SignatureHex {
			t.Errorf("%s with %s: signature differs (%v)", x.Algorithm, x.Key, err)
		}
		if err := keys[x.Key].Public().Verify(x.Algorithm, unhex(t, x.MessageHex), unhex(t, x.SignatureHex)); err != nil {
			t.Errorf("%s with %s: %v", x.Algorithm, x.Key, err)
		}
	}
	for _, x := range v.MasterSig {
		s, err := SignMasterKey(keys[x.SigningKey], x.Algorithm, x.SignedText)
		if err != nil || s != x.PubSig {
			t.Errorf("pub_sig by %s is %q (%v), Salt's is %q", x.Algorithm, s, err, x.PubSig)
		}
		if err := VerifyMasterKey(keys[x.SigningKey].Public(), x.Algorithm, x.SignedText+"\n", x.PubSig); err != nil {
			t.Errorf("pub_sig by %s: %v", x.Algorithm, err)
		}
	}
}

func TestVectorOAEP(t *testing.T) {
	v, keys := static(t)
	for _, x := range v.OAEP {
		m, err := keys[x.Key].Decrypt(x.Algorithm, unhex(t, x.CiphertextHex))
		if err != nil || hex.EncodeToString(m) != x.PlaintextHex {
			t.Errorf("%s with %s: %x (%v)", x.Algorithm, x.Key, m, err)
		}
	}
}

func TestVectorCrypticle(t *testing.T) {
	v, _ := static(t)
	c := v.Crypticle
	k, err := ParseKey(c.KeyString)
	if err != nil {
		t.Fatal(err)
	}
	if k.Reveal() != c.KeyString {
		t.Errorf("key's text is %q", k.Reveal())
	}
	for _, x := range c.Examples {
		// The same bytes come out under the same IV.
		b := append(unhex(t, c.IVHex), unhex(t, x.PlaintextHex)...)
		if got := hex.EncodeToString(k.finishIV(b)); got != x.CiphertextHex {
			t.Errorf("%s: sealed as %s, by Salt as %s", x.Value, got, x.CiphertextHex)
		}
		packed, err := k.OpenPacked(unhex(t, x.CiphertextHex), x.Nonce)
		if err != nil {
			t.Errorf("%s: %v", x.Value, err)
			continue
		}
		if want := unhex(t, x.PlaintextHex)[len(magic)+len(x.Nonce):]; !bytes.Equal(packed, want) {
			t.Errorf("%s: opened as %x, %x expected", x.Value, packed, want)
		}
		value, err := k.Open(unhex(t, x.CiphertextHex), x.Nonce, wire.Unauthenticated)
		if err != nil {
			t.Errorf("%s: %v", x.Value, err)
		}
		if back, err := wire.Encode(value, wire.Network); err != nil || !bytes.Equal(back, packed) {
			t.Errorf("%s: packed as %x (%v)", x.Value, back, err)
		}
	}
	if _, err := k.Open(unhex(t, c.MustFailHex), "", wire.Unauthenticated); !errors.Is(err, ErrAuth) {
		t.Errorf("message with a wrong HMAC: %v, ErrAuth expected", err)
	}
	for _, s := range c.KeyStringExamples {
		if k, err := ParseKey(s); err != nil || k.Reveal() != s {
			t.Errorf("key %q: %v", s, err)
		}
	}
	var serial Serial
	for _, step := range c.SerialSequence.Steps {
		m := wire.NewMap("x", int64(1), "serial", step.Serial)
		_, err := serial.Take(m)
		if refused := len(step.Result) == 0; refused != errors.Is(err, ErrSerial) {
			t.Errorf("serial %d: %v, Salt gives %v", step.Serial, err, step.Result)
		}
		if m.Has("serial") {
			t.Errorf("serial %d was left in the message", step.Serial)
		}
	}
}

func TestVectorReplies(t *testing.T) {
	v, keys := static(t)
	r := v.ClearSignedReply
	check := AuthCheck{Minion: keys["minion"], Nonce: r.Nonce, Sig: r.Algorithm, Master: keys[r.SigningKey].Public()}
	got, err := check.Open(unhex(t, r.FrameHex), wire.Unauthenticated)
	if err != nil || got.State != wire.AuthPending || !got.Verified {
		t.Errorf("pending reply: %+v, %v", got, err)
	}
	body, err := SignReply(keys[r.SigningKey], r.Algorithm, &wire.AuthReply{State: wire.AuthPending, Nonce: r.Nonce})
	if err != nil || hex.EncodeToString(body) != r.FrameHex {
		t.Errorf("pending reply is built as %x (%v)", body, err)
	}

	p := v.PrivateReplyPillar
	pillar, err := OpenPillar(unhex(t, p.FrameHex), keys[p.EncryptKey], OAEPSHA1, keys[p.SigningKey].Public(), PKCS1v15SHA1, p.Nonce, wire.Unauthenticated)
	if err != nil || pillar.Text("greet") != "hi" {
		t.Errorf("pillar reply: %v, %v", pillar, err)
	}
}
