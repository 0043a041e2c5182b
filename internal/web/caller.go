package web

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/cardea-auth/cardea"
	"github.com/cardea-auth/cardea/internal/auth"
)

// Verifier checks access tokens.
type Verifier interface {
	Verify(ctx context.Context, token string) (*cardea.Principal, error)
}

// APIKeys recognises anon and service_role keys.
type APIKeys interface {
	// Resolve gives the database role of an API key. ok is false when the credential is not
	// an API key at all; an API key that is unknown, revoked or expired is an error.
	Resolve(ctx context.Context, credential string) (role string, ok bool, err error)
}

// Callers finds out who makes a request. The surfaces share it, so that a credential that
// one of them refuses is refused by all.
type Callers struct {
	Verifier   Verifier
	APIKeys    APIKeys
	AdminRoles []string // role claims of operators
	// Alive says whether account and session of a person's token are still there; nil error:
	// they are. Only Operator asks.
	Alive func(ctx context.Context, c auth.Caller) error

	// Own is the issuer of our own tokens. Local finds the account of somebody whom another
	// issuer vouches for, and makes it with the first request; the Principal that it gives is a
	// copy whose LocalID is set. nil: tokens of others are nobody's.
	Own   string
	Local func(ctx context.Context, p *cardea.Principal, token string) (*cardea.Principal, error)
}

// Credential is what a bearer token turned out to be: a person's token, or an API key.
type Credential struct {
	Principal *cardea.Principal // nil for an API key
	Role      string            // database role
}

// Credential reads the bearer token. What it verifies: signature, algorithm, issuer,
// audience, times and lifetime of a token; or that an API key exists and is not revoked.
// What it does not: that account and session are still there (flow does).
//
// Errors are *auth.Error with CodeNoAuthorization, CodeBadJWT, CodeNotAdmin or
// CodeUnavailable. The cause of the first two is the *cardea.Error that says exactly what is
// wrong, where there is one; Message says it in words.
func (c *Callers) Credential(r *http.Request) (Credential, error) {
	token, err := cardea.BearerToken(r.Header)
	if err != nil {
		return Credential{}, auth.Wrap(auth.CodeNoAuthorization, err)
	}
	if strings.HasPrefix(token, "sb_") {
		return c.apiKey(r, token, nil)
	}
	p, err := c.Verifier.Verify(r.Context(), token)
	if err != nil {
		return c.apiKey(r, token, err)
	}
	who := p.Subject
	if p.Issuer != c.Own && c.Own != "" {
		if p, err = c.local(r, p, token); err != nil {
			return Credential{}, err
		}
		who = p.LocalID
	}
	if ev := EventFrom(r.Context()); ev != nil {
		ev.UserID = who
	}
	return Credential{p, p.Role}, nil
}

// local gives the account of somebody whom another issuer vouches for. Without an account
// nobody gets through: the subject of a foreign token is no id of ours, even if it looks like
// one that we have.
func (c *Callers) local(r *http.Request, p *cardea.Principal, token string) (*cardea.Principal, error) {
	if c.Local == nil {
		return nil, badToken(cardea.NewError(cardea.CodeIssuerInvalid, nil))
	}
	found, err := c.Local(r.Context(), p, token)
	if err == nil && found.LocalID == "" {
		err = cardea.NewError(cardea.CodeUserUnavailable, nil)
	}
	if err != nil {
		return nil, Unprovisioned(err)
	}
	return found, nil
}

// Unprovisioned says in the domain's words why somebody has no account here.
func Unprovisioned(err error) error {
	var e *cardea.Error
	if !errors.As(err, &e) {
		return err
	}
	switch e.HTTPStatus() {
	case http.StatusUnauthorized:
		return badToken(e)
	case http.StatusServiceUnavailable:
		return &auth.Error{Code: auth.CodeUnavailable, Cause: e, RetryAfter: max(e.RetryAfter, 5*time.Second)}
	case http.StatusForbidden:
		return auth.Wrap(auth.CodeUserInactive, e)
	}
	return auth.Wrap(auth.CodeInternal, e)
}

