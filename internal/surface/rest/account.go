package rest

import (
	"encoding/json"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/flow"
	"github.com/cardea-auth/cardea/internal/grant"
	"github.com/cardea-auth/cardea/internal/web"
)

type registerRequest struct {
	Email      string                     `json:"email" format:"email" max:"254" doc:"This or phone." example:"ada@example.org"`
	Phone      string                     `json:"phone" max:"40" doc:"This or email; as people of the server's region write it, or E.164."`
	Password   string                     `json:"password" need:"true" doc:"Any characters; the server's policy says how many." example:"correct horse battery"`
	Role       string                     `json:"role" max:"64" doc:"A role that people may choose for themselves. One that needs approval is kept as pending."`
	FullName   string                     `json:"full_name" max:"200" doc:"As the person wishes to be called."`
	Language   string                     `json:"language" max:"35" doc:"BCP 47." example:"en"`
	Tenant     string                     `json:"tenant" max:"64" doc:"Slug of a tenant to ask for membership of."`
	RedirectTo string                     `json:"redirect_to" max:"2048" doc:"Where the link of a message leads, if the server allows it."`
	Data       map[string]json.RawMessage `json:"data" doc:"Becomes the account's user metadata. Nothing in it opens anything."`
	Captcha    string                     `json:"captcha_token" max:"4096" doc:"What the page's widget gave, where the server asks for one."`
}

// register is POST /api/auth/register.
func (s *surface) register(c *call, in registerRequest) (*tokens, *notice, error) {
	meta := web.Meta(c.r)
	meta.Captcha = in.Captcha
	res, err := s.c.People.Register(c.r.Context(), flow.Registration{
		Meta: meta, Email: in.Email, Phone: in.Phone, Password: in.Password, Role: in.Role, FullName: in.FullName,
		Language: in.Language, TenantSlug: in.Tenant, Data: in.Data, RedirectTo: s.c.Redirects.Choose(in.RedirectTo),
	})
	if err != nil {
		return nil, nil, err
	}
	if res.Session == nil {
		// The same words whether the address was new or somebody's (X28).
		return nil, &notice{"If the address can be registered, a message with the next step is on its way to it", res.PendingRole}, nil
	}
	named(c, &res.Session.User)
	out := viewTokens(res.Session)
	out.PendingRole = res.PendingRole
	return out, nil, nil
}

// named notes the person in the log line of a request that had no token.
func named(c *call, u *auth.User) {
	if ev := web.EventFrom(c.r.Context()); ev != nil {
		ev.UserID = u.ID.String()
	}
}

type loginRequest struct {
	Email    string `json:"email" format:"email" max:"254" doc:"This or phone." example:"ada@example.org"`
	Phone    string `json:"phone" max:"40" doc:"This or email."`
	Password string `json:"password" need:"true" doc:"The password." example:"correct horse battery"`
	Captcha  string `json:"captcha_token" max:"4096" doc:"What the page's widget gave, where the server asks for one."`
}

// login is POST /api/auth/login.
func (s *surface) login(c *call, in loginRequest) (*tokens, error) {
	meta := web.Meta(c.r)
	meta.Captcha = in.Captcha
	return s.exchange(c, grant.Request{Meta: meta, Grant: "password", Email: in.Email, Phone: s.phone(in.Phone), Password: in.Password})
}

// phone reads a number as the region writes it. What is none stays as it is: it is nobody's,
// and the flow says so in its own way.
func (s *surface) phone(number string) string {
	if s.c.Phones == nil || number == "" {
		return number
	}
	canonical, err := s.c.Phones.Canonical(number)
	if err != nil {
		return number
	}
	return canonical
}

type refreshRequest struct {
	RefreshToken string `json:"refresh_token" need:"true" max:"4096" doc:"From the last answer with tokens."`
}

// refresh is POST /api/auth/refresh.
func (s *surface) refresh(c *call, in refreshRequest) (*tokens, error) {
	return s.exchange(c, grant.Request{Meta: web.Meta(c.r), Grant: "refresh_token", RefreshToken: in.RefreshToken})
}

func (s *surface) exchange(c *call, r grant.Request) (*tokens, error) {
	out, err := s.c.Grants.Exchange(c.r.Context(), r)
	if err != nil {
		return nil, err
	}
	named(c, &out.User)
	return viewTokens(&out), nil
}

