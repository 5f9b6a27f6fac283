package fileclient

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gosalt/gosalt/protocol/wire"
)

// s3 fetches an object of a bucket, signed where there are keys.
func (f *Fetcher) s3(ctx context.Context, u *url.URL, w io.Writer, o FetchOptions) error {
	opts := wire.NewMap()
	if f.S3 != nil {
		opts = f.S3()
	}
	l := f.Limits.withDefaults()
	ctx, cancel := context.WithTimeoutCause(ctx, l.Total, fmt.Errorf("not done within %s", l.Total))
	defer cancel()
	req, err := s3Request(ctx, u.Host, strings.TrimPrefix(u.Path, "/"), opts, time.Now().UTC())
	if err != nil {
		//lint:ignore ST1005 Salt's words
		return fmt.Errorf("Could not fetch from %s. Exception: %w", u.Redacted(), err)
	}
	if v, ok := opts.Get("verify_ssl"); ok && v == false {
		o.Insecure = true
	}
	if err := f.get(req, l, o, w, func(*http.Response) error { return nil }); err != nil {
		//lint:ignore ST1005 Salt's words
		return fmt.Errorf("Could not fetch from %s. Exception: %w", u.Redacted(), err)
	}
	return nil
}

const emptyHash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" // SHA-256 of nothing

// s3Request makes the request for an object, by Salt's s3.* settings, signed by AWS's
// Signature Version 4.
func s3Request(ctx context.Context, bucket, key string, o *wire.Map, now time.Time) (*http.Request, error) {
	service, region := o.Text("service_url"), o.Text("location")
	if service == "" {
		service = "s3.amazonaws.com"
	}
	if region == "" {
		region = "us-east-1"
	}
	scheme := "https"
	if v, ok := o.Get("https_enable"); ok && v == false {
		scheme = "http"
	}
	host, p := bucket+"."+service, "/"+key
	if o.Bool("path_style") {
		host, p = service, "/"+bucket+"/"+key
	}
	escaped := s3Escape(p)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://"+host+escaped, nil)
	if err != nil {
		return nil, err
	}
	req.URL.RawPath = escaped
	id, secret := o.Text("keyid"), o.Text("key")
	if id == "" || secret == "" {
		return req, nil // a public object
	}
	date, auth := s3Authorization(host, escaped, "", region, id, secret, now)
	req.Header.Set("X-Amz-Date", date)
	req.Header.Set("X-Amz-Content-Sha256", emptyHash)
	req.Header.Set("Authorization", auth)
	return req, nil
}

// s3Authorization signs a GET request without a body: the values of two headers.
func s3Authorization(host, path, query, region, id, secret string, now time.Time) (date, auth string) {
	date, day := now.Format("20060102T150405Z"), now.Format("20060102")
	const signed = "host;x-amz-content-sha256;x-amz-date"
	canonical := strings.Join([]string{"GET", path, query, "host:" + host, "x-amz-content-sha256:" + emptyHash, "x-amz-date:" + date, "", signed, emptyHash}, "\n")
	sum := sha256.Sum256([]byte(canonical))
	scope := strings.Join([]string{day, region, "s3", "aws4_request"}, "/")
	toSign := strings.Join([]string{"AWS4-HMAC-SHA256", date, scope, hex.EncodeToString(sum[:])}, "\n")
	k := []byte("AWS4" + secret)
	for _, part := range []string{day, region, "s3", "aws4_request"} {
		k = hmac256(k, part)
	}
	return date, fmt.Sprintf("AWS4-HMAC-SHA256 Credential=%s/%s,SignedHeaders=%s,Signature=%s", id, scope, signed, hex.EncodeToString(hmac256(k, toSign)))
}

func hmac256(key []byte, text string) []byte {
	m := hmac.New(sha256.New, key)
	m.Write([]byte(text))
	return m.Sum(nil)
}

// s3Escape escapes a path as AWS does: all but unreserved characters and the slash.
func s3Escape(p string) string {
	var b strings.Builder
	for i := range len(p) {
		c := p[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~/", c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}
