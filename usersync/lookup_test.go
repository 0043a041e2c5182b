package usersync_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cardea-auth/cardea"
	"github.com/cardea-auth/cardea/cardeatest"
	"github.com/cardea-auth/cardea/usersync"
)

// answering is an issuer with one answer.
func answering(t *testing.T, status int, body string) (string, *atomic.Int32) {
	t.Helper()
	asked := &atomic.Int32{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if r.URL.Path == "/elsewhere" {
			t.Error("a redirect was followed, with somebody's token")
		}
		if r.Header.Get("Authorization") != "Bearer token" {
			t.Errorf("asked with %q", r.Header.Get("Authorization"))
		}
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}))
	t.Cleanup(srv.Close)
	return srv.URL, asked
}

// What says something about the user is a refusal; everything else is no answer.
func TestAnswersOfTheIssuer(t *testing.T) {
	t.Parallel()
	const refused, silent, good = cardea.CodeProviderError, cardea.Code("no answer"), cardea.Code("")
	for name, c := range map[string]struct {
		status int
		body   string
		want   cardea.Code
		asked  int32
	}{
		"good":         {200, `{"id":"ada","sub":"ada"}`, good, 1},
		"another user": {200, `{"id":"eve","sub":"eve"}`, refused, 1},
		"nobody":       {200, `{}`, refused, 1},
		"unknown":      {404, `{}`, refused, 1},
		"refused":      {403, `{}`, refused, 1},
		"signed out":   {401, `{}`, refused, 1},
		"redirect":     {302, ``, silent, 1},
		"no JSON":      {200, `<html>`, silent, 1},
		"broken":       {500, ``, silent, 2},
		"busy":         {429, ``, silent, 2},
		"endless":      {200, `"` + strings.Repeat("x", 2<<20), silent, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for kind, source := range map[string]func(string) usersync.Source{
				"supabase": func(url string) usersync.Source { return usersync.SupabaseUser{URL: url} },
				"userinfo": func(url string) usersync.Source { return usersync.UserInfo{URL: url} },
			} {
				url, asked := answering(t, c.status, c.body)
				id, err := source(url).Ask(t.Context(), &cardea.Principal{Issuer: here, Subject: "ada"}, "token")
				code := cardea.CodeOf(err)
				if err != nil && code == "" {
					code = silent
				}
				if code != c.want || asked.Load() != c.asked {
					t.Errorf("%s: %v, asked %d times", kind, err, asked.Load())
				}
				if err == nil && (id.Issuer != here || id.Subject != "ada") {
					t.Errorf("%s: %+v", kind, id)
				}
			}
		})
	}
}

// Tokens go over https, but on the machine itself; and without one, a source says so.
func TestSourcesWithoutTokenOrTLS(t *testing.T) {
	t.Parallel()
	p := &cardea.Principal{Issuer: here, Subject: "ada"}
	for _, url := range []string{"http://issuer.test", "ftp://issuer.test", "", "https://u:p@issuer.test", "https://issuer.test/#x"} {
		for _, source := range []usersync.Source{usersync.UserInfo{URL: url}, usersync.SupabaseUser{URL: url}} {
			if _, err := source.Ask(t.Context(), p, "token"); err == nil {
				t.Errorf("%T asked %q", source, url)
			}
		}
	}
	for _, source := range []usersync.Source{usersync.Claims{}, usersync.UserInfo{URL: "https://issuer.test"}, usersync.SupabaseUser{URL: "https://issuer.test"}} {
		if _, err := source.Ask(t.Context(), p, ""); !errors.Is(err, usersync.ErrNoEvidence) {
			t.Errorf("%T without a token: %v", source, err)
		}
	}
}

