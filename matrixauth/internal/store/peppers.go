package store

// Pepper is what another server appended to passwords before it hashed them, sealed. It never changes.
type Pepper struct {
	ID     string
	Sealed []byte
}

func scanPepper(s scanner) (p Pepper, err error) { return p, s.Scan(&p.ID, &p.Sealed) }

// Peppers lists all, the one first that was told of last.
func (tx *Tx) Peppers() ([]Pepper, error) {
	return many(tx, scanPepper, "SELECT id, sealed FROM password_peppers ORDER BY number DESC")
}

// Pepper finds one.
func (tx *Tx) Pepper(id string) (Pepper, error) {
	return one(tx, scanPepper, "SELECT id, sealed FROM password_peppers WHERE id = ?1", id)
}

// InsertPepper adds one, which becomes the first of Peppers.
func (tx *Tx) InsertPepper(p Pepper) error {
	_, err := tx.exec("INSERT INTO password_peppers (id, sealed, number, made_at) SELECT ?1, ?2, COALESCE(MAX(number), 0) + 1, ?3 FROM password_peppers", p.ID, p.Sealed, micros(tx.Now))
	return err
}

// UsePepper makes one the first of Peppers.
func (tx *Tx) UsePepper(id string) error {
	_, err := tx.exec("UPDATE password_peppers SET number = (SELECT MAX(number) FROM password_peppers) + 1 WHERE id = ?1 AND number < (SELECT MAX(number) FROM password_peppers)", id)
	return err
}
