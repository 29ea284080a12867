package caddymodule

import "github.com/caddyserver/caddy/v2"

// Settings are the settings of the one instance that a configuration has. Any site's handler may
// bear them; the handlers of other sites leave them out and join.
//
// The Caddyfile is read by these fields alone: each is the option of its JSON name, and what it takes follows
// from its type (see optionOf). What is right for its value is said by matrixauth.Config.Validate.
type Settings struct {
	// The public address of the site, https except on loopback. It may have a path. Required.
	Issuer string `json:"issuer,omitempty"`

	// The homeserver.
	Matrix Homeserver `json:"matrix,omitzero" caddyfile:"unnamed"`

	// The SQLite file. Default: `matrix_auth/matrix_auth.db` in Caddy's data directory.
	Database string `json:"database,omitempty"`

	// The file of the key that secrets in the database are sealed with. Default: beside the database,
	// under its name with the ending `.seal`.
	SealFile string `json:"seal_file,omitempty"`
	// The file of the keys that tokens are proven by. Default: beside the database, under its name with the ending
	// `.key`.
	KeyFile string `json:"key_file,omitempty"`

	// Copies of the database that the server makes by itself. Default: none.
	Backup Backups `json:"backup,omitzero"`

	// How mails are sent. Default: none are, and nothing that needs one is offered.
	Mail Mail `json:"mail,omitzero"`

	// Whether people who forgot their password can ask for a link by mail: `on` or `off`. Default: on, where mail is
	// configured.
	Recovery string `json:"recovery,omitempty"`

	// Whether clients of the legacy login API can change the password, delete devices and deactivate the account, as they
	// could before logins were delegated: `on` or `off`. Default: on.
	LegacyAccount string `json:"legacy_account,omitempty"`

	// The addresses on which the homeserver reaches us, or `off`.
	// Default: `127.0.0.1:8080` and `[::1]:8080`.
	InternalListen Addresses `json:"internal_listen,omitempty"`

	// The life of access tokens that can be refreshed. Default: 5m.
	AccessTokenLifetime caddy.Duration `json:"access_token_lifetime,omitempty"`

	// The limits of password attempts.
	LoginLimit LoginLimit `json:"login_limit,omitzero"`

	// Registrations of OAuth clients from one network. Default: 60, then 20 per minute.
	RegistrationLimit Rate `json:"registration_limit,omitzero"`

	// Refreshes of one session. Default: 60, then 60 per minute.
	RefreshLimit Rate `json:"refresh_limit,omitzero"`

	// What new passwords must be like.
	Passwords Passwords `json:"passwords,omitzero"`

	// How new passwords are hashed: `argon2id`, or `bcrypt`, which Synapse verifies too. Default: argon2id.
	PasswordHash string `json:"password_hash,omitempty"`

	// The OAuth clients that need not register.
	Client []Client `json:"client,omitempty"`

	// Lets clients register http addresses on loopback, for development.
	AllowHTTPClients bool `json:"allow_http_clients,omitempty"`

	// How pages look.
	Branding Branding `json:"branding,omitzero"`

	// Who can make an account of their own. Default: `off`, nobody.
	Registration Registration `json:"registration,omitzero"`

	// A folder with files that replace templates, texts or the stylesheet of pages.
	Templates string `json:"templates,omitempty"`
}

// Backups are copies of the database that the server makes by itself.
type Backups struct {
	// The folder of the copies, by its whole path. It should be on another disk than the database.
	Dir string `json:"dir,omitempty" caddyfile:"argument"`

	// The time between two copies. Default: 24h.
	Every caddy.Duration `json:"every,omitempty"`

	// How many copies are kept. Default: 7.
	Keep Count `json:"keep,omitempty"`
}

