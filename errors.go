package cardea

import (
	"errors"
	"net/http"
	"time"
)

// Code is the stable name of a failure. Codes are part of the compatibility promise:
// a code is never renamed and never changes its status; new ones may appear.
type Code string

// The codes of a bad or missing Authorization header. Status 401.
const (
	CodeHeaderMissing Code = "AUTH_HEADER_MISSING" // no Authorization header at all
	CodeHeaderInvalid Code = "INVALID_AUTH_HEADER" // not "scheme token", or sent twice
	CodeSchemeInvalid Code = "INVALID_AUTH_SCHEME" // a scheme other than Bearer
)

// The codes of a request that is refused whatever token it brings.
const (
	CodeRateLimited   Code = "RATE_LIMIT_EXCEEDED" // 429: Config.Admit said no
	CodeHTTPSRequired Code = "HTTPS_REQUIRED"      // 403: Config.RequireHTTPS
)

// The codes of a token that is refused. Status 401.
const (
	CodeTokenTooLarge        Code = "TOKEN_TOO_LARGE"         // longer than Config.MaxTokenSize
	CodeTokenStructure       Code = "INVALID_TOKEN_STRUCTURE" // not three non-empty parts
	CodeBase64               Code = "INVALID_BASE64_ENCODING" // padding, line breaks, other alphabets, stray bits
	CodeTokenHeader          Code = "INVALID_TOKEN_HEADER"    // not a JSON object, a name twice, alg missing
	CodeHeaderUnsupported    Code = "UNSUPPORTED_TOKEN_HEADER"
	CodeTokenPayload         Code = "INVALID_TOKEN_PAYLOAD" // not a JSON object, a name twice, bad UTF-8
	CodeTokenType            Code = "INVALID_TOKEN_TYPE"    // not an access token: typ, or the shape of an ID token
	CodeAlgorithmUnsupported Code = "UNSUPPORTED_ALGORITHM" // an algorithm this package does not know
	CodeAlgorithmNotAllowed  Code = "ALGORITHM_NOT_ALLOWED" // "none", or not in the issuer's list
	CodeIssuerMissing        Code = "MISSING_ISSUER"
	CodeIssuerInvalid        Code = "INVALID_ISSUER" // not a configured issuer
	CodeKeyIDMissing         Code = "MISSING_KEY_ID" // no kid although the issuer has several keys
	CodeKeyIDInvalid         Code = "INVALID_KEY_ID" // too long, or with characters no key id has
	CodeKeyNotFound          Code = "SIGNING_KEY_NOT_FOUND"
	CodeKeyMismatch          Code = "KEY_ALGORITHM_MISMATCH" // the key is of another algorithm than the header says
	CodeSignature            Code = "INVALID_SIGNATURE"
	CodeAudienceMissing      Code = "MISSING_AUDIENCE"
	CodeAudienceInvalid      Code = "INVALID_AUDIENCE"
	CodeExpirationMissing    Code = "MISSING_EXPIRATION"
	CodeExpired              Code = "TOKEN_EXPIRED"
	CodeNotYetValid          Code = "TOKEN_NOT_YET_VALID" // nbf or iat lies in the future
	CodeIssuedAtMissing      Code = "MISSING_ISSUED_AT"
	CodeLifetime             Code = "EXPIRATION_TOO_LONG" // exp - iat above Config.MaxLifetime
	CodeSubject              Code = "INVALID_SUBJECT"     // sub missing, empty or no string
	CodeClaim                Code = "INVALID_CLAIM"       // a claim that this package reads has the wrong type
	CodeClaimMissing         Code = "MISSING_CLAIM"       // one of Issuer.RequiredClaims
	CodeUserRole             Code = "INVALID_USER_ROLE"   // the claim role is none of Issuer.UserRoles
	CodeTokenInvalid         Code = "TOKEN_INVALID"       // the issuer was asked and says that the token is not active
	CodeTokenRevoked         Code = "TOKEN_REVOKED"       // this token, or the session that it belongs to
	CodeUserTokensRevoked    Code = "USER_TOKENS_REVOKED" // all tokens of the user that are as old as this one
)

