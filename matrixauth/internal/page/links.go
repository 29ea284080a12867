package page

import (
	"errors"
	"net/url"
	"strings"
	"unicode"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
)

// Links are addresses of the operator's own pages, which stand at the foot of ours. All may be empty.
type Links struct {
	Terms, Privacy, Imprint, Help string
}

// Link is one of them with its text.
type Link struct{ Text, URL string }

// CheckLink checks the address of a page of the operator. For help a mail address will do too.
func CheckLink(address string, mail bool) error {
	wrong := errors.New("write a whole address such as https://example.com/terms")
	if mail {
		wrong = errors.New("write a whole address such as https://example.com/help or mailto:help@example.com")
	}
	u, err := url.Parse(address)
	switch {
	case err != nil || len(address) > bound.BrandLink || strings.ContainsFunc(address, unicode.IsControl) || strings.Contains(address, " "):
		return wrong
	case mail && u.Scheme == "mailto" && strings.Contains(u.Opaque, "@"):
		return nil
	case u.Scheme != "https" && u.Scheme != "http" || u.Host == "":
		return wrong
	case u.User != nil:
		return errors.New("the address must not hold a user name or password: everybody sees it")
	}
	return nil
}

// Links returns the operator's pages, for the foot of ours.
func (v *view) Links() (shown []Link) {
	for _, link := range []Link{
		{v.T("foot.terms"), v.pages.Links.Terms}, {v.T("foot.privacy"), v.pages.Links.Privacy},
		{v.T("foot.imprint"), v.pages.Links.Imprint}, {v.T("foot.help"), v.pages.Links.Help},
	} {
		if link.URL != "" {
			shown = append(shown, link)
		}
	}
	return shown
}
