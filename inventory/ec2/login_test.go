package ec2_test

import (
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gosalt/gosalt/inventory/inventorytest"
	"github.com/gosalt/gosalt/protocol/wire"
)

// An instance with a role needs no configuration at all: region and credentials come from
// its metadata service.
func TestInstanceRole(t *testing.T) {
	f := newFakeAPI(t, map[string]*fakeRegion{"eu-west-1": {n: 3}})
	imds := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodPut && r.URL.Path == "/latest/api/token":
			w.Header().Set("X-Aws-Ec2-Metadata-Token-Ttl-Seconds", "21600")
			io.WriteString(w, "imds-token")
		case r.Header.Get("X-Aws-Ec2-Metadata-Token") != "imds-token":
			w.WriteHeader(401)
		case r.URL.Path == "/latest/meta-data/iam/security-credentials/":
			io.WriteString(w, "inventory-role")
		case r.URL.Path == "/latest/meta-data/iam/security-credentials/inventory-role":
			io.WriteString(w, `{"Code": "Success", "Type": "AWS-HMAC", "AccessKeyId": "ASIAROLE", "SecretAccessKey": "hushhush", "Token": "t", "Expiration": "2099-01-01T00:00:00Z"}`)
		case r.URL.Path == "/latest/dynamic/instance-identity/document":
			io.WriteString(w, `{"region": "eu-west-1", "accountId": "123456789012", "instanceId": "i-1"}`)
		default:
			w.WriteHeader(404)
		}
	}))
	t.Cleanup(imds.Close)
	t.Setenv("AWS_EC2_METADATA_DISABLED", "false")
	t.Setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", imds.URL)
	if got, errs := inventorytest.Count(t, open(t, wire.NewMap("endpoint", f.URL))); got["eu-west-1"] != 3 || errs != nil {
		t.Error(got, errs)
	}
}

// A login that "aws sso login" has left is used as it is.
func TestSSO(t *testing.T) {
	f := newFakeAPI(t, map[string]*fakeRegion{"eu-west-1": {n: 3}})
	portal := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/federation/credentials" || r.URL.Query().Get("role_name") != "ReadOnly" || r.Header.Get("X-Amz-Sso_bearer_token") != "sso-token" {
			w.WriteHeader(401)
			io.WriteString(w, `{"message": "Session token not found or invalid"}`)
			return
		}
		io.WriteString(w, `{"roleCredentials": {"accessKeyId": "ASIASSO", "secretAccessKey": "hushhush", "sessionToken": "t", "expiration": 4070908800000}}`)
	}))
	t.Cleanup(portal.Close)
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("AWS_ENDPOINT_URL_SSO", portal.URL)
	write := func(name, text string) {
		t.Helper()
		file := filepath.Join(home, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("config", "[profile corp]\nregion = eu-west-1\nsso_session = main\nsso_account_id = 123456789012\nsso_role_name = ReadOnly\n[sso-session main]\nsso_region = eu-west-1\nsso_start_url = https://example.awsapps.com/start\n")
	sum := sha1.Sum([]byte("main"))
	cache := filepath.Join(".aws", "sso", "cache", hex.EncodeToString(sum[:])+".json")
	token := `{"startUrl": "https://example.awsapps.com/start", "region": "eu-west-1", "accessToken": %q, "expiresAt": %q}`
	cfg := wire.NewMap("endpoint", f.URL, "profile", "corp", "config_file", filepath.Join(home, "config"))
	for name, c := range map[string]struct{ token, until, err string }{
		"valid":   {"sso-token", "2099-01-01T00:00:00Z", ""},
		"expired": {"sso-token", "2020-01-01T00:00:00Z", "credentials are refused: the login with SSO is missing or has expired (aws sso login --profile corp)"},
		"revoked": {"other", "2099-01-01T00:00:00Z", "credentials are refused: the login with SSO is missing or has expired (aws sso login --profile corp)"},
	} {
		write(cache, fmt.Sprintf(token, c.token, c.until))
		got, errs := inventorytest.Count(t, open(t, cfg))
		if c.err == "" && (got["eu-west-1"] != 3 || errs != nil) || c.err != "" && (len(errs) != 1 || !strings.Contains(errs[0], c.err)) {
			t.Errorf("%s: %v %v", name, got, errs)
		}
	}
}
