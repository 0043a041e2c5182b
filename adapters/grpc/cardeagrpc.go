// Package cardeagrpc guards the methods of a gRPC server with package cardea.
//
//	import cardeagrpc "github.com/cardea-auth/cardea/adapters/grpc"
//
//	guards := cardeagrpc.Guards{
//		Default: cardeagrpc.Require(v, cardea.NotAnonymous()),
//		Methods: map[string]cardeagrpc.Guard{
//			"/clinic.v1.Patients/Delete":  cardeagrpc.Require(v, cardea.Role("admin")),
//			"/grpc.health.v1.Health/":     cardeagrpc.Optional(v),
//		},
//	}
//	server := grpc.NewServer(guards.ServerOptions()...)
//	// register the services, then
//	if err := guards.Check(server.GetServiceInfo()); err != nil { ... }
//
// The token is the metadata entry authorization, as "Bearer" and the token. A method that
// no guard is for is refused.
//
// Requirements and hooks see an *http.Request with the method's full name as path, the
// metadata as headers (without binary entries), the address of the peer and its TLS
// state. Its body is the message of a unary call as JSON, with the names that the fields
// have in the .proto file, so that cardea.Tenant(cardea.InBody("clinic_id")) is about the
// field clinic_id of the message. A field with its default value counts as absent, and so
// do fields in other messages.
//
// gRPC reads and decodes the message of a unary call before any guard: limit its size
// (grpc.MaxRecvMsgSize). A stream is judged once, when it begins, without its messages; it
// may outlive the token. What depends on a message there is for the method to ask, with
// [Error] for what it answers.
//
// # Refusals
//
// The Verifier's ErrorEncoder is not used. The code is that of [Error]; the detail
// google.rpc.ErrorInfo holds cardea's code as reason, in the domain [Domain], and
// google.rpc.RetryInfo says when trying again makes sense. WWW-Authenticate is in the
// trailer.
//
// Behind a guard the Principal is in the method's context. gRPC does not recover from
// panics: an interceptor that does belongs before the guards.
package cardeagrpc

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/cardea-auth/cardea"
)

// Guard says who may call a method. The zero Guard lets nobody pass.
type Guard struct {
	verifier     *cardea.Verifier
	optional     bool
	requirements []cardea.Requirement
}

// Require lets only callers pass who have a valid token and meet all requirements, as
// [cardea.Verifier.Require] does. A nil Verifier or requirement is a programming error:
// Require panics.
func Require(v *cardea.Verifier, first cardea.Requirement, more ...cardea.Requirement) Guard {
	if v == nil {
		panic("cardeagrpc: Require with a nil Verifier")
	}
	v.Require(first, more...) // panics if a requirement is nil
	return Guard{verifier: v, requirements: append([]cardea.Requirement{first}, more...)}
}

// Optional lets every caller pass, with a Principal if there is a valid token, as
// [cardea.Verifier.Optional] does. A nil Verifier is a programming error: it panics.
func Optional(v *cardea.Verifier) Guard {
	if v == nil {
		panic("cardeagrpc: Optional with a nil Verifier")
	}
	return Guard{verifier: v, optional: true}
}

// admit gives the context for the method. Its error is a gRPC status.
func (g Guard) admit(ctx context.Context, method string, message any) (context.Context, error) {
	switch {
	case g.verifier == nil:
		return nil, Error(cardea.NewError(cardea.CodeForbidden, nil))
	case g.optional:
		return g.verifier.Identify(request(ctx, method, nil)).Context(), nil
	}
	r, err := g.verifier.Authorize(request(ctx, method, message), g.requirements[0], g.requirements[1:]...)
	if err != nil {
		tell(ctx, err)
		return nil, Error(err)
	}
	return r.Context(), nil
}

// request tells what is known of the call in the words of net/http.
func request(ctx context.Context, method string, message any) *http.Request {
	r := (&http.Request{
		Method: http.MethodPost, URL: &url.URL{Path: method}, RequestURI: method, Header: http.Header{},
		Proto: "HTTP/2.0", ProtoMajor: 2, Body: http.NoBody,
	}).WithContext(ctx)
	md, _ := metadata.FromIncomingContext(ctx)
	for name, values := range md {
		switch {
		case name == ":authority" && len(values) == 1:
			r.Host = values[0]
		case strings.HasPrefix(name, ":"), strings.HasSuffix(name, "-bin"):
		default:
			for _, value := range values {
				r.Header.Add(name, value)
			}
		}
	}
	if m, ok := message.(proto.Message); ok {
		r.Body, r.ContentLength = io.NopCloser(&body{message: m}), -1
		r.Header["Content-Type"] = []string{"application/json"} // of the body that a requirement reads
		r.Header.Del("Content-Encoding")
	}
	if p, ok := peer.FromContext(ctx); ok {
		if p.Addr != nil {
			r.RemoteAddr = p.Addr.String()
		}
		if info, ok := p.AuthInfo.(credentials.TLSInfo); ok {
			r.TLS = &info.State
		}
	}
	return r
}

// body is a message as JSON, written when a requirement reads it.
type body struct {
	message proto.Message
	text    *bytes.Reader
}

// Read implements io.Reader.
func (b *body) Read(into []byte) (int, error) {
	if b.text == nil {
		text, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(b.message)
		if err != nil {
			return 0, err
		}
		b.text = bytes.NewReader(text)
	}
	return b.text.Read(into)
}

// Principal gives the caller, as [cardea.PrincipalFrom] does: behind Require there always
// is one, behind Optional false means an anonymous caller.
func Principal(ctx context.Context) (*cardea.Principal, bool) {
	return cardea.PrincipalFrom(ctx)
}

// stream is a stream with another context.
type stream struct {
	grpc.ServerStream
	ctx context.Context
}

// Context implements grpc.ServerStream.
func (s stream) Context() context.Context { return s.ctx }
