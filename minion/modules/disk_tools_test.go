package modules

import (
	"testing"

	"github.com/gosalt/gosalt/internal/pytext"
)

// Outputs of the programs as they print them; what is expected is what Salt 3006.18 makes of
// the same text, but for iostat, whose newer head "Device" Salt does not know.
func TestDiskPrograms(t *testing.T) {
	for _, test := range []struct {
		name string
		got  any
		want string
	}{
		{"hdparm", hdparmData("/dev/sda", "\n/dev/sda:\n multcount     = 16 (on)\n max sectors   = 976773168/976773168, HPA is disabled\n drive state is:  active/idle\n readonly      =  0 (off)\n Model=X Y, FwRev=1, SerialNo=Z\n"),
			`{"multcount": [16, "on"], "max_sectors": [976773168, 976773168, "HPA is disabled"], "drive_state": ["active", "idle"], "readonly": [0, "off"], "model": ["X Y", {"FwRev": "1", "SerialNo": "Z"}]}`},
		{"smartctl", smartTable("smartctl 7.3\n\nID# ATTRIBUTE_NAME FLAG VALUE WORST RAW_VALUE\n  5 Reallocated 0x0033 100 100 0\n194 Temperature 0x0022 064 045 36 (Min/Max 20 55)\n188 Timeout 0x0032 100 099 1 2 3\n\n", nil, nil),
			`{"5": {"attribute_name": "Reallocated", "flag": "0x0033", "value": 100, "worst": 100, "raw_value": 0}, "194": {"attribute_name": "Temperature", "flag": "0x0022", "value": 64, "worst": 45, "raw_value": "36 (Min/Max 20 55)"}, "188": {"attribute_name": "Timeout", "flag": "0x0032", "value": 100, "worst": 99, "raw_value": [1, 2, 3]}}`},
		{"smartctl_some", smartTable("ID# ATTRIBUTE_NAME RAW_VALUE\n  5 Reallocated 0\n  9 Hours 12\n", []any{int64(9)}, []any{"raw_value"}), `{"9": {"raw_value": 12}}`},
		{"iostat", iostatAverages("Linux 6.1\n\navg-cpu:  %user  %idle\n          1.00  99.00\n\nDevice r/s w/s\nsda 1.00 2.00\nsdb 0.00 1.00\n\navg-cpu:  %user  %idle\n          2.00  98.00\n\nDevice r/s w/s\nsda 2.00 2.01\nsdb 0.00 0.00\n\n"),
			`{"sys": {"%user": 1.5, "%idle": 98.5}, "sda": {"r/s": 1.5, "w/s": 2.01}, "sdb": {"r/s": 0.0, "w/s": 0.5}}`},
		{"ethtool", bufsizes("Ring parameters for eth0:\nPre-set maximums:\nRX:\t\t4096\nRX Mini:\tn/a\nTX:\t\t4096\nCurrent hardware settings:\nRX:\t\t256\nTX:\t\t512\n", ""), `{"result": true, "rx-max": 4096, "tx-max": 4096, "rx": 256, "tx": 512}`},
		{"ethtool_none", bufsizes("", "netlink error: Operation not supported\n"), `{"result": false, "comment": "netlink error: Operation not supported"}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := pytext.JSON(test.got, -1, false)
			if err != nil || got != test.want {
				t.Errorf("got  %s (%v)\nwant %s", got, err, test.want)
			}
		})
	}
	for _, test := range []struct {
		size any
		want int64
	}{{"5%", 950}, {int64(100), 900}, {"100%", 1000}, {int64(2000), 1000}} {
		if got, err := hpaSize(test.size, 1000); err != nil || got != test.want {
			t.Errorf("hpaSize(%v) = %d, %v; want %d", test.size, got, err, test.want)
		}
	}
	if _, err := hpaSize("x%", 1000); err == nil {
		t.Error("x% is a size")
	}
}
