package token_test

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/token"
)

// TestAPIKeyJWT proves the form of gotrue.md 3.3 (S0.12).
func TestAPIKeyJWT(t *testing.T) {
	t.Parallel()
	for name, change := range algorithms() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := setup(t, change)
			for _, role := range []string{auth.RoleAnon, auth.RoleServiceRole} {
				text, err := f.keys.JWT(role)
				if err != nil {
					t.Fatal(err)
				}
				want := fmt.Sprintf(`{"iss":"https://auth.example/auth/v1","role":%q,"iat":1803888000,"exp":2119507200}`, role)
				if diff := cmp.Diff(want, part(t, text, 1)); diff != "" {
					t.Errorf("payload (-want +got):\n%s", diff)
				}
				got, ok, err := f.keys.Resolve(t.Context(), text)
				if got != role || !ok || err != nil {
					t.Errorf("Resolve = %q, %v, %v", got, ok, err)
				}
			}
			if _, err := f.keys.JWT("postgres"); err == nil {
				t.Error("an API key for any role")
			}
		})
	}
}

func TestOpaqueKeys(t *testing.T) {
	t.Parallel()
	f := setup(t)
	for kind, want := range map[string]string{auth.APIKeyPublishable: auth.RoleAnon, auth.APIKeySecret: auth.RoleServiceRole} {
		plain, k, err := f.keys.Create(t.Context(), "web app", kind)
		if err != nil {
			t.Fatal(err)
		}
		if !regexp.MustCompile(`^sb_` + kind + `_[A-Za-z0-9_-]{48}$`).MatchString(plain) {
			t.Errorf("key %q", plain)
		}
		hash := sha256.Sum256([]byte(plain))
		wantKey := auth.APIKey{
			ID: k.ID, Name: "web app", Kind: kind, Prefix: plain[:len("sb_"+kind+"_")+6], Hash: hash[:], CreatedAt: f.clock.now(),
		}
		if diff := cmp.Diff(wantKey, k); diff != "" || k.ID.IsZero() {
			t.Errorf("row (-want +got):\n%s", diff)
		}
		if role, ok, err := f.keys.Resolve(t.Context(), plain); role != want || !ok || err != nil {
			t.Errorf("Resolve = %q, %v, %v", role, ok, err)
		}
	}
	list, err := f.keys.List(t.Context())
	if err != nil || len(list) != 2 {
		t.Errorf("List = %v, %v", list, err)
	}
	stored, err := json.Marshal(f.store.apiKeys)
	if err != nil || strings.Count(string(stored), "sb_") != 2 { // the two prefixes
		t.Errorf("stored: %s, %v", stored, err)
	}
}

func TestOpaqueKeysRefused(t *testing.T) { //nolint:tparallel // see below
	t.Parallel()
	f := setup(t)
	plain, _, err := f.keys.Create(t.Context(), "web app", auth.APIKeyPublishable)
	if err != nil {
		t.Fatal(err)
	}
	stranger, _, err := setup(t).keys.Create(t.Context(), "web app", auth.APIKeySecret)
	if err != nil {
		t.Fatal(err)
	}
	other := "x"
	if plain[30] == 'x' {
		other = "y"
	}
	for _, tc := range []struct {
		name, text string
		asks       int64 // questions to the store
	}{
		{"prefix alone", "sb_secret_", 0},
		{"publishable key as secret", "sb_secret_" + strings.TrimPrefix(plain, "sb_publishable_"), 0},
		{"mistyped", plain[:30] + other + plain[31:], 0},
		{"cut", plain[:len(plain)-1], 0},
		{"longer", plain + "A", 0},
		{"line break", plain + "\n", 0},
		{"huge", "sb_secret_" + strings.Repeat("A", 1<<20), 0},
		{"of another deployment", stranger, 1},
	} {
		t.Run(tc.name, func(t *testing.T) { //nolint:paralleltest // look-ups are counted
			before := f.store.lookups.Load()
			for range 3 {
				role, ok, err := f.keys.Resolve(t.Context(), tc.text)
				if role != "" || ok || auth.CodeOf(err) != auth.CodeBadJWT {
					t.Errorf("Resolve = %q, %v, %v", role, ok, err)
				}
			}
			if n := f.store.lookups.Load() - before; n != tc.asks {
				t.Errorf("%d look-ups, want %d", n, tc.asks)
			}
		})
	}
	for _, text := range []string{"", "sb_other_x", "x", "a.b", "a.b.c", "..", "Bearer x", "eyJ.eyJ.x"} {
		if role, ok, err := f.keys.Resolve(t.Context(), text); role != "" || ok || err != nil {
			t.Errorf("Resolve(%q) = %q, %v, %v", text, role, ok, err)
		}
	}
}

func TestCreateRefuses(t *testing.T) {
	t.Parallel()
	f := setup(t)
	for _, tc := range []struct{ name, label, kind string }{
		{"kind", "web app", "admin"},
		{"no name", "", auth.APIKeySecret},
		{"long name", strings.Repeat("é", 101), auth.APIKeySecret},
		{"NUL", "web\x00app", auth.APIKeySecret},
		{"bad UTF-8", "web\xffapp", auth.APIKeySecret},
		{"line break", "web\napp", auth.APIKeySecret},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if _, _, err := f.keys.Create(t.Context(), tc.label, tc.kind); auth.CodeOf(err) != auth.CodeValidation {
				t.Errorf("Create: %v", err)
			}
		})
	}
	if _, _, err := f.keys.Create(t.Context(), strings.Repeat("é", 100), auth.APIKeySecret); err != nil {
		t.Errorf("100 characters: %v", err)
	}
}

