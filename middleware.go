package cardea

import (
	"context"
	"encoding/json"
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
	RemoteAddr string // of the connection: behind a proxy, the proxy's
}

// ErrorEncoder writes the answer of a refused request. The headers WWW-Authenticate,
// Retry-After and Cache-Control are set already; it writes the status, from
// [Error.HTTPStatus], and the body. Nothing of Cause, Required and Actual may be shown.
type ErrorEncoder func(w http.ResponseWriter, r *http.Request, e *Error)

// EncodeDetail writes {"detail": "...", "code": "UPPER_SNAKE"}. It is the default.
func EncodeDetail(w http.ResponseWriter, _ *http.Request, e *Error) {
	body, err := json.Marshal(struct {
		Detail string `json:"detail"`
		Code   Code   `json:"code"`
	}{e.Message, e.Code})
	if err != nil { // two strings always marshal
		body = []byte(`{}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(e.HTTPStatus())
	_, _ = w.Write(append(body, '\n')) // the client may be gone
}

// Require lets only callers pass who have a valid token and meet all requirements.
// Others are answered 401 (no token or a bad one), 403 (a requirement failed) or 503
// (the issuer is needed and can't be reached), and the handler is not called. Put CORS
// handling outside: a preflight request carries no token.
//
// A nil requirement or handler is a programming error: Require panics when the route is
// registered, so that a guard can't be left out by mistake.
func (v *Verifier) Require(first Requirement, more ...Requirement) func(http.Handler) http.Handler {
	requirements := append([]Requirement{first}, more...)
	for _, r := range requirements {
		if r == nil {
			panic("cardea: Require with a nil requirement")
		}
	}
	return func(next http.Handler) http.Handler {
		if next == nil {
			panic("cardea: Require around a nil handler")
		}
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			p, failure := v.verifyRequest(r)
			if failure == nil {
				failure = checkAll(r.Context(), p, requirements)
			}
			if failure != nil {
				v.deny(w, r, p, failure)
				return
			}
			ctx := WithPrincipal(r.Context(), p)
			if v.onAuthenticated != nil {
				v.onAuthenticated(ctx, p)
			}
			next.ServeHTTP(w, r.WithContext(ctx))
		})
	}
}

// Optional lets every caller pass: with a Principal when there is a valid token, else
// anonymously. [FailureFrom] tells a handler about a token that was sent but is bad, or
// that could not be judged because the issuer is down.
func (v *Verifier) Optional() func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		if next == nil {
			panic("cardea: Optional around a nil handler")
		}
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			p, failure := v.verifyRequest(r)
			// A nil Principal is stored as well: it hides one of an outer middleware
			// that trusts other issuers.
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
			next.ServeHTTP(w, r.WithContext(ctx))
		})
	}
}

// deny answers a refused request.
func (v *Verifier) deny(w http.ResponseWriter, r *http.Request, p *Principal, e *Error) {
	v.report(r, Denial{Err: e, Principal: p})
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
	d.Method, d.Path, d.RemoteAddr = r.Method, r.URL.Path, r.RemoteAddr
	v.onDenied(r.Context(), d)
}

// Challenge gives the WWW-Authenticate header that belongs to the failure (RFC 6750 §3):
// with error="invalid_token" when there was a token; "" when the status is not 401.
func (e *Error) Challenge() string {
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
