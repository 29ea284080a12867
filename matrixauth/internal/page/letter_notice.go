package page

import (
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

// Notice is a mail that tells the holder of an account what happened to it, and where to go if it was not them. No address
// that was added or removed is in it: whoever has taken an account over would write to its holder by the name of one
// (MAIL-11).
type Notice struct {
	Kind model.NoticeKind
	// At is when it happened.
	At time.Time
	// MatrixID is the account.
	MatrixID string
	// Agent is the browser, such as "Firefox, Linux"; empty if it was an app, or nobody knows. It is one of a few that we
	// name ourselves.
	Agent string
	// App reports whether an app signed in, and not a browser.
	App bool
}

func (Notice) letter() string { return "notice" }

func noticeSamples(now time.Time) (all []Letter) {
	const account = "@alice:example.com"
	for _, kind := range model.NoticeKinds {
		all = append(all, Notice{Kind: kind, At: now, MatrixID: account})
	}
	return append(all,
		Notice{Kind: model.NoticeSignIn, At: now, MatrixID: account, Agent: "Firefox, Linux"},
		Notice{Kind: model.NoticeSignIn, At: now, MatrixID: account, App: true},
	)
}
