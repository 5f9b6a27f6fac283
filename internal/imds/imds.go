// Package imds plays the metadata service of an EC2 instance for tests, with documents
// signed by a key of the test's own.
package imds

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/smallstep/pkcs7"
)

// Document is an instance identity document, with the fields that AWS describes
// (https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-identity-documents.html).
type Document struct {
	AccountID               string    `json:"accountId"`
	Architecture            string    `json:"architecture"`
	AvailabilityZone        string    `json:"availabilityZone"`
	BillingProducts         any       `json:"billingProducts"`
	DevpayProductCodes      any       `json:"devpayProductCodes"`
	MarketplaceProductCodes any       `json:"marketplaceProductCodes"`
	ImageID                 string    `json:"imageId"`
	InstanceID              string    `json:"instanceId"`
	InstanceType            string    `json:"instanceType"`
	KernelID                any       `json:"kernelId"`
	PendingTime             time.Time `json:"pendingTime"`
	PrivateIP               string    `json:"privateIp"`
	RamdiskID               any       `json:"ramdiskId"`
	Region                  string    `json:"region"`
	Version                 string    `json:"version"`
}

// New is the document of an instance that was started now.
func New(id string) Document {
	return Document{AccountID: "012345678901", Architecture: "x86_64", AvailabilityZone: "eu-west-1a", ImageID: "ami-0abcdef1234567890", InstanceID: id,
		InstanceType: "t3.micro", PendingTime: time.Now().UTC().Truncate(time.Second), PrivateIP: "127.0.0.1", Region: "eu-west-1", Version: "2017-09-30"}
}

// Signer signs documents in AWS's place.
type Signer struct {
	key  *rsa.PrivateKey
	cert *x509.Certificate
}

// NewSigner makes a key and its certificate.
func NewSigner() (*Signer, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		return nil, err
	}
	tmpl := &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{Organization: []string{"Test Web Services"}}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	return &Signer{key, cert}, err
}

// PEM is the certificate, for the option certificates.
func (s *Signer) PEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.cert.Raw})
}

// Sign makes what the service serves as instance-identity/rsa2048, in DER.
func (s *Signer) Sign(d Document) ([]byte, error) {
	b, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		return nil, err
	}
	sd, err := pkcs7.NewSignedData(b)
	if err != nil {
		return nil, err
	}
	sd.SetDigestAlgorithm(pkcs7.OIDDigestAlgorithmSHA256)
	if err := sd.AddSigner(s.cert, s.key, pkcs7.SignerInfoConfig{}); err != nil {
		return nil, err
	}
	return sd.Finish()
}

// Serve plays the service, of version 2 alone, on the loopback interface.
func (s *Signer) Serve(d Document) (*httptest.Server, error) {
	der, err := s.Sign(d)
	if err != nil {
		return nil, err
	}
	text := base64.StdEncoding.EncodeToString(der)
	var lines string
	for len(text) > 64 {
		lines, text = lines+text[:64]+"\n", text[64:]
	}
	lines += text
	const token = "AQAAANOtTokenOfTheTest=="
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodPut && r.URL.Path == "/latest/api/token" && r.Header.Get("X-aws-ec2-metadata-token-ttl-seconds") != "":
			fmt.Fprint(w, token)
		case r.Header.Get("X-aws-ec2-metadata-token") != token:
			w.WriteHeader(http.StatusUnauthorized)
		case r.URL.Path == "/latest/meta-data/instance-id":
			fmt.Fprint(w, d.InstanceID)
		case r.URL.Path == "/latest/dynamic/instance-identity/rsa2048":
			fmt.Fprint(w, lines)
		default:
			http.NotFound(w, r)
		}
	})), nil
}
