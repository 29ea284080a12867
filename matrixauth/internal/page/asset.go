package page

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"html"
	"io/fs"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/bound"
	"github.com/caddy-matrix-auth/caddy-matrix-auth/matrixauth/internal/web"
)

// styleFile is the name of the stylesheet, in an operator's folder too.
const styleFile = "style.css"

// pictures are the kinds of picture that browsers show, by the ends of files' names.
var pictures = map[string]string{
	".svg": "image/svg+xml", ".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".webp": "image/webp", ".gif": "image/gif",
}

// asset is a file that pages refer to. Its path holds the hash of its content, so that browsers may
// keep it for good.
type asset struct {
	// path is the path below the issuer.
	path string
	kind string
	data []byte
}

// Routes returns those of the files that pages refer to.
func (p *Pages) Routes() []web.Bound {
	all := make([]web.Bound, 0, len(p.assets))
	for _, a := range p.assets {
		all = append(all, web.Bound{
			Endpoint: web.Endpoint{Name: "asset", Path: a.path, Wire: web.PageWire, Hot: true},
			Handlers: map[string]web.Handler{http.MethodGet: a.serve, http.MethodHead: a.serve},
		})
	}
	return all
}

// serve answers with the file.
func (a asset) serve(w http.ResponseWriter, _ *http.Request) error {
	h := w.Header()
	h.Set("Content-Type", a.kind)
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	if a.kind == pictures[".svg"] {
		// A picture may style itself; opened as a page of its own it may do nothing else.
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; sandbox")
	}
	h.Set("Content-Length", strconv.Itoa(len(a.data)))
	w.WriteHeader(http.StatusOK)
	// The browser has gone if this fails, and there is nobody left to tell.
	_, _ = w.Write(a.data)
	return nil
}

// add makes a file known and returns its path at the issuer's host.
func (p *Pages) addAsset(name, kind string, data []byte) string {
	sum := sha256.Sum256(data)
	ext := path.Ext(name)
	below := AccountPath + strings.TrimSuffix(name, ext) + "." + hex.EncodeToString(sum[:8]) + ext
	p.assets = append(p.assets, asset{path: below, kind: kind, data: data})
	return p.Issuer.Path + below
}

func (p *Pages) makeAssets(folder fs.FS) error {
	accent, err := parseColour(p.Accent)
	if err != nil {
		return fmt.Errorf("accent: %w", err)
	}
	style, err := read(folder, styleFile, styleFile)
	if err != nil {
		return err
	}
	p.style = p.addAsset(styleFile, "text/css; charset=utf-8", append([]byte(accentRules(accent)), style...))
	if p.Config.Logo == "" {
		p.icon = p.addAsset("icon.svg", pictures[".svg"], []byte(icon(initial(p.Name), accent)))
		return nil
	}
	data, kind, err := readLogo(p.Config.Logo)
	if err != nil {
		return fmt.Errorf("logo: %w", err)
	}
	p.logo = p.addAsset("logo"+strings.ToLower(filepath.Ext(p.Config.Logo)), kind, data)
	p.icon = p.logo
	return nil
}

// CheckLogo checks the file of a logo.
func CheckLogo(file string) error {
	_, _, err := readLogo(file)
	return err
}

func readLogo(file string) (data []byte, kind string, err error) {
	kind, ok := pictures[strings.ToLower(filepath.Ext(file))]
	if !ok {
		return nil, "", fmt.Errorf("%s is not a picture that we serve; its name must end with .svg, .png, .jpg, .webp or .gif", file)
	}
	info, err := os.Stat(file)
	if err != nil {
		return nil, "", err
	}
	if !info.Mode().IsRegular() {
		return nil, "", fmt.Errorf("%s is not a file", file)
	}
	if info.Size() > bound.Logo {
		return nil, "", errors.New(file + " is larger than 1 MiB, which every visitor would have to load")
	}
	data, err = os.ReadFile(file)
	return data, kind, err
}

// icon returns a picture for tabs: the mark of the pages.
func icon(letter string, accent colour) string {
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="9" fill="%s"/>`+
		`<text x="16" y="22.5" font-family="system-ui,sans-serif" font-size="18" font-weight="700" text-anchor="middle" fill="%s">%s</text></svg>`,
		accent, accent.on(), html.EscapeString(letter))
}
