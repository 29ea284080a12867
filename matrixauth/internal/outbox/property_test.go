package outbox

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

// oracle is what the outbox must hold: its jobs by their positions. It is told of everything that happens.
type oracle struct {
	*rig
	random *rand.Rand
	jobs   []*pending
	// last is the highest position so far.
	last int64
	// mailPaused reports whether no job may run for mail.
	mailPaused bool
	// calm has every try succeed.
	calm bool
}

type pending struct {
	position int64
	lane     model.Lane
	name     string
	aside    bool
}

// configure puts a configuration in force whose handlers ask the oracle.
func (o *oracle) configure() {
	config := o.config()
	config.Handlers = []Handler{
		call.Handle(func(_ context.Context, job Job[work]) error {
			return o.try(model.ToHomeserver.Lane(job.Subject), job.Payload.Name)
		}),
		mail.Handle(func(_ context.Context, job Job[work]) error {
			return o.try(model.ToMail.Lane(job.Subject), job.Payload.Name)
		}),
	}
	config.Pace = map[model.Destination]Pace{model.ToMail: {Paused: o.mailPaused}, model.ToHomeserver: {AtOnce: 2}}
	o.outbox.Configure(config)
}

// try is a try of a job: it must be the first of its lane. What comes of it is chance.
func (o *oracle) try(lane model.Lane, name string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	i := slices.IndexFunc(o.jobs, func(p *pending) bool { return p.lane == lane && !p.aside })
	if i < 0 || o.jobs[i].name != name {
		o.t.Errorf("%s runs in the lane %v of %s", name, lane, o)
		return nil
	}
	if lane.Destination == model.ToMail && o.mailPaused {
		o.t.Errorf("%s runs while mail is paused", name)
	}
	chance := o.random.IntN(8)
	switch {
	case o.calm || chance > 3:
		o.jobs = slices.Delete(o.jobs, i, i+1)
		return nil
	case chance == 0:
		o.jobs[i].aside = true
		return Permanent(errDown)
	}
	return errDown
}

// String lists the jobs as check compares them.
func (o *oracle) String() (text string) {
	for _, p := range o.jobs {
		text += fmt.Sprintln(p.position, p.lane, p.aside)
	}
	return text
}

// check compares what the outbox lists with what it must hold.
func (o *oracle) check() {
	o.t.Helper()
	jobs, err := o.outbox.List(context.Background(), model.JobFilter{}, 0, 1000)
	o.must(err)
	listed := ""
	for _, j := range jobs {
		listed += fmt.Sprintln(j.Position, j.Lane, j.SetAside())
	}
	if listed != o.String() {
		o.t.Fatalf("listed are\n%s\nnot\n%s", listed, o)
	}
}

// add writes a job, whose number nobody had before.
func (o *oracle) add(kind Kind[work], lane model.Lane, name string) {
	o.write(kind, lane.Subject, name)
	jobs, err := o.outbox.List(context.Background(), model.JobFilter{}, o.last, 10)
	o.must(err)
	if len(jobs) != 1 {
		o.t.Fatalf("%d new jobs behind %d", len(jobs), o.last)
	}
	o.last = jobs[0].Position
	o.jobs = append(o.jobs, &pending{position: o.last, lane: lane, name: name})
}

// manage has an operator retry or drop a job, or one that there is no more.
func (o *oracle) manage() {
	if len(o.jobs) == 0 {
		if _, err := o.outbox.Retry(context.Background(), o.last, nil); o.last > 0 && !errors.Is(err, model.ErrNotFound) {
			o.t.Errorf("a job that is gone: %v", err)
		}
		return
	}
	i := o.random.IntN(len(o.jobs))
	p := o.jobs[i]
	change := o.outbox.Retry
	if drop := o.random.IntN(3) == 0; drop {
		change, o.jobs = o.outbox.Drop, slices.Delete(o.jobs, i, i+1)
	}
	was, err := change(context.Background(), p.position, nil)
	o.must(err)
	if was.Position != p.position || was.SetAside() != p.aside {
		o.t.Errorf("job %d was set aside: %v; returned is %+v", p.position, p.aside, was)
	}
	p.aside = false
}

// TestOutboxProperty runs random histories of work for two destinations, failures, refusals for good, crashes, entries,
// pauses, and operators who retry and drop jobs: in each lane the first job that is not set aside runs, and in the end
// what is left is what was set aside.
func TestOutboxProperty(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint("seed_", seed), func(t *testing.T) {
			o := &oracle{rig: newRig(t), random: rand.New(rand.NewPCG(seed, 0))}
			o.configure()
			kinds := map[model.Destination]Kind[work]{model.ToHomeserver: call, model.ToMail: mail}
			for step := range 80 {
				to := model.Destinations[o.random.IntN(len(model.Destinations))]
				kind, known := kinds[to]
				if !known {
					continue
				}
				lane := to.Lane([]string{"a", "b", "c"}[o.random.IntN(3)])
				switch o.random.IntN(9) {
				case 0, 1, 2:
					o.add(kind, lane, fmt.Sprintf("%03d", step))
				case 3, 4:
					o.pass()
				case 5:
					if leave, err := o.outbox.Enter(context.Background(), lane); err == nil {
						if slices.ContainsFunc(o.jobs, func(p *pending) bool { return p.lane == lane && !p.aside }) {
							t.Errorf("somebody entered the lane %v of\n%s", lane, o)
						}
						leave()
					}
				case 6:
					o.must(o.store.Close())
					o.open()
					o.configure()
				case 7:
					o.manage()
				case 8:
					o.mailPaused = !o.mailPaused
					o.configure()
				}
				o.check()
				o.clock.Move(time.Duration(o.random.IntN(10)) * time.Second)
			}
			o.calm, o.mailPaused = true, false
			o.configure()
			o.clock.Move(bound.JobDelay)
			o.pass()
			o.check()
			if slices.ContainsFunc(o.jobs, func(p *pending) bool { return !p.aside }) {
				t.Errorf("left are\n%s", o)
			}
		})
	}
}
