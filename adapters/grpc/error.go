package cardeagrpc

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/cardea-auth/cardea"
)

// Domain is the domain of the ErrorInfo of every refusal.
const Domain = "cardea"

// Error makes a gRPC status of what package cardea gives, such as [cardea.Check] in a
// method that has to look at its message first; nil stays nil. An error of somebody else
// becomes codes.Internal without its text.
func Error(err error) error {
	if err == nil {
		return nil
	}
	var e *cardea.Error
	if !errors.As(err, &e) || e == nil {
		return status.Error(codes.Internal, "internal error")
	}
	info := &errdetails.ErrorInfo{Reason: string(e.Code), Domain: Domain, Metadata: map[string]string{}}
	for name, value := range e.Details {
		info.Metadata[name] = fmt.Sprint(value)
	}
	details := []protoadapt.MessageV1{info}
	if e.RetryAfter > 0 {
		details = append(details, &errdetails.RetryInfo{RetryDelay: durationpb.New(e.RetryAfter)})
	}
	plain := status.New(code(e.HTTPStatus()), e.Message)
	if full, err := plain.WithDetails(details...); err == nil {
		return full.Err()
	}
	return plain.Err()
}

// tell puts the challenge into the trailer.
func tell(ctx context.Context, err error) {
	var e *cardea.Error
	if !errors.As(err, &e) || e == nil || e.Challenge() == "" {
		return
	}
	// It fails outside of a server only; the status says the same.
	_ = grpc.SetTrailer(ctx, metadata.Pairs("www-authenticate", e.Challenge()))
}

// code is the gRPC code that stands for an HTTP status.
func code(httpStatus int) codes.Code {
	switch httpStatus {
	case http.StatusUnauthorized:
		return codes.Unauthenticated
	case http.StatusForbidden:
		return codes.PermissionDenied
	case http.StatusBadRequest, http.StatusUnprocessableEntity:
		return codes.InvalidArgument
	case http.StatusNotFound:
		return codes.NotFound
	case http.StatusConflict:
		return codes.Aborted
	case http.StatusRequestEntityTooLarge, http.StatusTooManyRequests:
		return codes.ResourceExhausted
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return codes.Unavailable
	}
	if httpStatus >= http.StatusInternalServerError {
		return codes.Internal
	}
	return codes.PermissionDenied
}
