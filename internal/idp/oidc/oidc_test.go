package oidc_test

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/cardea-auth/cardea/cardeatest"
	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/idp/oidc"
)

// counter counts what is asked of the provider.
type counter struct{ n int }

func (c *counter) RoundTrip(r *http.Request) (*http.Response, error) {
	c.n++
	return (&http.Transport{DisableKeepAlives: true}).RoundTrip(r) //nolint:wrapcheck // as it is
}

func TestVerify(t *testing.T) {
	t.Parallel()
	issuer := cardeatest.New(t, cardeatest.Config{Serve: true, Audiences: []string{"app", "other app"}})
	seen := &counter{}
	p := oidc.New(issuer.URL(), []string{"phone app", "app"}, issuer.Clock().Now, seen)
	claims := func(more map[string]any) string {
		return issuer.Token(cardeatest.User{ID: "1", Email: "Ada@Example.org", Claims: more})
	}
	for _, c := range []struct {
		name, token string
		want        auth.ProviderIdentity
		code        auth.Code
	}{
		{"proved", claims(map[string]any{"email_verified": true}), auth.ProviderIdentity{Issuer: issuer.URL(), Subject: "1", Email: "ada@example.org", EmailVerified: true}, ""},
		{"not proved", claims(map[string]any{"email_verified": false}), auth.ProviderIdentity{Issuer: issuer.URL(), Subject: "1", Email: "ada@example.org"}, ""},
		{"no address", claims(map[string]any{"email": nil, "email_verified": true}), auth.ProviderIdentity{Issuer: issuer.URL(), Subject: "1"}, ""},
		{"no such address", claims(map[string]any{"email": "ada", "email_verified": true}), auth.ProviderIdentity{Issuer: issuer.URL(), Subject: "1"}, ""},
		{"one of several audiences", claims(map[string]any{"aud": []string{"x", "phone app"}, "email": nil}), auth.ProviderIdentity{Issuer: issuer.URL(), Subject: "1"}, ""},
		{"of another application", claims(map[string]any{"aud": "other app"}), auth.ProviderIdentity{}, auth.CodeIDToken},
		{"without a subject", claims(map[string]any{"sub": nil}), auth.ProviderIdentity{}, auth.CodeIDToken},
		{"a subject that can't be stored", claims(map[string]any{"sub": "a\x00b"}), auth.ProviderIdentity{}, auth.CodeIDToken},
		{"without a time", claims(map[string]any{"iat": nil}), auth.ProviderIdentity{}, auth.CodeIDToken},
		{"of the future", claims(map[string]any{"iat": issuer.Clock().Now().Add(2 * time.Minute).Unix()}), auth.ProviderIdentity{}, auth.CodeIDToken},
		{"claims of other types", claims(map[string]any{"email_verified": "yes"}), auth.ProviderIdentity{}, auth.CodeIDToken},
	} {
		got, err := p.Verify(t.Context(), c.token)
		if got != c.want || auth.CodeOf(err) != c.code && err != nil || (err == nil) != (c.code == "") {
			t.Errorf("%s: %+v %v", c.name, got, err)
		}
	}
	if seen.n != 2 { // its description, and its keys
		t.Errorf("%d requests", seen.n)
	}
}

// A provider that does not answer is asked once, and then left alone for a moment.
func TestSilence(t *testing.T) {
	t.Parallel()
	issuer := cardeatest.New(t, cardeatest.Config{Serve: true, Audiences: []string{"app"}})
	seen := &counter{}
	p := oidc.New(issuer.URL(), []string{"app"}, issuer.Clock().Now, seen)
	issuer.Down()
	for range 3 {
		_, err := p.Verify(t.Context(), issuer.Token(cardeatest.User{ID: "1"}))
		var e *auth.Error
		if !errors.As(err, &e) || e.Code != auth.CodeUnavailable || e.RetryAfter != 30*time.Second {
			t.Fatal(err)
		}
	}
	if seen.n != 1 {
		t.Errorf("%d requests", seen.n)
	}
	issuer.Up()
	issuer.Clock().Advance(5 * time.Second)
	if _, err := p.Verify(t.Context(), issuer.Token(cardeatest.User{ID: "1"})); err != nil {
		t.Error(err)
	}
}

// FuzzVerify: nobody but the provider makes a token, and whatever comes has a code.
func FuzzVerify(f *testing.F) {
	issuer := cardeatest.New(f, cardeatest.Config{Serve: true, Audiences: []string{"app"}})
	p := oidc.New(issuer.URL(), []string{"app"}, issuer.Clock().Now, nil)
	for _, bad := range issuer.BadTokens(cardeatest.User{ID: "1"}) {
		f.Add(bad.Token)
	}
	f.Fuzz(func(t *testing.T, token string) {
		// Other spellings of what the provider has signed still say what it said.
		who, err := p.Verify(t.Context(), token)
		if err == nil && who.Subject != "1" || err != nil && (auth.CodeOf(err) == auth.CodeInternal || who.Subject != "") {
			t.Errorf("%+v %v", who, err)
		}
	})
}
