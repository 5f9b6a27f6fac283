package minion

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"
)

const (
	imdsEndpoint = "http://169.254.169.254"
	imdsWithin   = 10 * time.Second
	imdsMax      = 64 << 10
)

// AWSIdentity asks the metadata service of EC2 (IMDSv2) who this machine is: its
// instance id, and the document about it that AWS has signed (PKCS #7, DER).
// AWS_EC2_METADATA_SERVICE_ENDPOINT is another place of the service, as for AWS's own
// programs.
func AWSIdentity(ctx context.Context) (id string, document []byte, err error) {
	base := strings.TrimRight(os.Getenv("AWS_EC2_METADATA_SERVICE_ENDPOINT"), "/")
	if base == "" {
		base = imdsEndpoint
	}
	ctx, cancel := context.WithTimeout(ctx, imdsWithin)
	defer cancel()
	// The service is on this machine's own link: no proxy, and no redirection to elsewhere.
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	ask := func(method, path string, header ...string) (string, error) {
		req, err := http.NewRequestWithContext(ctx, method, base+path, nil)
		if err != nil {
			return "", err
		}
		for i := 0; i < len(header); i += 2 {
			req.Header.Set(header[i], header[i+1])
		}
		resp, err := client.Do(req)
		if err != nil {
			return "", fmt.Errorf("the metadata service of EC2 does not answer: %w; is this an instance of EC2? In a container its answers need a hop limit of 2", err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(io.LimitReader(resp.Body, imdsMax+1))
		switch {
		case err != nil:
			return "", fmt.Errorf("the metadata service of EC2, %s: %w", path, err)
		case resp.StatusCode != http.StatusOK:
			return "", fmt.Errorf("the metadata service of EC2, %s: it says %s", path, resp.Status)
		case len(b) > imdsMax:
			return "", fmt.Errorf("the metadata service of EC2, %s: more than %d bytes", path, imdsMax)
		}
		return strings.TrimSpace(string(b)), nil
	}
	session, err := ask(http.MethodPut, "/latest/api/token", "X-aws-ec2-metadata-token-ttl-seconds", "60")
	if err != nil {
		return "", nil, err
	}
	if id, err = ask(http.MethodGet, "/latest/meta-data/instance-id", "X-aws-ec2-metadata-token", session); err != nil {
		return "", nil, err
	}
	text, err := ask(http.MethodGet, "/latest/dynamic/instance-identity/rsa2048", "X-aws-ec2-metadata-token", session)
	if err != nil {
		return "", nil, err
	}
	document, err = base64.StdEncoding.DecodeString(strings.Join(strings.Fields(text), ""))
	if err != nil || len(document) == 0 {
		return "", nil, errors.New("the metadata service of EC2: its identity document is not in base64")
	}
	return id, document, nil
}
