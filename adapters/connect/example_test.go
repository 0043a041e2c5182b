package cardeaconnect_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"time"

	"connectrpc.com/connect"
	"github.com/golang-jwt/jwt/v5"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/cardea-auth/cardea"
	cardeaconnect "github.com/cardea-auth/cardea/adapters/connect"
)

const patients = "/clinic.v1.Patients/"

// clinics has two procedures written by hand; generated handlers are mounted the same way.
func clinics(v *cardea.Verifier) http.Handler {
	mux := http.NewServeMux()
	member := cardeaconnect.Require(v, cardea.Tenant(cardea.InHeader("X-Clinic-Id")))
	mux.Handle(patients+"Count", member(connect.NewUnaryHandlerSimple(patients+"Count",
		func(context.Context, *emptypb.Empty) (*wrapperspb.Int64Value, error) { return wrapperspb.Int64(7), nil })))
	signedIn := cardeaconnect.Require(v, cardea.NotAnonymous())
	mux.Handle(patients+"Get", signedIn(connect.NewUnaryHandlerSimple(patients+"Get",
		func(ctx context.Context, clinic *wrapperspb.StringValue) (*wrapperspb.StringValue, error) {
			// What depends on the message, the method decides.
			if p, _ := cardea.PrincipalFrom(ctx); !p.IsMember(clinic.GetValue()) {
				return nil, cardeaconnect.Error(cardea.NewError(cardea.CodeTenant, nil))
			}
			return wrapperspb.String("Ada"), nil
		})))
	return mux
}

// Procedures for members of a clinic, which a header or the message names.
func Example() {
	server := httptest.NewServer(clinics(verifierOfExample()))
	defer server.Close()
	count := connect.NewClient[emptypb.Empty, wrapperspb.Int64Value](server.Client(), server.URL+patients+"Count")
	get := connect.NewClient[wrapperspb.StringValue, wrapperspb.StringValue](server.Client(), server.URL+patients+"Get")
	token := signIn(jwt.MapClaims{"tenant_id": "c1"})

	_, err := count.CallUnary(context.Background(), connect.NewRequest(&emptypb.Empty{}))
	fmt.Println(err)
	for _, clinic := range []string{"c1", "c2"} {
		request := connect.NewRequest(&emptypb.Empty{})
		request.Header().Set("Authorization", "Bearer "+token)
		request.Header().Set("X-Clinic-Id", clinic)
		answer, err := count.CallUnary(context.Background(), request)
		if err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Println(answer.Msg.GetValue())
	}
	request := connect.NewRequest(wrapperspb.String("c2"))
	request.Header().Set("Authorization", "Bearer "+token)
	_, err = get.CallUnary(context.Background(), request)
	fmt.Println(err)
	// Output:
	// unauthenticated: Authorization header is missing
	// 7
	// permission_denied: Access to this tenant is denied
	// permission_denied: Access to this tenant is denied
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
