package seal_test

import (
	"errors"
	"fmt"

	"github.com/gosalt/gosalt/protocol/seal"
	"github.com/gosalt/gosalt/protocol/wire"
)

func ExampleKey() {
	session := seal.NewKey()
	nonce := seal.NewNonce()
	sealed, err := session.Seal([]any{"base"}, nonce)
	if err != nil {
		fmt.Println(err)
		return
	}
	v, err := session.Open(sealed, nonce, wire.Authenticated)
	fmt.Println(v, err)

	_, err = seal.NewKey().Open(sealed, nonce, wire.Authenticated)
	fmt.Println(errors.Is(err, seal.ErrAuth), session)
	// Output:
	// [base] <nil>
	// true [secret]
}
