package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gosalt/gosalt/internal/lazyre"
)

// inventoryRegions are those that the server of the inventory part has.
var inventoryRegions = []string{"eu-central-1", "eu-west-1", "us-east-1"}

// inventory measures how the programs list machines of EC2, few and many: the master's
// peak of memory must not grow with their number.
func (b *bench) inventory() error {
	const pageSize, few, many = 100, 999, 9_999
	type result struct{ refresh, match, peak float64 }
	measure := func(n int) (r result, err error) {
		api := ec2Server(n)
		defer api.Close()
		s, err := b.site(fmt.Sprintf("inventory-%d", n))
		if err != nil {
			return r, err
		}
		conf := fmt.Sprintf("inventory:\n  prod:\n    provider: ec2\n    endpoint: %s\n    access_key_id: AKIABENCH\n    secret_access_key: bench\n    regions: [%s]\n    page_size: %d\n",
			api.URL, strings.Join(inventoryRegions, ", "), pageSize)
		f, err := os.OpenFile(filepath.Join(s.dir, "master"), os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			return r, err
		}
		_, err = f.WriteString(conf)
		if err := errors.Join(err, f.Close()); err != nil {
			return r, err
		}
		m, err := b.master(b, s)
		if err != nil {
			return r, err
		}
		defer b.stopAll()
		timed := func(want int, args ...string) (float64, error) {
			began := time.Now()
			out, err := b.command(b.ctx, "salt-run", append([]string{"-c", s.dir, "--out", "json"}, args...)...).CombinedOutput()
			took := time.Since(began)
			if got := bytes.Count(out, []byte(`"i-`)); err != nil || got < want {
				return 0, fmt.Errorf("gosalt-run %v: %d machines, %d are expected: %v: %.300s", args, got, want, err, out)
			}
			return took.Seconds(), nil
		}
		if r.refresh, err = timed(0, "inventory.refresh"); err != nil {
			return r, err
		}
		if r.match, err = timed(n/len(inventoryRegions), "inventory.list", "V@region:eu-west-1"); err != nil {
			return r, err
		}
		r.peak = peak(m)
		return r, nil
	}
	small, err := measure(few)
	if err != nil {
		return err
	}
	large, err := measure(many)
	if err != nil {
		return err
	}
	b.add(Figure{What: fmt.Sprintf("inventory of %d machines, %d a page in %d regions: peak of the master", many, pageSize, len(inventoryRegions)), Unit: "MB", Value: large.peak,
		Notes: fmt.Sprintf("with %d machines %.1f MB", few, small.peak)})
	b.add(Figure{What: fmt.Sprintf("inventory of %d machines: gosalt-run inventory.refresh", many), Unit: "s", Value: large.refresh,
		Notes: fmt.Sprintf("with %d machines %.1f s; inventory.list of a region %.1f s, %.1f s", few, small.refresh, large.match, small.match)})
	return nil
}

var ec2Region = lazyre.New(`Credential=[^/]+/\d+/([^/]+)/`)

// ec2Server answers as the API of EC2 does, as far as machines are listed: n of them,
// spread over inventoryRegions.
func ec2Server(n int) *httptest.Server {
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(io.LimitReader(r.Body, 1<<20))
		form, _ := url.ParseQuery(string(body))
		m := ec2Region.FindStringSubmatch(r.Header.Get("Authorization"))
		if m == nil || !slices.Contains(inventoryRegions, m[1]) || form.Get("Action") != "DescribeInstances" {
			http.Error(w, "<Response><Errors><Error><Code>InvalidAction</Code><Message>not here</Message></Error></Errors></Response>", http.StatusBadRequest)
			return
		}
		region, count := m[1], n/len(inventoryRegions)
		start, _ := strconv.Atoi(form.Get("NextToken"))
		size, _ := strconv.Atoi(form.Get("MaxResults"))
		var out bytes.Buffer
		out.WriteString(`<DescribeInstancesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><reservationSet>`)
		for i := start; i < min(start+size, count); i++ {
			fmt.Fprintf(&out, `<item><ownerId>123456789012</ownerId><instancesSet><item><instanceId>i-%s-%d</instanceId><imageId>ami-1</imageId>`+
				`<instanceState><code>16</code><name>running</name></instanceState><instanceType>t3.micro</instanceType><launchTime>2026-01-02T03:04:05.000Z</launchTime>`+
				`<privateIpAddress>10.%d.%d.%d</privateIpAddress><placement><availabilityZone>%[1]sa</availabilityZone></placement>`+
				`<tagSet><item><key>Name</key><value>web-%[1]s-%[2]d</value></item><item><key>role</key><value>web</value></item></tagSet></item></instancesSet></item>`,
				region, i, 1+slices.Index(inventoryRegions, region), i/250, i%250)
		}
		out.WriteString(`</reservationSet>`)
		if start+size < count {
			fmt.Fprintf(&out, `<nextToken>%d</nextToken>`, start+size)
		}
		out.WriteString(`</DescribeInstancesResponse>`)
		w.Write(out.Bytes())
	}))
}
