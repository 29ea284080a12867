package synapsedb

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/move"
)

// Raw is all that Synapse's database has of a user.
type Raw struct {
	User row
	// Sides are the rows of the other tables, in the order of the constants.
	Sides [sideTables][]row
}

// The tables that have rows of users, beside that of the users.
const (
	sideErased = iota
	sideThreepids
	sideExternal
	sideDevices
	sideDehydrated
	sideAccess
	sideRefresh
	sideTables
)

var sides = [sideTables]struct {
	table table
	// orphan notes a row whose user there is not.
	orphan move.Kind
}{
	sideErased:     {erasedUsers, unknownUserErasure},
	sideThreepids:  {threepids, unknownUserThreepid},
	sideExternal:   {externalIDs, unknownUserExternalID},
	sideDevices:    {devices, unknownUserDevice},
	sideDehydrated: {dehydrated, unknownUserDevice},
	sideAccess:     {accesses, unknownUserAccessToken},
	sideRefresh:    {refreshes, unknownUserRefreshToken},
}

// joined walks over all tables at once, user by user, so that no more than one user is in memory.
type joined struct {
	users    *stream
	sides    [sideTables]*stream
	findings *move.Findings
}

// stream is a table on its way: with the row that comes next.
type stream struct {
	cursor cursor
	of     string
	owner  string
	head   row // nil at the end
}

func (d *Database) join(ctx context.Context, findings *move.Findings) (j *joined, err error) {
	j = &joined{findings: findings}
	if j.users, err = d.stream(ctx, users); err != nil {
		return nil, err
	}
	for i := range sides {
		if j.sides[i], err = d.stream(ctx, sides[i].table); err != nil {
			return nil, errors.Join(err, j.close(ctx))
		}
	}
	return j, nil
}

func (d *Database) stream(ctx context.Context, t table) (*stream, error) {
	c, err := d.engine.query(ctx, d.engine.ordered(t))
	if err != nil {
		return nil, err
	}
	s := &stream{cursor: c, of: t.name}
	if err := s.step(ctx); err != nil {
		return nil, errors.Join(err, c.close(ctx))
	}
	return s, nil
}

// step goes on to the next row.
func (s *stream) step(ctx context.Context) error {
	r, err := s.cursor.next(ctx)
	if errors.Is(err, io.EOF) {
		s.head = nil
		return nil
	}
	if err != nil {
		return err
	}
	owner, _ := r.text(0)
	if s.head != nil && owner < s.owner {
		return fmt.Errorf("the rows of Synapse's table %s do not come in the order of the users' ids: its index may be damaged", s.of)
	}
	s.head, s.owner = r, owner
	return nil
}

// next returns the next user, and io.EOF after the last one.
func (j *joined) next(ctx context.Context) (raw Raw, err error) {
	if err := ctx.Err(); err != nil {
		return raw, err
	}
	raw.User = j.users.head
	name := j.users.owner
	for i, s := range j.sides {
		example := ""
		for s.head != nil && (raw.User == nil || s.owner < name) {
			if shown := shown(s.owner); shown != example {
				example = shown
				j.findings.Note(sides[i].orphan, example)
			} else {
				j.findings.Note(sides[i].orphan, "")
			}
			if err := s.step(ctx); err != nil {
				return raw, err
			}
		}
		for raw.User != nil && s.head != nil && s.owner == name {
			raw.Sides[i] = append(raw.Sides[i], s.head)
			if err := s.step(ctx); err != nil {
				return raw, err
			}
		}
	}
	if raw.User == nil {
		return raw, io.EOF
	}
	return raw, j.users.step(ctx)
}

func (j *joined) close(ctx context.Context) (err error) {
	for _, s := range append(j.sides[:], j.users) {
		if s != nil {
			err = errors.Join(err, s.cursor.close(ctx))
		}
	}
	return err
}
