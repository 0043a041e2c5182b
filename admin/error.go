package admin

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// Codes of [Error] that callers often tell apart. There are more: the reference of the API
// lists them, and new ones may be added.
const (
	CodeValidation       = "VALIDATION_FAILED"   // a field, or the reason, is wrong or missing; Message says which
	CodeNotFound         = "NOT_FOUND"           // nothing has this id: a key, a message
	CodeUserNotFound     = "USER_NOT_FOUND"      // no such account
	CodeTenantNotFound   = "TENANT_NOT_FOUND"    // no such tenant
	CodeMemberNotFound   = "MEMBER_NOT_FOUND"    // no such membership
	CodeRelationNotFound = "RELATION_NOT_FOUND"  // no such relation, or it has ended
	CodeSessionNotFound  = "SESSION_NOT_FOUND"   // no such session of this account
	CodeEmailExists      = "EMAIL_EXISTS"        // another account has the address
	CodePhoneExists      = "PHONE_EXISTS"        // another account has the number
	CodeSlugExists       = "SLUG_EXISTS"         // another tenant has the slug
	CodeMemberExists     = "MEMBER_EXISTS"       // the person is a member already
	CodeRelationExists   = "RELATION_EXISTS"     // the relation holds already
	CodeLastOwner        = "LAST_OWNER"          // the tenant would be without an owner
	CodeWeakPassword     = "WEAK_PASSWORD"       // Reasons says why
	CodeConflict         = "CONFLICT"            // not in this state; Message says why
	CodeNotAdmin         = "NOT_ADMIN"           // the key is no operator's, or a browser has it
	CodeTokenInvalid     = "TOKEN_INVALID"       // the key is unknown or revoked
	CodeRateLimited      = "RATE_LIMIT_EXCEEDED" // try again after RetryAfter
	CodeUnavailable      = "SERVICE_UNAVAILABLE" // the server's database can't be reached
	CodeNotAvailable     = "FEATURE_DISABLED"    // not on this server
)

// Error is a refusal by the server.
type Error struct {
	Method, Path string
	Status       int
	Code         string   // stable; "" when the answer was not the API's, such as a proxy's
	Message      string   // for people
	Reasons      []string // machine-readable details, such as the reasons of a weak password
	RequestID    string   // names the server's log line; "" if the answer had none
	RetryAfter   time.Duration
}

// Error says what was refused. It holds no secret: the key is in no path.
func (e *Error) Error() string {
	s := fmt.Sprintf("admin: %s %s: %d", e.Method, e.Path, e.Status)
	if e.Code != "" {
		s += " " + e.Code
	}
	if e.Message != "" {
		s += ": " + e.Message
	}
	if e.RequestID != "" {
		s += " (request " + e.RequestID + ")"
	}
	return s
}

// CodeOf gives the code of an error of this package, "" for any other.
func CodeOf(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// errorOf reads a refusal. A body that is not the API's own gives an Error without a code.
func errorOf(method, path string, res *http.Response, body []byte, now time.Time) *Error {
	e := &Error{
		Method: method, Path: path, Status: res.StatusCode, RetryAfter: retryAfter(res.Header.Get("Retry-After"), now),
		RequestID: res.Header.Get("X-Request-Id"),
	}
	var doc struct {
		Detail    string   `json:"detail"`
		Code      string   `json:"code"`
		RequestID string   `json:"request_id"`
		Reasons   []string `json:"reasons"`
	}
	if json.Unmarshal(body, &doc) != nil || doc.Code == "" {
		e.Message = strings.ToLower(http.StatusText(res.StatusCode))
		return e
	}
	e.Message, e.Code, e.Reasons = doc.Detail, doc.Code, doc.Reasons
	if doc.RequestID != "" {
		e.RequestID = doc.RequestID
	}
	return e
}
