package doctor

import "context"

// SealedValues sees that what was sealed can be opened, now and after the next start.
func (d *Visit) SealedValues(ctx context.Context) {
	const check = "seal"
	err := d.Seal.Load(ctx, true)
	problem := d.Seal.Problem()
	switch {
	case problem != nil:
		d.bad(check, "unusable", problem.Error(), problem.Path, "put back the file that belongs to the database; a copy of the database does not hold it")
		return
	case err != nil:
		d.bad(check, "unusable", err.Error(), d.Store.Path(), "look at the disk")
		return
	}
	d.good(check, "%s is the seal of this database; keep a copy of it, as no backup holds it", d.Seal.Path())
}
