package matrixauth

// logged are the lines since a place in the log that hold a text.
func (h *house) logged(since int, text string) []map[string]any {
	h.t.Helper()
	return h.log.Lines(h.t, since, text)
}