// apiKey resolves an API key. A credential that is none gets the verifier's error.
func (c *Callers) apiKey(r *http.Request, token string, verifyErr error) (Credential, error) {
	role, ok, err := c.APIKeys.Resolve(r.Context(), token)
	switch {
	case err != nil && auth.CodeOf(err) != auth.CodeInternal:
		return Credential{}, badToken(err)
	case err != nil:
		return Credential{}, err //nolint:wrapcheck // names itself
	case !ok:
		return Credential{}, badToken(verifyErr)
	case slices.Contains(c.AdminRoles, role) && r.Header.Get("Origin") != "":
		// A20.1: a browser sends Origin. The key that passes every check must not be in one,
		// so it is refused there loudly, before somebody ships it.
		return Credential{}, auth.E(auth.CodeNotAdmin, "Forbidden use of a secret API key in a browser")
	}
	return Credential{Role: role}, nil
}

// badToken says what is wrong with a token.
func badToken(cause error) error {
	out := &auth.Error{Code: auth.CodeBadJWT, Message: "token is malformed", Cause: cause}
	var e *cardea.Error
	if errors.As(cause, &e) {
		if e.Code == cardea.CodeProviderUnreachable {
			return &auth.Error{Code: auth.CodeUnavailable, Cause: cause, RetryAfter: e.RetryAfter}
		}
		out.Message = strings.ToLower(e.Message)
	}
	var a *auth.Error
	if errors.As(cause, &a) && a.Message != "" {
		out.Message = a.Message
	}
	return out
}

// TokenError gives what exactly is wrong with a bearer token; nil when e is about something
// else than the token, and finding out about it, or when nothing more is known.
func TokenError(e *auth.Error) *cardea.Error {
	var token *cardea.Error
	switch e.Code {
	case auth.CodeNoAuthorization, auth.CodeBadJWT, auth.CodeUnavailable:
		errors.As(e, &token)
	}
	return token
}

// Caller gives the person that makes the request. An API key stands for nobody: it is
// CodeBadJWT here.
func (c *Callers) Caller(r *http.Request) (auth.Caller, error) {
	cred, err := c.Credential(r)
	if err != nil {
		return auth.Caller{}, err
	}
	if cred.Principal == nil {
		return auth.Caller{}, auth.E(auth.CodeBadJWT, "invalid claim: missing sub claim")
	}
	return CallerOf(r, cred.Principal)
}

// CallerOf gives the person of a verified token. Errors: CodeBadSubject, CodeSessionNotFound.
func CallerOf(r *http.Request, p *cardea.Principal) (auth.Caller, error) {
	subject, external := p.Subject, p.LocalID != ""
	if external {
		subject = p.LocalID
	}
	id, err := auth.ParseID(subject)
	if err != nil {
		return auth.Caller{}, auth.E(auth.CodeBadSubject, "")
	}
	c := auth.Caller{Meta: Meta(r), UserID: id, AAL: p.AAL, FirstParty: p.ClientID == "", External: external}
	if p.SessionID != "" && !external { // else it is a session of the other issuer
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

// Operator lets operators through: API keys and first-party tokens whose role is one of
// AdminRoles; others are CodeNotAdmin. A person's token must belong to a living session
// besides. The caller is zero for an API key.
func (c *Callers) Operator(r *http.Request) (auth.Caller, error) {
	cred, err := c.Credential(r)
	if err != nil {
		return auth.Caller{}, err
	}
	if !slices.Contains(c.AdminRoles, cred.Role) {
		return auth.Caller{}, auth.E(auth.CodeNotAdmin, "")
	}
	if cred.Principal == nil {
		return auth.Caller{}, nil
	}
	if cred.Principal.LocalID != "" { // another issuer's operators are not ours
		return auth.Caller{}, auth.E(auth.CodeNotAdmin, "")
	}
	who, err := CallerOf(r, cred.Principal)
	if err != nil {
		return auth.Caller{}, err
	}
	if !who.FirstParty {
		return auth.Caller{}, auth.E(auth.CodeNotFirstParty, "")
	}
	return who, c.Alive(r.Context(), who)
}
