package token_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/seal"
	"github.com/cardea-auth/cardea/internal/token"
)

// TestRotation walks one key through its life: standby, current, previous, gone.
func TestRotation(t *testing.T) {
	t.Parallel()
	f := setup(t)
	user, session := person()
	issue := func() string {
		t.Helper()
		got, err := f.ring.Issue(t.Context(), user, session)
		if err != nil {
			t.Fatal(err)
		}
		return got.AccessToken
	}
	oldest := issue()
	standby := byUse(f.ring, auth.KeyUseAccess, auth.KeyStandby)
	if !slices.Contains(publishedKids(t, f.ring), standby.ID) {
		t.Error("the standby key is not published: caches could not know it in time")
	}
	_, etag := f.ring.JWKS()
	current, err := f.ring.Rotate(t.Context(), auth.KeyUseAccess)
	if err != nil {
		t.Fatal(err)
	}
	if current.ID != standby.ID || current.Status != auth.KeyCurrent || current.Sealed != nil {
		t.Errorf("Rotate = %+v, want the standby key %s", current, standby.ID)
	}
	if got := kidOf(t, issue()); got != standby.ID {
		t.Errorf("signed with %s, want %s", got, standby.ID)
	}
	if _, err := parse(t, f, oldest); err != nil {
		t.Errorf("the previous key's token: %v", err)
	}
	if _, changed := f.ring.JWKS(); changed == etag {
		t.Error("same entity tag for another set")
	}
	f.clock.advance(time.Hour + 10*time.Minute - time.Second)
	if keys, _ := f.ring.Keys(t.Context(), kidOf(t, oldest)); len(keys) != 1 || !slices.Contains(publishedKids(t, f.ring), kidOf(t, oldest)) {
		t.Error("the previous key has gone before its last token expired on every clock")
	}
	f.clock.advance(time.Second)
	f.store.setFail(errors.New("database is away")) // time alone drops it
	if slices.Contains(publishedKids(t, f.ring), kidOf(t, oldest)) {
		t.Error("the previous key is published for ever")
	}
	if keys, _ := f.ring.Keys(t.Context(), kidOf(t, oldest)); len(keys) != 0 {
		t.Error("the previous key verifies for ever")
	}
	if n := len(publishedKids(t, f.ring)); n != 4 {
		t.Errorf("%d keys published, want current and standby of two uses", n)
	}
}