// TestRevocationActs: at once where it was made, within five seconds elsewhere.
func TestRevocationActs(t *testing.T) {
	t.Parallel()
	f := setup(t)
	elsewhere := token.NewAPIKeys(f.open(t), f.store)
	plain, k, err := f.keys.Create(t.Context(), "worker", auth.APIKeySecret)
	if err != nil {
		t.Fatal(err)
	}
	good := func(a *token.APIKeys) bool {
		_, ok, _ := a.Resolve(t.Context(), plain)
		return ok
	}
	if !good(f.keys) || !good(elsewhere) {
		t.Fatal("the key is not good")
	}
	if err := f.keys.Revoke(t.Context(), k.ID); err != nil {
		t.Fatal(err)
	}
	if good(f.keys) {
		t.Error("still good where it was revoked")
	}
	f.clock.advance(5 * time.Second)
	if good(elsewhere) {
		t.Error("still good elsewhere after five seconds")
	}
	if err := f.keys.Revoke(t.Context(), k.ID); err != nil {
		t.Errorf("again: %v", err)
	}
	if err := f.keys.Revoke(t.Context(), auth.ID{1}); !errors.Is(err, auth.ErrNotFound) {
		t.Errorf("unknown: %v", err)
	}
}

func TestResolveAsksOnce(t *testing.T) {
	t.Parallel()
	f := setup(t)
	plain, _, err := f.keys.Create(t.Context(), "web app", auth.APIKeyPublishable)
	if err != nil {
		t.Fatal(err)
	}
	gate := make(chan struct{})
	f.store.before = func() { <-gate }
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			if role, ok, err := f.keys.Resolve(t.Context(), plain); role != auth.RoleAnon || !ok || err != nil {
				t.Errorf("Resolve = %q, %v, %v", role, ok, err)
			}
		})
	}
	close(gate)
	wg.Wait()
	if _, _, err := f.keys.Resolve(t.Context(), plain); err != nil {
		t.Error(err)
	}
	if n := f.store.lookups.Load(); n != 1 {
		t.Errorf("%d look-ups, want 1", n)
	}
	f.clock.advance(5 * time.Second)
	f.store.setFail(errors.New("database is away"))
	if _, ok, err := f.keys.Resolve(t.Context(), plain); ok || auth.CodeOf(err) != auth.CodeUnavailable {
		t.Errorf("without a store: %v, %v", ok, err)
	}
	f.store.setFail(nil)
	if _, ok, err := f.keys.Resolve(t.Context(), plain); !ok || err != nil {
		t.Errorf("a failure is remembered: %v, %v", ok, err)
	}
}

func FuzzResolve(f *testing.F) {
	x := setup(f, func(c *token.Config) { c.Secret = secretBytes() })
	anon, err := x.keys.JWT(auth.RoleAnon)
	if err != nil {
		f.Fatal(err)
	}
	legacy := hs256(f, secretBytes(), nil, map[string]any{"role": "service_role"})
	plain, _, err := x.keys.Create(f.Context(), "web app", auth.APIKeySecret)
	if err != nil {
		f.Fatal(err)
	}
	known := map[string]string{anon: auth.RoleAnon, legacy: auth.RoleServiceRole, plain: auth.RoleServiceRole}
	for text := range known {
		f.Add(text)
	}
	f.Add("sb_secret_")
	f.Add("eyJhbGciOiJub25lIn0.e30.")
	f.Fuzz(func(t *testing.T, text string) {
		role, ok, err := x.keys.Resolve(t.Context(), text)
		want, isKnown := known[text]
		// Nothing but what was made with a key of ours gets a role. (ECDSA signatures can be
		// turned into one other form; the payload stays what we signed.)
		if ok && !isKnown && strings.TrimSuffix(text, text[strings.LastIndexByte(text, '.')+1:]) != anon[:strings.LastIndexByte(anon, '.')+1] {
			t.Fatalf("%q got the role %q", text, role)
		}
		if ok != (role != "") || ok && err != nil || isKnown && role != want {
			t.Fatalf("Resolve(%q) = %q, %v, %v", text, role, ok, err)
		}
	})
}

func BenchmarkResolve(b *testing.B) {
	f := setup(b)
	user, session := person()
	tokens, err := f.ring.Issue(b.Context(), user, session)
	if err != nil {
		b.Fatal(err)
	}
	anon, err := f.keys.JWT(auth.RoleAnon)
	if err != nil {
		b.Fatal(err)
	}
	plain, _, err := f.keys.Create(b.Context(), "web app", auth.APIKeyPublishable)
	if err != nil {
		b.Fatal(err)
	}
	given := setup(b, func(c *token.Config) { c.GivenKeys = set(b, jwkOf(b, ecKey(b), "k", sign)) })
	shared, err := given.ring.Issue(b.Context(), user, session)
	if err != nil {
		b.Fatal(err)
	}
	for _, bc := range []struct {
		name, text string
		keys       *token.APIKeys
	}{
		{"session", tokens.AccessToken, f.keys},
		{"session, given keys", shared.AccessToken, given.keys},
		{"anon JWT, remembered", anon, f.keys},
		{"opaque, remembered", plain, f.keys},
	} {
		b.Run(bc.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := bc.keys.Resolve(b.Context(), bc.text); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