// Branding is how pages look.
type Branding struct {
	// The name on every page. Default: the homeserver's server_name.
	Name string `json:"name,omitempty"`

	// The path of a picture: .svg, .png, .jpg, .webp or .gif. Default: a mark with the name's first letter.
	Logo string `json:"logo,omitempty"`

	// The accent colour as `rrggbb`. Default: a green.
	Accent string `json:"accent,omitempty" caddyfile:"colour"`

	// The address of the terms of service, linked at the foot of every page and told to clients. Default: none.
	Terms string `json:"terms,omitempty"`

	// The address of the privacy policy, linked at the foot of every page and told to clients. Default: none.
	Privacy string `json:"privacy,omitempty"`

	// The address of the imprint, linked at the foot of every page. Default: none.
	Imprint string `json:"imprint,omitempty"`

	// Where people get help, linked at the foot of every page; a mailto address will do. Default: none.
	Help string `json:"help,omitempty"`
}

// Client is an OAuth client that need not register.
type Client struct {
	// The client_id. Required.
	ID string `json:"id,omitempty" caddyfile:"argument"`

	// The secret of a confidential client. Use a placeholder such as `{env.PORTAL_SECRET}` or
	// `{file./path}`, as a literal secret would be part of the stored configuration.
	Secret string `json:"secret,omitempty"`

	// A file that holds the secret, in place of it.
	SecretFile string `json:"secret_file,omitempty"`

	// Where the client may have people sent back to. Required.
	RedirectURI []string `json:"redirect_uri,omitempty" caddyfile:"lines"`

	// The name that people are shown. Default: the host of `uri`, or the id.
	Name string `json:"name,omitempty"`

	// The address of the client's own page.
	URI string `json:"uri,omitempty"`

	// `none`, `client_secret_basic` or `client_secret_post`.
	// Default: `client_secret_basic` with a secret, `none` without.
	AuthMethod string `json:"auth_method,omitempty"`

	// `web` (the default) or `native`.
	ApplicationType string `json:"application_type,omitempty"`
}

// Homeserver is the homeserver, under the names that matrix-authentication-service documents.
type Homeserver struct {
	// `synapse` (the default), or `synapse_read_only`, which never writes to the homeserver.
	Kind string `json:"kind,omitempty"`

	// The server_name in Synapse's configuration. Required.
	Homeserver string `json:"homeserver,omitempty"`

	// Where Synapse's client API is reached. Default: `http://localhost:8008`.
	Endpoint string `json:"endpoint,omitempty"`

	// The secret shared with Synapse. Use a placeholder such as `{env.MATRIX_SECRET}` or
	// `{file./path}`, as a literal secret would be part of the stored configuration.
	// Default: generated once, in a file beside the database.
	Secret string `json:"secret,omitempty"`

	// A file that holds the secret, in place of it.
	SecretFile string `json:"secret_file,omitempty" caddyfile:"alias=secret_path"`
}

// LoginLimit bounds password attempts, each by a burst and by tries per minute after it.
type LoginLimit struct {
	// Attempts from one network: an IPv4 address or an IPv6 /64. Default: 20, then 12 per minute.
	Network Rate `json:"network,omitzero"`

	// Attempts at one account. Default: 10, then 2 per minute.
	Account Rate `json:"account,omitzero"`
}

// Mail is how mails are sent: by a mail server or by the sendmail command.
type Mail struct {
	// The sender, with or without a name: `matrix@example.com`, or `"Example <matrix@example.com>"`. Required.
	From string `json:"from,omitempty"`

	// Where answers go. Default: to `from`.
	ReplyTo string `json:"reply_to,omitempty"`

	// The mail server as `HOST:PORT`, and behind it `tls`, `starttls` or `plain`.
	// Default: `tls` at port 465, else `starttls`, without which nothing is sent.
	SMTP MailServer `json:"smtp,omitempty"`

	// The user at the mail server. Default: none.
	User string `json:"user,omitempty"`

	// The password at the mail server. Use a placeholder such as `{env.MAIL_PASSWORD}` or `{file./path}`, as a literal
	// password would be part of the stored configuration.
	Password string `json:"password,omitempty"`

	// A file that holds the password, in place of it.
	PasswordFile string `json:"password_file,omitempty"`

	// Sends by the sendmail command in place of a mail server. Default path: `/usr/sbin/sendmail`.
	Sendmail Sendmail `json:"sendmail,omitempty"`

	// What the holders of accounts are told of by mail: `sign_in`, `password`, `addresses`, `deactivated`, or `off`.
	// Default: all.
	Notices Notices `json:"notices,omitempty"`
}