func TestRotateAtOnce(t *testing.T) {
	t.Parallel()
	f := setup(t)
	var mu sync.Mutex
	var won, lost int
	var wg sync.WaitGroup
	rings := []*token.Ring{f.ring, f.open(t), f.open(t), f.open(t)}
	for _, ring := range rings {
		wg.Go(func() {
			_, err := ring.Rotate(t.Context(), auth.KeyUseAPIKey)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				won++
			case errors.Is(err, auth.ErrConflict):
				lost++
			default:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if won == 0 || won+lost != len(rings) {
		t.Errorf("%d rotated, %d lost", won, lost)
	}
}

func TestRevoke(t *testing.T) {
	t.Parallel()
	f := setup(t)
	user, session := person()
	got, err := f.ring.Issue(t.Context(), user, session)
	if err != nil {
		t.Fatal(err)
	}
	kid := kidOf(t, got.AccessToken)
	if err := f.ring.Revoke(t.Context(), kid); !errors.Is(err, token.ErrInUse) {
		t.Errorf("revoke the current key: %v", err)
	}
	if err := f.ring.Revoke(t.Context(), "unknown"); !errors.Is(err, auth.ErrNotFound) {
		t.Errorf("revoke an unknown key: %v", err)
	}
	if _, err := f.ring.Rotate(t.Context(), auth.KeyUseAccess); err != nil {
		t.Fatal(err)
	}
	if err := f.ring.Revoke(t.Context(), kid); err != nil {
		t.Fatal(err)
	}
	if _, err := parse(t, f, got.AccessToken); err == nil {
		t.Error("a token of a revoked key is good")
	}
	if slices.Contains(publishedKids(t, f.ring), kid) {
		t.Error("a revoked key is published")
	}
	if k := byUse(f.ring, auth.KeyUseAccess, auth.KeyRevoked); k.ID != kid || k.RevokedAt.IsZero() {
		t.Errorf("listed as %+v", k)
	}
	f.store.mu.Lock()
	for i := range f.store.keys { // what is revoked is never opened again
		if f.store.keys[i].ID == kid {
			f.store.keys[i].Sealed = []byte("broken")
		}
	}
	f.store.mu.Unlock()
	if _, err := token.Open(t.Context(), f.config); err != nil {
		t.Errorf("start beside a broken revoked key: %v", err)
	}
}

func TestRotateRefuses(t *testing.T) {
	t.Parallel()
	t.Run("shared secret", func(t *testing.T) {
		t.Parallel()
		f := setup(t, algorithms()[token.HS256])
		for _, use := range []auth.KeyUse{auth.KeyUseAccess, auth.KeyUseAPIKey} {
			if _, err := f.ring.Rotate(t.Context(), use); !errors.Is(err, token.ErrConfigured) {
				t.Errorf("%s: %v", use, err)
			}
		}
		if _, err := f.ring.Rotate(t.Context(), auth.KeyUseRefresh); err != nil {
			t.Error(err)
		}
	})
	t.Run("no standby", func(t *testing.T) {
		t.Parallel()
		f := setup(t)
		f.store.keys = slices.DeleteFunc(f.store.keys, func(k auth.SigningKey) bool { return k.Status == auth.KeyStandby })
		if _, err := f.ring.Rotate(t.Context(), auth.KeyUseAccess); !errors.Is(err, token.ErrNoStandby) {
			t.Error(err)
		}
	})
	t.Run("unknown use", func(t *testing.T) {
		t.Parallel()
		if _, err := setup(t).ring.Rotate(t.Context(), "session"); err == nil {
			t.Error("no error")
		}
	})
}

func TestRewrap(t *testing.T) {
	t.Parallel()
	f := setup(t)
	user, session := person()
	before, err := f.ring.Issue(t.Context(), user, session)
	if err != nil {
		t.Fatal(err)
	}
	box := newBox(t, 50)
	if err := f.ring.Rewrap(t.Context(), box); err != nil {
		t.Fatal(err)
	}
	if _, err := token.Open(t.Context(), f.config); !errors.Is(err, seal.ErrUnknownKey) {
		t.Errorf("the old key-encryption key still opens: %v", err)
	}
	if _, err := f.ring.Rotate(t.Context(), auth.KeyUseAccess); err != nil { // seals under the new one
		t.Fatal(err)
	}
	if err := f.ring.Rewrap(t.Context(), box); err != nil {
		t.Errorf("again: %v", err)
	}
	f.config.Box = box
	ring := f.open(t)
	if _, _, err := ring.ParseRefresh(before.RefreshToken); err != nil {
		t.Errorf("refresh token of before: %v", err)
	}
	if _, err := parse(t, f, before.AccessToken); err != nil {
		t.Errorf("access token of before: %v", err)
	}
	if err := f.ring.Rewrap(t.Context(), nil); err == nil {
		t.Error("rewrap without a key")
	}
}

// TestJWKS: every published key has exactly the members of a public signature key.
func TestJWKS(t *testing.T) {
	t.Parallel()
	members := map[string][]string{
		token.ES256: {"alg", "crv", "key_ops", "kid", "kty", "use", "x", "y"},
		token.RS256: {"alg", "e", "key_ops", "kid", "kty", "n", "use"},
		token.EdDSA: {"alg", "crv", "key_ops", "kid", "kty", "use", "x"},
	}
	for name, want := range members {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := setup(t, algorithms()[name], func(c *token.Config) { c.Secret = secretBytes() })
			body, etag := f.ring.JWKS()
			var set struct{ Keys []map[string]any }
			if err := json.Unmarshal(body, &set); err != nil {
				t.Fatal(err)
			}
			if len(set.Keys) != 4 || len(etag) < 20 || !strings.HasPrefix(etag, `"`) || !strings.HasSuffix(etag, `"`) {
				t.Fatalf("%d keys, entity tag %s", len(set.Keys), etag)
			}
			for _, k := range set.Keys {
				var got []string
				for member := range k {
					got = append(got, member)
				}
				slices.Sort(got)
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("members (-want +got):\n%s", diff)
				}
				if k["alg"] != name || k["use"] != "sig" || len(k["key_ops"].([]any)) != 1 {
					t.Errorf("key %v", k)
				}
			}
		})
	}
	t.Run("symmetric only", func(t *testing.T) {
		t.Parallel()
		body, _ := setup(t, algorithms()[token.HS256]).ring.JWKS()
		if string(body) != `{"keys":[]}` {
			t.Errorf("body %s", body)
		}
	})
}

// TestConcurrentUse signs, checks, rotates and reloads at once (for the race detector).
func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	f := setup(t)
	user, session := person()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 20 {
				got, err := f.ring.Issue(t.Context(), user, session)
				if err != nil {
					t.Error(err)
					return
				}
				if _, err := parse(t, f, got.AccessToken); err != nil {
					t.Error(err)
				}
				if _, _, err := f.ring.ParseRefresh(got.RefreshToken); err != nil {
					t.Error(err)
				}
				f.ring.JWKS()
				f.clock.advance(time.Second)
			}
		})
	}
	for _, use := range []auth.KeyUse{auth.KeyUseAccess, auth.KeyUseRefresh, auth.KeyUseAPIKey} {
		wg.Go(func() {
			for range 5 {
				if _, err := f.ring.Rotate(t.Context(), use); err != nil {
					t.Error(err)
				}
				if err := f.ring.Reload(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}
