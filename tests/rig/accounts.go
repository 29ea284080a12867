package rig

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
)

// sharedSecret is with what the tests make accounts at a Synapse that has its accounts itself.
const sharedSecret = "the owner's"

// OwnAccounts stands in homeserver.yaml, as SynapseConfig.Delegation, of a Synapse that has accounts, passwords and
// sessions itself: refresh tokens are given, passwords have a pepper, and there are settings with which it does not
// start any more once it delegates.
const OwnAccounts = `registration_shared_secret: "` + sharedSecret + `"
# Hashes are as costly as SQLite's tests need them to be.
bcrypt_rounds: 5
password_config:
  enabled: true
  pepper: "the pepper"
refreshable_access_token_lifetime: 1h
# Who was away for long signs in again.
refresh_token_lifetime: 8w
session_lifetime: 52w
rc_login: {address: {per_second: 1000, burst_count: 1000}, account: {per_second: 1000, burst_count: 1000}, failed_attempts: {per_second: 1000, burst_count: 1000}}
`

// Register makes an account at a Synapse that has its accounts itself, and gives its password.
func (s *Synapse) Register(name string, admin bool) (password string) {
	s.t.Helper()
	password = rand.Text()
	nonce := s.Admin(http.MethodGet, "/v1/register", "", nil).Must(s.t, http.StatusOK).Text("nonce")
	kind := "notadmin"
	if admin {
		kind = "admin"
	}
	mac := hmac.New(sha1.New, []byte(sharedSecret))
	fmt.Fprintf(mac, "%s\x00%s\x00%s\x00%s", nonce, name, password, kind)
	s.Admin(http.MethodPost, "/v1/register", "", map[string]any{
		"nonce": nonce, "username": name, "password": password, "admin": admin, "mac": hex.EncodeToString(mac.Sum(nil)), "inhibit_login": true,
	}).Must(s.t, http.StatusOK)
	return password
}

// Admin makes a request to Synapse's administration API; the path is below /_synapse/admin.
func (s *Synapse) Admin(method, path, token string, body any) Answer {
	s.t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		s.t.Fatal(err)
	}
	request, err := http.NewRequest(method, s.URL+"/_synapse/admin"+path, bytes.NewReader(text))
	if err != nil {
		s.t.Fatal(err)
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	answer, err := answered(http.DefaultClient, request)
	if err != nil {
		s.t.Fatal(err)
	}
	return answer
}
