package grains

import "bytes"

// cpuid runs the instruction CPUID (Intel 64 Manual, volume 2A) for a leaf.
func cpuid(leaf uint32) (eax, ebx, ecx, edx uint32)

// hypervisor is the signature of who runs this processor, "" on bare metal.
func hypervisor() string {
	if _, _, ecx, _ := cpuid(1); ecx&(1<<31) == 0 {
		return ""
	}
	_, b, c, d := cpuid(0x40000000)
	sig := make([]byte, 0, 12)
	for _, r := range []uint32{b, c, d} {
		sig = append(sig, byte(r), byte(r>>8), byte(r>>16), byte(r>>24))
	}
	return string(bytes.TrimRight(sig, "\x00"))
}
