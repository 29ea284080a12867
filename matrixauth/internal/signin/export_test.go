package signin

// Waiting returns how many wait to be written.
func (f *Failures) Waiting() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.waiting)
}
