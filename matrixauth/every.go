package matrixauth

import (
	"context"
	"time"
)

// every calls f each time that an interval has passed, until ctx ends. Of intervals that pass while f runs one counts.
func every(ctx context.Context, interval time.Duration, f func()) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			f()
		}
	}
}
