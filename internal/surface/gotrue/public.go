package gotrue

import (
	"fmt"
	"net/http"
	"net/url"

	"github.com/cardea-auth/cardea/internal/web"
)

// settings is GET /settings.
func (s *surface) settings(w http.ResponseWriter, _ *http.Request) error {
	c := s.c.Settings
	external := map[string]bool{
		"anonymous_users": c.AnonymousEnabled, "email": c.EmailEnabled, "phone": c.PhoneEnabled,
	}
	for _, p := range []string{
		"apple", "azure", "bitbucket", "discord", "facebook", "snapchat", "figma", "fly", "github", "gitlab", "google",
		"keycloak", "kakao", "linkedin", "linkedin_oidc", "notion", "spotify", "slack", "slack_oidc", "workos", "twitch",
		"twitter", "zoom",
	} {
		external[p] = false // external providers come with a later version
	}
	return web.WriteJSON(w, http.StatusOK, struct {
		External          map[string]bool `json:"external"`
		DisableSignup     bool            `json:"disable_signup"`
		MailerAutoconfirm bool            `json:"mailer_autoconfirm"`
		PhoneAutoconfirm  bool            `json:"phone_autoconfirm"`
		SMSProvider       string          `json:"sms_provider"`
		SAMLEnabled       bool            `json:"saml_enabled"`
		SAMLNextKey       bool            `json:"saml_private_key_next_configured"`
		PasskeysEnabled   bool            `json:"passkeys_enabled"`
	}{External: external, DisableSignup: c.SignupDisabled, MailerAutoconfirm: c.EmailAutoconfirm, PhoneAutoconfirm: c.PhoneAutoconfirm})
}

// callback is GET and POST /callback, where an external provider sends a person back. No
// sign-in can be pending, as no provider is configured, so every state is a wrong one: the
// person goes to the site URL and its page says why. Nothing of the request is reflected.
func (s *surface) callback(w http.ResponseWriter, r *http.Request) error {
	to, err := url.Parse(s.c.Redirects.Choose())
	if err != nil {
		return fmt.Errorf("gotrue: site URL: %w", err)
	}
	q := to.Query()
	q.Set("error", "invalid_request")
	q.Set("error_code", "bad_oauth_state")
	q.Set("error_description", "OAuth state is missing or not known")
	to.RawQuery = q.Encode()
	http.Redirect(w, r, to.String(), http.StatusSeeOther)
	return nil
}

// health is GET /health. It is liveness: it does not ask the database.
func (s *surface) health(w http.ResponseWriter, _ *http.Request) error {
	return web.WriteJSON(w, http.StatusOK, struct {
		Version     string `json:"version"`
		Name        string `json:"name"`
		Description string `json:"description"`
	}{s.c.Version, "GoTrue", "Cardea, an authentication server that speaks the GoTrue API"})
}

// jwks is GET /.well-known/jwks.json.
func (s *surface) jwks(w http.ResponseWriter, r *http.Request) error {
	body, etag := s.c.Keys.JWKS()
	h := w.Header()
	h.Set("Cache-Control", "public, max-age=600")
	h.Set("Etag", etag)
	if r.Header.Get("If-None-Match") == etag {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	h.Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(body) // the client has gone: nobody is left to tell
	return nil
}
