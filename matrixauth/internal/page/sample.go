package page

import (
	"slices"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

// Samples returns pages with made-up data, each template in each of its shapes. Templates are tried with
// them before they are used, and pictures of the pages show them.
func Samples(now time.Time) []Page {
	return slices.Concat(
		firstSamples(now),
		recoverySamples(),
	)
}

// firstSamples are those of the pages whose data have no file of their own.
func firstSamples(now time.Time) []Page {
	phone := Session{
		ID: "01JSAMPLE0000000000000001", ClientName: "Element X", ClientHost: "element.io", DeviceID: "WXYZABCDEF", DeviceName: "Pixel 9",
		SignedIn: now.Add(-40 * 24 * time.Hour), LastActive: now.Add(-3 * time.Minute), IP: "192.0.2.7", Chosen: true,
	}
	laptop := Session{ID: "01JSAMPLE0000000000000006", SignedIn: now.Add(-20 * 24 * time.Hour), LastActive: now.Add(-5 * 24 * time.Hour)}
	asked := sampleProof(true)
	asked.Problem = model.InvalidCredentials
	element := Goal{Request: "01JSAMPLE0000000000000009", Client: "Element"}
	device := Goal{Action: "org.matrix.device_view", DeviceID: "WXYZABCDEF"}
	return slices.Concat(profileSamples(), activitySamples(now), leaveSamples(), passwordSamples(), addressSamples(), renameSamples(phone), registerSamples(), []Page{
		Login{Recovery: true},
		Login{Goal: element, Registers: true, Recovery: true},
		Login{Goal: element, Username: "alice", Create: true, Recovery: true},
		Login{Goal: device, Username: "alice", Form: Form{Problem: model.InvalidCredentials}},
		Login{Form: Form{Problem: model.RateLimited, Retry: 3 * time.Minute}},
		Login{Goal: element, Username: "alice", Again: true},
		Login{Goal: Goal{Request: element.Request, Client: "Synapse Admin"}, Username: "alice", Again: true, Admin: true},
		Consent{
			Goal: element, ClientURI: "https://app.element.io/", ClientHost: "app.element.io", Destination: "app.element.io",
			TOSURI: "https://element.io/terms", PolicyURI: "https://element.io/privacy", Account: "@alice:example.com", Create: true, Device: "WXYZABCDEF", Scopes: model.ScopesIn(model.CompatScope(false)),
		},
		Consent{
			Goal: Goal{Client: "An administration tool whose name is far too long for one line"}, Destination: "com.example.admin-tool:", Admin: true, Vouched: true,
			Account: "@a-user-name-as-long-as-they-come:matrix.department.example.com", Replaces: true, OtherAccount: "@bob:example.com", Scopes: model.ScopesIn(model.CompatScope(true)),
		},
		Account{
			MatrixID: "@alice:example.com",
			Sessions: []Session{
				phone,
				{ID: "01JSAMPLE0000000000000002", ClientName: "Element", ClientHost: "app.element.io", DeviceID: "ABCDEFGHIJ", SignedIn: now.Add(-200 * 24 * time.Hour), LastActive: now.Add(-26 * time.Hour), IP: "2001:db8::1"},
				{ID: "01JSAMPLE0000000000000003", DeviceName: "backup-bot", DeviceID: "BOT", Twice: true, SignedIn: now.Add(-400 * 24 * time.Hour), LastActive: now.Add(-40 * 24 * time.Hour)},
				{ID: "01JSAMPLE0000000000000004", ClientName: "Synapse Admin", SignedIn: now.Add(-2 * time.Hour), LastActive: now.Add(-90 * time.Minute)},
				{ID: "01JSAMPLE0000000000000007", Agent: "matrix-nio/0.26", DeviceID: "NIO", SignedIn: now.Add(-30 * time.Hour), LastActive: now.Add(-30 * time.Hour)},
			},
			Granted: []Granted{
				{ClientID: "01JSAMPLE0000000000000007", ClientName: "Element", Host: "app.element.io", At: now.Add(-30 * 24 * time.Hour)},
				{ClientID: "01JSAMPLE0000000000000008", Host: "chat.example.org", At: now},
			},
			Changed: true,
		},
		Account{MatrixID: "@bob:example.com", EndedAll: true},
		Account{MatrixID: "@bob:example.com", Ended: true, Sessions: []Session{phone}},
		Account{MatrixID: "@bob:example.com", Renamed: true},
		Browsers{MatrixID: "@alice:example.com", Ended: true, Browsers: []Session{
			{ID: "01JSAMPLE0000000000000005", Agent: "Firefox, Linux", SignedIn: now.Add(-3 * 24 * time.Hour), LastActive: now, IP: "192.0.2.7", Current: true},
			laptop,
		}},
		Browsers{MatrixID: "@alice:example.com", EndedAll: true, Browsers: []Session{{ID: laptop.ID, Current: true, SignedIn: now, LastActive: now}}},
		EndSession{Session: phone, Proof: sampleProof(false)},
		EndSession{Session: phone, Proof: asked},
		EndSelected{Sessions: []Session{phone, laptop}, Proof: sampleProof(false)},
		EndSelected{Sessions: []Session{phone, laptop}, Proof: asked},
		EndBrowser{Session: laptop, Proof: sampleProof(true)},
		EndOthers{Apps: true, Number: 4, Proof: sampleProof(false)},
		EndOthers{Number: 1, Proof: asked},
		Reset{Proof: sampleProof(false), Action: "org.matrix.cross_signing_reset"},
		Reset{Proof: asked, Action: "org.matrix.cross_signing_reset"},
		Reset{Proof: Proof{Account: "@alice:example.com", Form: Form{Problem: model.TemporarilyDown, Retry: 5 * time.Second}}, Action: "org.matrix.cross_signing_reset"},
		ResetAllowed{Left: 9*time.Minute + 59*time.Second},
		Blocked{Code: model.UserLocked, Account: "@alice:example.com", Goal: element},
		Blocked{Code: model.UserDeactivated, Account: "@alice:example.com", Goal: device},
		SignedOut{},
		Withdrawn{},
		Error{Code: model.SessionNotFound, Account: true},
		Error{Code: model.RateLimited, Retry: 42 * time.Second},
		Error{Code: model.UserLocked},
		Return{Client: "FluffyChat", URL: "com.example.app:/callback?code=sample", Destination: "com.example.app:"},
		Return{Client: "A client", URL: "https://app.example/callback?error=access_denied", Destination: "app.example", Code: "access_denied"},
		Return{URL: "https://app.example/callback?error=invalid_scope", Destination: "app.example", Code: "invalid_scope", Problem: "a device id is missing"},
		Done{Client: "Element", URL: "https://app.element.io/"},
		Done{Client: "FluffyChat"},
		FormPost{Action: "https://app.example/callback", Fields: []Field{{"code", "sample"}, {"state", "sample"}}},
	})
}
