package wire_test

import (
	"fmt"

	"github.com/gosalt/gosalt/protocol/wire"
)

func ExampleEncode() {
	m := wire.NewMap("fun", "test.ping", "jid", wire.JobID("20261122063858048545"))
	packed, err := wire.Encode(m, wire.Network)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%q\n", packed)
	// Output: "\x82\xa3fun\xa9test.ping\xa3jid\xb420261122063858048545"
}

func ExampleDecode_limits() {
	claim := []byte{0xdd, 0xff, 0xff, 0xff, 0xff} // a list of 4,294,967,295 values
	_, err := wire.Decode(claim, wire.Network, wire.Unauthenticated)
	fmt.Println(err)
	// Output: decode: byte 0 announces 4294967295 bytes or values, only 0 bytes are left
}

func ExampleJobFromMap() {
	_, err := wire.JobFromMap(wire.NewMap("fun", "test.ping", "tgt", "*", "jid", int64(5)))
	fmt.Println(err)
	// Output: publish load: field "jid": is a whole number: text expected
}
