package store

import (
	"encoding/json"
	"fmt"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
)

const selectClient = "SELECT id, metadata, secret_hash, created_at, used_at, proven_at, network FROM clients"

func scanClient(s scanner) (c model.Client, err error) {
	var metadata string
	if err := s.Scan(&c.ID, &metadata, hashInto{&c.SecretHash}, timeInto{&c.CreatedAt}, timeInto{&c.UsedAt}, timeInto{&c.ProvenAt}, &c.Network); err != nil {
		return c, err
	}
	if err := json.Unmarshal([]byte(metadata), &c.Metadata); err != nil {
		return c, fmt.Errorf("client %s: %w", c.ID, err)
	}
	return c, nil
}

// Client finds a client that registered itself.
func (tx *Tx) Client(id string) (model.Client, error) {
	return one(tx, scanClient, selectClient+" WHERE id = ?1", id)
}

// ClientByDigest finds the client that registered the same metadata before.
func (tx *Tx) ClientByDigest(digest model.TokenHash) (model.Client, error) {
	return one(tx, scanClient, selectClient+" WHERE digest = ?1", digest[:])
}

// InsertClient adds a client. The digest is the zero hash for a client that shares its id with nobody. If there are
// too many clients to which nobody consented, some of these are removed.
func (tx *Tx) InsertClient(c model.Client, digest model.TokenHash) error {
	metadata, err := model.MarshalText(c.Metadata)
	if err != nil {
		return err
	}
	if err := tx.makeRoom(unprovenCrowd, len(metadata)); err != nil {
		return err
	}
	_, err = tx.exec("INSERT INTO clients (id, metadata, size, digest, secret_hash, network, created_at, used_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7)",
		c.ID, metadata, len(metadata), hashOrNull(digest), hashOrNull(c.SecretHash), c.Network, micros(c.CreatedAt))
	return err
}

// ProveClient notes that somebody consented to a client, which is a use of it.
func (tx *Tx) ProveClient(id string) error {
	_, err := tx.exec("UPDATE clients SET used_at = CASE WHEN used_at > ?2 THEN used_at ELSE ?2 END, proven_at = COALESCE(proven_at, ?2), network = '' WHERE id = ?1", id, micros(tx.Now))
	return err
}

// HoldClient notes that a client to which nobody consented registered again, from a network.
func (tx *Tx) HoldClient(id, network string) error {
	_, err := tx.exec("UPDATE clients SET used_at = CASE WHEN used_at > ?2 THEN used_at ELSE ?2 END, network = ?3 WHERE id = ?1 AND proven_at IS NULL", id, micros(tx.Now), network)
	return err
}

// TouchClient notes that a client was used, or registered again.
func (tx *Tx) TouchClient(id string) error {
	_, err := tx.exec("UPDATE clients SET used_at = ?2 WHERE id = ?1 AND used_at < ?2", id, micros(tx.Now))
	return err
}
