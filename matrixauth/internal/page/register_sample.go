package page

import (
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/password"
)

// registerSamples are the pages on which somebody makes an account.
func registerSamples() []Page {
	element := Goal{Request: "01JSAMPLE0000000000000009", Client: "Element"}
	first := Register{Goal: element, Number: 1, Of: 4}
	at := func(number int) Register {
		return Register{Goal: element, Registration: "0123456789012345678901", Number: number, Of: 4}
	}
	refused := func(r Register, code model.Code) Register {
		r.Problem = code
		return r
	}
	pages := []Page{
		RegisterInvitation{Register: Register{Number: 1, Of: 5}},
		RegisterInvitation{Register: Register{Goal: element, Number: 1, Of: 5}, Token: "Sample0123456789", Linked: true},
		RegisterInvitation{Register: refused(first, model.InvitationRefused), Token: "wrong"},
		RegisterName{Register: first, ServerName: "example.com"},
		RegisterName{Register: Register{Goal: element, Number: 1, Of: 4, SignedIn: "@alice:example.com"}, Username: "bob", ServerName: "matrix.department.example.com"},
		RegisterName{Register: at(1), Lost: "alice", ServerName: "example.com"},
		RegisterName{Register: Register{Form: Form{Problem: model.TemporarilyDown}}, Username: "alice", ServerName: "example.com"},
		RegisterPassword{Register: at(2), Username: "alice", MatrixID: "@alice:example.com"},
		RegisterPassword{Weak: password.Common, Register: refused(at(2), model.InvalidPassword), Username: "alice", MatrixID: "@alice:example.com"},
		RegisterPassword{Register: refused(at(2), model.InvalidParam), Username: "alice", MatrixID: "@alice:example.com"},
		RegisterTerms{Register: at(3), URL: "https://example.com/terms", Version: "2026-11"},
		RegisterTerms{Register: refused(at(3), model.MissingParam), URL: "https://example.com/terms", Version: "2026-11"},
		RegisterProfile{Register: at(4), MatrixID: "@alice:example.com"},
		RegisterProfile{Register: refused(at(4), model.InvalidParam), MatrixID: "@alice:example.com", NameFixed: true, DisplayName: "Alice", Approval: true},
		RegisterProfile{Register: Register{Registration: "0123456789012345678901", Form: Form{Problem: model.TemporarilyDown, Retry: 5 * time.Second}, Number: 4, Of: 4}, MatrixID: "@alice:example.com", DisplayName: "Alice"},
		RegisterEmail{Register: at(2)},
		RegisterEmail{Register: at(2), Email: "alice@example.com", Fixed: true},
		RegisterEmail{Register: refused(at(2), model.EmailNotAllowed), Email: "alice@example.net", Optional: true},
		RegisterCode{Register: at(3), Email: "alice@example.com"},
		RegisterCode{Register: refused(at(3), model.CodeWrong), Email: "alice@example.com"},
		RegisterCode{Register: at(3), Email: "alice@example.com", Again: true},
		RegisterCode{Register: at(3), Email: "alice@example.com", Refused: true},
		RegisterWaiting{Register: at(0), MatrixID: "@alice:example.com", State: "waiting", Mail: true},
		RegisterWaiting{Register: at(0), MatrixID: "@alice:example.com", State: "waiting"},
		RegisterWaiting{Register: at(0), MatrixID: "@alice:example.com", State: "approved"},
		RegisterWaiting{Register: at(0), MatrixID: "@alice:example.com", State: "rejected"},
		RegisterOver{},
		RegisterOver{element},
	}
	for _, reason := range []string{"empty", "long", "characters", "digits", "underscore", "foreign", "banned", "taken"} {
		pages = append(pages, RegisterName{Register: refused(first, model.InvalidUsername), Username: "x", ServerName: "example.com", Reason: reason})
	}
	return pages
}
