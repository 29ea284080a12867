package synapsedb

import (
	"slices"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/move"
)

// kinds are all that can be found.
var kinds []move.Kind

// Kinds returns everything that can be found in Synapse's database.
func Kinds() []move.Kind { return slices.Clone(kinds) }

func kind(code move.Code, weight move.Weight, what, change string) move.Kind {
	k := move.Kind{Code: code, Weight: weight, What: what, Change: change}
	kinds = append(kinds, k)
	return k
}

const nothing = "nothing"

// Users.
var (
	foreignUser = kind("foreign_user", move.Left, "users of another server name cannot come",
		"if they are people of this server, its server_name was changed: that is nothing that can be mended here")
	malformedUser = kind("malformed_user", move.Left, "users whose id is no Matrix id, is longer than 255 bytes, or holds control characters or bytes that are no UTF-8 cannot come",
		"look at the rows of users in Synapse's database")
	malformedOwner = kind("malformed_owner", move.Left, "rows whose id is NULL or not text cannot come", "look at the rows of that table in Synapse's database")
	guest          = kind("guest", move.Left, "guests do not come: there are none here", "turn allow_guest_access off in homeserver.yaml")
	appservice     = kind("appservice_user", move.Left, "users of application services stay with Synapse, and their tokens with them, where they go on", nothing)
	deactivated    = kind("deactivated_user", move.Says, "deactivated users come as such: their names stay reserved, and they have no sessions", nothing)
	locked         = kind("locked_user", move.Says, "locked users come locked", nothing)
	suspended      = kind("suspended_user", move.Says, "suspended users come, and their suspension stays with Synapse, which goes on to hold it", nothing)
	shadowBanned   = kind("shadow_banned_user", move.Says, "users who are banned in secret come, and the ban stays with Synapse, which goes on to hold it", nothing)
	waiting        = kind("waiting_user", move.Says, "users who are not approved yet come to the list of those who wait for it", "approve or refuse them here")
	caseTwins      = kind("names_differ_by_case", move.Says, "names that differ by case only come as they are: each signs in by its exact spelling", "tell these people how their names are spelt")
	oddTime        = kind("odd_time", move.Says, "times that cannot be are taken as not known", nothing)
)

// What belongs to users.
var (
	emptyPassword = kind("empty_password", move.Says, "users with an empty password hash come without a password", "they sign in as before by what they have, or are given a new password")
	noPassword    = kind("no_password", move.Says, "users without a password come without one", "if they signed in by another service, they need a password here")
	foreignHash   = kind("password_not_bcrypt", move.Left, "password hashes that are not bcrypt cannot come: these users come without a password", "give them a new password")
	slowHash      = kind("password_too_slow", move.Left, "password hashes of bcrypt with a cost over 16 cannot come: each try would take minutes", "give them a new password")
	sameEmail     = kind("email_twice", move.Left, "of mail addresses of one user that differ in case only, the one that was added first comes", nothing)
	badEmail      = kind("email_unusable", move.Left, "what is no mail address that mail can be sent to does not come", "these users add their address again")
	badThreepid   = kind("threepid_unusable", move.Left, "third-party ids that are empty, too long or no text do not come", nothing)
	badLink       = kind("external_id_unusable", move.Left, "external ids that are empty, too long or no text do not come", nothing)
	oldLink       = kind("external_id_of_delegation", move.Left, "external ids of an earlier delegation of the sign-in do not come: they belong to a service that was given up", nothing)
	badTerms      = kind("terms_unusable", move.Left, "versions of the terms of over 64 characters do not come", "these users accept the terms again")

	unknownUserErasure    = kind("unknown_user_erasure", move.Left, "erasures of users that there are not do not come", nothing)
	unknownUserThreepid   = kind("unknown_user_threepid", move.Left, "third-party ids of users that there are not do not come", nothing)
	unknownUserExternalID = kind("unknown_user_external_id", move.Left, "external ids of users that there are not do not come", nothing)
)

// Devices and tokens.
var (
	unknownUserDevice       = kind("unknown_user_device", move.Left, "devices of users that there are not do not come", nothing)
	unknownUserAccessToken  = kind("unknown_user_access_token", move.Left, "access tokens of users that there are not do not come", nothing)
	unknownUserRefreshToken = kind("unknown_user_refresh_token", move.Left, "refresh tokens of users that there are not do not come", nothing)

	hiddenDevice     = kind("hidden_device", move.Says, "hidden devices are keys of cross-signing and no devices: they stay with Synapse", nothing)
	guestDevice      = kind("guest_device", move.Left, "devices of guests do not come", nothing)
	dehydratedDevice = kind("dehydrated_device", move.Says, "dehydrated devices are no sign-ins: they stay with Synapse", nothing)
	badDevice        = kind("device_id_unusable", move.Left, "devices whose id is empty, longer than 255 bytes or holds control characters cannot come, as Synapse could not be told of them", "these people sign in again on them")
	idleDevice       = kind("device_without_token", move.Left, "devices without a token that is still good are signed in nowhere: they stay with Synapse, and are no sessions here", nothing)
	cutName          = kind("device_name_cut", move.Says, "device names of over 100 characters, or with characters that cannot be shown, are shortened", nothing)

	impersonation = kind("impersonation_token", move.Left, "access tokens by which an administrator acts as somebody else do not come", "make new ones when they are needed")
	badToken      = kind("token_unusable", move.Left, "tokens that are empty or longer than 4096 bytes cannot come", nothing)
	lostDevice    = kind("token_of_missing_device", move.Left, "tokens whose device there is not, or is none that can come, do not come", "who uses them signs in again")
	noDevice      = kind("token_without_device", move.Says, "access tokens without a device come as sessions without one", nothing)
	expiredAccess = kind("expired_access_token", move.Left, "access tokens without a device that have expired do not come; those of devices do, so that their apps are asked to sign in and keep their keys", nothing)
	spentRefresh  = kind("spent_refresh_token", move.Left, "refresh tokens that Synapse does not take any more, as their successor was used, do not come", nothing)
	looseEnd      = kind("session_end_of_some_tokens", move.Says, "devices that have tokens of sessions with an end and without one come without an end: each token still ends when it did", nothing)

	badRegistration     = kind("registration_token_unusable", move.Left, "registration tokens that are no text of 1 to 64 letters, digits and -._~ do not come", "make new ones")
	expiredRegistration = kind("expired_registration_token", move.Left, "registration tokens that have expired do not come", nothing)
	usedUpRegistration  = kind("used_up_registration_token", move.Left, "registration tokens that are used up do not come", nothing)
)
