package house

// KeepSecret remembers a secret that the log must not show.
func (h *House) KeepSecret(secret string) {
	h.secretsMu.Lock()
	defer h.secretsMu.Unlock()
	h.secrets = append(h.secrets, secret)
}
