package signin

// FlushBatch is how many are written in one transaction.
const FlushBatch = flushBatch

// Waiting returns how many wait to be written.
func (f *Failures) Waiting() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.waiting)
}
