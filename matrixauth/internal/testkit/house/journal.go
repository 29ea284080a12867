package house

// Logged are the lines since a place in the log that hold a text.
func (h *House) Logged(since int, text string) []map[string]any {
	h.T.Helper()
	return h.Log.Lines(h.T, since, text)
}
