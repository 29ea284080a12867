package store

// Sealed says with which key values were sealed for a purpose.
type Sealed struct{ Purpose, KeyID string }

// Sealed lists the purposes for which values were sealed.
func (tx *Tx) Sealed() ([]Sealed, error) {
	return many(tx, func(s scanner) (v Sealed, err error) { return v, s.Scan(&v.Purpose, &v.KeyID) }, "SELECT purpose, key_id FROM seals ORDER BY purpose")
}

// NoteSealed notes the key with which values are sealed for a purpose, and returns the one of the first.
func (tx *Tx) NoteSealed(purpose, keyID string) (first string, err error) {
	if _, err := tx.exec("INSERT INTO seals (purpose, key_id, sealed_at) VALUES (?1, ?2, ?3) ON CONFLICT (purpose) DO NOTHING", purpose, keyID, micros(tx.Now)); err != nil {
		return "", err
	}
	return one(tx, scanText, "SELECT key_id FROM seals WHERE purpose = ?1", purpose)
}
