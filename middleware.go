package cardea

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Denial tells the OnDenied hook about a refused request. It holds no token.
type Denial struct {
	Err       *Error     // why; Err.Required and Err.Actual when a requirement failed
	Principal *Principal // who, nil when the token was bad
	// Anonymous: the request was not refused but went on without a Principal
	// (Optional).
	Anonymous  bool
	Method     string
	Path       string
	Pattern    string // of the route, as net/http's mux found it; "" with other routers
	RemoteAddr string // of the connection: behind a proxy, the proxy's
}

// Require lets only callers pass who have a valid token and meet all requirements.
// Others are answered 401 (no token or a bad one), 403 (a requirement failed) or 503
// (the issuer is needed and can't be reached), and the handler is not called. Put CORS
// handling outside: a preflight request carries no token.
//
// A nil requirement or handler is a programming error: Require panics when the route is
// registered, so that a guard can't be left out by mistake.
func (v *Verifier) Require(first Requirement, more ...Requirement) func(http.Handler) http.Handler {
	requirements := mustRequirements("Require", first, more)
	if v == nil {
		panic("cardea: Require of a nil Verifier")
	}
	return func(next http.Handler) http.Handler {
		if next == nil {
			panic("cardea: Require around a nil handler")
		}
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			p, failure := v.verifyRequest(r)
			admitted, failure := v.authorize(r, p, failure, requirements)
			if failure != nil {
				v.refuse(w, r, failure)
				return
			}
			next.ServeHTTP(w, admitted)
		})
	}
}

// RequireFresh is Require for dangerous routes: the user must have proved who they are at
// most maxAge ago (see [Verifier.Fresh]), or is answered 403 REAUTHENTICATION_REQUIRED.
// A maxAge that is not positive is a programming error: it panics.
func (v *Verifier) RequireFresh(maxAge time.Duration, more ...Requirement) func(http.Handler) http.Handler {
	return v.Require(v.Fresh(maxAge), more...)
}

// Optional lets every caller pass: with a Principal when there is a valid token, else
// anonymously. [FailureFrom] tells a handler about a token that was sent but is bad, or
// that could not be judged because the issuer is down; OnDenied is told too.
func (v *Verifier) Optional() func(http.Handler) http.Handler {
	if v == nil {
		panic("cardea: Optional of a nil Verifier")
	}
	return func(next http.Handler) http.Handler {
		if next == nil {
			panic("cardea: Optional around a nil handler")
		}
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(w, v.Identify(r))
		})
	}
}

// authorize tests the requirements, calls the hooks, and gives the request for the handler.
func (v *Verifier) authorize(r *http.Request, p *Principal, failure *Error, requirements []Requirement) (*http.Request, *Error) {
	if failure == nil {
		admitted := r.WithContext(WithPrincipal(r.Context(), p))
		failure = checkAll(admitted.Context(), admitted, p, requirements)
		if failure == nil {
			if v.onAuthenticated != nil {
				v.onAuthenticated(admitted.Context(), p)
			}
			return admitted, nil
		}
	}
	v.report(r, Denial{Err: failure, Principal: p})
	return nil, failure
}

// WriteError answers an error of a handler in the shape that the Verifier's guards answer
// in. An *[Error] is answered as it is: one with Status and Message but no Code gets a code
// by its status, such as NOT_FOUND. Any other error is answered 500 INTERNAL_ERROR; its
// text is not shown, and it is the service that has to log it. A refusal (401, 403) is
// reported to OnDenied. A nil error is a mistake too: 500.
func (v *Verifier) WriteError(w http.ResponseWriter, r *http.Request, err error) {
	failure := complete(err, CodeInternal)
	if status := failure.HTTPStatus(); status == http.StatusUnauthorized || status == http.StatusForbidden {
		p, _ := PrincipalFrom(r.Context())
		v.report(r, Denial{Err: failure, Principal: p})
	}
	v.refuse(w, r, failure)
}

// refuse answers a refused request.
func (v *Verifier) refuse(w http.ResponseWriter, r *http.Request, e *Error) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	if challenge := e.Challenge(); challenge != "" {
		h.Set("WWW-Authenticate", challenge)
	}
	if e.RetryAfter > 0 {
		h.Set("Retry-After", strconv.FormatInt(int64((e.RetryAfter+time.Second-1)/time.Second), 10))
	}
	guarded := &answer{ResponseWriter: w}
	v.encode(guarded, r, e)
	if !guarded.written { // net/http would answer 200
		w.WriteHeader(e.HTTPStatus())
	}
}

// answer notices whether an encoder wrote anything.
type answer struct {
	http.ResponseWriter
	written bool
}

func (a *answer) WriteHeader(status int) {
	a.written = true
	a.ResponseWriter.WriteHeader(status)
}

func (a *answer) Write(b []byte) (int, error) {
	a.written = true
	return a.ResponseWriter.Write(b)
}

// Unwrap serves http.ResponseController.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

func (v *Verifier) report(r *http.Request, d Denial) {
	if v.onDenied == nil {
		return
	}
	d.Method, d.Path, d.Pattern, d.RemoteAddr = r.Method, r.URL.Path, r.Pattern, r.RemoteAddr
	v.onDenied(r.Context(), d)
}

// Challenge gives the WWW-Authenticate header that belongs to the failure (RFC 6750 §3):
// with error="invalid_token" when there was a token. With status 403 it is there only when
// another token would help: with more scopes, or after a new sign-in (RFC 9470 §3). "" means
// no header.
func (e *Error) Challenge() string {
	if e.challenge != "" {
		return "Bearer " + e.challenge
	}
	if e.HTTPStatus() != http.StatusUnauthorized {
		return ""
	}
	switch e.Code {
	case CodeHeaderMissing, CodeHeaderInvalid, CodeSchemeInvalid:
		return "Bearer"
	}
	return `Bearer error="invalid_token"`
}

// BearerToken takes the token out of the Authorization header. Every error is an
// *[Error]. The scheme is compared without case (RFC 9110 §11.1).
func BearerToken(h http.Header) (string, error) {
	token, failure := bearer(h)
	if failure != nil {
		return "", failure
	}
	return token, nil
}

func bearer(h http.Header) (string, *Error) {
	values := h["Authorization"]
	switch len(values) {
	case 0:
		return "", NewError(CodeHeaderMissing, nil)
	case 1:
	default:
		// Two headers: a proxy may have checked the other one.
		return "", NewError(CodeHeaderInvalid, nil)
	}
	scheme, token, _ := strings.Cut(strings.Trim(values[0], " "), " ")
	token = strings.TrimLeft(token, " ")
	if scheme == "" || token == "" || hasByte(token, ' ') || hasByte(token, '\t') || hasByte(token, ',') {
		return "", NewError(CodeHeaderInvalid, nil)
	}
	if !strings.EqualFold(scheme, "Bearer") {
		return "", NewError(CodeSchemeInvalid, nil)
	}
	return token, nil
}

// hasByte is several times faster than strings.ContainsAny, on the path of every request.
func hasByte(s string, c byte) bool { return strings.IndexByte(s, c) >= 0 }
