package legacy

import (
	"net/http"
	"strings"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/flow"
	"github.com/cardea-auth/cardea/internal/grant"
	"github.com/cardea-auth/cardea/internal/web"
)

// tokens is the answer of everything that signs somebody in.
type tokens struct {
	AccessToken  string  `json:"access_token"`
	RefreshToken string  `json:"refresh_token"`
	TokenType    string  `json:"token_type"`
	ExpiresIn    int64   `json:"expires_in"` // seconds
	TenantID     auth.ID `json:"tenant_id,omitzero"`
	TenantRole   string  `json:"tenant_role,omitempty"`
	PendingRole  string  `json:"pending_role,omitempty"`
}

func viewTokens(in *auth.SignedIn) *tokens {
	return &tokens{
		AccessToken: in.Tokens.AccessToken, RefreshToken: in.Tokens.RefreshToken, TokenType: "bearer",
		ExpiresIn: int64(in.Tokens.ExpiresIn / time.Second), TenantID: in.Session.TenantID, TenantRole: in.Session.TenantRole,
	}
}

// notice is an answer in words.
type notice struct {
	Detail string `json:"detail"`
}

// body reads the body of a request.
func (c *call) body() (*web.Fields, error) {
	o, err := web.ReadObject(c.r)
	if err != nil {
		return nil, err //nolint:wrapcheck // an *auth.Error
	}
	return o.Fields(), nil
}

// invalidField tells the first member of a wrong type. The body itself could be read, so it
// is 422 here and not 400.
func invalidField(f *web.Fields) error {
	err := f.Err()
	if err == nil {
		return nil
	}
	message := err.Error()
	if at := strings.LastIndex(message, ": "); at >= 0 {
		message = message[at+2:]
	}
	return auth.E(auth.CodeValidation, message)
}

// login is login of the application.
func (s *surface) login(c *call) (int, any, error) {
	in, err := s.signIn(c)
	if err != nil {
		return 0, nil, err
	}
	if in, err = s.enter(c, in); auth.CodeOf(err) == auth.CodeTenantDenied {
		// No member here: signed in all the same, but in no other tenant either.
		in, err = s.leave(c, in)
	}
	if err != nil {
		return 0, nil, s.giveUp(c, &in, err)
	}
	return http.StatusOK, viewTokens(&in), nil
}

// signIn proves who asks by a password.
func (s *surface) signIn(c *call) (auth.SignedIn, error) {
	f, err := c.body()
	if err != nil {
		return auth.SignedIn{}, err
	}
	ask := grant.Request{
		Meta: web.Meta(c.r), Grant: "password", Email: f.String("email"), Phone: f.String("phone"), Password: f.String("password"),
	}
	ask.Captcha = f.String("captcha_token")
	if err := invalidField(f); err != nil {
		return auth.SignedIn{}, err
	}
	in, err := s.c.Grants.Exchange(c.r.Context(), ask)
	if err == nil {
		named(c, &in)
	}
	return in, err
}

// named notes the person in the log line of a request that had no token.
func named(c *call, in *auth.SignedIn) {
	if ev := web.EventFrom(c.r.Context()); ev != nil {
		ev.UserID = in.User.ID.String()
	}
}

// callerOf is who has just proved himself.
func (c *call) callerOf(in *auth.SignedIn) auth.Caller {
	return auth.Caller{Meta: web.Meta(c.r), UserID: in.User.ID, SessionID: in.Session.ID, AAL: in.Session.AAL, FirstParty: true}
}

// enter makes the tenant the active one of a session. The session stays as it is where that is
// refused.
func (s *surface) enter(c *call, in auth.SignedIn) (auth.SignedIn, error) {
	if in.Session.TenantID == c.tenant.ID {
		return in, nil
	}
	out, err := s.c.Tenancy.Switch(c.r.Context(), c.callerOf(&in), c.tenant.ID)
	if err != nil {
		return in, err
	}
	return out, nil
}

