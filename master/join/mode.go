package join

import "runtime"

// canMode tells whether the modes of files say who may write them.
const canMode = runtime.GOOS != "windows"
