package tests

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	_ "github.com/mattn/go-sqlite3" // the driver of mautrix's stores
	"go.mau.fi/util/dbutil"
	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/crypto/cryptohelper"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/tests/rig"
)

// cryptoClient is a client with end-to-end encryption whose keys are in a file, as on a phone.
type cryptoClient struct {
	*mautrix.Client
	t     *testing.T
	stop  context.CancelFunc
	ended chan struct{}

	sawLock atomic.Bool

	mu    sync.Mutex
	heard map[string]bool
}

// eager syncs again soon after a refusal, and gives up where the library would.
type eager struct {
	*mautrix.DefaultSyncer
	client *cryptoClient
}

// OnFailedSync decides when to sync again.
func (e eager) OnFailedSync(response *mautrix.RespSync, err error) (time.Duration, error) {
	if errors.Is(err, errUserLocked) {
		e.client.sawLock.Store(true)
	}
	if _, err := e.DefaultSyncer.OnFailedSync(response, err); err != nil {
		return 0, err
	}
	return 100 * time.Millisecond, nil
}

var errUserLocked = mautrix.RespError{ErrCode: "M_USER_LOCKED"}

// signIn signs in by password on a device, with the keys in a file: new ones, or those of before.
func signIn(t *testing.T, base, user, password string, device id.DeviceID, file string) *cryptoClient {
	t.Helper()
	client, err := mautrix.NewClient(base, "", "")
	if err != nil {
		t.Fatal(err)
	}
	return encrypted(t, client, file, &mautrix.ReqLogin{
		Type: mautrix.AuthTypePassword, Identifier: mautrix.UserIdentifier{Type: mautrix.IdentifierTypeUser, User: user},
		Password: password, DeviceID: device, StoreCredentials: true,
	})
}

// encrypted gives a client end-to-end encryption and has it sync. It signs in first unless it is in.
func encrypted(t *testing.T, client *mautrix.Client, file string, login *mautrix.ReqLogin) *cryptoClient {
	t.Helper()
	db, err := dbutil.NewWithDialect("file:"+file+"?_foreign_keys=on&_journal_mode=WAL&_busy_timeout=5000&_txlock=immediate", "sqlite3")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	c := &cryptoClient{Client: client, t: t, ended: make(chan struct{}), heard: map[string]bool{}}
	client.Syncer = eager{mautrix.NewDefaultSyncer(), c}
	helper, err := cryptohelper.NewCryptoHelper(client, []byte("pickle"), db)
	if err != nil {
		t.Fatal(err)
	}
	helper.LoginAs = login
	ctx, cancel := context.WithCancel(context.Background())
	if err := helper.Init(ctx); err != nil {
		t.Fatal(err)
	}
	client.Crypto = helper
	syncer, ok := client.Syncer.(mautrix.ExtensibleSyncer)
	if !ok {
		t.Fatalf("the syncer is a %T", client.Syncer)
	}
	syncer.OnEventType(event.EventMessage, func(_ context.Context, e *event.Event) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.heard[e.Content.AsMessage().Body] = e.Mautrix.WasEncrypted
	})
	c.stop = cancel
	go func() {
		defer close(c.ended)
		if err := client.SyncWithContext(ctx); err != nil && ctx.Err() == nil && !errors.Is(err, mautrix.MUnknownToken) {
			t.Errorf("%s: %v", client.UserID, err)
		}
	}()
	t.Cleanup(c.close)
	return c
}

func (c *cryptoClient) close() {
	c.stop()
	<-c.ended
}

// wantHeard waits until a message arrived that was encrypted on its way and decrypted here.
func (c *cryptoClient) wantHeard(body string) {
	c.t.Helper()
	rig.Await(c.t, string(c.UserID)+" hears "+body, func() error {
		c.mu.Lock()
		defer c.mu.Unlock()
		encrypted, heard := c.heard[body]
		if !heard {
			return errors.New("nothing was heard")
		}
		if !encrypted {
			return errors.New("it was not encrypted")
		}
		return nil
	})
}

func (c *cryptoClient) say(room id.RoomID, body string) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if _, err := c.SendText(ctx, room, body); err != nil {
		c.t.Fatal(err)
	}
}

// meet brings two people together in an encrypted room that the second makes.
func meet(t *testing.T, guest, host *cryptoClient) id.RoomID {
	t.Helper()
	ctx := context.Background()
	created, err := host.CreateRoom(ctx, &mautrix.ReqCreateRoom{
		Invite: []id.UserID{guest.UserID},
		InitialState: []*event.Event{{
			Type:    event.StateEncryption,
			Content: event.Content{Parsed: &event.EncryptionEventContent{Algorithm: id.AlgorithmMegolmV1}},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := guest.JoinRoomByID(ctx, created.RoomID); err != nil {
		t.Fatal(err)
	}
	rig.Await(t, "the host sees that the guest joined", func() error {
		members, err := host.StateStore.GetRoomJoinedOrInvitedMembers(ctx, created.RoomID)
		if err == nil && len(members) < 2 {
			err = fmt.Errorf("members %v", members)
		}
		return err
	})
	return created.RoomID
}

// TestEncryptedRoom has two people talk in an encrypted room. One of them signs in again on the same
// device, with the keys of before, and still decrypts; so do those who were locked for a time (SCOPE-9, LEG-22,
// SOFT-5, MOD-1, S6).
func TestEncryptedRoom(t *testing.T) {
	for _, version := range rig.Versions {
		t.Run(version, func(t *testing.T) {
			h := rig.StartHomeserver(t, version, rig.CaddyConfig{})
			alicePassword, bobPassword := h.AddUser("alice"), h.AddUser("bob")
			dir := t.TempDir()
			alice := signIn(t, h.URL, "alice", alicePassword, "ALICEPHONE", filepath.Join(dir, "alice.db"))
			bob := signIn(t, h.URL, "bob", bobPassword, "BOBPHONE", filepath.Join(dir, "bob.db"))
			room := meet(t, alice, bob)
			bob.say(room, "before")
			alice.wantHeard("before")

			old := alice.AccessToken
			alice.close()
			again := signIn(t, h.URL, "alice", alicePassword, "ALICEPHONE", filepath.Join(dir, "alice.db"))
			if again.DeviceID != "ALICEPHONE" {
				t.Fatalf("the device is %s", again.DeviceID)
			}
			// Synapse would honour the old token from memory, as its device lives on.
			h.Call(http.MethodGet, "/v3/account/whoami", old, nil).Must(t, http.StatusUnauthorized)
			bob.say(room, "after")
			again.wantHeard("after")
			again.say(room, "answer")
			bob.wantHeard("answer")

			// A lock makes the client wait with its keys, and it goes on by itself afterwards (MOD-1, S6).
			h.MustCommand("", "user", "lock", "alice")
			bob.say(room, "what ends the request under way")
			rig.Await(t, "alice's client is told of the lock", func() error {
				if !again.sawLock.Load() {
					return errors.New("it was not")
				}
				return nil
			})
			bob.say(room, "while locked")
			h.MustCommand("", "user", "unlock", "alice")
			again.wantHeard("while locked")
			again.say(room, "unlocked")
			bob.wantHeard("unlocked")
		})
	}
}
