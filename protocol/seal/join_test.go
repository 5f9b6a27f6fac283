package seal

import (
	"fmt"
	"strings"
	"testing"
)

var testFinger = strings.Repeat("0a:", 31) + "0a"

func TestJoinToken(t *testing.T) {
	tok := NewJoinToken([]string{"salt.example.com", "[2001:db8::1]:4606"}, testFinger, "web1")
	text, err := tok.Text()
	if err != nil {
		t.Fatal(err)
	}
	if strings.Trim(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") != "" {
		t.Errorf("%q is more than a word", text)
	}
	got, err := ParseJoinToken(" " + text + "\n")
	if err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(got.Masters) != fmt.Sprint(tok.Masters) || got.Finger != testFinger || got.Name != tok.Name || got.ID != "web1" {
		t.Errorf("%q %q %q %q", got.Masters, got.Finger, got.Name, got.ID)
	}
	proof := got.Prove("c", "web1", "key")
	if !VerifyJoin(tok.Verifier(), tok.Name, testFinger, "c", "web1", "key", proof) {
		t.Error("a right proof is refused")
	}
	for name, bad := range map[string]bool{
		"id":     VerifyJoin(tok.Verifier(), tok.Name, testFinger, "c", "web2", "key", proof),
		"key":    VerifyJoin(tok.Verifier(), tok.Name, testFinger, "c", "web1", "kez", proof),
		"split":  VerifyJoin(tok.Verifier(), tok.Name, testFinger, "cw", "eb1", "key", proof),
		"master": VerifyJoin(tok.Verifier(), tok.Name, strings.ToUpper(testFinger), "c", "web1", "key", proof),
		"empty":  VerifyJoin(nil, tok.Name, testFinger, "c", "web1", "key", nil),
	} {
		if bad {
			t.Errorf("a proof for another %s is taken", name)
		}
	}
	if s := fmt.Sprintf("%v %+v %#v %s", tok, tok, tok, tok); strings.Contains(s, "seed") || strings.Contains(s, "web1") {
		t.Errorf("it prints: %s", s)
	}
	// Cut off, or with one letter changed, it says so.
	for i := range text {
		for _, s := range []string{text[:i], text[:i] + "*" + text[i+1:], text[:i] + text[i+1:]} {
			if _, err := ParseJoinToken(s); err == nil {
				t.Fatalf("damaged at %d it is taken", i)
			} else if i > len(joinPrefix)+4 && strings.Contains(err.Error(), text[len(joinPrefix):i]) {
				t.Fatalf("the error holds it: %v", err)
			}
		}
	}
	if _, err := ParseJoinToken("gosalt-join9-abc"); err == nil || !strings.Contains(err.Error(), "newer") {
		t.Error(err)
	}
}

// What parses is the same after printing and parsing again.
func FuzzParseJoinToken(f *testing.F) {
	text, err := NewJoinToken([]string{"salt"}, testFinger, "").Text()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add("gosalt-join1-")
	f.Fuzz(func(t *testing.T, text string) {
		tok, err := ParseJoinToken(text)
		if err != nil {
			if tok != nil {
				t.Fatal("an error comes with a token")
			}
			return
		}
		again, err := tok.Text()
		if err != nil {
			t.Fatal(err)
		}
		back, err := ParseJoinToken(again)
		if err != nil || back.Name != tok.Name || *back.seed != *tok.seed || fmt.Sprint(back.Masters) != fmt.Sprint(tok.Masters) || back.ID != tok.ID {
			t.Fatalf("%q becomes %q: %v", text, again, err)
		}
	})
}
