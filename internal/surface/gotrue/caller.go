package gotrue

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/cardea-auth/cardea"
	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/web"
)

// bearer gives the token of the Authorization header (RFC 6750 §2.1).
func bearer(r *http.Request) (string, error) {
	values := r.Header.Values("Authorization")
	if len(values) != 1 {
		return "", auth.E(auth.CodeNoAuthorization, "")
	}
	scheme, token, ok := strings.Cut(values[0], " ")
	token = strings.TrimSpace(token)
	if !ok || !strings.EqualFold(scheme, "Bearer") || token == "" || strings.ContainsAny(token, " \t") {
		return "", auth.E(auth.CodeNoAuthorization, "")
	}
	return token, nil
}

// credential is what a bearer token turned out to be: a person's token, or an API key.
type credential struct {
	principal *cardea.Principal // nil for an API key
	role      string            // database role
}

// authenticate reads the bearer token. What it verifies: signature, algorithm, issuer,
// audience, times and lifetime of a token; or that an API key exists and is not revoked.
// What it does not: that account and session are still there (flow does).
func (s *surface) authenticate(r *http.Request) (credential, error) {
	token, err := bearer(r)
	if err != nil {
		return credential{}, err
	}
	if strings.HasPrefix(token, "sb_") {
		return s.apiKey(r, token, nil)
	}
	p, err := s.c.Verifier.Verify(r.Context(), token)
	if err == nil {
		if ev := web.EventFrom(r.Context()); ev != nil {
			ev.UserID = p.Subject
		}
		return credential{p, p.Role}, nil
	}
	return s.apiKey(r, token, err)
}

// apiKey resolves an API key. A credential that is none gets the verifier's error.
func (s *surface) apiKey(r *http.Request, token string, verifyErr error) (credential, error) {
	role, ok, err := s.c.APIKeys.Resolve(r.Context(), token)
	switch {
	case err != nil && auth.CodeOf(err) != auth.CodeInternal:
		return credential{}, badJWT(err)
	case err != nil:
		return credential{}, err
	case !ok:
		return credential{}, badJWT(verifyErr)
	case slices.Contains(s.c.AdminRoles, role) && r.Header.Get("Origin") != "":
		// A20.1: a browser sends Origin. The key that passes every check must not be in one,
		// so it is refused there loudly, before somebody ships it.
		return credential{}, auth.E(auth.CodeNotAdmin, "Forbidden use of a secret API key in a browser")
	}
	return credential{role: role}, nil
}

// badJWT says what is wrong with a token in the words that clients match on.
func badJWT(cause error) error {
	detail := "token is malformed"
	var e *cardea.Error
	if errors.As(cause, &e) {
		if e.Code == cardea.CodeProviderUnreachable {
			return &auth.Error{Code: auth.CodeUnavailable, Cause: cause, RetryAfter: e.RetryAfter}
		}
		detail = strings.ToLower(e.Message)
	}
	var a *auth.Error
	if errors.As(cause, &a) && a.Message != "" {
		detail = a.Message
	}
	return &auth.Error{
		Code: auth.CodeBadJWT, Cause: cause,
		Message: "invalid JWT: unable to parse or verify signature, " + detail,
	}
}

// caller gives the person that makes the request.
func (s *surface) caller(r *http.Request) (auth.Caller, error) {
	cred, err := s.authenticate(r)
	if err != nil {
		return auth.Caller{}, err
	}
	if cred.principal == nil {
		return auth.Caller{}, auth.E(auth.CodeBadJWT, "invalid claim: missing sub claim")
	}
	return toCaller(r, cred.principal)
}

func toCaller(r *http.Request, p *cardea.Principal) (auth.Caller, error) {
	id, err := auth.ParseID(p.Subject)
	if err != nil {
		return auth.Caller{}, auth.E(auth.CodeBadSubject, "")
	}
	c := auth.Caller{Meta: web.Meta(r), UserID: id, AAL: p.AAL, FirstParty: p.ClientID == ""}
	if p.SessionID != "" {
		if c.SessionID, err = auth.ParseID(p.SessionID); err != nil {
			return auth.Caller{}, auth.E(auth.CodeSessionNotFound, "")
		}
	}
	for _, m := range p.AMR {
		c.Methods = append(c.Methods, m.Method)
		if m.At.After(c.AuthTime) {
			c.AuthTime = m.At
		}
	}
	if len(p.Audience) > 0 {
		c.Audience = p.Audience[0]
	}
	return c, nil
}

// admin lets operators through: API keys and tokens whose role is one of AdminRoles. A
// person's token must belong to a living session besides.
func (s *surface) admin(r *http.Request) error {
	cred, err := s.authenticate(r)
	if err != nil {
		return err
	}
	if !slices.Contains(s.c.AdminRoles, cred.role) {
		return auth.E(auth.CodeNotAdmin, "")
	}
	if cred.principal == nil {
		return nil
	}
	c, err := toCaller(r, cred.principal)
	if err != nil {
		return err
	}
	if !c.FirstParty {
		return auth.E(auth.CodeNotFirstParty, "")
	}
	_, err = s.c.Accounts.User(r.Context(), c)
	return err
}
