package operate

import (
	"context"
	"log/slog"
	"time"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/model"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/store"
)

// The operations on OAuth clients.
const (
	ListClients  Operation[ClientQuery, ClientPage]       = "client.list"
	ShowClient   Operation[ClientRef, Client]             = "client.show"
	RemoveClient Operation[ClientToRemove, ClientRemoved] = "client.remove"
)

// Client is an OAuth client as operators see it. Nobody has checked the names and addresses of one that registered
// itself.
type Client struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	URI  string `json:"uri,omitempty"`
	// Configured reports whether it stands in the configuration.
	Configured      bool      `json:"configured"`
	ApplicationType string    `json:"application_type"`
	AuthMethod      string    `json:"auth_method"`
	RedirectURIs    []string  `json:"redirect_uris"`
	Sessions        int       `json:"sessions"`
	CreatedAt       time.Time `json:"created_at,omitzero"`
	UsedAt          time.Time `json:"used_at,omitzero"`
	// ProvenAt is when somebody first consented to it.
	ProvenAt time.Time `json:"proven_at,omitzero"`
}

// ClientQuery asks for a page of clients.
type ClientQuery struct {
	// After is the Next of the page before; empty for the first. Limit bounds the page.
	After string `json:"after,omitempty"`
	Limit int    `json:"limit,omitempty"`
}

// ClientPage is a page of clients: first those of the configuration.
type ClientPage struct {
	Clients []Client `json:"clients"`
	// Next is the After of the next page; empty at the end.
	Next string `json:"next,omitempty"`
}

// ClientRef names a client by its id.
type ClientRef struct {
	ClientID string `json:"client_id"`
}

// ClientToRemove is a client to remove.
type ClientToRemove struct {
	ClientRef
	// DryRun removes nothing, and tells what it would.
	DryRun bool `json:"dry_run,omitempty"`
}

// ClientRemoved tells what went with a client.
type ClientRemoved struct {
	Sessions int `json:"sessions"`
	Consents int `json:"consents"`
}

func (o *Operations) listClients(ctx context.Context, _ model.Actor, p ClientQuery) (ClientPage, error) {
	size := pageSize(p.Limit)
	found, err := view(ctx, o, func(tx *store.Tx) ([]store.ListedClient, error) { return o.c.Clients.List(tx, p.After, size) })
	if err != nil {
		return ClientPage{}, err
	}
	page := ClientPage{Clients: []Client{}}
	registered := 0
	for _, c := range found {
		if !c.Static {
			registered++
		}
		page.Clients = append(page.Clients, describeClient(c.Client, c.Sessions))
	}
	if registered == size {
		page.Next = found[len(found)-1].ID
	}
	return page, nil
}

func describeClient(c model.Client, sessions int) Client {
	return Client{
		ID: c.ID, Name: c.Name(""), URI: c.Metadata.URI, Configured: c.Static, ApplicationType: string(c.Metadata.ApplicationType),
		AuthMethod: string(c.Metadata.AuthMethod), RedirectURIs: append([]string{}, c.Metadata.RedirectURIs...), Sessions: sessions,
		CreatedAt: c.CreatedAt, UsedAt: c.UsedAt, ProvenAt: c.ProvenAt,
	}
}

func (o *Operations) showClient(ctx context.Context, _ model.Actor, p ClientRef) (Client, error) {
	return view(ctx, o, func(tx *store.Tx) (Client, error) {
		c, live, err := o.findClient(tx, p.ClientID)
		return describeClient(c, len(live)), err
	})
}

// findClient finds a client with its live sessions.
func (o *Operations) findClient(tx *store.Tx, id string) (c model.Client, live []model.Session, err error) {
	if c, err = o.c.Clients.In(tx, id); err != nil {
		if model.AsError(err).Code == model.UnknownClient {
			err = model.Errorf(model.UnknownClient, "there is no client %s", id)
		}
		return c, nil, err
	}
	live, err = tx.LiveSessionsOf(id)
	return c, live, err
}

// removeClient removes a registration, and with it in one transaction its sessions, their devices, the consents to it
// and its requests: a client that is gone could not refresh them.
func (o *Operations) removeClient(ctx context.Context, by model.Actor, p ClientToRemove) (ClientRemoved, error) {
	note(ctx, model.User{}, slog.String("client_id", p.ClientID))
	noteDryRun(ctx, p.DryRun)
	return updateUnless(ctx, o, p.DryRun, func(tx *store.Tx) (ClientRemoved, error) {
		c, live, err := o.findClient(tx, p.ClientID)
		if err != nil {
			return ClientRemoved{}, err
		}
		consents, err := o.c.Clients.Remove(tx, p.ClientID)
		if err != nil {
			return ClientRemoved{}, err
		}
		for _, s := range live {
			if err := o.c.Sessions.End(tx, by, s, model.EndByOperator); err != nil {
				return ClientRemoved{}, err
			}
		}
		removed := ClientRemoved{len(live), int(consents)}
		note(ctx, model.User{}, slog.Int("sessions", removed.Sessions), slog.Int("consents", removed.Consents))
		return removed, tx.Record(by, model.ActionRemoveClient, "", model.Details{
			"client_id": p.ClientID, "name": c.Name(""), "sessions": removed.Sessions, "consents": removed.Consents,
		})
	})
}
