package model

import "time"

// Destination is whom a job is for. The values are stored.
type Destination string

// The destinations of jobs. Each has its own lanes, its own pace, and waits for none of the others.
const (
	// ToHomeserver is for calls to the homeserver about a user, whose id is the subject.
	ToHomeserver Destination = "homeserver"
	// ToMail is for messages that a mail server is to take.
	ToMail Destination = "mail"
	// ToApp is for notices to clients.
	ToApp Destination = "app"
)

// Destinations lists every destination.
var Destinations = []Destination{ToHomeserver, ToMail, ToApp}

// Lane returns the lane of a subject at a destination.
func (d Destination) Lane(subject string) Lane { return Lane{d, subject} }

// Lane names jobs that run one after another, in the order in which they were written: those for one
// destination about one subject.
type Lane struct {
	Destination Destination
	// Subject is whom or what the jobs are about; at the homeserver it is the id of a user.
	Subject string
}

// JobKind names a kind of work. The values are stored.
type JobKind string

// The kinds of work that must survive a crash. Each is idempotent.
const (
	// JobProvisionUser brings the homeserver's account up to our row: existence, lock, mail addresses.
	JobProvisionUser JobKind = "provision_user"
	// JobDeleteDevice deletes a device at the homeserver unless a live session has it.
	JobDeleteDevice JobKind = "delete_device"
	// JobDeactivateUser deactivates the account at the homeserver.
	JobDeactivateUser JobKind = "deactivate_user"
	// JobReactivateUser makes a deactivated account usable again at the homeserver.
	JobReactivateUser JobKind = "reactivate_user"
)

// JobKinds lists every kind of work.
var JobKinds = []JobKind{JobProvisionUser, JobDeleteDevice, JobDeactivateUser, JobReactivateUser}

// Job is one row of the outbox.
type Job struct {
	// Position names the job, and orders the jobs of a lane.
	Position int64
	Lane     Lane
	Kind     JobKind
	// Payload is what the job needs beside its subject: JSON that the kind encodes and decodes. It holds no
	// secret that is not sealed.
	Payload   string
	Attempts  int
	CreatedAt time.Time
	// RunAt is the time before which the job is not tried.
	RunAt time.Time
	// LastError is the reason of the last failure, free of secrets.
	LastError string
	// SetAsideAt is the time at which the destination refused the job for good. A job set aside is kept
	// for the operator to see and holds up nobody.
	SetAsideAt time.Time
}

// SetAside reports whether the job was refused for good.
func (j Job) SetAside() bool { return !j.SetAsideAt.IsZero() }

// JobState tells the jobs that wait from those that were refused for good.
type JobState string

// The states of jobs.
const (
	JobWaiting  JobState = "waiting"
	JobSetAside JobState = "set_aside"
)

// JobFilter chooses jobs. What is empty chooses all.
type JobFilter struct {
	State       JobState
	Destination Destination
	Kind        JobKind
	Subject     string
}
