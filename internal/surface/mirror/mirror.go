// Package mirror is the facade of an application that mirrors the users of an external
// issuer, below /api/v1. So far it answers one route:
//
//	POST   /auth/identifier-status        how a person can sign in
//
// Errors are {"error": {"code", "message"}} with codes in capitals.
package mirror

import (
	"math"
	"net/http"
	"strconv"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/flow"
	"github.com/cardea-auth/cardea/internal/web"
)

// Config wires the surface.
type Config struct {
	Accounts *flow.Accounts
}

type surface struct{ c Config }

// Handler serves the surface; the prefix has been stripped.
func Handler(c Config) http.Handler {
	s := &surface{c}
	mux := http.NewServeMux()
	mux.Handle("POST /auth/identifier-status", web.Handle(s.identifierStatus, writeError))
	mux.Handle("/", web.Handle(func(http.ResponseWriter, *http.Request) error { return errNoRoute }, writeError))
	return mux
}

// identifierStatus is POST /auth/identifier-status.
func (s *surface) identifierStatus(w http.ResponseWriter, r *http.Request) error {
	body, err := web.ReadObject(r)
	if err != nil {
		return err
	}
	f := body.Fields()
	identifier := f.String("identifier")
	if err := f.Err(); err != nil {
		return err
	}
	status, err := s.c.Accounts.IdentifierStatus(r.Context(), identifier, web.Meta(r))
	if err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusOK, struct {
		Exists      bool   `json:"exists"`
		Verified    bool   `json:"verified"`
		HasPassword bool   `json:"has_password"`
		Channel     string `json:"channel"`
		NextStep    string `json:"next_step"`
	}{status.Exists, status.Verified, status.HasPassword, status.Channel, status.NextStep})
}

const codeNoRoute auth.Code = "no_route"

var errNoRoute = auth.E(codeNoRoute, "")

// wireOf is the status, the code and the sentence of an error. Codes that this surface can't
// meet are a failure of the server.
func wireOf(c auth.Code) (status int, code, message string) {
	switch c {
	case codeNoRoute:
		return http.StatusNotFound, "NOT_FOUND", "There is no such route"
	case auth.CodeFeatureDisabled:
		return http.StatusNotFound, "FEATURE_DISABLED", "This feature is not available on this server"
	case auth.CodeBadJSON:
		return http.StatusBadRequest, "BAD_REQUEST", "The request body could not be read"
	case auth.CodeBodyTooLarge:
		return http.StatusRequestEntityTooLarge, "REQUEST_TOO_LARGE", "The request body is too large"
	case auth.CodeValidation:
		return http.StatusUnprocessableEntity, "VALIDATION_ERROR", "The request is not valid"
	case auth.CodeRateLimited:
		return http.StatusTooManyRequests, "RATE_LIMIT_EXCEEDED", "Too many requests, please try again later"
	case auth.CodeUnavailable:
		return http.StatusServiceUnavailable, "SERVICE_UNAVAILABLE", "The service is not available right now, please try again"
	case auth.CodeRequestTimeout:
		return http.StatusGatewayTimeout, "REQUEST_TIMEOUT", "The request took too long"
	}
	return http.StatusInternalServerError, "INTERNAL_ERROR", "Unexpected failure"
}

func writeError(w http.ResponseWriter, _ *http.Request, e *auth.Error) {
	status, code, message := wireOf(e.Code)
	if e.Message != "" && status < http.StatusInternalServerError {
		message = e.Message
	}
	if e.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(e.RetryAfter.Seconds()))))
	}
	type body struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	}
	_ = web.WriteJSON(w, status, struct {
		Error body `json:"error"`
	}{body{code, message}})
}