// The codes of an issuer that can't decide or won't.
const (
	// CodeProviderUnreachable: no decision is possible without the issuer. Status 503
	// with Retry-After: a client must not log its user out.
	CodeProviderUnreachable Code = "AUTH_PROVIDER_UNREACHABLE"
	// CodeProviderError: the issuer was asked about the token ([Introspection]) and
	// answered with a refusal: 400, 401, 403 or 404. Status 401. A [KeySource] may
	// return it too; the built-in one never does.
	CodeProviderError Code = "AUTH_PROVIDER_ERROR"
)

// The codes of a known caller who may not do this. Status 403.
const (
	CodeForbidden        Code = "FORBIDDEN"         // a requirement failed without a code of its own
	CodeRole             Code = "INSUFFICIENT_ROLE" // none of the roles asked for
	CodeAAL              Code = "INSUFFICIENT_AAL"  // a further factor is needed first
	CodeAnonymousRefused Code = "ANONYMOUS_REFUSED" // an anonymous sign-in where an account is needed
)

// Severity says how alarming a failure is, for logs and alerts.
type Severity string

// The severities. Critical ones do not happen to an honest client with an honest issuer.
const (
	SeverityLow      Severity = "low"
	SeverityMedium   Severity = "medium"
	SeverityHigh     Severity = "high"
	SeverityCritical Severity = "critical"
)

// retryAfter is what a client is told to wait when the issuer is unreachable.
const retryAfter = 5 * time.Second

type codeInfo struct {
	status   int
	severity Severity
	message  string
}

