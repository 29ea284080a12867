package conformance

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// outbox: jobs of a lane are told in their order, lanes know nothing of one another, and a position is given once.
func outbox(b *bench) {
	call, mail := model.ToHomeserver.Lane("alice"), model.ToMail.Lane("alice")
	write := func(lane model.Lane) (position int64) {
		b.update(func(tx *store.Tx) (err error) {
			position, err = tx.Enqueue(lane, model.JobDeleteDevice, `{"a":"<ü>"}`)
			return err
		})
		return position
	}
	first, second, third := write(call), write(mail), write(call)
	if !(first < second && second < third) {
		b.Errorf("positions %d %d %d", first, second, third)
	}
	next := func(lane model.Lane) (position int64) {
		b.view(func(tx *store.Tx) error {
			job, err := tx.NextJob(lane)
			if position = job.Position; errors.Is(err, model.ErrNotFound) {
				return nil
			}
			return err
		})
		return position
	}
	if next(call) != first || next(mail) != second || next(model.ToHomeserver.Lane("bob")) != 0 {
		b.Errorf("next are %d and %d", next(call), next(mail))
	}
	b.update(func(tx *store.Tx) error { return tx.PostponeJob(first, "down", b.now.Add(time.Minute)) })
	if next(call) != first {
		b.Error("a job that waits was passed over")
	}
	heads := func() (positions []int64) {
		b.view(func(tx *store.Tx) error {
			jobs, err := tx.LaneHeads(model.ToHomeserver, 10)
			for _, job := range jobs {
				positions = append(positions, job.Position)
			}
			return err
		})
		return positions
	}
	bob := write(model.ToHomeserver.Lane("bob"))
	if got := heads(); !slices.Equal(got, []int64{bob, first}) { // the one due longest first
		b.Errorf("first in their lanes are %v", got)
	}
	b.update(func(tx *store.Tx) error { return tx.HastenJobs(model.ToHomeserver) })
	if got := heads(); !slices.Equal(got, []int64{first, bob}) {
		b.Errorf("after a hurry first in their lanes are %v", got)
	}
	b.update(func(tx *store.Tx) error { return tx.SetJobAside(first, "no") })
	if next(call) != third {
		b.Error("a job set aside holds up its lane")
	}
	b.view(func(tx *store.Tx) error {
		job, err := tx.Job(first)
		if !job.SetAside() || job.LastError != "no" || job.Attempts != 2 || job.Lane != call || job.Payload != `{"a":"<ü>"}` {
			b.Errorf("%+v", job)
		}
		state, stateErr := tx.OutboxState()
		if state.Waiting != 3 || state.SetAside != 1 || !state.Oldest.Equal(b.now) {
			b.Errorf("%+v", state)
		}
		lanes, lanesErr := tx.CountLanes()
		counts, countsErr := tx.CountJobs()
		if lanes != 3 || len(counts) != 1 || counts[0].Waiting != 3 || counts[0].SetAside != 1 {
			b.Errorf("%d lanes, %+v", lanes, counts)
		}
		waits, waitsErr := tx.JobWaits(mail, model.JobDeleteDevice)
		other, otherErr := tx.JobWaits(mail, model.JobProvisionUser)
		if !waits || other {
			b.Errorf("waits %v, another kind %v", waits, other)
		}
		one, oneErr := tx.JobsAlike(mail, model.JobDeleteDevice, `{"a":"<ü>"}`)
		none, noneErr := tx.JobsAlike(mail, model.JobDeleteDevice, `{}`)
		aside, asideErr := tx.JobsAlike(call, model.JobProvisionUser, `{"a":"<ü>"}`)
		if one != 1 || none != 0 || aside != 0 {
			b.Errorf("alike are %d, of another payload %d, of another kind %d", one, none, aside)
		}
		return errors.Join(err, stateErr, lanesErr, countsErr, waitsErr, otherErr, oneErr, noneErr, asideErr)
	})
	b.update(func(tx *store.Tx) error { return tx.RetryJob(first) })
	if next(call) != first {
		b.Error("a job that is retried is not in its old place")
	}
	b.update(func(tx *store.Tx) error {
		return errors.Join(tx.DeleteJob(first), tx.DeleteJob(second), tx.DeleteJob(third), tx.DeleteJob(bob), tx.DeleteJob(bob))
	})
	if again := write(call); again <= bob {
		b.Errorf("the position %d was given twice", again)
	}
	var group sync.WaitGroup
	for i := range 20 {
		group.Go(func() {
			if err := b.store.Update(b.Context(), func(tx *store.Tx) error {
				_, err := tx.Enqueue(model.ToMail.Lane(fmt.Sprint(i)), model.JobDeleteDevice, "{}")
				if i%4 == 0 {
					return errors.Join(err, errBoom)
				}
				return err
			}); err != nil && !errors.Is(err, errBoom) {
				b.Error(err)
			}
		})
	}
	group.Wait()
	b.view(func(tx *store.Tx) error {
		all, err := tx.Jobs(model.JobFilter{Destination: model.ToMail}, 0, 100)
		if len(all) != 15 || !slices.IsSortedFunc(all, func(x, y model.Job) int { return int(x.Position - y.Position) }) {
			b.Errorf("%d were written: %+v", len(all), all)
		}
		return err
	})
}

// retention: rows go when their time is over, and no other does.
func retention(b *bench) {
	const day = 24 * time.Hour
	b.update(func(tx *store.Tx) error {
		errs := []error{user(tx, "alice"), session(tx, "alice", "live"), session(tx, "alice", "ended"), tx.EndSession("ended", model.EndLogout)}
		for i := range 1100 { // more than a batch or two
			id := fmt.Sprint("ended", i)
			errs = append(errs, session(tx, "alice", id), tx.EndSession(id, model.EndLogout))
		}
		aside, err := tx.Enqueue(model.ToHomeserver.Lane("alice"), model.JobDeleteDevice, "{}")
		_, waits := tx.Enqueue(model.ToHomeserver.Lane("alice"), model.JobDeleteDevice, "{}")
		return errors.Join(append(errs, err, waits, tx.SetJobAside(aside, "no"),
			tx.InsertAuthorization(model.Authorization{ID: "request", CreatedAt: tx.Now, ExpiresAt: tx.Now.Add(time.Hour)}))...)
	})
	count := func() string {
		found := ""
		b.view(func(tx *store.Tx) error {
			_, live := tx.Session("live")
			_, ended := tx.Session("ended")
			_, last := tx.Session("ended1099")
			_, request := tx.Authorization("request")
			state, err := tx.OutboxState()
			found = fmt.Sprint(live == nil, ended == nil, last == nil, request == nil, state.Waiting, state.SetAside)
			return err
		})
		return found
	}
	retain := func(want string) {
		b.Helper()
		if _, err := b.store.Retain(b.Context()); err != nil || count() != want {
			b.Errorf("left is %s, want %s: %v", count(), want, err)
		}
	}
	retain("true true true true 1 1")
	b.move(time.Hour + time.Second)
	retain("true true true false 1 1")
	b.move(30*day - time.Hour - time.Second)
	retain("true true true false 1 1")
	b.move(time.Second)
	retain("true false false false 1 0")
}
