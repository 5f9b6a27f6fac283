package render

// ParseFrame and AppendFrame are for fuzzing.
func ParseFrame(text string) (any, error) { return parseFrame(text) }

func AppendFrame(v any) ([]byte, error) { return appendFrame(nil, v, 0) }
