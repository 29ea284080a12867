package synapsedb

import (
	"cmp"
	"slices"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/move"
)

// threepids maps the third-party ids of a user, in the order in which they were added.
func (m *mapper) threepids(name string, rows []row) (emails []move.Address, others []move.Threepid) {
	for _, r := range rows {
		at := m.past(name, r, threepidAdded)
		if at.IsZero() {
			at, _ = r.past(threepidValidated, m.now)
		}
		medium, okMedium := id(r, threepidMedium)
		address, okAddress := id(r, threepidAddress)
		switch {
		case okMedium && medium == "email":
			if _, err := model.ParseEmail(address); err != nil || !okAddress {
				m.findings.Note(badEmail, shown(name))
				continue
			}
			emails = append(emails, move.Address{Address: address, AddedAt: at})
		case !okMedium || !okAddress:
			m.findings.Note(badThreepid, shown(name))
		default:
			others = append(others, move.Threepid{Medium: medium, Address: address, AddedAt: at})
		}
	}
	slices.SortFunc(emails, func(a, b move.Address) int {
		return cmp.Or(a.AddedAt.Compare(b.AddedAt), cmp.Compare(a.Address, b.Address))
	})
	slices.SortFunc(others, func(a, b move.Threepid) int {
		return cmp.Or(cmp.Compare(a.Medium, b.Medium), cmp.Compare(a.Address, b.Address), a.AddedAt.Compare(b.AddedAt))
	})
	others = slices.CompactFunc(others, func(a, b move.Threepid) bool { return a.Medium == b.Medium && a.Address == b.Address })
	taken := map[string]bool{}
	emails = slices.DeleteFunc(emails, func(a move.Address) bool {
		key := model.EmailKey(a.Address)
		again := taken[key]
		if taken[key] = true; again {
			m.findings.Note(sameEmail, shown(name))
		}
		return again
	})
	return emails, others
}

// links maps the ties to identity providers.
func (m *mapper) links(name string, rows []row) (links []move.Link) {
	for _, r := range rows {
		provider, okProvider := id(r, externalProvider)
		subject, okSubject := id(r, externalSubject)
		switch {
		case !okProvider || !okSubject:
			m.findings.Note(badLink, shown(name))
		case provider == "oauth-delegated":
			m.findings.Note(oldLink, shown(name))
		default:
			links = append(links, move.Link{Provider: provider, Subject: subject})
		}
	}
	slices.SortFunc(links, func(a, b move.Link) int {
		return cmp.Or(cmp.Compare(a.Provider, b.Provider), cmp.Compare(a.Subject, b.Subject))
	})
	return slices.Compact(links)
}