// S2.10: what the claims of an issuer say that can be believed, and user_metadata, which
// can't.
func TestClaims(t *testing.T) {
	t.Parallel()
	iss := cardeatest.New(t)
	for name, c := range map[string]struct {
		claims map[string]any
		want   usersync.Identity
	}{
		"verified": {map[string]any{"email_verified": true, "phone_number": "+919876543210", "phone_number_verified": true, "given_name": "Ada", "picture": "https://x.test/a.png"},
			usersync.Identity{Email: mail, EmailVerified: true, Phone: "+919876543210", PhoneVerified: true, Profile: usersync.Profile{FirstName: "Ada", AvatarURL: "https://x.test/a.png"}}},
		"as text":              {map[string]any{"email_verified": "true"}, usersync.Identity{Email: mail, EmailVerified: true}},
		"nobody says":          {nil, usersync.Identity{Email: mail}},
		"false":                {map[string]any{"email_verified": false}, usersync.Identity{Email: mail}},
		"1":                    {map[string]any{"email_verified": 1}, usersync.Identity{Email: mail}},
		"another name":         {map[string]any{"Email_Verified": true, "phone_verified": true}, usersync.Identity{Email: mail}},
		"the user's own words": {map[string]any{"user_metadata": map[string]any{"email_verified": true, "full_name": "Ada King"}}, usersync.Identity{Email: mail, Profile: usersync.Profile{FullName: "Ada King"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := iss.Principal(cardeatest.User{ID: "ada", Email: mail, Claims: c.claims})
			got, err := usersync.Claims{}.Ask(t.Context(), p, "")
			c.want.Issuer, c.want.Subject = iss.URL(), "ada"
			c.want.AuthProvider, c.want.Providers = "email", []usersync.Provider{{Name: "email"}}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// S2.10: the answer of a Supabase project, with the ids of the linked identities.
func TestSupabaseUser(t *testing.T) {
	t.Parallel()
	body, err := json.Marshal(map[string]any{
		"id": "ada", "email": mail, "phone": phone, "email_confirmed_at": "2026-01-02T03:04:05.678Z", "phone_confirmed_at": nil,
		"banned_until": "2099-01-01T00:00:00Z", "updated_at": "2026-01-02T03:04:05Z",
		"app_metadata":  map[string]any{"provider": "google", "providers": []string{"google", "email"}},
		"user_metadata": map[string]any{"name": "Ada King", "phone_verified": true},
		"identities":    []any{map[string]any{"provider": "google", "id": "g1", "identity_id": "i1"}, map[string]any{"provider": "email", "id": "ada"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	url, _ := answering(t, 200, string(body))
	got, err := usersync.SupabaseUser{URL: url + "/"}.Ask(t.Context(), &cardea.Principal{Issuer: here, Subject: "ada"}, "token")
	want := usersync.Identity{
		Issuer: here, Subject: "ada", Email: mail, EmailVerified: true, Phone: phone, AuthProvider: "google",
		Providers: []usersync.Provider{{Name: "google", ID: "i1"}, {Name: "email", ID: "ada"}}, Profile: usersync.Profile{FullName: "Ada King"},
		Standing: usersync.StandingBanned, SourceAt: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
	}
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A source that speaks of somebody else is not believed, and one that panics stops nobody.
func TestBadSources(t *testing.T) {
	t.Parallel()
	store, count := onSQLite(t)
	for name, source := range map[string]usersync.Source{"another": another{}, "panics": broken{}} {
		users, err := usersync.New(usersync.Config{Store: store, Sources: map[string]usersync.Source{here: source}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := users.Ensure(t.Context(), &cardea.Principal{Issuer: here, Subject: "ada"}, "t"); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if n := count("users"); n != 0 {
		t.Errorf("%d users", n)
	}
}

type another struct{}

func (another) Ask(context.Context, *cardea.Principal, string) (usersync.Identity, error) {
	return usersync.Identity{Issuer: here, Subject: "eve"}, nil
}

type broken struct{}

func (broken) Ask(context.Context, *cardea.Principal, string) (usersync.Identity, error) {
	panic("a bug")
}
