package join

import (
	"bytes"
	"crypto/x509"
	_ "embed"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/smallstep/pkcs7"

	"github.com/gosalt/gosalt/internal/lazyre"
)

// awsPEM are Amazon's certificates, a region each.
//
//go:embed awscerts.pem
var awsPEM []byte

// awsCerts are the certificates that an instance identity document may be signed by.
type awsCerts struct {
	byRegion map[string]*x509.Certificate
	own      []*x509.Certificate // of any region, in the place of byRegion
}

var regionLine = lazyre.New(`(?m)^region: ([a-z0-9-]+)`)

// amazonCerts reads the certificates that come with gosalt.
var amazonCerts = sync.OnceValues(func() (*awsCerts, error) {
	c := &awsCerts{byRegion: map[string]*x509.Certificate{}}
	marks := regionLine.FindAllSubmatchIndex(awsPEM, -1)
	for _, m := range marks {
		region := string(awsPEM[m[2]:m[3]])
		block, _ := pem.Decode(awsPEM[m[1]:])
		if block == nil {
			return nil, fmt.Errorf("region %s has no certificate", region)
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("region %s: %w", region, err)
		}
		c.byRegion[region] = cert
	}
	return c, nil
})

func loadAWSCerts(confDir string, files []string) (*awsCerts, error) {
	if len(files) == 0 {
		return amazonCerts()
	}
	c := &awsCerts{}
	for _, name := range files {
		if !filepath.IsAbs(name) {
			name = filepath.Join(confDir, name)
		}
		rest, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		before := len(c.own)
		for {
			var block *pem.Block
			if block, rest = pem.Decode(rest); block == nil {
				break
			}
			cert, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			c.own = append(c.own, cert)
		}
		if len(c.own) == before {
			return nil, fmt.Errorf("%s: no certificate in it: PEM expected", name)
		}
	}
	return c, nil
}

var (
	awsInstance = lazyre.New(`^i-[0-9a-f]{8,32}$`)
	awsAccount  = lazyre.New(`^[0-9]{12}$`)
	awsRegion   = lazyre.New(`^[a-z]+(-[a-z]+)+-[0-9]+$`)
)

// verify opens an instance identity document with its signature around it
// (instance-identity/rsa2048, PKCS #7 in DER) and returns what it says.
func (c *awsCerts) verify(der []byte) (who *Identity, err error) {
	defer func() {
		if v := recover(); v != nil { // of the parser, which reads what anybody sends
			who, err = nil, fmt.Errorf("document cannot be read: %v", v)
		}
	}()
	p7, err := pkcs7.Parse(der)
	if err != nil {
		return nil, fmt.Errorf("document cannot be read: %w", err)
	}
	if len(p7.Signers) != 1 {
		return nil, fmt.Errorf("document has %d signatures: 1 expected", len(p7.Signers))
	}
	var doc struct {
		AccountID   string    `json:"accountId"`
		InstanceID  string    `json:"instanceId"`
		Region      string    `json:"region"`
		PrivateIP   string    `json:"privateIp"`
		PendingTime time.Time `json:"pendingTime"`
	}
	if err := json.NewDecoder(bytes.NewReader(p7.Content)).Decode(&doc); err != nil {
		return nil, fmt.Errorf("document is no JSON: %w", err)
	}
	certs := c.own
	if c.byRegion != nil {
		cert, ok := c.byRegion[doc.Region]
		if !ok {
			return nil, fmt.Errorf("region %.40q: there is no certificate of Amazon's for it here; see certificates of autosign_cloud", doc.Region)
		}
		certs = []*x509.Certificate{cert}
	}
	// Only these certificates count, whatever the message brings. They sign themselves;
	// Amazon replaces one by announcing another, so there is no chain to follow.
	errs := []error{}
	for _, cert := range certs {
		p7.Certificates = []*x509.Certificate{cert}
		if err := p7.Verify(); err != nil {
			errs = append(errs, err)
			continue
		}
		switch {
		case !awsInstance.MatchString(doc.InstanceID), !awsAccount.MatchString(doc.AccountID), !awsRegion.MatchString(doc.Region), doc.PendingTime.IsZero():
			return nil, errors.New("document lacks instanceId, accountId, region or pendingTime, or they have an unknown form")
		}
		addr, _ := netip.ParseAddr(doc.PrivateIP)
		return &Identity{Cloud: "aws", ID: doc.InstanceID, Account: doc.AccountID, Region: doc.Region, Private: addr, Started: doc.PendingTime}, nil
	}
	return nil, fmt.Errorf("signature: %w", errors.Join(errs...))
}
