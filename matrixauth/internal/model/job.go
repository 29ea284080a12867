package model

import (
	"strings"
	"time"
)

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

// SubjectOf returns the subject of jobs about a user that must not wait for one another, such as mails to different
// addresses: the id of the user, and what tells one lane from the others.
func SubjectOf(userID, of string) string { return userID + "/" + of }

// UserOfSubject returns the id of the user that a subject is about, if it is about one.
func UserOfSubject(subject string) string {
	id, _, _ := strings.Cut(subject, "/")
	return id
}

// JobKind names a kind of work. The values are stored.
type JobKind string

// The kinds of work that must survive a crash. Each is idempotent.
const (
	// JobProvisionUser brings the homeserver's account up to our row: existence, lock, mail addresses.
	JobProvisionUser JobKind = "provision_user"
	// JobDeleteDevice deletes a device at the homeserver unless a live session has it.
	JobDeleteDevice JobKind = "delete_device"
	// JobNameDevice gives a device at the homeserver the name that its session has.
	JobNameDevice JobKind = "name_device"
	// JobDeactivateUser deactivates the account at the homeserver.
	JobDeactivateUser JobKind = "deactivate_user"
	// JobReactivateUser makes a deactivated account usable again at the homeserver.
	JobReactivateUser JobKind = "reactivate_user"
	// JobNotice tells one address of an account what happened to it.
	JobNotice JobKind = "mail_notice"
	// JobMailCode mails the code that proves an address.
	JobMailCode JobKind = "mail_code"
	// JobMailDecided mails what an operator decided of a registration.
	JobMailDecided JobKind = "mail_decided"
	// JobRecoveryLink looks up whom a request for recovery is about, and sends the link.
	JobRecoveryLink JobKind = "mail_recovery_link"
)

// JobKinds lists every kind of work.
var JobKinds = []JobKind{JobProvisionUser, JobDeleteDevice, JobNameDevice, JobDeactivateUser, JobReactivateUser, JobNotice, JobMailCode, JobMailDecided, JobRecoveryLink}

// HeldBack is the reason of a job that is set aside because the database went back in time: it may have been done
// then, and what it is about may be something else by now. The value is stored.
const HeldBack = "not done, as the database went back in time: it would delete devices, and one may be that of an app that signed in since; " +
	"\"outbox retry\" has it done, \"outbox drop\" forgets it"

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
