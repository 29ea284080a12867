package synapsedb

// leastSchema is the version of Synapse's schema that has all columns which are read.
const leastSchema = 85

// table is one of Synapse's, with the columns that are read. The first one is the user's Matrix id, by which all are
// ordered.
type table struct {
	name    string
	columns []string
}

// row holds the values of the columns of a table, each nil, a bool, an int64, a float64 or a string.
type row []any

// The tables. The constants are the places of their columns.
var (
	users = table{"users", []string{
		"name", "password_hash", "creation_ts", "admin", "is_guest", "deactivated", "locked", "suspended", "shadow_banned", "approved",
		"appservice_id", "consent_version", "consent_ts",
	}}
	erasedUsers = table{"erased_users", []string{"user_id"}}
	threepids   = table{"user_threepids", []string{"user_id", "medium", "address", "validated_at", "added_at"}}
	externalIDs = table{"user_external_ids", []string{"user_id", "auth_provider", "external_id"}}
	devices     = table{"devices", []string{"user_id", "device_id", "display_name", "last_seen", "ip", "user_agent", "hidden"}}
	dehydrated  = table{"dehydrated_devices", []string{"user_id", "device_id"}}
	accesses    = table{"access_tokens", []string{
		"user_id", "id", "device_id", "token", "valid_until_ms", "puppets_user_id", "last_validated", "refresh_token_id", "used",
	}}
	refreshes     = table{"refresh_tokens", []string{"user_id", "id", "device_id", "token", "next_token_id", "expiry_ts", "ultimate_session_expiry_ts"}}
	registrations = table{"registration_tokens", []string{"token", "uses_allowed", "completed", "expiry_time"}}
)

const (
	userName = iota
	userPasswordHash
	userCreation
	userAdmin
	userGuest
	userDeactivated
	userLocked
	userSuspended
	userShadowBanned
	userApproved
	userAppservice
	userConsentVersion
	userConsentAt
)

const (
	_ = iota
	threepidMedium
	threepidAddress
	threepidValidated
	threepidAdded
)

const (
	_ = iota
	externalProvider
	externalSubject
)

const (
	_ = iota
	deviceID
	deviceName
	deviceSeen
	deviceIP
	deviceAgent
	deviceHidden
)

const (
	_ = iota
	accessID
	accessDevice
	accessToken
	accessExpiry
	accessPuppets
	accessValidated
	accessRefresh
	accessUsed
)

const (
	_ = iota
	refreshID
	refreshDevice
	refreshToken
	refreshNext
	refreshExpiry
	refreshEnd
)

const (
	registrationToken = iota
	registrationUses
	registrationCompleted
	registrationExpiry
)

// all are the tables that have to be there.
var all = []table{users, erasedUsers, threepids, externalIDs, devices, dehydrated, accesses, refreshes, registrations}
