package cardea

import "net/http"

// The codes of the guards: the caller is known and may not do this. Status 403.
const (
	CodePermission   Code = "INSUFFICIENT_PERMISSION" // none, or not all, of the permissions asked for
	CodeScope        Code = "INSUFFICIENT_SCOPE"      // the client was not granted the scope (RFC 6750 §3.1)
	CodeFresh        Code = "REAUTHENTICATION_REQUIRED"
	CodeTenantAbsent Code = "TENANT_REQUIRED"      // the request names no tenant where the route wants one
	CodeTenant       Code = "TENANT_ACCESS_DENIED" // the caller is no member of that tenant
	CodeOwner        Code = "OWNER_MISMATCH"       // the request names another user than the token
	CodeUserInactive Code = "USER_INACTIVE"        // the service's own record of the user says no
	CodeConsent      Code = "CONSENT_REQUIRED"     // never given, withdrawn or expired; Details says to what
)

// The codes of a request that a guard can't judge.
const (
	CodeConflictingIDs Code = "CONFLICTING_IDS"        // 400: two places name two different tenants
	CodeRequestInvalid Code = "INVALID_REQUEST"        // 400: query or body can't be read in one way only
	CodeBodyTooLarge   Code = "REQUEST_BODY_TOO_LARGE" // 413: more than the guard may read
	CodeMethod         Code = "METHOD_NOT_ALLOWED"     // 405: of a handler of this package
	// CodeUserUnavailable: the service could not load its own record of the user. Status
	// 503 with Retry-After: nothing is known against the caller.
	CodeUserUnavailable Code = "AUTH_DB_UNAVAILABLE"
	// CodeConsentUnavailable: [Config].Consents could not tell. Status 503 with Retry-After.
	CodeConsentUnavailable Code = "CONSENT_UNAVAILABLE"
	// CodeInternal: an error of the service itself that [Verifier.WriteError] was given.
	CodeInternal Code = "INTERNAL_ERROR"
)

// The codes of [Tickets].
const (
	CodeTicketInvalid     Code = "INVALID_TICKET"           // 401: unknown, used, expired, or for another path or origin
	CodeTokenInURL        Code = "TOKEN_IN_URL"             // 401: an access token in the query, where it ends up in logs
	CodeTicketUnavailable Code = "TICKET_STORE_UNAVAILABLE" // 503: the store is full or down
)

func guardCodes() []Code {
	return []Code{
		CodePermission, CodeScope, CodeFresh, CodeTenantAbsent, CodeTenant, CodeOwner, CodeUserInactive, CodeConsent,
		CodeConflictingIDs, CodeRequestInvalid, CodeBodyTooLarge, CodeMethod, CodeUserUnavailable, CodeConsentUnavailable, CodeInternal,
		CodeTicketInvalid, CodeTokenInURL, CodeTicketUnavailable,
	}
}

// guardInfo is the part of Code.info for the codes above.
func (c Code) guardInfo() (codeInfo, bool) {
	switch c {
	case CodePermission:
		return codeInfo{http.StatusForbidden, SeverityMedium, "Insufficient permissions"}, true
	case CodeScope:
		return codeInfo{http.StatusForbidden, SeverityMedium, "The token lacks a scope that is needed here"}, true
	case CodeFresh:
		return codeInfo{http.StatusForbidden, SeverityLow, "More recent authentication is required"}, true
	case CodeTenantAbsent:
		return codeInfo{http.StatusForbidden, SeverityMedium, "The request does not say which tenant it is for"}, true
	case CodeTenant:
		return codeInfo{http.StatusForbidden, SeverityHigh, "Access to this tenant is denied"}, true
	case CodeOwner:
		return codeInfo{http.StatusForbidden, SeverityHigh, "Access to another user's data is denied"}, true
	case CodeUserInactive:
		return codeInfo{http.StatusForbidden, SeverityMedium, "User account is inactive"}, true
	case CodeConsent:
		return codeInfo{http.StatusForbidden, SeverityLow, "Consent is needed for this"}, true
	case CodeConflictingIDs:
		return codeInfo{http.StatusBadRequest, SeverityHigh, "The request names different ids in different places"}, true
	case CodeRequestInvalid:
		return codeInfo{http.StatusBadRequest, SeverityMedium, "The request is malformed"}, true
	case CodeBodyTooLarge:
		return codeInfo{http.StatusRequestEntityTooLarge, SeverityMedium, "The request body is too large"}, true
	case CodeMethod:
		return codeInfo{http.StatusMethodNotAllowed, SeverityLow, "Method is not allowed"}, true
	case CodeUserUnavailable:
		return codeInfo{http.StatusServiceUnavailable, SeverityHigh, "User data can't be read at the moment, try again"}, true
	case CodeConsentUnavailable:
		return codeInfo{http.StatusServiceUnavailable, SeverityHigh, "Consents can't be read at the moment, try again"}, true
	case CodeInternal:
		return codeInfo{http.StatusInternalServerError, SeverityHigh, "Internal error"}, true
	case CodeTicketInvalid:
		return codeInfo{http.StatusUnauthorized, SeverityMedium, "Ticket is invalid, used or expired"}, true
	case CodeTokenInURL:
		return codeInfo{http.StatusUnauthorized, SeverityHigh, "Access tokens are not accepted in the URL"}, true
	case CodeTicketUnavailable:
		return codeInfo{http.StatusServiceUnavailable, SeverityHigh, "No ticket can be handled at the moment, try again"}, true
	}
	return codeInfo{}, false
}

// defaultCode names an error without a code by its status.
func defaultCode(status int) Code {
	switch status {
	case http.StatusBadRequest:
		return "BAD_REQUEST"
	case http.StatusUnauthorized:
		return "UNAUTHORIZED"
	case http.StatusForbidden:
		return CodeForbidden
	case http.StatusNotFound:
		return "NOT_FOUND"
	case http.StatusConflict:
		return "CONFLICT"
	case http.StatusUnprocessableEntity:
		return "VALIDATION_ERROR"
	case http.StatusTooManyRequests:
		return CodeRateLimited
	case http.StatusInternalServerError:
		return CodeInternal
	case http.StatusBadGateway, http.StatusGatewayTimeout:
		return "EXTERNAL_SERVICE_ERROR"
	case http.StatusServiceUnavailable:
		return "SERVICE_UNAVAILABLE"
	}
	return "REQUEST_FAILED"
}
