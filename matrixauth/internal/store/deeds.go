package store

import "time"

// Deed is a line about an operator's action that waits for the log of a server.
type Deed struct {
	Position int64
	At       time.Time
	// Line is the line's fields as JSON, which the writer of logs understands.
	Line string
}

// KeepDeed keeps a line until TakeDeeds.
func (tx *Tx) KeepDeed(line string) error {
	_, err := tx.exec("INSERT INTO deeds (at, line) VALUES (?1, ?2)", micros(tx.Now), line)
	return err
}

// TakeDeeds removes at most limit lines, the oldest first, and gives them.
func (tx *Tx) TakeDeeds(limit int) ([]Deed, error) {
	kept, err := many(tx, func(s scanner) (d Deed, err error) {
		err = s.Scan(&d.Position, timeInto{&d.At}, &d.Line)
		return d, err
	}, "SELECT position, at, line FROM deeds ORDER BY position LIMIT ?1", limit)
	if err != nil || len(kept) == 0 {
		return nil, err
	}
	_, err = tx.exec("DELETE FROM deeds WHERE position <= ?1", kept[len(kept)-1].Position)
	return kept, err
}