type logoutRequest struct {
	Scope string `query:"scope" enum:"local,others,global" default:"local" doc:"local ends this session, others all but this one, global every one."`
}

// logout is POST /api/auth/logout.
func (s *surface) logout(c *call, in logoutRequest) (none, error) {
	which := map[string]auth.Revocation{"local": auth.RevokeOne, "others": auth.RevokeOthers, "global": auth.RevokeAll}[in.Scope]
	return none{}, s.c.Accounts.SignOut(c.r.Context(), c.caller, which)
}

// me is GET /api/auth/me and GET /api/users/me.
func (s *surface) me(c *call, _ none) (person, error) {
	p, here, err := s.c.People.MeHere(c.r.Context(), c.caller)
	if err != nil {
		return person{}, err
	}
	return viewPerson(&p, here.TenantID, here.TenantRole), nil
}

type resetRequest struct {
	Email      string `json:"email" need:"true" format:"email" max:"254" doc:"Of the account." example:"ada@example.org"`
	RedirectTo string `json:"redirect_to" max:"2048" doc:"Where the link of the message leads, if the server allows it."`
	Captcha    string `json:"captcha_token" max:"4096" doc:"What the page's widget gave, where the server asks for one."`
}

// requestReset is POST /api/auth/request-reset. The answer is the same for every address.
func (s *surface) requestReset(c *call, in resetRequest) (notice, error) {
	meta := web.Meta(c.r)
	meta.Captcha = in.Captcha
	err := s.c.Accounts.Recover(c.r.Context(), flow.Recovery{Meta: meta, Email: in.Email, RedirectTo: s.c.Redirects.Choose(in.RedirectTo)})
	if err != nil {
		return notice{}, err
	}
	return notice{"If an account has this address, a message with a link to set a new password is on its way to it", ""}, nil
}

type resetPasswordRequest struct {
	Token    string `json:"token" need:"true" max:"256" doc:"From the link of the message."`
	Password string `json:"password" need:"true" doc:"The new password."`
}

// resetPassword is POST /api/auth/reset-password.
func (s *surface) resetPassword(c *call, in resetPasswordRequest) (none, error) {
	return none{}, s.c.People.ResetPassword(c.r.Context(), in.Token, in.Password, web.Meta(c.r))
}

type changePasswordRequest struct {
	Old string `json:"old_password" doc:"The present password; empty for an account that has none."`
	New string `json:"new_password" need:"true" doc:"The new password."`
}

// changePassword is POST /api/auth/change-password.
func (s *surface) changePassword(c *call, in changePasswordRequest) (none, error) {
	return none{}, s.c.People.ChangePassword(c.r.Context(), c.caller, in.Old, in.New)
}

type verifyRequest struct {
	Type  string `json:"type" enum:"signup,invite,email,magiclink,recovery,email_change,sms,phone_change" doc:"What is proved; without it email, or sms where phone is given."`
	Email string `json:"email" format:"email" max:"254" doc:"The address that the code went to."`
	Phone string `json:"phone" max:"40" doc:"The number that the code went to."`
	Code  string `json:"code" max:"32" doc:"The digits of the message, with email or phone." example:"123456"`
	Token string `json:"token" max:"256" doc:"From the link of the message, alone."`
}

// verify is POST /api/auth/verify.
func (s *surface) verify(c *call, in verifyRequest) (*tokens, *notice, error) {
	if in.Type == "" {
		in.Type = "email"
		if in.Phone != "" {
			in.Type = "sms"
		}
	}
	if (in.Code == "") == (in.Token == "") {
		return nil, nil, invalid("either code or token is required")
	}
	v, err := s.c.Accounts.Verify(c.r.Context(), flow.Verify{
		Meta: web.Meta(c.r), Type: in.Type, Code: in.Code, TokenHash: in.Token, Email: in.Email, Phone: s.phone(in.Phone),
	})
	if err != nil {
		return nil, nil, err
	}
	if v.SignedIn == nil { // the first of two proofs
		return nil, &notice{"Accepted. The other address has to be proved as well, by the message that went there", ""}, nil
	}
	named(c, &v.SignedIn.User)
	return viewTokens(v.SignedIn), nil, nil
}
