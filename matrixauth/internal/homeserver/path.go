package homeserver

// The paths of Synapse's APIs, below its endpoint.
const (
	// masPath is what those of the authentication service begin with.
	masPath           = "_synapse/mas/"
	devicesPath       = "_matrix/client/v3/devices"
	keysPath          = "_matrix/key/v2/server"
	usersPath         = "_synapse/admin/v2/users/"
	serverVersionPath = "_synapse/admin/v1/server_version"
)

// queryUser is the call by which users are asked about.
const queryUser = "query_user"

// The paths of requests that show whom they reach.
const (
	// MASPath is what the paths of Synapse's API for the authentication service begin with, and QueryUserPath
	// one of them.
	MASPath       = "/" + masPath
	QueryUserPath = MASPath + queryUser
	// WhoamiPath asks whose a token is, and so makes Synapse ask about it.
	WhoamiPath = "/_matrix/client/v3/account/whoami"
	// VersionsPath asks what of the Client-Server API there is.
	VersionsPath = "/_matrix/client/versions"
	// RoomsPath asks for all rooms, as administrators may.
	RoomsPath = "/_synapse/admin/v1/rooms"
)
