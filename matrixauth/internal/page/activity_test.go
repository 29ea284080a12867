package page

import (
	"os"
	"regexp"
	"testing"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

// untold are the actions of which nobody is told at the page of activity, with the reason.
var untold = map[model.Action]string{
	model.ActionCreateToken:        "a registration token is no account's",
	model.ActionRevokeToken:        "a registration token is no account's",
	model.ActionRejectRegistration: "there is no account then",
	model.ActionRemoveClient:       "a client is no account's; its sessions that end are told one by one",
	model.ActionRetryJob:           "an errand of ours at the homeserver tells its holder nothing",
	model.ActionDropJob:            "an errand of ours at the homeserver tells its holder nothing",
	model.ActionEndLost:            "of lost sessions nobody knows whose they are",
	model.ActionRenewKey:           "the keys are the server's",
	model.ActionRestore:            "the database is the server's",
}

// TestEachActionIsTold: each action of the audit log is told to who it concerns, or left out for a reason.
func TestEachActionIsTold(t *testing.T) {
	text, err := os.ReadFile("../model/event.go")
	if err != nil {
		t.Fatal(err)
	}
	actions := regexp.MustCompile(`Action\w+ += +"([^"]+)"|Action\w+ +Action = "([^"]+)"`).FindAllStringSubmatch(string(text), -1)
	if len(actions) < 28 {
		t.Fatalf("only %d actions were found", len(actions))
	}
	for _, match := range actions {
		action := model.Action(match[1] + match[2])
		if Tells(action) == (untold[action] != "") {
			t.Errorf("%s: told: %v, and the reason against it is %q", action, Tells(action), untold[action])
		}
	}
	for _, kind := range []model.ActorKind{model.ActorUser, model.ActorOperator, model.ActorServer} {
		if actorTellings[kind] == "" {
			t.Errorf("nobody knows who %s is", kind)
		}
	}
}
