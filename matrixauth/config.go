package matrixauth

import (
	"cmp"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/page"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/synapseconfig"
)

// Kind says how the homeserver is used.
type Kind string

// The kinds of homeserver, under the names of matrix-authentication-service.
const (
	// Synapse is a homeserver that we provision.
	Synapse Kind = "synapse"
	// SynapseReadOnly is one that we never write to: for the rehearsal of a migration.
	SynapseReadOnly Kind = "synapse_read_only"
)

// Config is the configuration of a Server. Its zero values are replaced by Defaults.
type Config struct {
	// ServerName is the homeserver's server_name: the part of Matrix ids behind the colon.
	ServerName string
	// Issuer is our public address, https except on loopback. It may have a path.
	Issuer string
	// Kind says how the homeserver is used.
	Kind Kind
	// Endpoint is where the homeserver's client API is reached by us.
	Endpoint string
	// Secret is shared with the homeserver: it proves us to it, and it to us.
	Secret string
	// AccessTokenLifetime is the life of access tokens that can be refreshed.
	AccessTokenLifetime time.Duration
	// LoginsPerNetwork and LoginsPerAccount bound password attempts.
	LoginsPerNetwork, LoginsPerAccount Rate
	// RegistrationsPerNetwork bounds the registrations of OAuth clients.
	RegistrationsPerNetwork Rate
	// RefreshesPerSession bounds the refreshes of one session. What is beyond is answered 503, never an error
	// that would end the session.
	RefreshesPerSession Rate
	// Passwords says what new passwords must be like.
	Passwords Passwords
	// PasswordHash is how new passwords are hashed: HashArgon2id, which is the default, or HashBcrypt.
	PasswordHash string
	// Clients are the OAuth clients that need not register.
	Clients []Client
	// AllowHTTPClients lets clients register http addresses on loopback, for development.
	AllowHTTPClients bool
	// Branding is how pages look.
	Branding Branding
	// SealFile is the file of the key that secrets in the database are sealed with, by its whole path; empty for
	// the one beside the database.
	SealFile string
	// KeyFile is the file of the keys that tokens are proven by, by its whole path; empty for the one beside the
	// database.
	KeyFile string
	// Templates is a folder with files that replace templates, texts or the stylesheet of our pages; empty for none.
	Templates string
	// LegacyAccount says whether clients of the legacy API can change the password, delete devices and deactivate the account
	// as they could before logins were delegated: LegacyAccountOn or LegacyAccountOff. Empty means on.
	LegacyAccount string
	// Recovery says whether people can ask for a link when they forgot their password: RecoveryOn or RecoveryOff. Without Mail
	// they cannot.
	Recovery string
	// Backup are the copies of the database that the server makes by itself.
	Backup Backups
	// Mail says how mails are sent.
	Mail Mail
	// Registration says who can make an account of their own.
	Registration Registration
}

// Backups are copies of the database that the server makes by itself; none without a Dir.
type Backups struct {
	// Dir is the folder of the copies, by its whole path.
	Dir string
	// Every is the time between two copies, and Keep how many there are at most.
	Every time.Duration
	Keep  int
}

// The defaults of Backups.
const (
	DefaultBackupEvery = 24 * time.Hour
	DefaultBackupKeep  = 7
)

// The least and the greatest time between two copies, and how many may be kept.
const (
	backupLeast, backupMost = time.Second, 90 * 24 * time.Hour
	backupsMost             = 1000
)

func (b Backups) problems() (all []Problem) {
	if b == (Backups{}) {
		return nil
	}
	if b.Dir == "" {
		all = append(all, Problem{"backup", "names no folder for the copies; write it before the block, such as backup /var/backups/matrix_auth"})
	}
	if text := checkWholePath(b.Dir); text != "" {
		all = append(all, Problem{"backup", text})
	}
	if b.Every < backupLeast || b.Every > backupMost {
		all = append(all, Problem{"backup every", "must be between 1s and 90d"})
	}
	if b.Keep < 1 || b.Keep > backupsMost {
		all = append(all, Problem{"backup keep", "must be between 1 and " + strconv.Itoa(backupsMost)})
	}
	return all
}

// Branding is how pages look. All of it may be empty.
type Branding struct {
	// Name stands on every page; by default the server name.
	Name string
	// Logo is the path of a picture.
	Logo string
	// Accent is a colour as rrggbb.
	Accent string
	// Terms, Privacy, Imprint and Help are addresses of the operator's own pages, to which ours link. Help may
	// be a mailto address.
	Terms, Privacy, Imprint, Help string
}

// links returns the operator's own pages.
func (b Branding) links() page.Links {
	return page.Links{Terms: b.Terms, Privacy: b.Privacy, Imprint: b.Imprint, Help: b.Help}
}

