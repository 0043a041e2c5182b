package cardeagrpc_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/cardea-auth/cardea"
	cardeagrpc "github.com/cardea-auth/cardea/adapters/grpc"
	"github.com/cardea-auth/cardea/cardeatest/guardtest"
)

const (
	unaryService  = "guardtest.v1.Unary"
	streamService = "guardtest.v1.Stream"
)

// A8.1, for both kinds of methods.
func TestTruthTable(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, service string
		call          func(context.Context, *grpc.ClientConn, string, grpc.CallOption) (string, error)
	}{
		{"unary", unaryService, callUnary},
		{"stream", streamService, callStream},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			guardtest.Run(t, func(t testing.TB, v *cardea.Verifier) guardtest.Do {
				guards := cardeagrpc.Guards{Methods: map[string]cardeagrpc.Guard{}}
				for _, route := range guardtest.Routes() {
					guards.Methods["/"+c.service+"/"+route.Name] = guardtest.Guard(route, v, cardeagrpc.Require, cardeagrpc.Optional)
				}
				conn := serve(t, guards)
				return func(t testing.TB, route guardtest.Route, header http.Header) guardtest.Answer {
					t.Helper()
					var trailer metadata.MD
					body, err := c.call(withHeader(t.Context(), header), conn, "/"+c.service+"/"+route.Name, grpc.Trailer(&trailer))
					return readAnswer(t, body, err, trailer)
				}
			})
		})
	}
}

// serve starts a server whose methods, all routes of the table, tell what they see.
func serve(t testing.TB, guards cardeagrpc.Guards) *grpc.ClientConn {
	t.Helper()
	server := grpc.NewServer(guards.ServerOptions()...)
	register(server)
	listener := bufconn.Listen(64 << 10)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(listener) // ends by Stop
	}()
	conn, err := grpc.NewClient("passthrough:///guardtest",
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		server.Stop()
		<-done
	})
	return conn
}

// register adds what generated code would, for both services.
func register(server *grpc.Server) {
	unary := grpc.ServiceDesc{ServiceName: unaryService, HandlerType: (*any)(nil)}
	streams := grpc.ServiceDesc{ServiceName: streamService, HandlerType: (*any)(nil)}
	for _, route := range guardtest.Routes() {
		unary.Methods = append(unary.Methods, grpc.MethodDesc{MethodName: route.Name, Handler: unaryMethod(route.Name)})
		streams.Streams = append(streams.Streams, grpc.StreamDesc{StreamName: route.Name, Handler: streamMethod, ServerStreams: true})
	}
	server.RegisterService(&unary, nil)
	server.RegisterService(&streams, nil)
}

func unaryMethod(name string) grpc.MethodHandler {
	return func(srv any, ctx context.Context, decode func(any) error, interceptor grpc.UnaryServerInterceptor) (any, error) {
		var in emptypb.Empty
		if err := decode(&in); err != nil {
			return nil, err
		}
		info := &grpc.UnaryServerInfo{Server: srv, FullMethod: "/" + unaryService + "/" + name}
		return interceptor(ctx, &in, info, func(ctx context.Context, _ any) (any, error) { return see(ctx), nil })
	}
}

func streamMethod(_ any, s grpc.ServerStream) error {
	var in emptypb.Empty
	if err := s.RecvMsg(&in); err != nil {
		return err
	}
	return s.SendMsg(see(s.Context()))
}

func see(ctx context.Context) *wrapperspb.StringValue {
	p, ok := cardeagrpc.Principal(ctx)
	return wrapperspb.String(guardtest.See(ctx, p, ok).JSON())
}

func withHeader(ctx context.Context, header http.Header) context.Context {
	md := metadata.MD{}
	for name, values := range header {
		md.Append(name, values...)
	}
	return metadata.NewOutgoingContext(ctx, md)
}

func callUnary(ctx context.Context, conn *grpc.ClientConn, method string, option grpc.CallOption) (string, error) {
	var out wrapperspb.StringValue
	err := conn.Invoke(ctx, method, &emptypb.Empty{}, &out, option)
	return out.GetValue(), err
}

func callStream(ctx context.Context, conn *grpc.ClientConn, method string, option grpc.CallOption) (string, error) {
	s, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, method, option)
	if err != nil {
		return "", err
	}
	_ = s.SendMsg(&emptypb.Empty{}) // what went wrong, RecvMsg says
	_ = s.CloseSend()
	var out wrapperspb.StringValue
	err = s.RecvMsg(&out)
	return out.GetValue(), err
}

