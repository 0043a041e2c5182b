package token_test

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/cardea-auth/cardea"
	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/token"
)

func TestFirstStart(t *testing.T) {
	t.Parallel()
	f := setup(t)
	type row struct {
		Use    auth.KeyUse
		Alg    string
		Status auth.KeyStatus
	}
	var got []row
	for i, k := range f.ring.List() {
		got = append(got, row{k.Use, k.Algorithm, k.Status})
		if k.Sealed != nil || k.ID == "" || k.CreatedAt.IsZero() || (k.Status == auth.KeyCurrent) == k.ActivatedAt.IsZero() {
			t.Errorf("key %d: %+v", i, k)
		}
	}
	want := []row{
		{auth.KeyUseAccess, token.ES256, auth.KeyCurrent}, {auth.KeyUseAccess, token.ES256, auth.KeyStandby},
		{auth.KeyUseAPIKey, token.ES256, auth.KeyCurrent}, {auth.KeyUseAPIKey, token.ES256, auth.KeyStandby},
		{auth.KeyUseRefresh, token.HS256, auth.KeyCurrent}, {auth.KeyUseRefresh, token.HS256, auth.KeyStandby},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("ring (-want +got):\n%s", diff)
	}
	again := f.open(t)
	if diff := cmp.Diff(f.ring.List(), again.List(), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("a second start changes the ring:\n%s", diff)
	}
}

// TestFirstStartOfManyNodes: one set of keys, whoever wins.
func TestFirstStartOfManyNodes(t *testing.T) {
	t.Parallel()
	f := &fixture{store: &memory{}, clock: newClock()}
	f.config = token.Config{Store: f.store, Box: newBox(t, 1), Issuer: "https://auth.example", Now: f.clock.now}
	rings := make([]*token.Ring, 8)
	var wg sync.WaitGroup
	for i := range rings {
		wg.Go(func() {
			ring, err := token.Open(t.Context(), f.config)
			if err != nil {
				t.Errorf("node %d: %v", i, err)
				return
			}
			rings[i] = ring
		})
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	if n := len(f.store.keys); n != 6 {
		t.Errorf("%d keys, want 6", n)
	}
	_, session := person()
	for i, ring := range rings {
		want, got := publishedKids(t, rings[0]), publishedKids(t, ring)
		slices.Sort(want)
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("node %d publishes other keys:\n%s", i, diff)
		}
		if _, _, err := ring.ParseRefresh(rings[0].Refresh(session.ID, 1)); err != nil {
			t.Errorf("node %d: %v", i, err)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		change func(*token.Config)
		want   []string
	}{
		{"nothing given", func(c *token.Config) { *c = token.Config{TTL: -1} }, []string{"a store", "issuer is empty", "live -1ns"}},
		{"short secret", func(c *token.Config) { c.Secret = bytes.Repeat([]byte("x"), 31) }, []string{"31 bytes", "32 or more"}},
		{"HS256 without secret", func(c *token.Config) { c.Algorithm = token.HS256 }, []string{"HS256 needs"}},
		{"unknown algorithm", func(c *token.Config) { c.Algorithm = "none" }, []string{`unknown algorithm "none"`}},
		{"day-long tokens", func(c *token.Config) { c.TTL = 25 * time.Hour }, []string{"25h0m0s"}},
		{"store is away", func(c *token.Config) {
			m := &memory{}
			m.setFail(errors.New("connection refused"))
			c.Store = m
		}, []string{"read keys", "connection refused"}},
		{"no randomness", func(c *token.Config) { c.Rand = strings.NewReader("") }, []string{"random"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			c := token.Config{Store: &memory{}, Box: newBox(t, 1), Issuer: "https://auth.example"}
			tc.change(&c)
			_, err := token.Open(t.Context(), c)
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range tc.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not say %q", err, want)
				}
			}
		})
	}
}

// TestDatabaseAlone: who can write to the database, but has no key-encryption key, can
// neither slip in a key nor turn one into another.
func TestDatabaseAlone(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		tamper func(rows []auth.SigningKey)
	}{
		{"sealed part of another deployment", func(rows []auth.SigningKey) {
			box := newBox(t, 99)
			rows[0].Sealed, _ = box.Seal([]byte("x"), []byte("signing_key:"+rows[0].ID))
		}},
		{"sealed parts swapped", func(rows []auth.SigningKey) { rows[0].Sealed, rows[1].Sealed = rows[1].Sealed, rows[0].Sealed }},
		{"API-key key as access key", func(rows []auth.SigningKey) { rows[2].Use = auth.KeyUseAccess }},
		{"renamed", func(rows []auth.SigningKey) { rows[0].ID = "other" }},
		{"another algorithm", func(rows []auth.SigningKey) { rows[0].Algorithm = token.HS256 }},
		{"cut", func(rows []auth.SigningKey) { rows[0].Sealed = nil }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			f := setup(t)
			before, _ := f.ring.JWKS()
			tc.tamper(f.store.keys)
			if _, err := token.Open(t.Context(), f.config); err == nil {
				t.Error("a node starts with it")
			}
			if err := f.ring.Reload(t.Context()); err == nil {
				t.Error("a running node takes it")
			}
			if after, _ := f.ring.JWKS(); string(after) != string(before) {
				t.Error("a running node publishes it")
			}
		})
	}
	t.Run("public part is not believed", func(t *testing.T) {
		t.Parallel()
		f := setup(t)
		before, _ := f.ring.JWKS()
		f.store.keys[0].PublicJWK = []byte(`{"kty":"EC","crv":"P-256","x":"AAAA","y":"AAAA"}`)
		if after, _ := f.open(t).JWKS(); string(after) != string(before) {
			t.Errorf("published %s", after)
		}
	})
}

