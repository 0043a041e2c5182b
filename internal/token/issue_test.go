package token_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/token"
)

// parse verifies a token with the keys that the ring gives to the verifier of sessions.
func parse(t testing.TB, f *fixture, text string) (*jwt.Token, error) {
	t.Helper()
	return jwt.Parse(text, func(tok *jwt.Token) (any, error) {
		kid, _ := tok.Header["kid"].(string)
		keys, err := f.ring.Keys(t.Context(), kid)
		if err != nil || len(keys) == 0 {
			return nil, err
		}
		if tok.Method.Alg() != keys[0].Algorithm {
			return nil, jwt.ErrTokenSignatureInvalid
		}
		return keys[0].Public, nil
	}, jwt.WithTimeFunc(f.clock.now))
}

func algorithms() map[string]func(*token.Config) {
	return map[string]func(*token.Config){
		token.ES256: func(*token.Config) {},
		token.RS256: func(c *token.Config) { c.Algorithm = token.RS256 },
		token.EdDSA: func(c *token.Config) { c.Algorithm = token.EdDSA },
		token.HS256: func(c *token.Config) { c.Algorithm, c.Secret = token.HS256, secretBytes() },
	}
}

// TestIssueClaims proves the wire form that supabase-js and PostgREST read (gotrue.md 3.1,
// S0.2, S0.3): member names, types, order of amr, and nothing besides.
func TestIssueClaims(t *testing.T) {
	t.Parallel()
	f := setup(t)
	user, session := person()
	got, err := f.ring.Issue(t.Context(), user, session)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"iss":"https://auth.example/auth/v1","sub":"018f0102-0304-7005-8006-0708090a0b0c",` +
		`"aud":"authenticated","exp":1803891600,"iat":1803888000,"email":"asha@example.com","phone":"",` +
		`"app_metadata":{"provider":"email","providers":["email"]},"user_metadata":{"name":"Asha & <b>"},` +
		`"role":"authenticated","aal":"aal1","amr":[{"method":"totp","timestamp":1803888000},` +
		`{"method":"password","timestamp":1803887940}],` +
		`"session_id":"018f0909-0909-7009-8009-090909090909","is_anonymous":false}`
	if diff := cmp.Diff(want, part(t, got.AccessToken, 1)); diff != "" {
		t.Errorf("payload (-want +got):\n%s", diff)
	}
	kid := byUse(f.ring, auth.KeyUseAccess, auth.KeyCurrent).ID
	if diff := cmp.Diff(`{"alg":"ES256","kid":"`+kid+`","typ":"JWT"}`, part(t, got.AccessToken, 0)); diff != "" {
		t.Errorf("header (-want +got):\n%s", diff)
	}
	got.AccessToken = ""
	wantTokens := auth.Tokens{
		RefreshToken: f.ring.Refresh(session.ID, 7),
		ExpiresIn:    time.Hour, ExpiresAt: f.clock.now().Add(time.Hour),
	}
	if diff := cmp.Diff(wantTokens, got); diff != "" {
		t.Errorf("tokens (-want +got):\n%s", diff)
	}
}

func TestIssueEmptyAccount(t *testing.T) {
	t.Parallel()
	f := setup(t, func(c *token.Config) { c.Audience = "clinic"; c.TTL = 90 * time.Second })
	user, session := person()
	*user = auth.User{ID: user.ID, Role: "authenticated", IsAnonymous: true, AppMetadata: json.RawMessage("null")}
	session.AMR, session.AAL = nil, ""
	got, err := f.ring.Issue(t.Context(), user, session)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"iss":"https://auth.example/auth/v1","sub":"018f0102-0304-7005-8006-0708090a0b0c",` +
		`"aud":"clinic","exp":1803888090,"iat":1803888000,"email":"","phone":"","app_metadata":{},"user_metadata":{},` +
		`"role":"authenticated","aal":"aal1","amr":[],"session_id":"018f0909-0909-7009-8009-090909090909","is_anonymous":true}`
	if diff := cmp.Diff(want, part(t, got.AccessToken, 1)); diff != "" {
		t.Errorf("payload (-want +got):\n%s", diff)
	}
}

func TestIssueVerifies(t *testing.T) {
	t.Parallel()
	for name, change := range algorithms() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := setup(t, change)
			user, session := person()
			got, err := f.ring.Issue(t.Context(), user, session)
			if err != nil {
				t.Fatal(err)
			}
			tok, err := parse(t, f, got.AccessToken)
			if err != nil {
				t.Fatalf("own token does not verify: %v", err)
			}
			if tok.Method.Alg() != name {
				t.Errorf("alg %s, want %s", tok.Method.Alg(), name)
			}
			f.clock.advance(time.Hour)
			if _, err := parse(t, f, got.AccessToken); err == nil {
				t.Error("still good after an hour")
			}
		})
	}
}

func TestIssueRefuses(t *testing.T) {
	t.Parallel()
	f := setup(t)
	for _, tc := range []struct {
		name   string
		change func(*auth.User, *auth.Session)
	}{
		{"no user", func(u *auth.User, s *auth.Session) { u.ID, s.UserID = auth.ID{}, auth.ID{} }},
		{"no session", func(_ *auth.User, s *auth.Session) { s.ID = auth.ID{} }},
		{"somebody else's session", func(_ *auth.User, s *auth.Session) { s.UserID[0]++ }},
		{"no role", func(u *auth.User, _ *auth.Session) { u.Role = "" }},
		{"broken metadata", func(u *auth.User, _ *auth.Session) { u.UserMetadata = json.RawMessage(`{"a":`) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			user, session := person()
			tc.change(user, session)
			if got, err := f.ring.Issue(t.Context(), user, session); err == nil {
				t.Errorf("Issue = %+v", got)
			}
		})
	}
}

func BenchmarkIssue(b *testing.B) {
	for name, change := range algorithms() {
		b.Run(name, func(b *testing.B) {
			f := setup(b, change)
			user, session := person()
			b.ReportAllocs()
			for b.Loop() {
				if _, err := f.ring.Issue(b.Context(), user, session); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
