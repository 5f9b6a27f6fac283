//go:build !unix

package jobs

// claim takes every process for the owner: one alone opens the store here.
func claim(string) (owner bool, release func(), err error) {
	return true, func() {}, nil
}
