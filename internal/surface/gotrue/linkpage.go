package gotrue

import (
	"bytes"
	"fmt"
	"net/http"

	"github.com/cardea-auth/cardea/internal/notify"
)

// linkPage is what a link shows where links have to survive programs that open them: a page
// with one button, in the language of the browser. It reads nothing but the address and says
// nothing about the token.
func (s *surface) linkPage(w http.ResponseWriter, r *http.Request) error {
	data := linkData{Site: s.c.Site, Lang: notify.MatchLocale(r.Header.Get("Accept-Language"), s.c.Locale), Dir: "ltr"}
	if data.Lang == "he" {
		data.Dir = "rtl"
	}
	words := linkWords(data.Lang)
	data.Ignore, data.linkAct = words.ignore, words.of(r.URL.Query().Get("type"))
	var page bytes.Buffer
	if err := s.link.Execute(&page, data); err != nil {
		return fmt.Errorf("gotrue: link page: %w", err)
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	// No script at all, no frame around it (nobody presses the button unawares). The form may
	// lead anywhere, because after it the application follows by a redirect.
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'; base-uri 'none'")
	h.Set("X-Frame-Options", "DENY")
	h.Set("X-Robots-Tag", "noindex")
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(page.Bytes()) // the client has gone: nobody is left to tell
	return nil
}

// linkData is what the page shows.
type linkData struct {
	linkAct

	Lang, Dir, Site, Ignore string
}

// The form has no action: it goes to the address of the page, token included. The empty icon
// keeps the browser from asking for one. Colours are those of the mail that led here.
const linkHTML = `<!doctype html>
<html lang="{{.Lang}}" dir="{{.Dir}}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<meta name="color-scheme" content="light dark">
<title>{{.Title}}{{if .Site}} · {{.Site}}{{end}}</title>
<link rel="icon" href="data:,">
<style>
:root { color-scheme: light dark; --page: #f2f4f7; --card: #fff; --line: #e1e5eb; --strong: #101828; --body: #344054; --faint: #5b6675; --accent: #1f5fe0; --pressed: #184cb8; --on-accent: #fff; }
@media (prefers-color-scheme: dark) { :root { --page: #14171c; --card: #1f242c; --line: #343b46; --strong: #f2f4f7; --body: #d3d8e0; --faint: #9aa4b2; --accent: #4f8cff; --pressed: #7fabff; --on-accent: #0b1220; } }
* { box-sizing: border-box; }
body { margin: 0; min-height: 100vh; min-height: 100svh; display: grid; grid-template-columns: minmax(0, 27rem); align-content: center; justify-content: center; padding: 1.5rem 1rem 12vh; background: var(--page); color: var(--body); font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, Helvetica, Arial, sans-serif; }
.site { margin: 0 .25rem 1rem; font-weight: 600; color: var(--strong); overflow-wrap: anywhere; }
main { padding: 2rem; background: var(--card); border: 1px solid var(--line); border-radius: .75rem; }
h1 { margin: 0 0 .75rem; font-size: 1.375rem; line-height: 1.35; color: var(--strong); text-wrap: balance; }
main p { margin: 0 0 1.5rem; }
button { width: 100%; min-height: 3rem; padding: .75rem 1.5rem; font: inherit; font-weight: 600; color: var(--on-accent); background: var(--accent); border: 1px solid transparent; border-radius: .5rem; cursor: pointer; }
button:hover, button:active { background: var(--pressed); }
button:focus-visible { outline: 3px solid var(--accent); outline-offset: 3px; }
main .ignore { margin: 1.25rem 0 0; font-size: .875rem; color: var(--faint); }
@media (max-width: 30rem) { main { padding: 1.5rem 1.25rem; } }
</style>
</head>
<body>
{{with .Site}}<p class="site"><bdi>{{.}}</bdi></p>
{{end}}<main>
<h1>{{.Title}}</h1>
<p>{{.Text}}</p>
<form method="post"><button type="submit">{{.Button}}</button></form>
<p class="ignore">{{.Ignore}}</p>
</main>
</body>
</html>
`
