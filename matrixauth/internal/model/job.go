package model

import "time"

// JobKind names the work of an outbox row. The values are stored.
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
	// Position orders the jobs of a lane.
	Position int64
	// Lane is the id of the user whom the job is about. Jobs of a lane run one after another.
	Lane      string
	Kind      JobKind
	Payload   JobPayload
	Attempts  int
	CreatedAt time.Time
	// RunAt is the time before which the job is not tried.
	RunAt time.Time
	// LastError is the reason of the last failure, free of secrets.
	LastError string
	// SetAsideAt is the time at which the homeserver refused the job for good. A job set aside is kept
	// for the operator to see and holds up nobody.
	SetAsideAt time.Time
}

// JobPayload is what a job needs beside its lane. Which members count depends on the kind. It holds no secret.
type JobPayload struct {
	DeviceID string `json:"device_id,omitempty"`
	// SetEmails asks JobProvisionUser to replace the homeserver's list of addresses by ours.
	SetEmails bool `json:"set_emails,omitempty"`
	// DisplayName is set at the homeserver by JobProvisionUser if not empty.
	DisplayName string `json:"display_name,omitempty"`
	// Erase asks JobDeactivateUser to have the user's messages hidden from newcomers too.
	Erase bool `json:"erase,omitempty"`
}
