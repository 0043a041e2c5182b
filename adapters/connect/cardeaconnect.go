// Package cardeaconnect guards Connect services with package cardea: the guards and hooks
// of net/http, with refusals in the protocol of the caller (Connect, gRPC or gRPC-Web).
//
//	import cardeaconnect "github.com/cardea-auth/cardea/adapters/connect"
//
//	path, handler := patientv1connect.NewPatientServiceHandler(service)
//	mux.Handle(path, cardeaconnect.Require(v, cardea.Role("doctor"))(handler))
//
// A guard stands in front of the handler and is no interceptor: an interceptor runs after
// the message was read, decompressed and decoded, which is much to do for a stranger.
// Requirements see the *http.Request; a message in it is not looked into, except that a
// requirement of package cardea for a field of a JSON body sees the one of a unary call in
// JSON, and refuses every other.
//
// One procedure can have a guard of its own, because the longer path wins in [http.ServeMux]:
//
//	mux.Handle(patientv1connect.PatientServiceDeletePatientProcedure, admin(handler))
//
// A stream is judged once, when it begins; it may outlive the token.
//
// # Refusals
//
// The Verifier's ErrorEncoder is not used. The code is that of [Error]; the detail
// google.rpc.ErrorInfo holds cardea's code as reason, in the domain [Domain], and
// google.rpc.RetryInfo says when trying again makes sense. WWW-Authenticate and
// Retry-After are headers of the answer, as in net/http.
//
// Behind a guard the Principal is in the context of the handler's method.
package cardeaconnect

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/cardea-auth/cardea"
)

// Domain is the domain of the ErrorInfo of every refusal.
const Domain = "cardea"

// Require lets only callers pass who have a valid token and meet all requirements, as
// [cardea.Verifier.Require] does. A nil Verifier, requirement or handler is a programming
// error: Require panics when the route is registered.
func Require(v *cardea.Verifier, first cardea.Requirement, more ...cardea.Requirement) func(http.Handler) http.Handler {
	if v == nil {
		panic("cardeaconnect: Require with a nil Verifier")
	}
	v.Require(first, more...) // panics if a requirement is nil
	writer := connect.NewErrorWriter()
	return func(next http.Handler) http.Handler {
		if next == nil {
			panic("cardeaconnect: Require around a nil handler")
		}
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			authorized, err := v.Authorize(r, first, more...)
			if err != nil {
				refuse(writer, w, r, err)
				return
			}
			next.ServeHTTP(w, authorized)
		})
	}
}

// Optional lets every caller pass, with a Principal if there is a valid token, as
// [cardea.Verifier.Optional] does. A nil Verifier or handler is a programming error: it
// panics.
func Optional(v *cardea.Verifier) func(http.Handler) http.Handler {
	if v == nil {
		panic("cardeaconnect: Optional with a nil Verifier")
	}
	return v.Optional() // it refuses nobody, so that there is nothing to translate
}

func refuse(writer *connect.ErrorWriter, w http.ResponseWriter, r *http.Request, err error) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	// Not in the error's metadata: with gRPC that is the trailer, where neither may stand
	// (RFC 9110 §6.5.1).
	var e *cardea.Error
	if errors.As(err, &e) && e != nil {
		if challenge := e.Challenge(); challenge != "" {
			h.Set("WWW-Authenticate", challenge)
		}
		if e.RetryAfter > 0 {
			h.Set("Retry-After", strconv.FormatInt(int64((e.RetryAfter+time.Second-1)/time.Second), 10))
		}
	}
	// Of another protocol than the three: the writer answers in JSON, with the status.
	if err := writer.Write(w, r, Error(err)); err != nil {
		return // the client has gone: nobody is left to tell
	}
}

// Error makes a Connect error of what package cardea gives, such as [cardea.Check] in a
// method that has to look at its message first; nil stays nil. An error of somebody else
// becomes CodeInternal without its text.
func Error(err error) error {
	if err == nil {
		return nil
	}
	var e *cardea.Error
	if !errors.As(err, &e) || e == nil {
		return connect.NewError(connect.CodeInternal, errors.New("internal error"))
	}
	refusal := connect.NewError(code(e.HTTPStatus()), errors.New(e.Message))
	info := &errdetails.ErrorInfo{Reason: string(e.Code), Domain: Domain, Metadata: map[string]string{}}
	for name, value := range e.Details {
		info.Metadata[name] = fmt.Sprint(value)
	}
	if detail, err := connect.NewErrorDetail(info); err == nil {
		refusal.AddDetail(detail)
	}
	if e.RetryAfter > 0 {
		if detail, err := connect.NewErrorDetail(&errdetails.RetryInfo{RetryDelay: durationpb.New(e.RetryAfter)}); err == nil {
			refusal.AddDetail(detail)
		}
	}
	return refusal
}

// code is the Connect code that stands for an HTTP status, as the protocol maps them.
func code(status int) connect.Code {
	switch status {
	case http.StatusUnauthorized:
		return connect.CodeUnauthenticated
	case http.StatusForbidden:
		return connect.CodePermissionDenied
	case http.StatusBadRequest, http.StatusUnprocessableEntity:
		return connect.CodeInvalidArgument
	case http.StatusNotFound:
		return connect.CodeNotFound
	case http.StatusConflict:
		return connect.CodeAborted
	case http.StatusRequestEntityTooLarge, http.StatusTooManyRequests:
		return connect.CodeResourceExhausted
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return connect.CodeUnavailable
	}
	if status >= http.StatusInternalServerError {
		return connect.CodeInternal
	}
	return connect.CodePermissionDenied
}
