package cardeagrpc_test

import (
	"context"
	"fmt"
	"log"
	"net"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"github.com/cardea-auth/cardea"
	cardeagrpc "github.com/cardea-auth/cardea/adapters/grpc"
)

// newServer guards the health service, which stands here for one of your own: everybody
// may ask about a clinic to which they belong, administrators may list them all.
func newServer(v *cardea.Verifier) (*grpc.Server, error) {
	guards := cardeagrpc.Guards{
		Default: cardeagrpc.Require(v, cardea.NotAnonymous()),
		Methods: map[string]cardeagrpc.Guard{
			"/grpc.health.v1.Health/Check": cardeagrpc.Require(v, cardea.TenantMember(cardea.InBody("service"))),
			"/grpc.health.v1.Health/List":  cardeagrpc.Require(v, cardea.Role("admin")),
		},
	}
	server := grpc.NewServer(guards.ServerOptions()...)
	healthpb.RegisterHealthServer(server, health.NewServer())
	// No method without a guard, no guard with a misspelt name.
	if err := guards.Check(server.GetServiceInfo()); err != nil {
		return nil, err
	}
	return server, nil
}

// Methods for members of a tenant that the message names, and for administrators.
func Example() {
	server, err := newServer(verifierOfExample())
	if err != nil {
		log.Fatal(err)
	}
	client, stop := dial(server)
	defer stop()

	stranger := context.Background()
	member := metadata.AppendToOutgoingContext(stranger, "authorization", "Bearer "+signIn(jwt.MapClaims{"tenant_id": "c1"}))
	for _, call := range []struct {
		ctx    context.Context
		clinic string
	}{{stranger, "c1"}, {member, "c2"}, {member, "c1"}} {
		_, err := client.Check(call.ctx, &healthpb.HealthCheckRequest{Service: call.clinic})
		fmt.Printf("%s %q\n", status.Code(err), reason(err))
	}
	_, err = client.List(member, &healthpb.HealthListRequest{})
	fmt.Printf("%s %q\n", status.Code(err), reason(err))
	// Output:
	// Unauthenticated "AUTH_HEADER_MISSING"
	// PermissionDenied "TENANT_ACCESS_DENIED"
	// NotFound ""
	// PermissionDenied "INSUFFICIENT_ROLE"
}

// dial serves and gives a client, without a network.
func dial(server *grpc.Server) (client healthpb.HealthClient, stop func()) {
	listener := bufconn.Listen(64 << 10)
	go func() { _ = server.Serve(listener) }() // ends by stop
	conn, err := grpc.NewClient("passthrough:///example",
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		log.Fatal(err)
	}
	return healthpb.NewHealthClient(conn), func() {
		_ = conn.Close()
		server.Stop()
	}
}

// A service would name its issuer and no more; the keys are fetched. Here is no network.
func verifierOfExample() *cardea.Verifier {
	v, err := cardea.NewVerifier(cardea.Config{Issuers: []cardea.Issuer{{
		URL: issuer, Audiences: []string{"authenticated"}, Algorithms: []string{"HS256"}, HMACSecret: []byte(secret),
	}}})
	if err != nil {
		log.Fatal(err)
	}
	return v
}

const (
	issuer = "https://auth.example.com/auth/v1"
	secret = "a secret that the service shares with its issuer"
)

// signIn is what the issuer does.
func signIn(claims jwt.MapClaims) string {
	claims["iss"], claims["aud"], claims["sub"] = issuer, "authenticated", "user-1"
	claims["iat"], claims["exp"] = time.Now().Unix(), time.Now().Add(time.Hour).Unix()
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString([]byte(secret))
	if err != nil {
		log.Fatal(err)
	}
	return token
}
