package usersync

import (
	"context"
	"errors"
	"net/http"

	"github.com/cardea-auth/cardea"
)

// Require gives the requirement that the caller has a row here, which is made with the first
// request. Behind it the row is there for [UserFrom], for [cardea.UserRule] and as
// Provisioned and LocalID of the Principal:
//
//	guard := v.Require(cardea.Authenticated(), users.Require())
//
// A row that is not active is refused with USER_INACTIVE. In mode BestEffort the request
// goes on during an outage, with a Principal that is not Provisioned and without a row.
func (s *Syncer) Require() cardea.RequestRequirement { return requirement{s} }

type requirement struct{ s *Syncer }

func (requirement) String() string { return "provisioned user" }

// Check implements cardea.Requirement, for transports without requests.
func (q requirement) Check(ctx context.Context, p *cardea.Principal) error {
	if p == nil {
		return cardea.NewError(cardea.CodeHeaderMissing, nil)
	}
	_, err := q.s.Ensure(ctx, p, "")
	return err
}

// CheckRequest implements cardea.RequestRequirement.
func (q requirement) CheckRequest(r *http.Request, p *cardea.Principal) error {
	if p == nil {
		return cardea.NewError(cardea.CodeHeaderMissing, nil)
	}
	got, err := q.s.Ensure(r.Context(), p, tokenOf(r))
	if err == nil {
		*r = *r.WithContext(withProvision(r.Context(), p, got))
	}
	return err
}

// tokenOf gives the token of the request, "" where it came another way, such as by a ticket.
func tokenOf(r *http.Request) string {
	token, err := cardea.BearerToken(r.Header)
	if err != nil {
		return ""
	}
	return token
}

// withProvision puts row and Principal into the context. The Principal is a copy: many
// requests share the one that it is made of.
func withProvision(ctx context.Context, p *cardea.Principal, got Provision) context.Context {
	marked := *p
	marked.Provisioned, marked.LocalID = got.Provisioned, got.User.ID
	ctx = cardea.WithPrincipal(ctx, &marked)
	if got.Provisioned {
		ctx = cardea.WithUser(ctx, got.User)
	}
	return ctx
}

// UserFrom gives the caller's row, which is read-only: requests share it. Behind [Syncer.Require] false means that the mode is
// BestEffort and something is down.
func UserFrom(ctx context.Context) (User, bool) { return cardea.UserFrom[User](ctx) }

// Optional is for pages that are for everybody, behind [cardea.Verifier.Optional]: it never
// refuses. A caller with a row has it; one whose row is not active is anonymous; during an
// outage the Principal is not Provisioned.
func (s *Syncer) Optional(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, ok := cardea.PrincipalFrom(r.Context())
		if !ok {
			next.ServeHTTP(w, r)
			return
		}
		got, err := s.Ensure(r.Context(), p, tokenOf(r))
		ctx := withProvision(r.Context(), p, got)
		if err != nil && !outage(err) {
			ctx = cardea.WithPrincipal(r.Context(), nil)
		}
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// writeError is the answer of a service that says nothing else.
func writeError(w http.ResponseWriter, r *http.Request, err error) {
	var e *cardea.Error
	if !errors.As(err, &e) {
		e = cardea.NewError(cardea.CodeInternal, err)
	}
	w.Header().Set("Cache-Control", "no-store")
	if challenge := e.Challenge(); challenge != "" {
		w.Header().Set("WWW-Authenticate", challenge)
	}
	if e.RetryAfter > 0 {
		w.Header().Set("Retry-After", "5")
	}
	cardea.EncodeDetail(w, r, e)
}