// readAnswer says in the words of HTTP what a client got.
func readAnswer(t testing.TB, body string, err error, trailer metadata.MD) guardtest.Answer {
	t.Helper()
	if err == nil {
		seen, err := guardtest.ParseSeen(body)
		if err != nil {
			t.Fatal(err)
		}
		return guardtest.Answer{Status: http.StatusOK, Seen: seen}
	}
	s, ok := status.FromError(err)
	if !ok {
		t.Fatalf("no status: %v", err)
	}
	statuses := map[codes.Code]int{
		codes.Unauthenticated:  http.StatusUnauthorized,
		codes.PermissionDenied: http.StatusForbidden,
		codes.Unavailable:      http.StatusServiceUnavailable,
		codes.InvalidArgument:  http.StatusBadRequest,
	}
	a := guardtest.Answer{
		Status: statuses[s.Code()], Message: s.Message(), Challenge: strings.Join(trailer["www-authenticate"], " and "),
	}
	for _, detail := range s.Details() {
		switch detail := detail.(type) {
		case *errdetails.ErrorInfo:
			a.Code = cardea.Code(detail.GetReason())
			if detail.GetDomain() != cardeagrpc.Domain {
				t.Errorf("domain %q", detail.GetDomain())
			}
		case *errdetails.RetryInfo:
			a.RetryAfter = detail.GetRetryDelay().AsDuration()
		default:
			t.Errorf("detail %v", detail)
		}
	}
	return a
}

// The narrowest guard counts, and where there is none nobody passes. Methods that do not
// exist gRPC itself refuses.
func TestWhichGuard(t *testing.T) {
	t.Parallel()
	open := cardeagrpc.Optional(verifier(t, nil))
	closed := cardeagrpc.Require(verifier(t, nil), cardea.Authenticated())
	const user, account, unknown = "/" + unaryService + "/user", "/" + unaryService + "/account", "/nobody.Knows/It"
	for _, c := range []struct {
		name   string
		guards cardeagrpc.Guards
		want   map[string]codes.Code
	}{
		{"none", cardeagrpc.Guards{}, map[string]codes.Code{user: codes.PermissionDenied, unknown: codes.Unimplemented}},
		{
			"default", cardeagrpc.Guards{Default: closed},
			map[string]codes.Code{user: codes.Unauthenticated, unknown: codes.Unimplemented},
		},
		{
			"service", cardeagrpc.Guards{Default: closed, Methods: map[string]cardeagrpc.Guard{"/" + unaryService + "/": open}},
			map[string]codes.Code{user: codes.OK, account: codes.OK, unknown: codes.Unimplemented},
		},
		{
			"method", cardeagrpc.Guards{Methods: map[string]cardeagrpc.Guard{"/" + unaryService + "/": open, account: closed}},
			map[string]codes.Code{user: codes.OK, account: codes.Unauthenticated, unknown: codes.Unimplemented},
		},
		{
			"zero guard of a method", cardeagrpc.Guards{Default: open, Methods: map[string]cardeagrpc.Guard{account: {}}},
			map[string]codes.Code{user: codes.OK, account: codes.PermissionDenied, unknown: codes.Unimplemented},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			conn := serve(t, c.guards)
			for method, want := range c.want {
				call := callUnary
				if method == unknown {
					call = callStream
				}
				if _, err := call(t.Context(), conn, method, grpc.EmptyCallOption{}); status.Code(err) != want {
					t.Errorf("%s: got %v, want %s", method, err, want)
				}
			}
		})
	}
}

