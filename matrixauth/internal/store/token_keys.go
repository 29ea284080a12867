package store

// TokenKey is a key of tokens as the database knows it: by its number, and by a fingerprint that tells nothing of it.
type TokenKey struct {
	Number      int64
	Fingerprint string
}

// TokenKeys lists all keys that ever minted for this database, oldest first.
func (tx *Tx) TokenKeys() ([]TokenKey, error) {
	return many(tx, func(s scanner) (k TokenKey, err error) { return k, s.Scan(&k.Number, &k.Fingerprint) },
		"SELECT number, fingerprint FROM token_keys ORDER BY number")
}

// NoteTokenKey notes a key; a number that is noted keeps its key.
func (tx *Tx) NoteTokenKey(k TokenKey) error {
	_, err := tx.exec("INSERT INTO token_keys (number, fingerprint, noted_at) VALUES (?1, ?2, ?3) ON CONFLICT (number) DO NOTHING", k.Number, k.Fingerprint, micros(tx.Now))
	return err
}
