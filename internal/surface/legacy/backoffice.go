package legacy

import (
	"net/http"
	"time"

	"github.com/cardea-auth/cardea"
	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/flow"
	"github.com/cardea-auth/cardea/internal/grant"
	"github.com/cardea-auth/cardea/internal/web"
)

// staffLogin is login of the back office. A right password of somebody who does not work here
// opens nothing, and its session ends.
func (s *surface) staffLogin(c *call) (int, any, error) {
	in, err := s.signIn(c)
	if err != nil {
		return 0, nil, err
	}
	if in, err = s.enterAsStaff(c, in); err != nil {
		return 0, nil, s.giveUp(c, &in, err)
	}
	return http.StatusOK, viewTokens(&in), nil
}

func (s *surface) enterAsStaff(c *call, in auth.SignedIn) (auth.SignedIn, error) {
	in, err := s.enter(c, in)
	if err == nil {
		_, err = s.c.Tenancy.Staff(c.r.Context(), c.callerOf(&in), c.tenant.ID)
	}
	return in, err
}

// logout is logout of the back office: it ends the session that asks.
func (s *surface) logout(c *call) (int, any, error) {
	caller, _, err := s.caller(c)
	if err != nil {
		return 0, nil, err
	}
	return http.StatusNoContent, nil, s.c.Accounts.SignOut(c.r.Context(), caller, auth.RevokeOne)
}

// standing is the answer of is-auth. Who is not authenticated gets 401, who is no staff 403.
type standing struct {
	IsAuth    bool      `json:"is_auth"`
	UserID    auth.ID   `json:"user_id"`
	TenantID  auth.ID   `json:"tenant_id"`
	Role      string    `json:"role"` // of this moment, not the token's
	ExpiresAt time.Time `json:"expires_at"`
}

// isAuth is is-auth of the back office.
func (s *surface) isAuth(c *call) (int, any, error) {
	caller, expires, err := s.caller(c)
	if err != nil {
		return 0, nil, err
	}
	role, err := s.c.Tenancy.Staff(c.r.Context(), caller, c.tenant.ID)
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, standing{true, caller.UserID, c.tenant.ID, role, expires}, nil
}

// token is token of the back office: the next pair for a refresh token. The session of
// somebody who has stopped working here stays, and gets nothing.
func (s *surface) token(c *call) (int, any, error) {
	refresh, err := cardea.BearerToken(c.r.Header)
	if err != nil {
		return 0, nil, auth.Wrap(auth.CodeNoAuthorization, err)
	}
	in, err := s.c.Grants.Exchange(c.r.Context(), grant.Request{Meta: web.Meta(c.r), Grant: "refresh_token", RefreshToken: refresh})
	if err != nil {
		return 0, nil, err
	}
	named(c, &in)
	if in, err = s.enterAsStaff(c, in); err != nil {
		return 0, nil, err
	}
	return http.StatusOK, viewTokens(&in), nil
}

// invitation is the answer of invitation. It does not tell whether there was an account.
type invitation struct {
	Email string `json:"email"`
	Role  string `json:"role"`
	State string `json:"state"`
}

// invite is invitation of the back office: it asks somebody to become a member of the tenant.
func (s *surface) invite(c *call) (int, any, error) {
	caller, _, err := s.caller(c)
	if err != nil {
		return 0, nil, err
	}
	if _, err := s.c.Tenancy.Staff(c.r.Context(), caller, c.tenant.ID); err != nil {
		return 0, nil, err
	}
	f, err := c.body()
	if err != nil {
		return 0, nil, err
	}
	in := flow.Invitee{Email: f.String("email"), Role: f.String("role"), RedirectTo: s.c.Redirects.Choose(f.String("redirect_to"))}
	reason := f.String("reason")
	if err := invalidField(f); err != nil {
		return 0, nil, err
	}
	m, err := s.c.Tenancy.Invite(c.r.Context(), flow.Actor{Caller: caller, Reason: reason}, c.tenant.ID, in)
	if err != nil {
		return 0, nil, err
	}
	return http.StatusCreated, invitation{in.Email, m.Role, m.State}, nil
}
