package libvirt

import (
	"encoding/binary"
	"encoding/json"
	"strings"
	"unicode/utf16"
)

// seed is the disk from which cloud-init's NoCloud source reads: a CD named cidata.
// https://cloudinit.readthedocs.io/en/latest/reference/datasources/nocloud.html
func seed(pl *plan) []byte {
	meta := map[string]any{"instance-id": uuidText(pl.id), "local-hostname": pl.Name}
	if pl.Key != "" {
		meta["public-keys"] = []string{strings.TrimSpace(pl.Key)}
	}
	m, err := json.Marshal(meta) // which is YAML
	if err != nil {
		panic(err) // texts alone
	}
	user := pl.UserData
	if len(user) == 0 {
		user = []byte("#cloud-config\n{}\n")
	}
	return iso("cidata", []file{{"meta-data", append(m, '\n')}, {"user-data", user}})
}

type file struct {
	name string
	data []byte
}

const sector = 2048

// iso writes the files, sorted by name, as a CD: ISO 9660 (ECMA-119) with the names that
// it cannot have in a second tree, as Joliet has it. There is one directory.
func iso(label string, files []file) []byte {
	// Sectors: 16 the volume, 17 the same for Joliet, 18 the end of these, 19 to 22 tables of
	// paths, 23 and 24 the two directories, then the files.
	const first, rootA, rootB = 25, 23, 24
	where := make([]uint32, len(files))
	next := uint32(first)
	for i, f := range files {
		where[i] = next
		next += uint32((len(f.data) + sector - 1) / sector)
	}
	// A drive may read ahead, some by more than is there: the usual 150 sectors of padding.
	out := make([]byte, (next+150)*sector)
	at := func(n uint32) []byte { return out[n*sector : (n+1)*sector] }

	volume := func(kind byte, text func(string, int) []byte, root uint32) []byte {
		b := make([]byte, sector)
		b[0], b[6] = kind, 1
		copy(b[1:], "CD001")
		copy(b[8:], text("", 32))
		copy(b[40:], text(label, 32))
		both32(b[80:], next)
		if kind == 2 {
			copy(b[88:], "%/E") // UCS-2 level 3
		}
		both16(b[120:], 1)
		both16(b[124:], 1)
		both16(b[128:], sector)
		both32(b[132:], 10)
		table := 19 + 2*uint32(kind-1)
		binary.LittleEndian.PutUint32(b[140:], table)
		binary.BigEndian.PutUint32(b[148:], table+1)
		copy(b[156:], record("\x00", root, sector, true))
		for _, span := range [][2]int{{190, 128}, {318, 128}, {446, 128}, {574, 128}, {702, 37}, {739, 37}, {776, 37}} {
			copy(b[span[0]:], text("", span[1]))
		}
		for _, o := range []int{813, 830, 847, 864} {
			copy(b[o:], "0000000000000000")
		}
		b[881] = 1
		// The root directory's entry: a name of one byte, which is 0.
		copy(at(table), []byte{1, 0, byte(root), byte(root >> 8), byte(root >> 16), byte(root >> 24), 1, 0, 0, 0})
		copy(at(table+1), []byte{1, 0, byte(root >> 24), byte(root >> 16), byte(root >> 8), byte(root), 0, 1, 0, 0})
		return b
	}
	ascii := func(s string, n int) []byte { return []byte(s + strings.Repeat(" ", n-len(s))) }
	ucs2 := func(s string, n int) []byte {
		return append(wide(s), wide(strings.Repeat(" ", (n-2*len(s))/2))...)
	}
	copy(at(16), volume(1, ascii, rootA))
	copy(at(17), volume(2, ucs2, rootB))
	copy(at(18), "\xffCD001\x01")

	directory := func(root uint32, name func(string) string) {
		b := at(root)
		n := copy(b, record("\x00", root, sector, true))
		n += copy(b[n:], record("\x01", root, sector, true))
		for i, f := range files {
			n += copy(b[n:], record(name(f.name), where[i], uint32(len(f.data)), false))
		}
	}
	directory(rootA, func(s string) string { return strings.ToUpper(strings.ReplaceAll(s, "-", "_"))[:8] + ".;1" })
	directory(rootB, func(s string) string { return string(wide(s)) })
	for i, f := range files {
		copy(out[where[i]*sector:], f.data)
	}
	return out
}

// record is an entry of a directory.
func record(name string, at, size uint32, dir bool) []byte {
	n := 33 + len(name) + 1 - len(name)%2
	b := make([]byte, n)
	b[0] = byte(n)
	both32(b[2:], at)
	both32(b[10:], size)
	copy(b[18:], []byte{70, 1, 1, 0, 0, 0, 0}) // no time
	if dir {
		b[25] = 2
	}
	both16(b[28:], 1)
	b[32] = byte(len(name))
	copy(b[33:], name)
	return b
}

func both32(b []byte, v uint32) {
	binary.LittleEndian.PutUint32(b, v)
	binary.BigEndian.PutUint32(b[4:], v)
}

func both16(b []byte, v uint16) {
	binary.LittleEndian.PutUint16(b, v)
	binary.BigEndian.PutUint16(b[2:], v)
}

func wide(s string) []byte {
	var b []byte
	for _, u := range utf16.Encode([]rune(s)) {
		b = binary.BigEndian.AppendUint16(b, u)
	}
	return b
}
