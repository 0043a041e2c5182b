package gotrue

import (
	"net/http"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/flow"
	"github.com/cardea-auth/cardea/internal/grant"
	"github.com/cardea-auth/cardea/internal/web"
)

// signUp is POST /signup. Members it does not know are ignored, as GoTrue does.
func (s *surface) signUp(w http.ResponseWriter, r *http.Request) error {
	body, err := web.ReadObject(r)
	if err != nil {
		return err
	}
	f := body.Fields()
	in := flow.SignUp{
		Meta: s.meta(r, f), Email: f.String("email"), Phone: f.String("phone"), Password: f.String("password"),
		Data: f.Object("data"), Audience: audience(r), Channel: f.String("channel"), PKCE: pkce(f), RedirectTo: s.redirectTo(r),
	}
	if err := f.Err(); err != nil {
		return err
	}
	res, err := s.c.Accounts.SignUp(r.Context(), in)
	if err != nil {
		return err
	}
	if res.Session != nil {
		return web.WriteJSON(w, http.StatusOK, viewSession(w.Header(), res.Session))
	}
	return web.WriteJSON(w, http.StatusOK, viewUser(&res.User)) // a bare user: the address waits for its proof
}

// token is POST /token.
func (s *surface) token(w http.ResponseWriter, r *http.Request) error {
	name := r.URL.Query().Get("grant_type")
	if err := grantGate(name); err != nil {
		return err
	}
	body, err := web.ReadObject(r)
	if err != nil {
		return err
	}
	f := body.Fields()
	in := grant.Request{
		Meta: web.Meta(r), Grant: name, Audience: audience(r), Email: f.String("email"), Phone: f.String("phone"),
		Password: f.String("password"), RefreshToken: f.String("refresh_token"), AuthCode: f.String("auth_code"),
		CodeVerifier: f.String("code_verifier"),
	}
	if name == "password" {
		in.Meta = s.meta(r, f)
	}
	if err := f.Err(); err != nil {
		return err
	}
	out, err := s.c.Grants.Exchange(r.Context(), in)
	if err != nil {
		return err
	}
	if ev := web.EventFrom(r.Context()); ev != nil {
		ev.UserID = out.User.ID.String()
	}
	return web.WriteJSON(w, http.StatusOK, viewSession(w.Header(), &out))
}

// getUser is GET /user.
func (s *surface) getUser(w http.ResponseWriter, r *http.Request) error {
	c, err := s.caller(r)
	if err != nil {
		return err
	}
	u, err := s.c.Accounts.User(r.Context(), c)
	if err != nil {
		return err
	}
	if aud := audience(r); aud != "" && aud != u.Aud {
		return auth.E(auth.CodeValidation, "Token audience doesn't match request audience")
	}
	return web.WriteJSON(w, http.StatusOK, viewUser(&u))
}

// putUser is PUT /user.
func (s *surface) putUser(w http.ResponseWriter, r *http.Request) error {
	c, err := s.caller(r)
	if err != nil {
		return err
	}
	body, err := web.ReadObject(r)
	if err != nil {
		return err
	}
	f := body.Fields()
	in := flow.Update{
		Email: nonEmpty(f.OptString("email")), Phone: nonEmpty(f.OptString("phone")),
		Password: nonEmpty(f.OptString("password")), Data: f.Object("data"), AppMetadata: body.Has("app_metadata"),
		CurrentPassword: f.String("current_password"), Nonce: f.String("nonce"), Channel: f.String("channel"), PKCE: pkce(f),
		RedirectTo: s.redirectTo(r),
	}
	if err := f.Err(); err != nil {
		return err
	}
	u, err := s.c.Accounts.Update(r.Context(), c, in)
	if err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusOK, viewUser(&u))
}

// nonEmpty treats "" as "not given", as GoTrue does for addresses; an empty password is no
// request to remove the password.
func nonEmpty(s *string) *string {
	if s != nil && *s == "" {
		return nil
	}
	return s
}

// logout is POST /logout.
func (s *surface) logout(w http.ResponseWriter, r *http.Request) error {
	c, err := s.caller(r)
	if err != nil {
		return err
	}
	var which auth.Revocation
	switch scope := r.URL.Query().Get("scope"); scope {
	case "", "global":
		which = auth.RevokeAll
	case "local":
		which = auth.RevokeOne
	case "others":
		which = auth.RevokeOthers
	default:
		return auth.E(auth.CodeValidation, `Unsupported logout scope "`+printable(scope)+`"`)
	}
	if err := s.c.Accounts.SignOut(r.Context(), c, which); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// printable cuts what a caller sent to what may stand in a sentence.
func printable(s string) string {
	out := make([]rune, 0, 32)
	for _, r := range s {
		if len(out) == 32 {
			break
		}
		if r >= ' ' && r != '"' && r != 0x7f && r != '\uFFFD' {
			out = append(out, r)
		}
	}
	return string(out)
}
