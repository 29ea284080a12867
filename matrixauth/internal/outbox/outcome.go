package outbox

import "sync"

// outcome is what came of a try of a job.
type outcome struct {
	note Note
	// failure is nil if the job is done.
	failure error
}

// outcomes are those that could not be written down, as the disk was full, by the positions of their jobs: the work is
// done, and is not to be done again only because nobody could write that. A mail would be sent each second. There is one
// at most for each lane that is worked on, as a lane does nothing else before it is written.
type outcomes struct {
	mu   sync.Mutex
	kept map[int64]outcome
}

func (o *outcomes) keep(position int64, came outcome) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.kept == nil {
		o.kept = map[int64]outcome{}
	}
	o.kept[position] = came
}

// take returns the outcome of a job and forgets it.
func (o *outcomes) take(position int64) (came outcome, known bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	came, known = o.kept[position]
	delete(o.kept, position)
	return came, known
}