func (c Code) info() codeInfo {
	const unauthorized, forbidden, unavailable = http.StatusUnauthorized, http.StatusForbidden, http.StatusServiceUnavailable
	switch c {
	case CodeHeaderMissing:
		return codeInfo{unauthorized, SeverityLow, "Authorization header is missing"}
	case CodeHeaderInvalid:
		return codeInfo{unauthorized, SeverityLow, "Authorization header must be one scheme and one token"}
	case CodeSchemeInvalid:
		return codeInfo{unauthorized, SeverityLow, "Authorization scheme must be Bearer"}
	case CodeRateLimited:
		return codeInfo{http.StatusTooManyRequests, SeverityHigh, "Too many requests, try again later"}
	case CodeHTTPSRequired:
		return codeInfo{forbidden, SeverityHigh, "HTTPS is required"}
	case CodeTokenTooLarge:
		return codeInfo{unauthorized, SeverityMedium, "Token is too large"}
	case CodeTokenStructure:
		return codeInfo{unauthorized, SeverityMedium, "Token must have three parts"}
	case CodeBase64:
		return codeInfo{unauthorized, SeverityMedium, "Token is not properly encoded"}
	case CodeTokenHeader:
		return codeInfo{unauthorized, SeverityMedium, "Token header is malformed"}
	case CodeHeaderUnsupported:
		return codeInfo{unauthorized, SeverityHigh, "Token header uses an extension that is not supported"}
	case CodeTokenPayload:
		return codeInfo{unauthorized, SeverityMedium, "Token payload is malformed"}
	case CodeTokenType:
		return codeInfo{unauthorized, SeverityHigh, "Token is not an access token"}
	case CodeAlgorithmUnsupported:
		return codeInfo{unauthorized, SeverityCritical, "Token algorithm is not supported"}
	case CodeAlgorithmNotAllowed:
		return codeInfo{unauthorized, SeverityCritical, "Token algorithm is not allowed"}
	case CodeIssuerMissing:
		return codeInfo{unauthorized, SeverityHigh, "Token has no issuer"}
	case CodeIssuerInvalid:
		return codeInfo{unauthorized, SeverityHigh, "Token issuer is not trusted"}
	case CodeKeyIDMissing:
		return codeInfo{unauthorized, SeverityHigh, "Token does not name its key"}
	case CodeKeyIDInvalid:
		return codeInfo{unauthorized, SeverityHigh, "Token names its key in an invalid way"}
	case CodeKeyNotFound:
		return codeInfo{unauthorized, SeverityCritical, "Token is signed with an unknown key"}
	case CodeKeyMismatch:
		return codeInfo{unauthorized, SeverityCritical, "Token algorithm does not belong to its key"}
	case CodeSignature:
		return codeInfo{unauthorized, SeverityCritical, "Token signature is invalid"}
	case CodeAudienceMissing:
		return codeInfo{unauthorized, SeverityHigh, "Token has no audience"}
	case CodeAudienceInvalid:
		return codeInfo{unauthorized, SeverityHigh, "Token is for another audience"}
	case CodeExpirationMissing:
		return codeInfo{unauthorized, SeverityHigh, "Token has no expiry"}
	case CodeExpired:
		return codeInfo{unauthorized, SeverityMedium, "Token has expired"}
	case CodeNotYetValid:
		return codeInfo{unauthorized, SeverityMedium, "Token is not valid yet"}
	case CodeIssuedAtMissing:
		return codeInfo{unauthorized, SeverityHigh, "Token has no time of issue"}
	case CodeLifetime:
		return codeInfo{unauthorized, SeverityMedium, "Token lives longer than allowed"}
	case CodeSubject:
		return codeInfo{unauthorized, SeverityMedium, "Token has no valid subject"}
	case CodeClaim:
		return codeInfo{unauthorized, SeverityMedium, "Token has a claim of the wrong type"}
	case CodeClaimMissing:
		return codeInfo{unauthorized, SeverityMedium, "Token lacks a required claim"}
	case CodeUserRole:
		return codeInfo{unauthorized, SeverityMedium, "Token has an unknown user role"}
	case CodeTokenInvalid:
		return codeInfo{unauthorized, SeverityHigh, "Token is not valid"}
	case CodeTokenRevoked:
		return codeInfo{unauthorized, SeverityHigh, "Token has been revoked"}
	case CodeUserTokensRevoked:
		return codeInfo{unauthorized, SeverityHigh, "All earlier tokens of the user have been revoked"}
	case CodeProviderUnreachable:
		return codeInfo{unavailable, SeverityHigh, "Authentication provider can't be reached, try again"}
	case CodeProviderError:
		return codeInfo{unauthorized, SeverityHigh, "Authentication provider refused the token"}
	case CodeRole, CodeForbidden:
		return codeInfo{forbidden, SeverityMedium, "Insufficient permissions"}
	case CodeAAL:
		return codeInfo{forbidden, SeverityMedium, "A further authentication factor is required"}
	case CodeAnonymousRefused:
		return codeInfo{forbidden, SeverityMedium, "An account is required"}
	}
	info, _ := c.guardInfo()
	return info
}

// message is the standard text, also for a code that is not from this package.
func (c Code) message() string {
	if m := c.info().message; m != "" {
		return m
	}
	return CodeForbidden.info().message
}

// Codes lists every code of this package, so that a service can prove that its own
// table of answers is complete.
func Codes() []Code {
	return append([]Code{
		CodeHeaderMissing, CodeHeaderInvalid, CodeSchemeInvalid, CodeRateLimited, CodeHTTPSRequired,
		CodeTokenTooLarge, CodeTokenStructure, CodeBase64, CodeTokenHeader, CodeHeaderUnsupported, CodeTokenPayload,
		CodeTokenType, CodeAlgorithmUnsupported, CodeAlgorithmNotAllowed, CodeIssuerMissing, CodeIssuerInvalid,
		CodeKeyIDMissing, CodeKeyIDInvalid, CodeKeyNotFound, CodeKeyMismatch, CodeSignature,
		CodeAudienceMissing, CodeAudienceInvalid, CodeExpirationMissing, CodeExpired, CodeNotYetValid,
		CodeIssuedAtMissing, CodeLifetime, CodeSubject, CodeClaim, CodeClaimMissing, CodeUserRole,
		CodeTokenInvalid, CodeTokenRevoked, CodeUserTokensRevoked,
		CodeProviderUnreachable, CodeProviderError,
		CodeForbidden, CodeRole, CodeAAL, CodeAnonymousRefused,
	}, guardCodes()...)
}

