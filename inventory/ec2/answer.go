package ec2

import (
	"bufio"
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// checkAnswer has a client refuse what is no answer of EC2's. The SDK takes any text that
// begins like XML, and nothing at all, for an answer in which there is nothing: the page of a
// proxy would be an account without instances.
func checkAnswer(stack *middleware.Stack) error {
	return stack.Deserialize.Add(middleware.DeserializeMiddlewareFunc("gosaltAnswer", func(ctx context.Context, in middleware.DeserializeInput, next middleware.DeserializeHandler) (out middleware.DeserializeOutput, md middleware.Metadata, err error) {
		out, md, err = next.HandleDeserialize(ctx, in)
		resp, ok := out.RawResponse.(*smithyhttp.Response)
		if err != nil || !ok || resp.StatusCode != 200 || resp.Body == nil {
			return out, md, err
		}
		br := bufio.NewReader(resp.Body)
		head, perr := br.Peek(1024)
		if perr != nil && !errors.Is(perr, io.EOF) {
			head = nil // the deserializer says what is wrong
		} else if !isAnswer(head) {
			err = &smithy.DeserializationError{Err: fmt.Errorf("what came is no answer of EC2: it begins with %.60q", bytes.TrimSpace(head))}
		}
		resp.Body = struct {
			io.Reader
			io.Closer
		}{br, resp.Body}
		return out, md, err
	}), middleware.After)
}

// isAnswer tells whether a text begins as answers do, <DescribeInstancesResponse xmlns="…">.
func isAnswer(head []byte) bool {
	d := xml.NewDecoder(bytes.NewReader(head))
	for {
		t, err := d.RawToken()
		if err != nil {
			return false
		}
		if e, ok := t.(xml.StartElement); ok {
			return strings.HasSuffix(e.Name.Local, "Response")
		}
	}
}
