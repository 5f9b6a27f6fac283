package fileclient

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gosalt/gosalt/protocol/wire"
)

func newFetcher(t *testing.T) *Fetcher {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "srv"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "srv", "a"), []byte("salt"), 0o644); err != nil {
		t.Fatal(err)
	}
	cache := filepath.Join(dir, "cache")
	return &Fetcher{Client: NewDirs(map[string][]string{"base": {filepath.Join(dir, "srv")}}, cache), Cache: Cache{Dir: cache},
		Limits: Limits{Size: 1 << 20}}
}

func TestFetchHTTP(t *testing.T) {
	var asked int
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		user, pass, _ := r.BasicAuth()
		switch r.URL.Path {
		case "/file":
			w.Header().Set("Etag", `"v1"`)
			if r.Header.Get("If-None-Match") == `"v1"` {
				w.WriteHeader(http.StatusNotModified)
				return
			}
			fmt.Fprintf(w, "content %s", r.URL.RawQuery)
		case "/moved":
			http.Redirect(w, r, "/file", http.StatusFound)
		case "/private":
			if user != "me" || pass != "s3cret" {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			io.WriteString(w, "private")
		case "/large":
			w.Write(make([]byte, 1<<20+1))
		case "/short":
			w.Header().Set("Content-Length", "100")
			io.WriteString(w, "only this")
		case "/":
			io.WriteString(w, "index")
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	defer s.Close()
	host := strings.TrimPrefix(s.URL, "http://")
	for _, c := range []struct {
		name, url string
		o         FetchOptions
		want, err string
	}{
		{"plain", s.URL + "/file", FetchOptions{}, "content ", ""},
		{"with a query", s.URL + "/file?a=1", FetchOptions{}, "content a=1", ""},
		{"moved", s.URL + "/moved", FetchOptions{}, "content ", ""},
		{"with a password", "http://me:s3cret@" + host + "/private", FetchOptions{}, "private", ""},
		{"a wrong password", "http://me:hunter2@" + host + "/private", FetchOptions{}, "", "HTTP 401: Unauthorized"},
		{"not there", s.URL + "/nosuch", FetchOptions{}, "", "Error: HTTP 404: Not Found reading"},
		{"too large", s.URL + "/large", FetchOptions{}, "", "http_max_body"},
		{"cut short", s.URL + "/short", FetchOptions{}, "", "unexpected EOF"},
		{"the index", s.URL + "/", FetchOptions{}, "index", ""},
		{"nobody listens", "http://127.0.0.1:1/x", FetchOptions{}, "", "connection refused"},
		{"leads out of the cache", s.URL + "/a/../../../../../etc/x", FetchOptions{}, "", "Invalid path"},
		{"unknown scheme", "gopher://x/y", FetchOptions{}, "", "no way to fetch"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFetcher(t)
			name, err := f.Fetch(t.Context(), c.url, c.o)
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) || strings.Contains(err.Error(), "hunter2") {
					t.Errorf("error %v; want one with %q, and no password", err, c.err)
				}
				filepath.WalkDir(f.Cache.Dir, func(name string, d os.DirEntry, err error) error {
					if err == nil && !d.IsDir() {
						t.Errorf("%s is left", name)
					}
					return nil
				})
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(name, f.Cache.Dir) || strings.Contains(name, "s3cret") {
				t.Errorf("put to %s", name)
			}
			if b, err := os.ReadFile(name); string(b) != c.want || err != nil {
				t.Errorf("got %q, %v", b, err)
			}
		})
	}
	t.Run("source_hash saves the way", func(t *testing.T) {
		f := newFetcher(t)
		if _, err := f.Fetch(t.Context(), s.URL+"/file", FetchOptions{}); err != nil {
			t.Fatal(err)
		}
		before := asked
		const sum = "9a0364b9e99bb480dd25e1f0284c8555" // MD5 of something else
		if _, err := f.Fetch(t.Context(), s.URL+"/file", FetchOptions{SourceHash: "md5=" + sum}); err != nil || asked != before+1 {
			t.Errorf("another hash: %v, asked %d times", err, asked-before)
		}
		right, err := HashFile(t.Context(), mustPath(t, f, s.URL+"/file"), "sha256")
		if err != nil {
			t.Fatal(err)
		}
		before = asked
		if _, err := f.Fetch(t.Context(), s.URL+"/file", FetchOptions{SourceHash: "sha256=" + right}); err != nil || asked != before {
			t.Errorf("the right hash: %v, asked %d times", err, asked-before)
		}
	})
	t.Run("etag", func(t *testing.T) {
		f := newFetcher(t)
		for range 2 {
			name, err := f.Fetch(t.Context(), s.URL+"/file", FetchOptions{ETag: true})
			if err != nil {
				t.Fatal(err)
			}
			if b, err := os.ReadFile(name); string(b) != "content " || err != nil {
				t.Errorf("%q, %v", b, err)
			}
		}
	})
	t.Run("destinations", func(t *testing.T) {
		f, dir := newFetcher(t), t.TempDir()
		if _, err := f.Fetch(t.Context(), s.URL+"/file", FetchOptions{Dest: dir + "/no/x"}); !errors.Is(err, ErrNoDirectory) {
			t.Errorf("no directory: %v", err)
		}
		if name, err := f.Fetch(t.Context(), s.URL+"/file", FetchOptions{Dest: dir}); name != dir+"/file" || err != nil {
			t.Errorf("into a directory: %s, %v", name, err)
		}
		if name, err := f.Fetch(t.Context(), s.URL+"/", FetchOptions{Dest: dir + "/"}); name != dir+"/index.html" || err != nil {
			t.Errorf("index: %s, %v", name, err)
		}
		if name, err := f.Fetch(t.Context(), "salt://a", FetchOptions{Dest: dir + "/deep/er/", MakeDirs: true}); name != dir+"/deep/er/a" || err != nil {
			t.Errorf("salt://: %s, %v", name, err)
		}
	})
	t.Run("certificates", func(t *testing.T) {
		tls := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "tls") }))
		defer tls.Close()
		tls.Config.ErrorLog = nil
		f := newFetcher(t)
		if _, err := f.Fetch(t.Context(), tls.URL+"/x", FetchOptions{}); err == nil || !strings.Contains(err.Error(), "certificate") {
			t.Errorf("an unknown certificate: %v", err)
		}
		if _, err := f.Fetch(t.Context(), tls.URL+"/x", FetchOptions{Insecure: true}); err != nil {
			t.Errorf("verify_ssl=False: %v", err)
		}
	})
	t.Run("a server that says nothing", func(t *testing.T) {
		stop := make(chan struct{})
		slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, "some")
			w.(http.Flusher).Flush()
			<-stop
		}))
		defer slow.Close()
		defer close(stop)
		f := newFetcher(t)
		f.Limits.Stall = 50 * time.Millisecond
		if _, err := f.Fetch(t.Context(), slow.URL+"/x", FetchOptions{}); err == nil {
			t.Error("no error")
		}
	})
}