// Error is the one error type of this package: every error of [Verifier.Verify] and of
// the middleware is an *Error.
type Error struct {
	Code       Code
	Message    string        // safe to show to the caller; never holds data of the token
	Cause      error         // for logs only, may be nil
	RetryAfter time.Duration // when trying again makes sense; 0: it does not

	// Required and Actual are filled in when a requirement failed: what it asked for
	// and what the caller had. For logs and audit, not for the answer.
	Required, Actual string

	// Status is the HTTP status of a code that is not from this package, 0 means 403. It
	// does not change the status of a code of this package.
	Status int
	// Details are shown to the caller by the encoders whose shape has room for them.
	Details map[string]any

	challenge string // what WWW-Authenticate says besides the scheme
}

// NewError makes an Error with the code's standard message, and with its Retry-After
// when the status is 503. The cause is for logs and may be nil.
func NewError(code Code, cause error) *Error {
	e := &Error{Code: code, Message: code.message(), Cause: cause}
	switch code {
	case CodeUserUnavailable:
		e.Details = map[string]any{"error_code": string(code)}
		e.RetryAfter = retryAfter
	case CodeProviderUnreachable, CodeTicketUnavailable, CodeConsentUnavailable:
		e.RetryAfter = retryAfter
	}
	return e
}

// Error gives a text for logs: code, message and cause.
func (e *Error) Error() string {
	if e == nil { // a requirement that returned a nil *Error as an error
		return "cardea: nil error"
	}
	s := "cardea: " + string(e.Code) + ": " + e.Message
	if e.Cause != nil {
		s += ": " + e.Cause.Error()
	}
	return s
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Cause }

// Is reports whether target is an *Error with the same code, so that
// errors.Is(err, &cardea.Error{Code: cardea.CodeExpired}) works.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code
}

// HTTPStatus gives 401, 403 or 503, and rarely 400, 405, 413, 429 or 500. A code of a
// service's own requirement is 403 unless Status says otherwise: the caller is known and
// may not do this.
func (e *Error) HTTPStatus() int {
	if status := e.Code.info().status; status != 0 {
		return status
	}
	if e.Status >= http.StatusBadRequest && e.Status < 600 {
		return e.Status
	}
	return http.StatusForbidden
}

// Severity says how alarming the failure is.
func (e *Error) Severity() Severity {
	if severity := e.Code.info().severity; severity != "" {
		return severity
	}
	return SeverityMedium
}

// Reason says which of three kinds a failed authentication is, for clients and services
// that need no more than that.
type Reason string

// The reasons.
const (
	ReasonInvalidToken        Reason = "invalid_token"        // 401: sign in again
	ReasonProviderUnreachable Reason = "provider_unreachable" // 503: keep the session and try again
	ReasonProviderError       Reason = "provider_error"       // 401: the issuer refused
)

// Reason gives the kind of the failure; "" when the caller is known but may not do this,
// or sent no token at all.
func (e *Error) Reason() Reason {
	switch {
	case e.Code == CodeProviderUnreachable:
		return ReasonProviderUnreachable
	case e.Code == CodeProviderError:
		return ReasonProviderError
	case e.Code == CodeHeaderMissing || e.HTTPStatus() != http.StatusUnauthorized:
		return ""
	}
	return ReasonInvalidToken
}

// CodeOf gives the code of err, "" for an error that is not from this package.
func CodeOf(err error) Code {
	var e *Error
	if errors.As(err, &e) && e != nil {
		return e.Code
	}
	return ""
}

// asError makes any error of foreign code (a key source, a requirement) one of ours,
// under the given code unless accept says its own may pass.
func asError(err error, fallback Code, accept func(Code) bool) *Error {
	var e *Error
	if errors.As(err, &e) && e != nil && accept(e.Code) {
		return e
	}
	return NewError(fallback, err)
}
