// Package libvirtrig starts real libvirtds for tests: with the drivers that a user has (test, whose
// machines are in memory and do nothing, and QEMU), and with everything that they write in a
// directory of the test. Nothing of the system's own libvirt is touched.
package libvirtrig
