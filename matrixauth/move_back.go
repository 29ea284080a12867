package matrixauth

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/homeserver"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/move"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/operate"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/synapseconfig"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/synapsedb"
)

// SynapsePasswords writes passwords that were set here into Synapse's database, for a way back.
type SynapsePasswords struct {
	writer *synapsedb.Writer
}

// SynapsePasswordsWritten says what became of them. All are Matrix ids.
type SynapsePasswordsWritten struct {
	Written int64 `json:"written"`
	// OtherScheme are accounts whose hash is of a kind that Synapse does not know.
	OtherScheme []string `json:"other_scheme"`
	// Unknown are accounts that Synapse has not.
	Unknown []string `json:"unknown"`
}

// OpenSynapsePasswords opens Synapse's database for writing. A process of root may become another user once it returns.
func OpenSynapsePasswords(ctx context.Context, files SynapseFiles) (*SynapsePasswords, error) {
	config, err := synapseconfig.Read(files.Paths...)
	if err != nil {
		return nil, err
	}
	settings := config.Move(synapseconfig.MoveOptions{Dir: files.Dir})
	w, err := synapsedb.OpenToWrite(ctx, databaseOptions(settings))
	if err != nil {
		return nil, err
	}
	return &SynapsePasswords{w}, nil
}

// passwordsAtOnce is how many hashes are asked for at once.
const passwordsAtOnce = 1000

// Write writes all passwords that Synapse has not, or none.
func (p *SynapsePasswords) Write(ctx context.Context, o *Operator) (done SynapsePasswordsWritten, err error) {
	done.OtherScheme = []string{}
	var page move.PasswordPage
	begun := false
	done.Written, done.Unknown, err = p.writer.WritePasswords(ctx, func() (name, hash string, ok bool, err error) {
		for {
			for len(page.Passwords) > 0 {
				next := page.Passwords[0]
				page.Passwords = page.Passwords[1:]
				if next.Hash != "" {
					return next.Name, next.Hash, true, nil
				}
				done.OtherScheme = append(done.OtherScheme, next.Name)
			}
			if begun && page.Next == "" {
				return "", "", false, nil
			}
			begun = true
			if page, err = operate.ListChangedPasswords.Do(ctx, o, move.PasswordQuery{After: page.Next, Limit: passwordsAtOnce}); err != nil {
				return "", "", false, err
			}
		}
	})
	if done.Unknown == nil {
		done.Unknown = []string{}
	}
	return done, err
}

// Close closes Synapse's database.
func (p *SynapsePasswords) Close() error { return p.writer.Close() }

// answersWithin bounds the question whether the homeserver answers.
const answersWithin = 5 * time.Second

// HomeserverAnswers reports whether a homeserver answers at an endpoint. What a proxy says in place of one that is down is
// no answer.
func HomeserverAnswers(ctx context.Context, endpoint string) bool {
	ctx, cancel := context.WithTimeout(ctx, answersWithin)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(endpoint, "/")+homeserver.VersionsPath, nil)
	if err != nil {
		return false
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return false
	}
	defer response.Body.Close()
	return response.StatusCode < http.StatusBadGateway
}
