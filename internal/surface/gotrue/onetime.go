package gotrue

import (
	"encoding/json"
	"net/http"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/flow"
	"github.com/cardea-auth/cardea/internal/web"
)

// redirectTo is where a link will lead: the redirect_to header, the parameter, the page that
// asked, each if it is allowed; else the site URL.
func (s *surface) redirectTo(r *http.Request) string {
	return s.c.Redirects.Choose(r.Header.Get("redirect_to"), r.URL.Query().Get("redirect_to"), r.Referer()) //nolint:canonicalheader // underscore, as GoTrue reads it
}

// meta is what is known of the request, with the answer of a captcha widget. A request with
// an operator's credential needs none.
func (s *surface) meta(r *http.Request, f *web.Fields) auth.Meta {
	m := web.Meta(r)
	if raw, ok := f.Object("gotrue_meta_security")["captcha_token"]; ok {
		_ = json.Unmarshal(raw, &m.Captcha) // of another type: no proof of anything
	}
	if s.c.Captcha && r.Header.Get("Authorization") != "" {
		m.Operator = s.admin(r) == nil
	}
	return m
}

// pkce reads the challenge of a request.
func pkce(f *web.Fields) flow.PKCE {
	return flow.PKCE{Challenge: f.String("code_challenge"), Method: f.String("code_challenge_method")}
}

// messageView answers a request for a text message.
type messageView struct {
	MessageID string `json:"message_id,omitempty"`
}

func viewMessage(phone string, id auth.ID) messageView {
	if phone == "" || id.IsZero() {
		return messageView{}
	}
	return messageView{id.String()}
}

// otp is POST /otp.
func (s *surface) otp(w http.ResponseWriter, r *http.Request) error {
	body, err := web.ReadObject(r)
	if err != nil {
		return err
	}
	f := body.Fields()
	in := flow.OTP{
		Meta: s.meta(r, f), Email: f.String("email"), Phone: f.String("phone"), Channel: f.String("channel"), CreateUser: true,
		Data: f.Object("data"), Audience: audience(r), PKCE: pkce(f), RedirectTo: s.redirectTo(r),
	}
	if create := f.OptBool("create_user"); create != nil {
		in.CreateUser = *create
	}
	if in.Email != "" && in.Channel == "sms" {
		in.Channel = "" // the client sends its default along
	}
	if err := f.Err(); err != nil {
		return err
	}
	id, err := s.c.Accounts.SendOTP(r.Context(), in)
	if err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusOK, viewMessage(in.Phone, id))
}

// magicLink is POST /magiclink, the older form of /otp for e-mail.
func (s *surface) magicLink(w http.ResponseWriter, r *http.Request) error {
	body, err := web.ReadObject(r)
	if err != nil {
		return err
	}
	f := body.Fields()
	in := flow.OTP{
		Meta: s.meta(r, f), Email: f.String("email"), CreateUser: true, Data: f.Object("data"), Audience: audience(r),
		PKCE: pkce(f), RedirectTo: s.redirectTo(r),
	}
	if err := f.Err(); err != nil {
		return err
	}
	if in.Email == "" {
		return auth.E(auth.CodeValidation, "Magic link requires an email address")
	}
	if _, err := s.c.Accounts.SendOTP(r.Context(), in); err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusOK, struct{}{})
}

// recoverPassword is POST /recover.
func (s *surface) recoverPassword(w http.ResponseWriter, r *http.Request) error {
	body, err := web.ReadObject(r)
	if err != nil {
		return err
	}
	f := body.Fields()
	in := flow.Recovery{
		Meta: s.meta(r, f), Email: f.String("email"), Audience: audience(r), PKCE: pkce(f), RedirectTo: s.redirectTo(r),
	}
	if err := f.Err(); err != nil {
		return err
	}
	if err := s.c.Accounts.Recover(r.Context(), in); err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusOK, struct{}{})
}

// resend is POST /resend.
func (s *surface) resend(w http.ResponseWriter, r *http.Request) error {
	body, err := web.ReadObject(r)
	if err != nil {
		return err
	}
	f := body.Fields()
	in := flow.Resend{
		Meta: s.meta(r, f), Type: f.String("type"), Email: f.String("email"), Phone: f.String("phone"), Audience: audience(r),
		PKCE: pkce(f), RedirectTo: s.redirectTo(r),
	}
	if err := f.Err(); err != nil {
		return err
	}
	id, err := s.c.Accounts.Resend(r.Context(), in)
	if err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusOK, viewMessage(in.Phone, id))
}

// reauthenticate is GET /reauthenticate.
func (s *surface) reauthenticate(w http.ResponseWriter, r *http.Request) error {
	if r.Method == http.MethodHead {
		return errBadMethod // nobody asks for a message by HEAD
	}
	c, err := s.caller(r)
	if err != nil {
		return err
	}
	phone, id, err := s.c.Accounts.Reauthenticate(r.Context(), c)
	if err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusOK, viewMessage(phone, id))
}

// invite is POST /invite.
func (s *surface) invite(w http.ResponseWriter, r *http.Request) error {
	if err := s.admin(r); err != nil {
		return err
	}
	body, err := web.ReadObject(r)
	if err != nil {
		return err
	}
	f := body.Fields()
	in := flow.Invitation{
		Meta: web.Meta(r), Email: f.String("email"), Data: f.Object("data"), Audience: audience(r), RedirectTo: s.redirectTo(r),
	}
	if err := f.Err(); err != nil {
		return err
	}
	u, err := s.c.Admin.Invite(r.Context(), in)
	if err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusOK, viewUser(&u))
}

// linkView is a user with the parts of a link beside its members.
type linkView struct {
	userView

	ActionLink       string `json:"action_link"`
	EmailOTP         string `json:"email_otp"`
	HashedToken      string `json:"hashed_token"`
	VerificationType string `json:"verification_type"`
	RedirectTo       string `json:"redirect_to"`
}

// generateLink is POST /admin/generate_link.
func (s *surface) generateLink(w http.ResponseWriter, r *http.Request) error {
	if err := s.admin(r); err != nil {
		return err
	}
	body, err := web.ReadObject(r)
	if err != nil {
		return err
	}
	f := body.Fields()
	in := flow.Link{
		Meta: web.Meta(r), Type: f.String("type"), Email: f.String("email"), NewEmail: f.String("new_email"),
		Password: f.String("password"), Data: f.Object("data"), Audience: audience(r),
	}
	if to := f.String("redirect_to"); to != "" {
		in.RedirectTo = s.c.Redirects.Choose(to)
	} else {
		in.RedirectTo = s.redirectTo(r)
	}
	if err := f.Err(); err != nil {
		return err
	}
	l, err := s.c.Admin.GenerateLink(r.Context(), in)
	if err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusOK, linkView{
		userView: viewUser(&l.User), ActionLink: s.c.Links.Verify(l.TokenHash, l.Type, l.RedirectTo), EmailOTP: l.Code,
		HashedToken: l.TokenHash, VerificationType: l.Type, RedirectTo: l.RedirectTo,
	})
}