// Rate allows Burst tries at once, and then PerMinute tries a minute.
type Rate = bound.Rate

// Defaults of the configuration.
const (
	DefaultEndpoint            = "http://localhost:8008"
	DefaultAccessTokenLifetime = bound.AccessTokenLife
)

// The default limits of password attempts.
var (
	DefaultLoginsPerNetwork = bound.LoginsPerNetwork
	DefaultLoginsPerAccount = bound.LoginsPerAccount
)

// DefaultRegistrationsPerNetwork is the default limit of registrations.
var DefaultRegistrationsPerNetwork = bound.RegistrationsPerNetwork

// DefaultRefreshesPerSession is the default limit of refreshes.
var DefaultRefreshesPerSession = bound.RefreshesPerSession

// WithDefaults fills what was left out.
func (c Config) WithDefaults() Config {
	if c.Kind == "" {
		c.Kind = Synapse
	}
	if c.Endpoint == "" {
		c.Endpoint = DefaultEndpoint
	}
	if c.AccessTokenLifetime == 0 {
		c.AccessTokenLifetime = DefaultAccessTokenLifetime
	}
	if c.LoginsPerNetwork == (Rate{}) {
		c.LoginsPerNetwork = DefaultLoginsPerNetwork
	}
	if c.LoginsPerAccount == (Rate{}) {
		c.LoginsPerAccount = DefaultLoginsPerAccount
	}
	if c.RegistrationsPerNetwork == (Rate{}) {
		c.RegistrationsPerNetwork = DefaultRegistrationsPerNetwork
	}
	if c.RefreshesPerSession == (Rate{}) {
		c.RefreshesPerSession = DefaultRefreshesPerSession
	}
	c.Passwords = c.Passwords.withDefaults()
	c.PasswordHash = cmp.Or(c.PasswordHash, HashArgon2id)
	if c.Backup != (Backups{}) {
		c.Backup.Every = cmp.Or(c.Backup.Every, DefaultBackupEvery)
		c.Backup.Keep = cmp.Or(c.Backup.Keep, DefaultBackupKeep)
	}
	c.Mail = c.Mail.withDefaults()
	c.Recovery = cmp.Or(c.Recovery, RecoveryOn)
	c.LegacyAccount = cmp.Or(c.LegacyAccount, LegacyAccountOn)
	if c.Branding.Name == "" {
		c.Branding.Name = c.ServerName
	}
	return c
}

// Problem is something wrong with a configuration.
type Problem struct {
	// Option is the name of the option to change, as the Caddyfile knows it.
	Option string
	// Text says what is wrong and what would be right. It holds no secret.
	Text string
}

// Error makes a Problem an error.
func (p Problem) Error() string { return p.Option + ": " + p.Text }

// Validate returns every problem of a configuration whose defaults are filled in, so that an operator
// mends all in one go. An empty Secret is not judged here: it may be generated later.
func (c Config) Validate() []Problem {
	var all []Problem
	add := func(option, text string) {
		if text != "" {
			all = append(all, Problem{option, text})
		}
	}
	add("homeserver", checkServerName(c.ServerName))
	add("issuer", checkIssuer(c.Issuer))
	add("endpoint", checkEndpoint(c.Endpoint))
	if c.Kind != Synapse && c.Kind != SynapseReadOnly {
		add("kind", strconv.Quote(string(c.Kind))+" is not known; write synapse or synapse_read_only")
	}
	add("secret", checkSecret(c.Secret))
	if c.AccessTokenLifetime < bound.AccessTokenLeast || c.AccessTokenLifetime > bound.AccessTokenMost {
		add("access_token_lifetime", "must be between 1s and 24h")
	}
	add("login_limit", checkRate(c.LoginsPerNetwork))
	add("login_limit", checkRate(c.LoginsPerAccount))
	add("registration_limit", checkRate(c.RegistrationsPerNetwork))
	add("refresh_limit", checkRate(c.RefreshesPerSession))
	add("seal_file", checkWholePath(c.SealFile))
	add("key_file", checkWholePath(c.KeyFile))
	all = append(all, c.Passwords.problems()...)
	all = append(all, passwordHashProblems(c.PasswordHash)...)
	all = append(all, c.Backup.problems()...)
	all = append(all, c.Mail.problems()...)
	all = append(all, c.Registration.problems(c)...)
	all = append(all, recoveryProblems(c.Recovery)...)
	all = append(all, legacyAccountProblems(c.LegacyAccount)...)
	all = append(all, c.Branding.problems()...)
	if c.Templates != "" {
		add("templates", textOf(page.CheckFolder(c.Templates)))
	}
	return append(all, checkClients(c.Clients)...)
}

// DefaultAccent is the accent colour of pages whose operator chose none.
const DefaultAccent = page.DefaultAccent

