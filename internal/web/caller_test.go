package web

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cardea-auth/cardea"
	"github.com/cardea-auth/cardea/internal/auth"
)

const (
	person  = "019ca869-507b-7433-8c63-482deacec8d6"
	session = "019ca869-507b-70b7-ba53-f0916c93c68f"
)

// knownTokens are the tokens of the fake verifier.
type knownTokens map[string]*cardea.Principal

func (k knownTokens) Verify(_ context.Context, token string) (*cardea.Principal, error) {
	if p, ok := k[token]; ok {
		return p, nil
	}
	switch token {
	case "old":
		return nil, cardea.NewError(cardea.CodeExpired, nil)
	case "outage":
		e := cardea.NewError(cardea.CodeProviderUnreachable, nil)
		e.RetryAfter = 5 * time.Second
		return nil, e
	}
	return nil, cardea.NewError(cardea.CodeTokenStructure, nil)
}

type knownKeys map[string]string

func (k knownKeys) Resolve(_ context.Context, credential string) (string, bool, error) {
	switch credential {
	case "sb_secret_revoked":
		return "", true, auth.E(auth.CodeBadJWT, "API key is not valid")
	case "sb_secret_outage":
		return "", false, errors.New("no database")
	}
	role, ok := k[credential]
	return role, ok, nil
}

func callers() *Callers {
	at := time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)
	return &Callers{
		Verifier: knownTokens{
			"person": {
				Subject: person, SessionID: session, Role: "authenticated", AAL: "aal1", Audience: []string{"authenticated"},
				AMR: []cardea.AMR{{Method: "totp", At: at.Add(time.Minute)}, {Method: "password", At: at}},
			},
			"operator":    {Subject: person, SessionID: session, Role: "service_role"},
			"signed-out":  {Subject: session, SessionID: session, Role: "service_role"},
			"application": {Subject: person, ClientID: "client", Role: "service_role"},
			"stranger":    {Subject: "x"},
			"odd-session": {Subject: person, SessionID: "x"},
		},
		APIKeys: knownKeys{"sb_secret_1": "service_role", "sb_publishable_1": "anon"}, AdminRoles: []string{"service_role"},
		Alive: func(_ context.Context, c auth.Caller) error {
			if c.UserID.String() != person {
				return auth.E(auth.CodeSessionNotFound, "")
			}
			return nil
		},
	}
}

func TestCallers(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name     string
		header   []string
		origin   string
		caller   auth.Code // "" is a caller
		operator auth.Code
		cause    cardea.Code
	}{
		{name: "nothing", caller: auth.CodeNoAuthorization, operator: auth.CodeNoAuthorization, cause: cardea.CodeHeaderMissing},
		{name: "A8.7 another scheme", header: []string{"Basic x"}, caller: auth.CodeNoAuthorization, operator: auth.CodeNoAuthorization, cause: cardea.CodeSchemeInvalid},
		{name: "A8.7 two headers", header: []string{"Bearer person", "Bearer person"}, caller: auth.CodeNoAuthorization, operator: auth.CodeNoAuthorization, cause: cardea.CodeHeaderInvalid},
		{name: "a person", header: []string{"bearer person"}, operator: auth.CodeNotAdmin},
		{name: "a person in a browser", header: []string{"Bearer person"}, origin: "https://app.example", operator: auth.CodeNotAdmin},
		{name: "a person who is an operator", header: []string{"Bearer operator"}},
		{name: "an operator who has signed out", header: []string{"Bearer signed-out"}, operator: auth.CodeSessionNotFound},
		{name: "an OAuth client of an operator", header: []string{"Bearer application"}, operator: auth.CodeNotFirstParty},
		{name: "an expired token", header: []string{"Bearer old"}, caller: auth.CodeBadJWT, operator: auth.CodeBadJWT, cause: cardea.CodeExpired},
		{name: "no token", header: []string{"Bearer junk"}, caller: auth.CodeBadJWT, operator: auth.CodeBadJWT, cause: cardea.CodeTokenStructure},
		{name: "keys out of reach", header: []string{"Bearer outage"}, caller: auth.CodeUnavailable, operator: auth.CodeUnavailable, cause: cardea.CodeProviderUnreachable},
		{name: "no account id", header: []string{"Bearer stranger"}, caller: auth.CodeBadSubject, operator: auth.CodeNotAdmin},
		{name: "no session id", header: []string{"Bearer odd-session"}, caller: auth.CodeSessionNotFound, operator: auth.CodeNotAdmin},
		{name: "a secret key", header: []string{"Bearer sb_secret_1"}, caller: auth.CodeBadJWT},
		{name: "A20.1 a secret key in a browser", header: []string{"Bearer sb_secret_1"}, origin: "https://app.example", caller: auth.CodeNotAdmin, operator: auth.CodeNotAdmin},
		{name: "a public key", header: []string{"Bearer sb_publishable_1"}, caller: auth.CodeBadJWT, operator: auth.CodeNotAdmin},
		{name: "a revoked key", header: []string{"Bearer sb_secret_revoked"}, caller: auth.CodeBadJWT, operator: auth.CodeBadJWT},
		{name: "a key that can't be looked up", header: []string{"Bearer sb_secret_outage"}, caller: auth.CodeInternal, operator: auth.CodeInternal},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.Header["Authorization"] = tt.header
			if tt.header == nil {
				r.Header.Del("Authorization")
			}
			if tt.origin != "" {
				r.Header.Set("Origin", tt.origin)
			}
			c := callers()
			_, err := c.Caller(r)
			checkCode(t, "Caller", err, tt.caller, tt.cause)
			_, err = c.Operator(r)
			checkCode(t, "Operator", err, tt.operator, tt.cause)
		})
	}
}