// A method's name without the first slash must not lead to the guard of another: the
// attack is a caller who writes :path that way.
func TestNameWithoutSlash(t *testing.T) {
	t.Parallel()
	guards := cardeagrpc.Guards{
		Default: cardeagrpc.Optional(verifier(t, nil)),
		Methods: map[string]cardeagrpc.Guard{"/" + unaryService + "/user": cardeagrpc.Require(verifier(t, nil), cardea.Authenticated())},
	}
	for _, name := range []string{unaryService + "/user", "user", "", "/user"} {
		_, err := guards.UnaryInterceptor(t.Context(), nil, &grpc.UnaryServerInfo{FullMethod: name},
			func(context.Context, any) (any, error) { t.Errorf("%q passed", name); return struct{}{}, nil })
		if status.Code(err) != codes.PermissionDenied {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	server := grpc.NewServer()
	register(server)
	guard := cardeagrpc.Optional(verifier(t, nil))
	all := map[string]cardeagrpc.Guard{"/" + unaryService + "/": guard, "/" + streamService + "/": guard}
	with := func(name string) map[string]cardeagrpc.Guard {
		return map[string]cardeagrpc.Guard{"/" + unaryService + "/": guard, "/" + streamService + "/": guard, name: guard}
	}
	for _, c := range []struct {
		name   string
		guards cardeagrpc.Guards
		want   []string
	}{
		{"services", cardeagrpc.Guards{Methods: all}, nil},
		{"default", cardeagrpc.Guards{Default: guard}, nil},
		{"method", cardeagrpc.Guards{Methods: with("/" + streamService + "/doctor")}, nil},
		{"misspelt method", cardeagrpc.Guards{Methods: with("/" + streamService + "/docter")}, []string{"/" + streamService + "/docter is guarded but does not exist"}},
		{"misspelt service", cardeagrpc.Guards{Methods: with("/guardtest.v2.Stream/")}, []string{"/guardtest.v2.Stream/ is guarded but does not exist"}},
		{"method without guard", cardeagrpc.Guards{Methods: map[string]cardeagrpc.Guard{"/" + unaryService + "/": guard}}, []string{
			"/" + streamService + "/doctor has no guard", "/" + streamService + "/user has no guard",
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			err := c.guards.Check(server.GetServiceInfo())
			if (err != nil) != (len(c.want) > 0) {
				t.Fatalf("got %v", err)
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q says nothing of %q", err, want)
				}
			}
		})
	}
}

// spy is a requirement that looks at the request.
type spy struct{ look func(*http.Request) }

func (spy) String() string                                            { return "spy" }
func (spy) Check(context.Context, *cardea.Principal) error            { return errors.New("no request") }
func (s spy) CheckRequest(r *http.Request, _ *cardea.Principal) error { s.look(r); return nil }

// What a requirement gets to see of a call.
func TestRequest(t *testing.T) {
	t.Parallel()
	v := verifier(t, func(c *cardea.Config) { c.Now = func() time.Time { return time.Unix(1_800_000_000, 0) } })
	var got *http.Request
	guards := cardeagrpc.Guards{Default: cardeagrpc.Require(v, spy{func(r *http.Request) { got = r }})}
	ctx := metadata.NewIncomingContext(t.Context(), metadata.MD{
		":authority": {"api.example.com"}, "content-type": {"application/grpc"}, "key-bin": {"\x00"}, "x-twice": {"1", "2"},
		"authorization": {"Bearer " + token(t, time.Unix(1_800_000_000, 0))},
	})
	ctx = peer.NewContext(ctx, &peer.Peer{
		Addr:     &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 4711},
		AuthInfo: credentials.TLSInfo{State: tls.ConnectionState{HandshakeComplete: true}},
	})
	passed := false
	_, err := guards.UnaryInterceptor(ctx, &emptypb.Empty{}, &grpc.UnaryServerInfo{FullMethod: "/a.B/C"},
		func(context.Context, any) (any, error) { passed = true; return struct{}{}, nil })
	if err != nil || !passed {
		t.Fatalf("passed %t, %v", passed, err)
	}
	body, err := io.ReadAll(got.Body)
	if err != nil {
		t.Error(err)
	}
	for _, c := range []struct{ name, got, want string }{
		{"method", got.Method, http.MethodPost},
		{"path", got.URL.Path, "/a.B/C"},
		{"host", got.Host, "api.example.com"},
		{"address", got.RemoteAddr, "192.0.2.1:4711"},
		{"header", strings.Join(got.Header["X-Twice"], " "), "1 2"},
		{"binary header", strings.Join(got.Header["Key-Bin"], " "), ""},
		{"pseudo header", strings.Join(got.Header[":authority"], " "), ""},
		{"type", got.Header.Get("Content-Type"), "application/json"},
		{"body", string(body), "{}"},
	} {
		if c.got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, c.got, c.want)
		}
	}
	if got.TLS == nil || !got.TLS.HandshakeComplete {
		t.Errorf("TLS %v", got.TLS)
	}
}

// A tenant in a field of the message, which is called resource_name here.
func TestMessage(t *testing.T) {
	t.Parallel()
	v := verifier(t, func(c *cardea.Config) { c.Now = func() time.Time { return time.Unix(1_800_000_000, 0) } })
	guards := cardeagrpc.Guards{Default: cardeagrpc.Require(v, cardea.Tenant(cardea.InBody("resource_name"), cardea.InHeader("X-Clinic-Id")))}
	for _, c := range []struct {
		name, header string
		message      any
		want         cardea.Code
	}{
		{"own tenant", "", &errdetails.ResourceInfo{ResourceName: "c1"}, ""},
		{"own tenant, twice", "c1", &errdetails.ResourceInfo{ResourceName: "c1"}, ""},
		{"another tenant", "", &errdetails.ResourceInfo{ResourceName: "c2"}, cardea.CodeTenant},
		{"disagreeing places", "c1", &errdetails.ResourceInfo{ResourceName: "c2"}, cardea.CodeConflictingIDs},
		{"no tenant", "", &errdetails.ResourceInfo{}, cardea.CodeTenantAbsent},
		{"no field of that name", "", &emptypb.Empty{}, cardea.CodeTenantAbsent},
		{"text that is no UTF-8", "", &errdetails.ResourceInfo{ResourceName: "\xff"}, cardea.CodeRequestInvalid},
		{"no message", "", nil, cardea.CodeTenantAbsent},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			md := metadata.Pairs("authorization", "Bearer "+token(t, time.Unix(1_800_000_000, 0)))
			if c.header != "" {
				md.Set("x-clinic-id", c.header)
			}
			_, err := guards.UnaryInterceptor(metadata.NewIncomingContext(t.Context(), md), c.message,
				&grpc.UnaryServerInfo{FullMethod: "/a.B/C"},
				func(_ context.Context, message any) (any, error) { return message, nil })
			if got := reason(err); got != c.want {
				t.Errorf("got %q (%v), want %q", got, err, c.want)
			}
		})
	}
}

