package gotrue

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/flow"
	"github.com/cardea-auth/cardea/internal/web"
)

// msgOtherHalf is what the first proof of an e-mail change is answered with.
const msgOtherHalf = "Confirmation link accepted. Please proceed to confirm link sent to the other email"

// verifyPost is POST /verify: the code or link token in JSON. The form of the page behind a
// link comes here too.
func (s *surface) verifyPost(w http.ResponseWriter, r *http.Request) error {
	if isForm(r) {
		return s.followLink(w, r)
	}
	body, err := web.ReadObject(r)
	if err != nil {
		return err
	}
	f := body.Fields()
	in := flow.Verify{
		Meta: web.Meta(r), Type: f.String("type"), Code: f.String("token"), TokenHash: f.String("token_hash"),
		Email: f.String("email"), Phone: f.String("phone"),
	}
	if err := f.Err(); err != nil {
		return err
	}
	v, err := s.c.Accounts.Verify(r.Context(), in)
	switch {
	case err != nil:
		return err
	case v.SignedIn != nil:
		if ev := web.EventFrom(r.Context()); ev != nil {
			ev.UserID = v.SignedIn.User.ID.String()
		}
		return web.WriteJSON(w, http.StatusOK, viewSession(w.Header(), v.SignedIn))
	}
	return web.WriteJSON(w, http.StatusOK, map[string]string{"msg": msgOtherHalf, "code": "200"})
}

// verifyGet is GET /verify, the link of a message. Programs that look at links before people
// do would use the token up; with the page on, a GET changes nothing and a person presses the
// button. HEAD never changes anything.
func (s *surface) verifyGet(w http.ResponseWriter, r *http.Request) error {
	if s.c.LinkPage || r.Method == http.MethodHead {
		return s.linkPage(w, r)
	}
	return s.followLink(w, r)
}

// isForm reports whether the body is a page's form. A page of another origin may send one
// too, and that does no harm: it needs the token, and who has it may use it.
func isForm(r *http.Request) bool {
	kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	return strings.EqualFold(strings.TrimSpace(kind), "application/x-www-form-urlencoded")
}

// followLink uses the token up and sends the person to the application: with a session in
// the fragment, which no server sees; with a code in the query (PKCE); or with an error in
// both.
func (s *surface) followLink(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	token, kind := q.Get("token"), q.Get("type")
	target, err := url.Parse(s.c.Redirects.Choose(q.Get("redirect_to"), s.linkReferer(r)))
	if err != nil {
		return fmt.Errorf("gotrue: redirect target: %w", err)
	}
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer") // the address of this page has the token in it
	v, err := s.c.Accounts.Verify(r.Context(), flow.Verify{Meta: web.Meta(r), Type: kind, TokenHash: orInvalid(token), Link: true})
	code := strings.HasPrefix(token, "pkce_")
	switch {
	case err != nil:
		if err := s.linkFailed(r, target, err, code); err != nil {
			return err
		}
	case v.AuthCode != "":
		query := target.Query()
		query.Set("code", v.AuthCode)
		target.RawQuery = query.Encode()
	case v.SignedIn != nil:
		t := v.SignedIn.Tokens
		setFragment(target, url.Values{
			"access_token": {t.AccessToken}, "token_type": {"bearer"}, "refresh_token": {t.RefreshToken}, "type": {kind},
			"expires_in": {strconv.FormatInt(int64(t.ExpiresIn.Seconds()), 10)}, "expires_at": {strconv.FormatInt(t.ExpiresAt.Unix(), 10)},
		})
	default:
		values := url.Values{"message": {msgOtherHalf}}
		if code {
			addQuery(target, values)
		}
		setFragment(target, values)
	}
	h.Set("Location", target.String())
	w.WriteHeader(http.StatusSeeOther) // no body: it would be one more place with tokens in it
	return nil
}

// linkReferer is the page that led here; not our own, when its button did.
func (s *surface) linkReferer(r *http.Request) string {
	if isForm(r) {
		return ""
	}
	return r.Referer()
}

// orInvalid keeps a link without a token from being a request of another kind.
func orInvalid(token string) string {
	if token == "" {
		return "none"
	}
	return token
}

// linkFailed tells the application why there is no session. A failure of the server or a
// limit is no redirect: it is answered as everywhere, and the link stays good.
func (s *surface) linkFailed(r *http.Request, target *url.URL, err error, query bool) error {
	var e *auth.Error
	if !errors.As(err, &e) {
		return err
	}
	out, ok := wireOf(e.Code)
	if !ok || out.status >= http.StatusInternalServerError {
		return err
	}
	message := out.message
	if e.Message != "" {
		message = e.Message
	}
	values := url.Values{"error": {oauthError(out.status)}, "error_code": {out.code}, "error_description": {message}}
	if query {
		addQuery(target, values)
	}
	setFragment(target, values)
	if ev := web.EventFrom(r.Context()); ev != nil {
		ev.Err = err
	}
	return nil
}

// oauthError is the error name (RFC 6749 §4.1.2.1) of a status, as GoTrue maps them.
func oauthError(status int) string {
	switch status {
	case http.StatusBadRequest:
		return "invalid_request"
	case http.StatusUnauthorized:
		return "unauthorized_client"
	case http.StatusServiceUnavailable:
		return "temporarily_unavailable"
	}
	if status >= http.StatusInternalServerError {
		return "server_error"
	}
	return "access_denied"
}

func addQuery(u *url.URL, values url.Values) {
	q := u.Query()
	for name, v := range values {
		q[name] = v
	}
	u.RawQuery = q.Encode()
}

// setFragment writes the members into the fragment. The empty "sb" tells the client that the
// fragment is ours.
func setFragment(u *url.URL, values url.Values) {
	values.Set("sb", "")
	u.Fragment, u.RawFragment = "", ""
	raw := u.String()
	if with, err := url.Parse(raw + "#" + values.Encode()); err == nil {
		*u = *with
	}
}
