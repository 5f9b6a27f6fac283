package output

// palette holds the escape sequence of each colour by Salt's names for them.
// Without colour every one is empty.
type palette struct {
	darkGray, red, lightRed, green, lightGreen, lightYellow, lightBlue, blue,
	magenta, lightMagenta, cyan, lightGray, white, end string
}

func (o Options) colors() palette {
	if !o.Color {
		return palette{}
	}
	get := func(name, code string) string {
		if s, ok := o.Theme[name]; ok {
			return s
		}
		return "\x1b[0;" + code + "m"
	}
	return palette{
		darkGray: get("DARK_GRAY", "1;30"), red: get("RED", "31"), lightRed: get("LIGHT_RED", "1;31"),
		green: get("GREEN", "32"), lightGreen: get("LIGHT_GREEN", "1;32"),
		lightYellow: get("LIGHT_YELLOW", "1;33"), blue: get("BLUE", "34"),
		lightBlue: get("LIGHT_BLUE", "1;34"), magenta: get("MAGENTA", "35"),
		lightMagenta: get("LIGHT_MAGENTA", "1;35"), cyan: get("CYAN", "36"),
		lightGray: get("LIGHT_GRAY", "37"), white: get("WHITE", "1;37"), end: get("ENDC", "0"),
	}
}
