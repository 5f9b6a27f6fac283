package master

import "testing"

func TestBatchSize(t *testing.T) {
	for _, tt := range []struct {
		text string
		n    int
		want int // 0: refused
	}{
		{"1", 10, 1}, {"3", 2, 3}, {" 7 ", 10, 7},
		{"10%", 20, 2}, {"%10", 20, 2}, {"50%", 5, 2}, {"100%", 7, 7}, {"150%", 4, 6},
		{"1%", 10, 1}, {"0.5%", 1000, 5}, {"33.4%", 3, 1}, {"1e1%", 20, 2},
		{"0", 10, 0}, {"-1", 10, 0}, {"0%", 10, 0}, {"-5%", 10, 0}, {"nan%", 10, 0}, {"inf%", 10, 0},
		{"xx", 10, 0}, {"", 10, 0}, {"%", 10, 0}, {"1.5", 10, 0}, {"1,5%", 10, 0}, {"99999999999999999999", 10, 0},
	} {
		got, err := batchSize(tt.text, tt.n)
		if (err != nil) != (tt.want == 0) || err == nil && got != tt.want {
			t.Errorf("batchSize(%q, %d) = %d, %v; want %d", tt.text, tt.n, got, err, tt.want)
		}
	}
}