// leave gives tokens without a tenant.
func (s *surface) leave(c *call, in auth.SignedIn) (auth.SignedIn, error) {
	if in.Session.TenantID.IsZero() {
		return in, nil
	}
	out, err := s.c.Tenancy.Switch(c.r.Context(), c.callerOf(&in), auth.ID{})
	if err != nil {
		return in, err
	}
	return out, nil
}

// giveUp ends the session of a sign-in that is refused after its proof: nobody has its tokens.
// It gives the answer.
func (s *surface) giveUp(c *call, in *auth.SignedIn, cause error) error {
	if err := s.c.Accounts.SignOut(c.r.Context(), c.callerOf(in), auth.RevokeOne); err != nil && auth.CodeOf(err) != auth.CodeSessionNotFound {
		return err
	}
	if auth.CodeOf(cause) == auth.CodeUserInactive {
		// X35: a sign-in says nothing of the account.
		return auth.Wrap(auth.CodeInvalidCredentials, cause)
	}
	return cause
}

// register is register of the application. The person asks for a place in the tenant.
func (s *surface) register(c *call) (int, any, error) {
	f, err := c.body()
	if err != nil {
		return 0, nil, err
	}
	meta := web.Meta(c.r)
	meta.Captcha = f.String("captcha_token")
	in := flow.Registration{
		Meta: meta, Email: f.String("email"), Phone: f.String("phone"), Password: f.String("password"), Role: f.String("role"),
		FullName: f.String("full_name"), Data: f.Object("data"), Language: c.lang, TenantSlug: c.tenant.Slug,
		RedirectTo: s.c.Redirects.Choose(f.String("redirect_to")),
	}
	if err := invalidField(f); err != nil {
		return 0, nil, err
	}
	res, err := s.c.People.Register(c.r.Context(), in)
	if err != nil {
		return 0, nil, err
	}
	if res.Session == nil {
		// The same words whether the address was new or somebody's (X28).
		return http.StatusAccepted, notice{"If the address can be registered, a message with the next step is on its way to it"}, nil
	}
	named(c, res.Session)
	out := viewTokens(res.Session)
	out.PendingRole = res.PendingRole
	return http.StatusCreated, out, nil
}

// validity is the answer of token-validity. A token that is not valid is 401.
type validity struct {
	Valid     bool      `json:"valid"`
	UserID    auth.ID   `json:"user_id"`
	ExpiresAt time.Time `json:"expires_at"`
}

// tokenValidity is token-validity. What it verifies: the token, that account and session are
// alive and the account is not switched off, and that the token is not another tenant's.
func (s *surface) tokenValidity(c *call) (int, any, error) {
	caller, expires, err := s.caller(c)
	if err != nil {
		return 0, nil, err
	}
	p, err := s.c.People.Me(c.r.Context(), caller)
	if err == nil && !p.Profile.Active {
		err = auth.E(auth.CodeUserInactive, "")
	}
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, validity{true, caller.UserID, expires}, nil
}

// caller gives the person of the token, and when that expires. A token whose active tenant is
// another one is refused here, whoever has it.
func (s *surface) caller(c *call) (auth.Caller, time.Time, error) {
	cred, err := s.c.Callers.Credential(c.r)
	if err != nil {
		return auth.Caller{}, time.Time{}, err //nolint:wrapcheck // an *auth.Error
	}
	if cred.Principal == nil { // an API key stands for nobody
		return auth.Caller{}, time.Time{}, auth.E(auth.CodeBadJWT, "")
	}
	caller, err := web.CallerOf(c.r, cred.Principal)
	if err != nil {
		return auth.Caller{}, time.Time{}, err //nolint:wrapcheck // an *auth.Error
	}
	if t := cred.Principal.Tenant; t != "" && t != c.tenant.ID.String() {
		return auth.Caller{}, time.Time{}, auth.E(auth.CodeTenantDenied, "")
	}
	return caller, cred.Principal.ExpiresAt, nil
}