func mustPath(t *testing.T, f *Fetcher, address string) string {
	name, err := f.Cache.External(address, "base")
	if err != nil {
		t.Fatal(err)
	}
	return name
}

// ftpServer is as much of an FTP server as a client meets. It lies about its address.
func ftpServer(t *testing.T, epsv bool) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				say := func(format string, a ...any) { fmt.Fprintf(c, format+"\r\n", a...) }
				say("220-welcome\r\n220 ready")
				var data net.Listener
				user := ""
				for lines := bufio.NewScanner(c); lines.Scan(); {
					cmd, arg, _ := strings.Cut(lines.Text(), " ")
					switch cmd {
					case "USER":
						user = arg
						say("331 password")
					case "PASS":
						if user == "me" && arg != "pw" {
							say("530 Login incorrect")
							continue
						}
						say("230 in")
					case "TYPE":
						say("200 ok")
					case "EPSV", "PASV":
						if cmd == "EPSV" && !epsv {
							say("500 what?")
							continue
						}
						data, _ = net.Listen("tcp", "127.0.0.1:0")
						port := data.Addr().(*net.TCPAddr).Port
						if cmd == "EPSV" {
							say("229 ok (|||%d|)", port)
						} else {
							say("227 ok (10,9,8,7,%d,%d)", port>>8, port&255)
						}
					case "RETR":
						if arg != "dir/file" {
							say("550 No such file")
							continue
						}
						say("150 coming")
						d, err := data.Accept()
						if err == nil {
							fmt.Fprintf(d, "for %s", user)
							d.Close()
						}
						data.Close()
						say("226 done")
					case "QUIT":
						say("221 bye")
						return
					}
				}
			}()
		}
	}()
	return l.Addr().String()
}

func TestFetchFTP(t *testing.T) {
	for _, epsv := range []bool{true, false} {
		addr := ftpServer(t, epsv)
		for _, c := range []struct{ url, want, err string }{
			{"ftp://" + addr + "/dir/file", "for anonymous", ""},
			{"ftp://me:pw@" + addr + "/dir/file", "for me", ""},
			{"ftp://me:hunter2@" + addr + "/dir/file", "", "530 Login incorrect"},
			{"ftp://" + addr + "/nosuch", "", "550"},
			{"ftp://" + addr + "/a%0d%0aDELE%20x", "", "line breaks"},
		} {
			f := newFetcher(t)
			name, err := f.Fetch(t.Context(), c.url, FetchOptions{})
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) || strings.Contains(err.Error(), "hunter2") {
					t.Errorf("%s: %v", c.url, err)
				}
				continue
			}
			if err != nil {
				t.Errorf("%s: %v", c.url, err)
				continue
			}
			if b, err := os.ReadFile(name); string(b) != c.want || err != nil {
				t.Errorf("%s: %q, %v", c.url, b, err)
			}
		}
	}
}

