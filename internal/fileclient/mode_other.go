//go:build !unix

package fileclient

import (
	"io/fs"
	"os"
)

func umask() fs.FileMode { return 0 }

func keepOwner(*os.File, string) {}
