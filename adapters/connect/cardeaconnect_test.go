package cardeaconnect_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/cardea-auth/cardea"
	cardeaconnect "github.com/cardea-auth/cardea/adapters/connect"
	"github.com/cardea-auth/cardea/cardeatest/guardtest"
)

const (
	unaryService  = "/guardtest.v1.Unary/"
	streamService = "/guardtest.v1.Stream/"
)

// A8.1, for every protocol that a handler speaks.
func TestTruthTable(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		service string
		call    func(*client, testing.TB, string, http.Header) (string, error)
		options []connect.ClientOption
	}{
		{"Connect", unaryService, (*client).unary, nil},
		{"Connect, JSON", unaryService, (*client).unary, []connect.ClientOption{connect.WithProtoJSON()}},
		{"Connect, GET", unaryService, (*client).unary, []connect.ClientOption{connect.WithHTTPGet()}},
		{"Connect, stream", streamService, (*client).stream, nil},
		{"gRPC", unaryService, (*client).unary, []connect.ClientOption{connect.WithGRPC()}},
		{"gRPC, stream", streamService, (*client).stream, []connect.ClientOption{connect.WithGRPC()}},
		{"gRPC-Web", unaryService, (*client).unary, []connect.ClientOption{connect.WithGRPCWeb()}},
		{"gRPC-Web, stream", streamService, (*client).stream, []connect.ClientOption{connect.WithGRPCWeb()}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			guardtest.Run(t, func(t testing.TB, v *cardea.Verifier) guardtest.Do {
				client := serve(t, services(v), c.options...)
				return func(t testing.TB, route guardtest.Route, header http.Header) guardtest.Answer {
					t.Helper()
					body, err := c.call(client, t, c.service+route.Name, header)
					return readAnswer(t, body, err)
				}
			})
		})
	}
}

// services has each route twice: as a unary procedure and as one that streams its answer.
func services(v *cardea.Verifier) http.Handler {
	mux := http.NewServeMux()
	for _, route := range guardtest.Routes() {
		guard := guardtest.Guard(route, v, cardeaconnect.Require, cardeaconnect.Optional)
		mux.Handle(unaryService+route.Name, guard(connect.NewUnaryHandlerSimple(unaryService+route.Name,
			func(ctx context.Context, _ *emptypb.Empty) (*wrapperspb.StringValue, error) { return see(ctx), nil },
			connect.WithIdempotency(connect.IdempotencyNoSideEffects))))
		mux.Handle(streamService+route.Name, guard(connect.NewServerStreamHandler(streamService+route.Name,
			func(ctx context.Context, _ *connect.Request[emptypb.Empty], s *connect.ServerStream[wrapperspb.StringValue]) error {
				return s.Send(see(ctx))
			})))
	}
	return mux
}

func see(ctx context.Context) *wrapperspb.StringValue {
	p, ok := cardea.PrincipalFrom(ctx)
	return wrapperspb.String(guardtest.See(ctx, p, ok).JSON())
}

// client calls a server over HTTP/2, which gRPC needs.
type client struct {
	http    *http.Client
	url     string
	options []connect.ClientOption
}

func serve(t testing.TB, h http.Handler, options ...connect.ClientOption) *client {
	t.Helper()
	server := httptest.NewUnstartedServer(h)
	var both http.Protocols
	both.SetHTTP1(true)
	both.SetUnencryptedHTTP2(true)
	server.Config.Protocols = &both
	server.Start()
	t.Cleanup(server.Close)
	var second http.Protocols
	second.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: &second, DialContext: (&net.Dialer{}).DialContext}
	t.Cleanup(transport.CloseIdleConnections)
	return &client{&http.Client{Transport: transport}, server.URL, options}
}

func (c *client) procedure(name string) *connect.Client[emptypb.Empty, wrapperspb.StringValue] {
	options := append([]connect.ClientOption{connect.WithIdempotency(connect.IdempotencyNoSideEffects)}, c.options...)
	return connect.NewClient[emptypb.Empty, wrapperspb.StringValue](c.http, c.url+name, options...)
}