// TestS3Request checks addresses and the form of the signature; scenarios use a real server.
func TestS3Request(t *testing.T) {
	now := time.Date(2013, 5, 24, 0, 0, 0, 0, time.UTC)
	o := wire.NewMap("keyid", "AKIAIOSFODNN7EXAMPLE", "key", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
	req, err := s3Request(t.Context(), "examplebucket", "test $file.text", o, now)
	if err != nil {
		t.Fatal(err)
	}
	if got := req.URL.String(); got != "https://examplebucket.s3.amazonaws.com/test%20%24file.text" {
		t.Errorf("address %s", got)
	}
	auth := req.Header.Get("Authorization")
	if !strings.HasPrefix(auth, "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,SignedHeaders=host;x-amz-content-sha256;x-amz-date,Signature=") {
		t.Errorf("authorization %s", auth)
	}
	o.Set("path_style", true)
	o.Set("https_enable", false)
	o.Set("service_url", "127.0.0.1:9000")
	if req, err = s3Request(t.Context(), "b", "k", o, now); err != nil || req.URL.String() != "http://127.0.0.1:9000/b/k" {
		t.Errorf("%v, %v", req.URL, err)
	}
}

// TestS3Authorization is the example "GET Bucket Lifecycle" of AWS's documentation of
// Signature Version 4.
func TestS3Authorization(t *testing.T) {
	_, auth := s3Authorization("examplebucket.s3.amazonaws.com", "/", "lifecycle=", "us-east-1", "AKIAIOSFODNN7EXAMPLE",
		"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", time.Date(2013, 5, 24, 0, 0, 0, 0, time.UTC))
	if want := "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"; !strings.HasSuffix(auth, "Signature="+want) {
		t.Errorf("%s\nsignature %s expected", auth, want)
	}
}

func TestLocalPath(t *testing.T) {
	for _, c := range []struct{ in, want, err string }{
		{"/etc/hosts", "/etc/hosts", ""},
		{"file:///etc/hosts", "/etc/hosts", ""},
		{"file://localhost/etc/hosts", "/etc/hosts", ""},
		{"file://etc/hosts", "", "Path 'etc/hosts' is not absolute"},
		{"etc/hosts", "", "Path 'etc/hosts' is not absolute"},
	} {
		got, err := LocalPath(c.in)
		if got != c.want || (err == nil) != (c.err == "") || err != nil && err.Error() != c.err {
			t.Errorf("%s: %q, %v", c.in, got, err)
		}
	}
}

func TestCachePaths(t *testing.T) {
	c := Cache{Dir: "/c"}
	for _, tt := range []struct{ env, path, want string }{
		{"base", "a/b", "/c/files/base/a/b"},
		{"base", "|a?b", "/c/files/base/a?b"},
		{"base", "../x", ""},
		{"base", "a/../../x", ""},
		{"../x", "a", ""},
		{"base", "", ""},
		{"", "a", ""},
		{"a\x00b", "a", ""},
	} {
		if got := c.Path(tt.env, tt.path); got != tt.want {
			t.Errorf("%q %q: %q, want %q", tt.env, tt.path, got, tt.want)
		}
	}
}

func FuzzCachePaths(f *testing.F) {
	f.Add("base", "a/b", "http://user:pw@host:80/p?q")
	f.Fuzz(func(t *testing.T, env, path, address string) {
		c := Cache{Dir: "/c/d"}
		if p := c.Path(env, path); p != "" && !strings.HasPrefix(p, "/c/d/files/") {
			t.Errorf("%q %q: %q", env, path, p)
		}
		if p, err := c.External(address, env); err == nil && !strings.HasPrefix(p, "/c/d/extrn_files/") {
			t.Errorf("%q %q: %q", address, env, p)
		}
		if u, err := url.Parse(address); err == nil && u.User != nil {
			if pass, ok := u.User.Password(); ok && len(pass) > 3 && strings.Contains(Redact(address), ":"+pass+"@") {
				t.Errorf("%q keeps its password: %q", address, Redact(address))
			}
		}
	})
}

func TestParseAddress(t *testing.T) {
	for address, want := range map[string][3]string{
		"salt://my files/a b.txt":       {"salt", "my files", "/a b.txt"},
		"salt://dir/x?saltenv=dev":      {"salt", "dir", "/x"},
		"salt://my files/x?saltenv=dev": {"salt", "my files", "/x"},
		"salt://one file":               {"salt", "one file", ""},
		"http://h:80/p":                 {"http", "h:80", "/p"},
	} {
		u, err := ParseAddress(address)
		if err != nil || [3]string{u.Scheme, u.Host, u.Path} != want {
			t.Errorf("%s: %v, %v", address, u, err)
		}
	}
	if u, err := ParseAddress("http://my host/x"); err == nil {
		t.Errorf("a host with a blank: %v", u)
	}
}
