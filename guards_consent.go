package cardea

import (
	"context"
	"net/http"
	"slices"
	"strings"
)

// ConsentQuery asks what a caller has agreed to.
type ConsentQuery struct {
	// Principal is the caller. What he has agreed to in a tenant counts in that one only:
	// the active one, Principal.Tenant.
	Principal *Principal
	// Purposes are those that the route asks for. Never empty; read-only.
	Purposes []string
	// Token is the caller's own, "" where the guard saw none: in transports that are not
	// HTTP, and behind [Tickets].
	Token string
}

// ConsentSource knows what people have agreed to. [ConsentClient] is one; a service that
// keeps consents itself writes its own.
//
// It is asked at every request, and must not remember an answer for longer: somebody who
// takes his consent back relies on it that the next request finds the door shut.
type ConsentSource interface {
	// GrantedConsents gives those of the purposes that the caller has agreed to and that
	// hold at this moment: not withdrawn, not expired. What is left out does not hold. An
	// *[Error] is answered as it is; any other error says that nothing could be found out,
	// and is answered 503 CONSENT_UNAVAILABLE. It runs in the request and must be quick.
	GrantedConsents(ctx context.Context, q ConsentQuery) (granted []string, err error)
}

// consented is the requirement of Verifier.Consent.
type consented struct {
	source   ConsentSource
	purposes []string
	name     string
}

// Consent asks that the caller has agreed to all of the purposes, by [Config].Consents, at
// this very request: a consent that has been withdrawn or has expired closes the route at
// the next one. The denial is CONSENT_REQUIRED, and Details names the purposes that are
// missing, so that a client can ask for them. When the source can't tell, the route stays
// shut: 503 with Retry-After.
//
// An empty purpose, or a Verifier without Config.Consents, is a programming error: Consent
// panics when the route is registered, so that a guard that nobody can answer doesn't start.
func (v *Verifier) Consent(first string, more ...string) Requirement {
	purposes := names("Consent", first, more)
	if v == nil || v.consents == nil {
		panic("cardea: Consent without Config.Consents")
	}
	return consented{v.consents, purposes, "consent to " + strings.Join(purposes, " and ")}
}

func (c consented) String() string { return c.name }

func (c consented) Check(ctx context.Context, p *Principal) error { return c.ask(ctx, p, "") }

func (c consented) CheckRequest(r *http.Request, p *Principal) error {
	token, failure := bearer(r.Header)
	if failure != nil {
		token = "" // the caller is known by something else, such as a ticket
	}
	return c.ask(r.Context(), p, token)
}

func (c consented) ask(ctx context.Context, p *Principal, token string) error {
	if p == nil {
		return NewError(CodeHeaderMissing, nil)
	}
	granted, err := c.source.GrantedConsents(ctx, ConsentQuery{p, c.purposes, token})
	if err != nil {
		return complete(err, CodeConsentUnavailable)
	}
	var missing []string
	for _, purpose := range c.purposes {
		if !slices.Contains(granted, purpose) {
			missing = append(missing, purpose)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	e := denied(CodeConsent, "no consent to "+strings.Join(missing, ", "))
	e.Details = map[string]any{"purposes": missing}
	return e
}
