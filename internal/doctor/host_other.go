//go:build !linux && !darwin

package doctor

import "errors"

func statDisk(string) (diskSpace, error) { return diskSpace{}, errors.ErrUnsupported }

func maxFiles() (uint64, error) { return 0, errors.ErrUnsupported }

func openFiles() uint64 { return 0 }

func clockSynced() (bool, error) { return false, errors.ErrUnsupported }

// PortOwner names the program that listens on a port; it is not known here.
func PortOwner(int) string { return "" }
