package store

import "time"

// ActionLine is a line about an operator's action that waits for the log of a server.
type ActionLine struct {
	Position int64
	At       time.Time
	// Line is the line's fields as JSON, which the writer of logs understands.
	Line string
}

// KeepActionLine keeps a line until TakeActionLines.
func (tx *Tx) KeepActionLine(line string) error {
	_, err := tx.exec("INSERT INTO action_lines (at, line) VALUES (?1, ?2)", micros(tx.Now), line)
	return err
}

// TakeActionLines removes at most limit lines, the oldest first, and returns them.
func (tx *Tx) TakeActionLines(limit int) ([]ActionLine, error) {
	kept, err := many(tx, func(s scanner) (d ActionLine, err error) {
		err = s.Scan(&d.Position, timeInto{&d.At}, &d.Line)
		return d, err
	}, "SELECT position, at, line FROM action_lines ORDER BY position LIMIT ?1", limit)
	if err != nil || len(kept) == 0 {
		return nil, err
	}
	_, err = tx.exec("DELETE FROM action_lines WHERE position <= ?1", kept[len(kept)-1].Position)
	return kept, err
}
