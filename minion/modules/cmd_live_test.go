package modules

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestLiveOutput(t *testing.T) {
	const wait = "\x00" // the command pauses
	for _, c := range []struct {
		name, encoding string
		chunks         []string
		want           string // texts with | between them
	}{
		{"lines that come together go together", "", []string{"a\nb\n"}, "a\nb"},
		{"a line that comes in parts", "", []string{"a", "b", "c\nd\n"}, "abc\nd"},
		{"the last line needs no end", "", []string{"a\nlast"}, "a|last"},
		{"empty lines count", "", []string{"\n\na\n"}, "\n\na"},
		{"a question that waits", "", []string{"Sure? ", wait, "yes\n"}, "Sure? |yes"},
		{"what was overwritten is gone", "", []string{"10%\r20%\r100%\ndone\r\n"}, "100%\ndone"},
		{"a progress bar that waits", "", []string{"10%\r20%", wait, "\r30%", wait, "\r100%\n"}, "20%|30%|100%"},
		{"not UTF-8", "", []string{"a\xff\xfeb\n"}, "a\uFFFD\uFFFDb"},
		{"a character in two parts", "", []string{"gr\xc3", wait, "\xbcn\n"}, "gr|ün"},
		{"latin-1", "latin-1", []string{"gr\xfcn\n"}, "grün"},
		{"UTF-16 has no lines", "utf-16", []string{"\xff\xfea\x00\n\x00"}, ""},
		{"a line without an end is cut", "", []string{strings.Repeat("é", maxLiveLine/2+3)}, strings.Repeat("é", maxLiveLine/2) + "|ééé"},
	} {
		synctest.Test(t, func(t *testing.T) {
			var got []string
			l := newLiveOutput(c.encoding, func(_, text string) { got = append(got, text) })
			for _, chunk := range c.chunks {
				if chunk == wait {
					time.Sleep(partialAfter + time.Millisecond) // of the bubble's clock
					synctest.Wait()
					continue
				}
				l.write("stdout", []byte(chunk))
			}
			l.close()
			l.write("stdout", []byte("late\n"))
			if text := strings.Join(got, "|"); text != c.want {
				t.Errorf("%s: %.200q, want %.200q", c.name, text, c.want)
			}
		})
	}
}