func (b Branding) problems() (all []Problem) {
	if len([]rune(b.Name)) > bound.BrandName || strings.ContainsFunc(b.Name, unicode.IsControl) {
		all = append(all, Problem{"branding name", "a name has at most " + strconv.Itoa(bound.BrandName) + " characters, and is one line"})
	}
	if b.Logo != "" {
		if text := textOf(page.CheckLogo(b.Logo)); text != "" {
			all = append(all, Problem{"branding logo", text})
		}
	}
	if b.Accent != "" {
		if text := textOf(page.CheckAccent(b.Accent)); text != "" {
			all = append(all, Problem{"branding accent", text})
		}
	}
	for _, link := range []struct{ option, address string }{
		{"branding terms", b.Terms}, {"branding privacy", b.Privacy}, {"branding imprint", b.Imprint}, {"branding help", b.Help},
	} {
		if link.address == "" {
			continue
		}
		if text := textOf(page.CheckLink(link.address, link.option == "branding help")); text != "" {
			all = append(all, Problem{link.option, text})
		}
	}
	return all
}

func textOf(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// checkWholePath wants a path that means the same file whoever asks.
func checkWholePath(path string) string {
	if path != "" && !filepath.IsAbs(path) {
		return strconv.Quote(path) + " is relative to whatever directory the server runs in; write the whole path, such as " + filepath.Join("/etc/caddy", filepath.Base(path))
	}
	return ""
}

func checkRate(r Rate) string {
	if r.Burst < 1 || !(r.PerMinute > 0) {
		return "burst and tries per minute must be above zero"
	}
	return ""
}

// hostname is a DNS name as the Matrix appendices allow it in server names.
var hostname = regexp.MustCompile(`^[A-Za-z0-9.-]{1,255}$`)

func checkServerName(name string) string {
	if name == "" {
		return "the server name is missing: it is server_name in Synapse's configuration, such as example.com"
	}
	if strings.Contains(name, "://") {
		return strconv.Quote(name) + " is an address; the server name is a bare name such as example.com"
	}
	host, port := name, ""
	if h, p, err := net.SplitHostPort(name); err == nil {
		host, port = h, p
	}
	if port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return strconv.Quote(name) + " has no valid port"
		}
	}
	literal := strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if addr, err := netip.ParseAddr(literal); err == nil && addr.IsValid() {
		return ""
	}
	if !hostname.MatchString(host) {
		return strconv.Quote(name) + " is not a server name; it is the part of Matrix ids behind the colon, such as example.com"
	}
	return ""
}

func checkIssuer(issuer string) string {
	if issuer == "" {
		return "the issuer is missing: it is the public https address of this site, such as https://matrix.example.com"
	}
	u, err := url.Parse(issuer)
	switch {
	case err == nil && u.User != nil:
		return "the issuer must not hold a user name or password"
	case err != nil || u.Host == "":
		return strconv.Quote(issuer) + " is not an address; write one such as https://matrix.example.com"
	case u.Scheme == "http" && !IsLoopback(u.Hostname()):
		return strconv.Quote(issuer) + " must be https: tokens would travel in clear (http is allowed on loopback only)"
	case u.Scheme != "https" && u.Scheme != "http":
		return strconv.Quote(issuer) + " must begin with https://"
	case u.RawQuery != "" || u.ForceQuery:
		return strconv.Quote(issuer) + " must not have a query: Synapse and clients append to it"
	case u.Fragment != "" || strings.Contains(issuer, "#"):
		return strconv.Quote(issuer) + " must not have a fragment"
	case strings.Contains(u.Path, "//") || strings.Contains(u.Path, "/."):
		return strconv.Quote(issuer) + " has a path that clients would write in another way"
	}
	return ""
}

// checkSecret refuses what no header could bring to Synapse, which would answer 401 for ever.
func checkSecret(secret string) string {
	if secret != "" && !synapseconfig.IsBearer(secret) {
		return "a secret is letters, digits and signs of ASCII, without blanks and on one line; this one has other characters"
	}
	return ""
}

func checkEndpoint(endpoint string) string {
	u, err := url.Parse(endpoint)
	switch {
	case err == nil && u.User != nil:
		return "the endpoint must not hold a user name or password; the secret has an option of its own"
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return strconv.Quote(endpoint) + " is not an http or https address; it is where Synapse listens, such as http://localhost:8008"
	case u.RawQuery != "" || u.Fragment != "":
		return strconv.Quote(endpoint) + " must have neither query nor fragment"
	}
	return ""
}

// IsInvisible reports whether nobody sees a character where it stands, white space aside.
func IsInvisible(r rune) bool { return model.IsInvisible(r) }

// IsLoopback reports whether a host, by name or address and without a port, is this machine by its loopback.
func IsLoopback(host string) bool { return model.IsLoopback(host) }
