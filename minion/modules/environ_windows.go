package modules

import (
	"errors"
	"unsafe"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/registry"
)

var sendMessageTimeout = windows.NewLazySystemDLL("user32.dll").NewProc("SendMessageTimeoutW")

// permanentEnviron sets a variable in the registry, for the user or for the machine,
// and tells the programs that run (WM_SETTINGCHANGE).
func permanentEnviron(key, val string, remove, machine bool) error {
	root, path := registry.CURRENT_USER, "Environment"
	if machine {
		root, path = registry.LOCAL_MACHINE, `SYSTEM\CurrentControlSet\Control\Session Manager\Environment`
	}
	k, err := registry.OpenKey(root, path, registry.SET_VALUE)
	if err != nil {
		return err
	}
	defer k.Close()
	if remove {
		err = k.DeleteValue(key)
		if errors.Is(err, registry.ErrNotExist) {
			err = nil
		}
	} else {
		err = k.SetStringValue(key, val)
	}
	if err != nil {
		return err
	}
	const (
		broadcast     = 0xffff
		settingChange = 0x001a
		abortIfHung   = 0x0002
		wait          = 5000 // milliseconds
	)
	what, err := windows.UTF16PtrFromString("Environment")
	if err != nil {
		return err
	}
	// What does not listen is not waited for: the variable is set all the same.
	_, _, _ = sendMessageTimeout.Call(broadcast, settingChange, 0, uintptr(unsafe.Pointer(what)), abortIfHung, wait, 0)
	return nil
}