// TestKeysLearns: the first token of a key that another node made is accepted, and a flood
// of unknown kids asks the store once in five seconds.
func TestKeysLearns(t *testing.T) {
	t.Parallel()
	f := setup(t)
	other := f.open(t)
	for range 2 { // the second rotation signs with a key that f.ring has never seen
		if _, err := other.Rotate(t.Context(), auth.KeyUseAccess); err != nil {
			t.Fatal(err)
		}
	}
	user, session := person()
	got, err := other.Issue(t.Context(), user, session)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parse(t, f, got.AccessToken); err != nil {
		t.Errorf("key of another node: %v", err)
	}
	reads := f.store.reads.Load()
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			keys, err := f.ring.Keys(t.Context(), "unknown")
			if err != nil || len(keys) != 0 {
				t.Errorf("Keys = %v, %v", keys, err)
			}
		})
	}
	wg.Wait()
	if n := f.store.reads.Load() - reads; n != 0 {
		t.Errorf("%d readings within the window", n)
	}
	f.clock.advance(5 * time.Second)
	for range 64 {
		wg.Go(func() { _, _ = f.ring.Keys(t.Context(), "unknown") })
	}
	wg.Wait()
	if n := f.store.reads.Load() - reads; n != 1 {
		t.Errorf("%d readings in the next window, want 1", n)
	}
	f.clock.advance(5 * time.Second)
	f.store.setFail(errors.New("database is away"))
	if _, err := f.ring.Keys(t.Context(), "unknown"); cardea.CodeOf(err) != cardea.CodeProviderUnreachable {
		t.Errorf("Keys without a store: %v", err)
	}
	if keys, err := f.ring.Keys(t.Context(), kidOf(t, got.AccessToken)); err != nil || len(keys) != 1 {
		t.Errorf("a known key without a store: %v, %v", keys, err)
	}
}

func TestKeysWithoutKid(t *testing.T) {
	t.Parallel()
	f := setup(t)
	if keys, err := f.ring.Keys(t.Context(), ""); err != nil || len(keys) != 0 {
		t.Errorf("without a secret: %v, %v", keys, err)
	}
	f = setup(t, func(c *token.Config) { c.Secret = secretBytes() })
	keys, err := f.ring.Keys(t.Context(), "")
	if diff := cmp.Diff([]cardea.Key{{Algorithm: token.HS256, Public: secretBytes()}}, keys); diff != "" || err != nil {
		t.Errorf("with a secret: %v\n%s", err, diff)
	}
}

// TestKeysFeedTheVerifier: the ring's keys pass the public package's own checks.
func TestKeysFeedTheVerifier(t *testing.T) {
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
			keys, err := f.ring.Keys(t.Context(), kidOf(t, got.AccessToken))
			if err != nil || len(keys) != 1 {
				t.Fatalf("Keys = %v, %v", keys, err)
			}
			if _, err := cardea.StaticKeys(keys...); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestRunPolls: a rotation by another node arrives after one interval; a failure is told
// and changes nothing.
func TestRunPolls(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var failures []error
		f := setup(t, func(c *token.Config) { c.ReloadFailed = func(err error) { failures = append(failures, err) } })
		other := f.open(t)
		done := make(chan struct{})
		ctx, cancel := contextWithCancel(t)
		go func() {
			f.ring.Run(ctx, time.Minute)
			close(done)
		}()
		if _, err := other.Rotate(ctx, auth.KeyUseAccess); err != nil {
			t.Fatal(err)
		}
		before, _ := f.ring.JWKS()
		waitFor(time.Minute + time.Second)
		after, _ := f.ring.JWKS()
		if want, _ := other.JWKS(); string(after) != string(want) || string(before) == string(want) {
			t.Errorf("after one interval:\n%s, want\n%s", after, want)
		}
		f.store.setFail(errors.New("database is away"))
		waitFor(time.Minute)
		if again, _ := f.ring.JWKS(); string(again) != string(after) || len(failures) != 1 {
			t.Errorf("after a failure: %v\n%s", failures, again)
		}
		cancel()
		<-done
	})
}