func checkCode(t *testing.T, what string, err error, want auth.Code, cause cardea.Code) {
	t.Helper()
	if want == "" {
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
		return
	}
	if err == nil || auth.CodeOf(err) != want || cause != "" && cardea.CodeOf(err) != cause {
		t.Errorf("%s: %v, want %s (%s)", what, err, want, cause)
	}
}

func TestCallerOf(t *testing.T) {
	t.Parallel()
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("User-Agent", "browser")
	r.Header.Set("Authorization", "Bearer person")
	got, err := callers().Caller(r)
	if err != nil {
		t.Fatal(err)
	}
	user, err := auth.ParseID(person)
	if err != nil {
		t.Fatal(err)
	}
	of, err := auth.ParseID(session)
	if err != nil {
		t.Fatal(err)
	}
	want := auth.Caller{
		Meta: auth.Meta{UserAgent: "browser"}, UserID: user, SessionID: of, AAL: "aal1", FirstParty: true, Audience: "authenticated",
		Methods: []string{"totp", "password"}, AuthTime: time.Date(2026, 3, 1, 8, 1, 0, 0, time.UTC),
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// A token of another issuer is nobody's without an account here, whatever its subject looks
// like, and its operators are not ours.
func TestExternalCallers(t *testing.T) {
	t.Parallel()
	const local = "019ca869-507b-7d24-9829-13aef5110a15"
	theirs := &cardea.Principal{
		Issuer: "https://other", Subject: person, SessionID: session, Role: "service_role", AAL: "aal1", Audience: []string{"authenticated"},
	}
	with := func(find func(p *cardea.Principal) (*cardea.Principal, error)) *Callers {
		c := callers()
		c.Own, c.Verifier = "https://own", knownTokens{"theirs": theirs}
		if find != nil {
			c.Local = func(_ context.Context, p *cardea.Principal, token string) (*cardea.Principal, error) {
				if token != "theirs" {
					t.Errorf("token %q", token)
				}
				return find(p)
			}
		}
		return c
	}
	request := func() *http.Request {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("Authorization", "Bearer theirs")
		return r
	}
	found := with(func(p *cardea.Principal) (*cardea.Principal, error) {
		copied := *p
		copied.LocalID = local
		return &copied, nil
	})
	c, err := found.Caller(request())
	if err != nil || c.UserID.String() != local || !c.External || !c.SessionID.IsZero() || !c.FirstParty {
		t.Errorf("%+v %v", c, err)
	}
	if _, err := found.Operator(request()); auth.CodeOf(err) != auth.CodeNotAdmin {
		t.Errorf("operator: %v", err)
	}
	for name, tt := range map[string]struct {
		find func(p *cardea.Principal) (*cardea.Principal, error)
		want auth.Code
	}{
		"nobody asks":          {nil, auth.CodeBadJWT},
		"without an account":   {func(p *cardea.Principal) (*cardea.Principal, error) { return p, nil }, auth.CodeUnavailable},
		"the issuer says no":   {refusing(cardea.CodeProviderError), auth.CodeBadJWT},
		"banned":               {refusing(cardea.CodeUserInactive), auth.CodeUserInactive},
		"the database is down": {refusing(cardea.CodeUserUnavailable), auth.CodeUnavailable},
		"something else":       {refusing(cardea.CodeInternal), auth.CodeInternal},
	} {
		_, err := with(tt.find).Caller(request())
		if auth.CodeOf(err) != tt.want {
			t.Errorf("%s: %v", name, err)
		}
		var e *auth.Error
		if tt.want == auth.CodeUnavailable && (!errors.As(err, &e) || e.RetryAfter < 5*time.Second) {
			t.Errorf("%s: without a time to wait: %+v", name, e)
		}
	}
}

func refusing(code cardea.Code) func(*cardea.Principal) (*cardea.Principal, error) {
	return func(*cardea.Principal) (*cardea.Principal, error) { return nil, cardea.NewError(code, nil) }
}