func message(header http.Header) *connect.Request[emptypb.Empty] {
	m := connect.NewRequest(&emptypb.Empty{})
	for name, values := range header {
		for _, value := range values {
			m.Header().Add(name, value)
		}
	}
	return m
}

func (c *client) unary(t testing.TB, procedure string, header http.Header) (string, error) {
	t.Helper()
	answer, err := c.procedure(procedure).CallUnary(t.Context(), message(header))
	if err != nil {
		return "", err
	}
	return answer.Msg.GetValue(), nil
}

func (c *client) stream(t testing.TB, procedure string, header http.Header) (string, error) {
	t.Helper()
	s, err := c.procedure(procedure).CallServerStream(t.Context(), message(header))
	if err != nil {
		return "", err
	}
	defer func() { _ = s.Close() }() // what went wrong, Err says
	value := ""
	for s.Receive() {
		value = s.Msg().GetValue()
	}
	return value, s.Err()
}

// readAnswer says in the words of HTTP what a client got.
func readAnswer(t testing.TB, body string, err error) guardtest.Answer {
	t.Helper()
	if err == nil {
		seen, err := guardtest.ParseSeen(body)
		if err != nil {
			t.Fatal(err)
		}
		return guardtest.Answer{Status: http.StatusOK, Seen: seen}
	}
	var e *connect.Error
	if !errors.As(err, &e) {
		t.Fatalf("no Connect error: %v", err)
	}
	statuses := map[connect.Code]int{
		connect.CodeUnauthenticated:  http.StatusUnauthorized,
		connect.CodePermissionDenied: http.StatusForbidden,
		connect.CodeUnavailable:      http.StatusServiceUnavailable,
		connect.CodeInvalidArgument:  http.StatusBadRequest,
	}
	a := guardtest.Answer{
		Status: statuses[e.Code()], Message: e.Message(), Challenge: e.Meta().Get("WWW-Authenticate"),
	}
	for _, detail := range e.Details() {
		value, err := detail.Value()
		if err != nil {
			t.Fatal(err)
		}
		switch value := value.(type) {
		case *errdetails.ErrorInfo:
			a.Code = cardea.Code(value.GetReason())
			if value.GetDomain() != cardeaconnect.Domain {
				t.Errorf("domain %q", value.GetDomain())
			}
		case *errdetails.RetryInfo:
			a.RetryAfter = value.GetRetryDelay().AsDuration()
		}
	}
	if after := e.Meta().Get("Retry-After"); (after == "5") != (a.RetryAfter == 5*time.Second) {
		t.Errorf("Retry-After %q, RetryInfo %s", after, a.RetryAfter)
	}
	return a
}

