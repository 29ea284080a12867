package outbox

import (
	"context"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// dispatcher works on the lanes of one destination, on so many at the same time as its Pace allows. A lane that ends
// makes room for the next one at once: a call that hangs takes one place and holds up no other lane. It is for one
// goroutine.
type dispatcher struct {
	outbox *Outbox
	to     model.Destination
	// running are the lanes that are worked on.
	running map[model.Lane]bool
	ended   chan laneEnd
	// resting are the lanes that were tried in vain, which are not tried again before rest fires or somebody wakes the
	// destination. stuck counts those of them whose next job stands as it stood.
	resting map[model.Lane]bool
	stuck   int
	rest    <-chan time.Time
}

// laneEnd tells that a lane is not worked on any more.
type laneEnd struct {
	lane   model.Lane
	result laneResult
}

// laneResult is what came of working on a lane.
type laneResult int

const (
	// laneMoved means that jobs were done, postponed or set aside: the lane can be looked at again at once.
	laneMoved laneResult = iota
	// laneHeld means that somebody else holds the lane, who drains it.
	laneHeld
	// laneStuck means that its next job stands as it stood.
	laneStuck
)

func newDispatcher(o *Outbox, to model.Destination) *dispatcher {
	return &dispatcher{outbox: o, to: to, running: map[model.Lane]bool{}, ended: make(chan laneEnd), resting: map[model.Lane]bool{}}
}

// run does jobs until ctx ends.
func (d *dispatcher) run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			for len(d.running) > 0 {
				d.finish(<-d.ended)
			}
			return
		case <-timer.C:
		case <-d.outbox.wake[d.to]:
			d.retry()
		case <-d.rest:
			d.retry()
		case end := <-d.ended:
			d.finish(end)
		}
		timer.Reset(d.start(ctx))
	}
}

// pass does jobs until none is due, and returns the time until another pass makes sense.
func (d *dispatcher) pass(ctx context.Context) time.Duration {
	for {
		wait := d.start(ctx)
		if len(d.running) == 0 {
			return wait
		}
		d.finish(<-d.ended)
	}
}

// start begins to work on the lanes that are due, as far as there is room, and returns the time until the next one is
// due. A lane that ends makes room earlier.
func (d *dispatcher) start(ctx context.Context) time.Duration {
	config := d.outbox.current()
	pace := config.pace(d.to)
	if pace.Paused || ctx.Err() != nil {
		return idle
	}
	// What calls are made for jobs whose outcome cannot be written down, as the disk is full, is bounded.
	if d.stuck >= pace.AtOnce {
		return firstDelay
	}
	// The lanes that are running or resting may be among those that are due.
	due, wait, err := d.due(ctx, max(pace.AtOnce, len(d.running))+len(d.resting))
	if err != nil {
		config.Logger.Error("the outbox could not be read", "error", err)
		return firstDelay
	}
	for _, lane := range due {
		if len(d.running) < pace.AtOnce && !d.running[lane] && !d.resting[lane] {
			d.running[lane] = true
			go func() { d.ended <- laneEnd{lane, d.outbox.workOn(ctx, lane)} }()
		}
	}
	if len(d.resting) > 0 {
		wait = min(wait, firstDelay)
	}
	return wait
}

// finish notes that a lane has ended.
func (d *dispatcher) finish(end laneEnd) {
	delete(d.running, end.lane)
	if end.result == laneMoved {
		return
	}
	d.resting[end.lane] = true
	if end.result == laneStuck {
		d.stuck++
	}
	if d.rest == nil {
		d.rest = time.After(firstDelay)
	}
}

// retry lets lanes be tried again that were tried in vain.
func (d *dispatcher) retry() {
	clear(d.resting)
	d.stuck, d.rest = 0, nil
}

// due lists at most limit lanes whose first job is due, and the time until the next one is.
func (d *dispatcher) due(ctx context.Context, limit int) (lanes []model.Lane, wait time.Duration, err error) {
	wait = idle
	err = d.outbox.store.View(ctx, func(tx *store.Tx) error {
		heads, err := tx.LaneHeads(d.to, limit)
		if err != nil {
			return err
		}
		for _, job := range heads {
			if left := job.RunAt.Sub(tx.Now); left > 0 {
				wait = min(wait, left)
				continue
			}
			lanes = append(lanes, job.Lane)
		}
		return nil
	})
	return lanes, wait, err
}
