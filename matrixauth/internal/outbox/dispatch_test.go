package outbox

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

// halted is a dispatcher for a destination with some due jobs, each in a lane of its own, whose tries wait until the
// end of the test.
func halted(t *testing.T, jobs int, pace Pace) (d *dispatcher, tried func() int) {
	t.Helper()
	r := newRig(t)
	free, begun := make(chan struct{}), make(chan struct{}, jobs)
	config := r.config()
	config.Handlers = []Handler{call.Handle(func(context.Context, Job[work]) error {
		begun <- struct{}{}
		<-free
		return nil
	})}
	config.Pace = map[model.Destination]Pace{model.ToHomeserver: pace}
	r.outbox.Configure(config)
	for i := range jobs {
		r.enqueue(fmt.Sprintf("user%d", i), "0")
	}
	d = newDispatcher(r.outbox, model.ToHomeserver)
	t.Cleanup(func() {
		close(free)
		for len(d.running) > 0 {
			d.finish(<-d.ended)
		}
	})
	return d, func() int {
		for range len(d.running) {
			<-begun
		}
		return len(d.running)
	}
}

// TestDispatcherStarts: as many lanes are worked on as there is room for, and none while nothing may be done.
func TestDispatcherStarts(t *testing.T) {
	over, cancel := context.WithCancel(context.Background())
	cancel()
	for name, test := range map[string]struct {
		ctx   context.Context
		pace  Pace
		stuck int
		want  int
		wait  time.Duration
	}{
		"as_many_as_there_is_room_for":       {t.Context(), Pace{AtOnce: 3}, 0, 3, idle},
		"none_while_paused":                  {t.Context(), Pace{AtOnce: 3, Paused: true}, 0, 0, idle},
		"none_at_the_end":                    {over, Pace{AtOnce: 3}, 0, 0, idle},
		"none_once_as_many_stand":            {t.Context(), Pace{AtOnce: 3}, 3, 0, firstDelay},
		"some_while_fewer_stand":             {t.Context(), Pace{AtOnce: 3}, 2, 3, idle},
		"none_once_more_stand_than_there_is": {t.Context(), Pace{AtOnce: 3}, 4, 0, firstDelay},
	} {
		t.Run(name, func(t *testing.T) {
			d, tried := halted(t, 5, test.pace)
			d.stuck = test.stuck
			if wait := d.start(test.ctx); wait != test.wait {
				t.Errorf("the next look is in %v, want %v", wait, test.wait)
			}
			if got := tried(); got != test.want {
				t.Errorf("%d lanes are worked on, want %d", got, test.want)
			}
		})
	}
}

// TestDispatcherIsFull: lanes whose jobs are done, and which are not over yet, take their place.
func TestDispatcherIsFull(t *testing.T) {
	d, tried := halted(t, 5, Pace{AtOnce: 3})
	others := []model.Lane{at("x"), at("y"), at("z")}
	for _, lane := range others {
		d.running[lane] = true
	}
	d.start(t.Context())
	if len(d.running) != len(others) {
		t.Errorf("%d lanes are worked on at once", len(d.running))
	}
	for _, lane := range others {
		delete(d.running, lane)
	}
	d.start(t.Context())
	if got := tried(); got != 3 {
		t.Errorf("%d lanes are worked on, want 3", got)
	}
}

// TestDispatcherFinishes: what was tried in vain rests, and only what stands as it stood counts against the room.
func TestDispatcherFinishes(t *testing.T) {
	d, _ := halted(t, 0, Pace{AtOnce: 3})
	end := func(subject string, result laneResult) {
		d.running[at(subject)] = true
		d.finish(laneEnd{at(subject), result})
	}
	end("a", laneMoved)
	if len(d.running) != 0 || len(d.resting) != 0 || d.stuck != 0 || d.rest != nil {
		t.Errorf("after a lane that moved: %+v", d)
	}
	end("b", laneHeld)
	first := d.rest
	if !d.resting[at("b")] || d.stuck != 0 || first == nil {
		t.Errorf("after a lane that somebody holds: %+v", d)
	}
	end("c", laneStuck)
	end("d", laneStuck)
	if len(d.resting) != 3 || d.stuck != 2 || d.rest != first {
		t.Errorf("after two lanes that stand: %+v", d)
	}
	d.retry()
	if len(d.resting) != 0 || d.stuck != 0 || d.rest != nil {
		t.Errorf("after the rest: %+v", d)
	}
}

// TestDue: a lane whose first job waits for its time holds up none behind it.
func TestDue(t *testing.T) {
	r := newRig(t)
	r.fail = func(Job[work]) error { return errDown }
	r.enqueue("early", "0")
	r.pass()
	r.fail = nil
	r.enqueue("late", "1")
	r.enqueue("later", "2")
	d := newDispatcher(r.outbox, model.ToHomeserver)
	lanes, wait, err := d.due(t.Context(), 10)
	if err != nil || !slices.Equal(lanes, []model.Lane{at("late"), at("later")}) || wait <= 0 || wait > firstDelay {
		t.Errorf("due are %v, the next in %v, %v", lanes, wait, err)
	}
}
