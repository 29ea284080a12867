package move

// What a run finds about our side. A Source has codes of its own.
var (
	// ChangedHere is something that changed there since the last run, and here too.
	ChangedHere = Kind{"changed_here", Says, "changed there since the last run, but here too, so it stays as it is here", "look at each of these; what is here counts"}
	// AccountGone is an account that was taken and is there no more. Synapse deletes none: more likely the configuration is of
	// an older database, of which a run would deactivate everybody who came since.
	AccountGone = Kind{"account_gone", Warns, "accounts that were taken over are not in Synapse's database any more, and are deactivated here", "make sure that this is the database that Synapse uses: Synapse itself deletes no account"}
	// DatabaseOlder is a database that has not what the last run read.
	DatabaseOlder = Kind{"database_older", Warns, "Synapse's database is older than the one of the last run: passwords and sessions would become what they were", "make sure that this is the database that Synapse uses, and no copy of before"}
	// AccountExists is an account that was here before it was taken.
	AccountExists = Kind{"account_exists", Says, "an account of this name is here already and was not taken over before; what it lacks is added, and nothing of it is replaced", "nothing, if both are the same person's"}
	// DeviceHere is a device on which somebody has signed in here.
	DeviceHere = Kind{"device_signed_in_here", Left, "somebody has signed in on this device here already, so the sign-in there is left", "nothing"}
	// TokenTaken is a token that another session has already.
	TokenTaken = Kind{"token_taken", Left, "a token of this session is that of another session here, so the session is left", "nothing; sign in anew with that app"}
	// AddressTaken is a mail address that another account has here.
	AddressTaken = Kind{"address_taken", Left, "another account has this mail address here, and an address is one account's only", "give the address to the right account by \"caddy matrix-auth user add-email\""}
	// AddressRefused is what is no mail address by our rules.
	AddressRefused = Kind{"address_refused", Left, "this is no mail address", "add the right address by \"caddy matrix-auth user add-email\""}
	// LinkTaken is an account at an identity provider that another account has.
	LinkTaken = Kind{"link_taken", Left, "the account at the identity provider belongs to another account here", "nothing, or remove the other account's"}
	// RegistrationTokenRefused is a registration token that we could not honour.
	RegistrationTokenRefused = Kind{"registration_token_refused", Left, "these registration tokens have a form that registration does not take", "make others by \"caddy matrix-auth registration-token create\""}
	// NameWaits is a name for which somebody waits here.
	NameWaits = Kind{"name_waits", Left, "somebody waits here for an account of this name, so the one who waits there is left", "decide on the registration here: \"caddy matrix-auth registration list\""}
)

// Kinds are the kinds of finding of this package, for the documentation.
func Kinds() []Kind {
	return []Kind{ChangedHere, AccountGone, DatabaseOlder, AccountExists, DeviceHere, TokenTaken, AddressTaken, AddressRefused, LinkTaken, RegistrationTokenRefused, NameWaits}
}