// Requests that speak no protocol of RPC get JSON and the status, and no handler runs. A
// message is not read before the caller is known.
func TestStrangers(t *testing.T) {
	t.Parallel()
	guard := cardeaconnect.Require(verifier(t), cardea.Authenticated())
	h := guard(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the handler ran") }))
	for _, c := range []struct{ name, method, contentType, want string }{
		{"browser", http.MethodGet, "", `"code":"unauthenticated"`},
		{"form", http.MethodPost, "application/x-www-form-urlencoded", `"code":"unauthenticated"`},
		{"Connect", http.MethodPost, "application/proto", `"code":"unauthenticated"`},
		{"preflight", http.MethodOptions, "", `"code":"unauthenticated"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequestWithContext(t.Context(), c.method, unaryService+"user", unread{t})
			r.Header.Set("Content-Type", c.contentType)
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code != http.StatusUnauthorized || !strings.Contains(w.Body.String(), c.want) ||
				w.Header().Get("Cache-Control") != "no-store" || w.Header().Get("WWW-Authenticate") != "Bearer" {
				t.Errorf("status %d, headers %v, body %s", w.Code, w.Header(), w.Body)
			}
		})
	}
}

// unread is a body that nobody may read.
type unread struct{ t *testing.T }

func (u unread) Read([]byte) (int, error) {
	u.t.Error("the body of a stranger was read")
	return 0, io.EOF
}

func TestError(t *testing.T) {
	t.Parallel()
	own := func(status int) error { return &cardea.Error{Code: "OWN", Message: "Own", Status: status} }
	for _, c := range []struct {
		name string
		err  error
		want connect.Code
		text string
	}{
		{"nothing", nil, 0, ""},
		{"of somebody else", errors.New("password of the database"), connect.CodeInternal, "internal error"},
		{"a nil *Error", (*cardea.Error)(nil), connect.CodeInternal, "internal error"},
		{"wrapped", errors.Join(cardea.NewError(cardea.CodeRole, nil)), connect.CodePermissionDenied, "Insufficient permissions"},
		{"cause", cardea.NewError(cardea.CodeExpired, errors.New("password of the database")), connect.CodeUnauthenticated, "Token has expired"},
		{"400", own(400), connect.CodeInvalidArgument, "Own"},
		{"404", own(404), connect.CodeNotFound, "Own"},
		{"409", own(409), connect.CodeAborted, "Own"},
		{"413", own(413), connect.CodeResourceExhausted, "Own"},
		{"418", own(418), connect.CodePermissionDenied, "Own"},
		{"422", own(422), connect.CodeInvalidArgument, "Own"},
		{"429", own(429), connect.CodeResourceExhausted, "Own"},
		{"500", own(500), connect.CodeInternal, "Own"},
		{"502", own(502), connect.CodeUnavailable, "Own"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got := cardeaconnect.Error(c.err)
			if c.err == nil {
				if got != nil {
					t.Errorf("got %v", got)
				}
				return
			}
			var e *connect.Error
			if !errors.As(got, &e) || e.Code() != c.want || e.Message() != c.text {
				t.Errorf("got %v, want %v: %s", got, c.want, c.text)
			}
		})
	}
}

// Details of an error reach the client.
func TestErrorDetails(t *testing.T) {
	t.Parallel()
	var e *connect.Error
	if !errors.As(cardeaconnect.Error(&cardea.Error{Code: "OWN", Message: "Own", Details: map[string]any{"left": 3}}), &e) {
		t.Fatal("no Connect error")
	}
	value, err := e.Details()[0].Value()
	if err != nil {
		t.Fatal(err)
	}
	info, ok := value.(*errdetails.ErrorInfo)
	if !ok || info.GetMetadata()["left"] != "3" || info.GetReason() != "OWN" {
		t.Errorf("got %v", value)
	}
}

func TestMistakesPanic(t *testing.T) {
	t.Parallel()
	v := verifier(t)
	for name, mistake := range map[string]func(){
		"no verifier":           func() { cardeaconnect.Require(nil, cardea.Authenticated()) },
		"optional, no verifier": func() { cardeaconnect.Optional(nil) },
		"no requirement":        func() { cardeaconnect.Require(v, nil) },
		"no second requirement": func() { cardeaconnect.Require(v, cardea.Authenticated(), nil) },
		"no handler":            func() { cardeaconnect.Require(v, cardea.Authenticated())(nil) },
		"optional, no handler":  func() { cardeaconnect.Optional(v)(nil) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			defer func() {
				if recover() == nil {
					t.Error("no panic: the service would be registered without its guard")
				}
			}()
			mistake()
		})
	}
}

func verifier(t *testing.T) *cardea.Verifier {
	t.Helper()
	c := cardea.Config{Issuers: []cardea.Issuer{{
		URL: "https://auth.example.com/auth/v1", Audiences: []string{"authenticated"},
	}}}
	v, err := cardea.NewVerifier(c)
	if err != nil {
		t.Fatal(err)
	}
	return v
}
