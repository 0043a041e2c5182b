package cardea

import (
	"context"
	"net/http"
)

// Authorize is [Verifier.Require] without the answer, for transports that have answers of
// their own, such as gRPC: it takes the token from the Authorization header, verifies it,
// tests all requirements and calls OnAuthenticated or OnDenied. It gives the request to go
// on with, whose context holds the Principal, or nil and an error, which is an *[Error].
//
// A transport without HTTP requests makes one out of method, path, headers and remote
// address; each a copy where it reuses its buffers. What it leaves out counts as absent,
// so a requirement that needs it refuses.
//
// Unlike Require it does not look for nil requirements: one panics here, at the request.
func (v *Verifier) Authorize(r *http.Request, first Requirement, more ...Requirement) (*http.Request, error) {
	p, failure := v.verifyRequest(r)
	admitted, failure := v.authorize(r, p, failure, append([]Requirement{first}, more...))
	if failure != nil {
		return nil, failure
	}
	return admitted, nil
}

// Identify is [Verifier.Optional] for the same transports: it never refuses. The context
// of the request that it gives has a Principal, or for [FailureFrom] the reason why not.
func (v *Verifier) Identify(r *http.Request) *http.Request {
	p, failure := v.verifyRequest(r)
	// As in Optional, a nil Principal hides one that came from outside.
	ctx := WithPrincipal(r.Context(), p)
	switch {
	case failure == nil:
		if v.onAuthenticated != nil {
			v.onAuthenticated(ctx, p)
		}
	case failure.Code == CodeHeaderMissing:
		ctx = context.WithValue(ctx, failureKey{}, (*Error)(nil))
	default:
		ctx = context.WithValue(ctx, failureKey{}, failure)
		v.report(r, Denial{Err: failure, Anonymous: true})
	}
	return r.WithContext(ctx)
}
