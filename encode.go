package cardea

import (
	"encoding/json"
	"maps"
	"net/http"
)

// ErrorEncoder writes the answer of a refused request. The headers WWW-Authenticate,
// Retry-After and Cache-Control are set already; it writes the status, from
// [Error.HTTPStatus], and the body. Nothing of Cause, Required and Actual may be shown.
type ErrorEncoder func(w http.ResponseWriter, r *http.Request, e *Error)

// EncodeDetail writes {"detail": "...", "code": "UPPER_SNAKE"}, which a client of FastAPI
// reads. It is the default.
func EncodeDetail(w http.ResponseWriter, _ *http.Request, e *Error) {
	writeBody(w, e, "application/json", struct {
		Detail string `json:"detail"`
		Code   Code   `json:"code"`
	}{e.Message, e.Code})
}

// EncodeFixedDetail gives an encoder that writes {"detail": "..."} and nothing else, with
// one text for every 401 and one for every 403, for clients that compare the text. Other
// statuses have the failure's own message.
func EncodeFixedDetail(unauthorized, forbidden string) ErrorEncoder {
	return func(w http.ResponseWriter, _ *http.Request, e *Error) {
		text := e.Message
		switch e.HTTPStatus() {
		case http.StatusUnauthorized:
			text = unauthorized
		case http.StatusForbidden:
			text = forbidden
		}
		writeBody(w, e, "application/json", struct {
			Detail string `json:"detail"`
		}{text})
	}
}

// EncodeEnvelope writes {"error": {"code": "...", "message": "...", "details": {...}}};
// details only if there are any.
//
// Clients of this shape know five codes of 401, so every refused token is TOKEN_INVALID
// and a refusal of the provider AUTHENTICATION_FAILED; details.error_code says exactly
// what is wrong. AUTH_HEADER_MISSING, INVALID_AUTH_HEADER, INVALID_AUTH_SCHEME and all
// codes of other statuses stay as they are.
func EncodeEnvelope(w http.ResponseWriter, _ *http.Request, e *Error) {
	type inner struct {
		Code    Code           `json:"code"`
		Message string         `json:"message"`
		Details map[string]any `json:"details,omitempty"`
	}
	type outer struct {
		Error inner `json:"error"`
	}
	code, details := envelopeCode(e), e.Details
	if code != e.Code {
		details = maps.Clone(details)
		if details == nil {
			details = map[string]any{}
		}
		details["error_code"] = string(e.Code)
	}
	if _, err := json.Marshal(details); err != nil {
		details = nil // a service put something there that is no JSON
	}
	writeBody(w, e, "application/json", outer{inner{code, e.Message, details}})
}

func envelopeCode(e *Error) Code {
	switch e.Code {
	case CodeHeaderMissing, CodeHeaderInvalid, CodeSchemeInvalid:
		return e.Code
	case CodeProviderError:
		return "AUTHENTICATION_FAILED"
	}
	if e.Code.info().status == http.StatusUnauthorized {
		return CodeTokenInvalid
	}
	return e.Code
}

// EncodeMessageStatus writes {"error": {"message": "...", "status": 401}}.
func EncodeMessageStatus(w http.ResponseWriter, _ *http.Request, e *Error) {
	type inner struct {
		Message string `json:"message"`
		Status  int    `json:"status"`
	}
	writeBody(w, e, "application/json", struct {
		Error inner `json:"error"`
	}{inner{e.Message, e.HTTPStatus()}})
}

// EncodeProblem writes a problem document (RFC 9457): type, title, status and detail, with
// the members code and, if there are any, details. The type is about:blank, so the title
// is the status in words (RFC 9457 §4.2.1); programs look at code.
func EncodeProblem(w http.ResponseWriter, _ *http.Request, e *Error) {
	details := e.Details
	if _, err := json.Marshal(details); err != nil {
		details = nil
	}
	status := e.HTTPStatus()
	writeBody(w, e, "application/problem+json", struct {
		Type    string         `json:"type"`
		Title   string         `json:"title"`
		Status  int            `json:"status"`
		Detail  string         `json:"detail"`
		Code    Code           `json:"code"`
		Details map[string]any `json:"details,omitempty"`
	}{"about:blank", http.StatusText(status), status, e.Message, e.Code, details})
}

func writeBody(w http.ResponseWriter, e *Error, contentType string, body any) {
	writeJSON(w, e.HTTPStatus(), contentType, body)
}

func writeJSON(w http.ResponseWriter, status int, contentType string, body any) {
	text, err := json.Marshal(body)
	if err != nil { // texts, numbers and what was tried before always marshal
		text = []byte(`{}`)
	}
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n')) // the client may be gone
}