func reason(err error) cardea.Code {
	for _, detail := range status.Convert(err).Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok {
			return cardea.Code(info.GetReason())
		}
	}
	return ""
}

func TestError(t *testing.T) {
	t.Parallel()
	own := func(status int) error { return &cardea.Error{Code: "OWN", Message: "Own", Status: status} }
	for _, c := range []struct {
		name string
		err  error
		want codes.Code
		text string
	}{
		{"nothing", nil, codes.OK, ""},
		{"of somebody else", errors.New("password of the database"), codes.Internal, "internal error"},
		{"a nil *Error", (*cardea.Error)(nil), codes.Internal, "internal error"},
		{"wrapped", errors.Join(cardea.NewError(cardea.CodeRole, nil)), codes.PermissionDenied, "Insufficient permissions"},
		{"cause", cardea.NewError(cardea.CodeExpired, errors.New("password of the database")), codes.Unauthenticated, "Token has expired"},
		{"400", own(400), codes.InvalidArgument, "Own"},
		{"404", own(404), codes.NotFound, "Own"},
		{"409", own(409), codes.Aborted, "Own"},
		{"413", own(413), codes.ResourceExhausted, "Own"},
		{"418", own(418), codes.PermissionDenied, "Own"},
		{"422", own(422), codes.InvalidArgument, "Own"},
		{"429", own(429), codes.ResourceExhausted, "Own"},
		{"500", own(500), codes.Internal, "Own"},
		{"502", own(502), codes.Unavailable, "Own"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got := cardeagrpc.Error(c.err)
			if s := status.Convert(got); s.Code() != c.want || s.Message() != c.text || (got == nil) != (c.err == nil) {
				t.Errorf("got %v, want %v: %s", got, c.want, c.text)
			}
		})
	}
}

// Details of an error reach the client.
func TestErrorDetails(t *testing.T) {
	t.Parallel()
	details := status.Convert(cardeagrpc.Error(&cardea.Error{Code: "OWN", Message: "Own", Details: map[string]any{"left": 3}})).Details()
	info, ok := details[0].(*errdetails.ErrorInfo)
	if !ok || info.GetMetadata()["left"] != "3" || info.GetReason() != "OWN" {
		t.Errorf("got %v", details)
	}
}

func TestMistakesPanic(t *testing.T) {
	t.Parallel()
	v := verifier(t, nil)
	key := func(name string) func() {
		return func() { cardeagrpc.Guards{Methods: map[string]cardeagrpc.Guard{name: {}}}.ServerOptions() }
	}
	for name, mistake := range map[string]func(){
		"no verifier":           func() { cardeagrpc.Require(nil, cardea.Authenticated()) },
		"optional, no verifier": func() { cardeagrpc.Optional(nil) },
		"no requirement":        func() { cardeagrpc.Require(v, nil) },
		"no second requirement": func() { cardeagrpc.Require(v, cardea.Authenticated(), nil) },
		"name without slash":    key("a.B/C"),
		"name without service":  key("/C"),
		"empty service":         key("//C"),
		"empty name":            key(""),
		"everything":            key("/"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			defer func() {
				if recover() == nil {
					t.Error("no panic: the server would start without the guard")
				}
			}()
			mistake()
		})
	}
}

func verifier(t *testing.T, change func(*cardea.Config)) *cardea.Verifier {
	t.Helper()
	c := cardea.Config{Issuers: []cardea.Issuer{{
		URL: "https://auth.example.com/auth/v1", Audiences: []string{"authenticated"},
		Algorithms: []string{"HS256"}, HMACSecret: []byte(secret),
	}}}
	if change != nil {
		change(&c)
	}
	v, err := cardea.NewVerifier(c)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// token is one of a user of the clinic c1.
func token(t *testing.T, now time.Time) string {
	t.Helper()
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"iss": "https://auth.example.com/auth/v1", "aud": "authenticated", "sub": "user-1", "tenant_id": "c1",
		"iat": now.Unix(), "exp": now.Add(time.Hour).Unix(),
	}).SignedString([]byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	return token
}
