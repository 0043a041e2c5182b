package cardea

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// asking is a Verifier whose issuer has no keys but answers questions: HS256 tokens of a
// secret that is not known here.
type asking struct {
	*Verifier
	server *keyServer
	clock  *fakeClock
	pauses *atomic.Int64
}

const testSub = "7d1f0f5a-0000-7000-8000-000000000001"

func newAsking(t testing.TB, change func(*Issuer)) asking {
	t.Helper()
	a := asking{server: newKeyServer(t), clock: newFakeClock(), pauses: &atomic.Int64{}}
	i := Issuer{
		URL: testIssuer, Audiences: []string{testAudience}, Algorithms: []string{"HS256"}, APIKey: "anon",
		Introspection: Introspection{Kind: IntrospectionSupabase, URL: a.server.URL + "/user"},
	}
	if change != nil {
		change(&i)
	}
	a.Verifier = mustVerifier(t, Config{
		Issuers: []Issuer{i}, Now: a.clock.Now, HTTPClient: a.server.Client(),
		Sleep: func(_ context.Context, d time.Duration) error {
			if d != 300*time.Millisecond {
				t.Errorf("pause of %s", d)
			}
			a.pauses.Add(1)
			return nil
		},
	})
	a.say(http.StatusOK, `{"id":"`+testSub+`","email_confirmed_at":"2026-01-01T00:00:00Z","phone_confirmed_at":null}`)
	return a
}

func (a asking) say(status int, body string) {
	a.server.answer(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	})
}

func (a asking) wantAsked(t *testing.T, want int64) {
	t.Helper()
	if got := a.server.fetches.Load(); got != want {
		t.Fatalf("asked %d times, want %d", got, want)
	}
}

func rfc7662(i *Issuer) {
	i.Introspection.Kind, i.Introspection.ClientID, i.Introspection.ClientSecret = IntrospectionRFC7662, "svc:1", "s cret%"
}

// TestIntrospection: S2.7, S2.8, X7 and A8.3. What each answer means, how often it is
// asked for, and that it is remembered.
func TestIntrospection(t *testing.T) {
	t.Parallel()
	active := func(more string) string { return `{"active":true` + more + `}` }
	cases := []struct {
		name    string
		rfc7662 bool
		status  int
		body    string
		want    Code
		asked   int64
	}{
		{"user", false, 200, `{"id":"` + testSub + `"}`, "", 1},
		{"another user", false, 200, `{"id":"somebody"}`, CodeTokenInvalid, 1},
		{"no user", false, 200, `{}`, CodeTokenInvalid, 1},
		{"id a number", false, 200, `{"id":1}`, CodeTokenInvalid, 1},
		{"id twice", false, 200, `{"id":"` + testSub + `","id":"x"}`, CodeProviderUnreachable, 1},
		{"a page", false, 200, `<html>`, CodeProviderUnreachable, 1},
		{"nothing", false, 204, ``, CodeProviderUnreachable, 1},
		{"redirect", false, 302, ``, CodeProviderUnreachable, 1},
		{"400", false, 400, `{}`, CodeProviderError, 1},
		{"401", false, 401, `{}`, CodeProviderError, 1},
		{"403", false, 403, `{}`, CodeProviderError, 1},
		{"404", false, 404, `{}`, CodeProviderError, 1},
		{"418", false, 418, `{}`, CodeProviderUnreachable, 1},
		{"429", false, 429, `{}`, CodeProviderUnreachable, 3}, // B2.8
		{"500", false, 500, `{}`, CodeProviderUnreachable, 3},
		{"503", false, 503, `{}`, CodeProviderUnreachable, 3},
		{"too much", false, 200, `{"id":"` + strings.Repeat("x", remoteMaxBody), CodeProviderUnreachable, 1},
		{"active", true, 200, active(""), "", 1},
		{"active and the same", true, 200, active(`,"iss":"` + testIssuer + `","sub":"` + testSub + `","aud":["x","authenticated"],"jti":"j"`), "", 1},
		{"not active", true, 200, `{"active":false}`, CodeTokenInvalid, 1},
		{"active a string", true, 200, `{"active":"true"}`, CodeTokenInvalid, 1},
		{"no word about it", true, 200, `{"sub":"` + testSub + `"}`, CodeTokenInvalid, 1},
		{"another sub", true, 200, active(`,"sub":"x"`), CodeTokenInvalid, 1},
		{"sub a number", true, 200, active(`,"sub":1`), CodeTokenInvalid, 1},
		{"another iss", true, 200, active(`,"iss":"https://x.test"`), CodeTokenInvalid, 1},
		{"another client", true, 200, active(`,"client_id":"x"`), CodeTokenInvalid, 1},
		{"another aud", true, 200, active(`,"aud":"x"`), CodeTokenInvalid, 1},
		{"aud a number", true, 200, active(`,"aud":1`), CodeTokenInvalid, 1},
		{"401 for RFC 7662", true, 401, `{}`, CodeProviderError, 1},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			a := newAsking(t, func(i *Issuer) {
				if tc.rfc7662 {
					rfc7662(i)
				}
			})
			a.say(tc.status, tc.body)
			token := hsToken(map[string]any{"client_id": "app"})
			for range 5 {
				wantCode(t, a.Verifier, token, tc.want)
			}
			a.wantAsked(t, tc.asked)
			if a.pauses.Load() != tc.asked-1 {
				t.Errorf("%d pauses", a.pauses.Load())
			}
			_, err := a.Verify(t.Context(), token)
			var e *Error
			if tc.want != "" && (!errors.As(err, &e) || (e.HTTPStatus() == 503) != (tc.want == CodeProviderUnreachable) || (e.RetryAfter == 5*time.Second) != (e.HTTPStatus() == 503)) {
				t.Errorf("%+v", err)
			}
		})
	}
}

// TestIntrospectionRequest: what goes over the wire, byte for byte where it matters.
func TestIntrospectionRequest(t *testing.T) {
	t.Parallel()
	token := hsToken()
	a := newAsking(t, nil)
	a.server.answer(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet || r.URL.Path != "/user" || r.Header.Get("Authorization") != "Bearer "+token || r.Header.Get("Apikey") != "anon" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_, _ = io.WriteString(w, `{"id":"`+testSub+`","email_confirmed_at":"2026-01-01T00:00:00Z","phone_confirmed_at":null}`)
	})
	p, err := a.Verify(t.Context(), token)
	if err != nil || p.Subject != testSub || p.Role != "authenticated" || !p.EmailVerified || p.PhoneVerified {
		t.Errorf("%+v, %v", p, err)
	}
	b := newAsking(t, rfc7662)
	b.server.answer(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		form := url.Values{"token": {token}, "token_type_hint": {"access_token"}}
		basic := "Basic " + base64.StdEncoding.EncodeToString([]byte("svc%3A1:s+cret%25"))
		if err != nil || string(body) != form.Encode() || r.Method != http.MethodPost || r.Header.Get("Authorization") != basic ||
			r.Header.Get("Content-Type") != "application/x-www-form-urlencoded" || r.Header.Get("Apikey") != "" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_, _ = io.WriteString(w, `{"active":true}`)
	})
	wantCode(t, b.Verifier, token, "")
	if a := newAsking(t, func(i *Issuer) { i.Introspection.URL, i.URL = "", "https://p.test/auth/v1/" }); a.issuers["https://p.test/auth/v1/"].introspect.url != "https://p.test/auth/v1/user" {
		t.Error("the derived address")
	}
}

// TestIntrospectionLast: B2.4, nobody is asked about what can be decided here.
func TestIntrospectionLast(t *testing.T) {
	t.Parallel()
	a := newAsking(t, func(i *Issuer) {
		i.Algorithms = []string{"ES256", "HS256"}
		i.Keys, i.JWKSURL = nil, "" // set below
		i.Keys = mustStatic(t, testKeys().public()...)
	})
	now := testNow().Unix()
	for name, tc := range map[string]failureCase{
		"good":            {token: esToken()},
		"expired":         {token: esToken(map[string]any{"exp": now - 1}), want: CodeExpired},
		"wrong signature": {token: mint(goodHeader(), testClaims(), testKeys().ec2), want: CodeSignature},
		"unknown kid":     {token: withHeader(map[string]any{"kid": "x"}), want: CodeKeyNotFound},
		"junk":            {token: "a.b.c", want: CodeBase64},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantCode(t, a.Verifier, tc.token, tc.want)
			a.wantAsked(t, 0)
		})
	}
	for name, tc := range map[string]failureCase{
		"expired HS256":          {token: hsToken(map[string]any{"exp": now - 1}), want: CodeExpired},
		"HS256 for another":      {token: hsToken(map[string]any{"aud": "x"}), want: CodeAudienceInvalid},
		"HS256 ID token":         {token: hsToken(map[string]any{"nonce": "x"}), want: CodeTokenType},
		"ES256 where only HS256": {token: esToken(), want: CodeAlgorithmNotAllowed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newAsking(t, nil)
			wantCode(t, b.Verifier, tc.token, tc.want)
			b.wantAsked(t, 0)
		})
	}
}

// TestIntrospectionWhenKeysAreAway: S2.7, the keys can't be had, but the issuer answers.
func TestIntrospectionWhenKeysAreAway(t *testing.T) {
	t.Parallel()
	keys := newKeyServer(t)
	keys.status(http.StatusInternalServerError)
	a := newAsking(t, func(i *Issuer) { i.Algorithms, i.JWKSURL = nil, keys.URL })
	wantCode(t, a.Verifier, esToken(), "")
	wantCode(t, a.Verifier, esToken(), "") // of the same kind, from memory or not
	wantCode(t, a.Verifier, esToken(map[string]any{"exp": testNow().Unix() - 1}), CodeExpired)
	a.say(http.StatusUnauthorized, "")
	wantCode(t, a.Verifier, esToken(), CodeProviderError)
	a.say(http.StatusInternalServerError, "")
	wantCode(t, a.Verifier, esToken(), CodeProviderUnreachable)
	keys.serve(ecKey("ec"))
	a.clock.Advance(remoteBackoff)
	before := a.server.fetches.Load()
	wantCode(t, a.Verifier, esToken(), "")
	a.wantAsked(t, before)
}

// TestIntrospectionMemory: a no is remembered for 60 s, a yes as long as the cache, and
// neither for another token.
func TestIntrospectionMemory(t *testing.T) {
	t.Parallel()
	a := newAsking(t, nil)
	good, bad := hsToken(map[string]any{"n": 1}), hsToken(map[string]any{"n": 2})
	wantCode(t, a.Verifier, good, "")
	a.say(http.StatusForbidden, "")
	wantCode(t, a.Verifier, bad, CodeProviderError)
	a.clock.Advance(59 * time.Second)
	wantCode(t, a.Verifier, good, "")
	wantCode(t, a.Verifier, bad, CodeProviderError)
	a.wantAsked(t, 2)
	a.clock.Advance(time.Second)
	wantCode(t, a.Verifier, good, CodeProviderError) // signed out meanwhile
	a.say(http.StatusOK, `{"id":"`+testSub+`"}`)
	wantCode(t, a.Verifier, bad, "")
	a.wantAsked(t, 4)
	a.clock.Advance(-time.Hour) // a memory from the future is none
	wantCode(t, a.Verifier, hsToken(map[string]any{"iat": a.clock.Now().Unix()}), "")
}

// TestIntrospectionMemoryIsBounded: forged tokens don't fill the memory.
func TestIntrospectionMemoryIsBounded(t *testing.T) {
	t.Parallel()
	in := &introspector{noes: map[cacheKey]no{}}
	now := testNow()
	put := func(n int, now time.Time) {
		in.remember(hashToken(strconv.Itoa(n)), NewError(CodeTokenInvalid, nil), now, introspectNoTTL)
	}
	for n := range 3 * introspectNoSize {
		put(n, now)
		if len(in.noes) > introspectNoSize {
			t.Fatalf("%d entries", len(in.noes))
		}
	}
	put(-1, now.Add(introspectNoTTL)) // all others are too old
	if len(in.noes) != 1 {
		t.Errorf("%d entries", len(in.noes))
	}
}

// TestIntrospectionOutage: after no answer at all nobody is asked for 5 s; one token that
// makes the issuer stumble does not stop the others.
func TestIntrospectionOutage(t *testing.T) {
	t.Parallel()
	a := newAsking(t, nil)
	token := func(n int) string { return hsToken(map[string]any{"n": n}) }
	a.server.answer(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	wantCode(t, a.Verifier, token(1), CodeProviderUnreachable)
	a.wantAsked(t, 3)
	wantCode(t, a.Verifier, token(2), CodeProviderUnreachable)
	a.wantAsked(t, 3)
	a.clock.Advance(5 * time.Second)
	a.say(http.StatusInternalServerError, "")
	wantCode(t, a.Verifier, token(3), CodeProviderUnreachable)
	wantCode(t, a.Verifier, token(3), CodeProviderUnreachable)
	a.wantAsked(t, 6)
	a.say(http.StatusOK, `{"id":"`+testSub+`"}`)
	wantCode(t, a.Verifier, token(4), "")
	wantCode(t, a.Verifier, token(3), CodeProviderUnreachable)
	a.clock.Advance(5 * time.Second)
	wantCode(t, a.Verifier, token(3), "")
	a.wantAsked(t, 8)
}

// TestIntrospectionFlights: one question for many requests with one token, which goes on
// when one of them leaves.
func TestIntrospectionFlights(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		asked, release := 0, make(chan struct{})
		v := mustVerifier(t, Config{
			Issuers: []Issuer{{URL: testIssuer, Audiences: []string{testAudience}, Algorithms: []string{"HS256"}, Introspection: Introspection{Kind: IntrospectionSupabase}}},
			HTTPClient: &http.Client{Transport: roundTrip(func(*http.Request) (*http.Response, error) {
				asked++
				<-release
				return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(`{"id":"` + testSub + `"}`))}, nil
			})},
		})
		now := time.Now().Unix()
		token := hsToken(map[string]any{"iat": now, "exp": now + 60})
		ctx, cancel := context.WithCancel(t.Context())
		left := make(chan error, 1)
		go func() {
			_, err := v.Verify(ctx, token)
			left <- err
		}()
		synctest.Wait()
		cancel()
		if err := <-left; CodeOf(err) != CodeProviderUnreachable || !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() { wantNoError(t, v, token) })
		}
		synctest.Wait()
		close(release)
		wg.Wait()
		if asked != 1 {
			t.Errorf("asked %d times", asked)
		}
	})
}

// TestIntrospectionSlots: no more than 32 questions at a time.
func TestIntrospectionSlots(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var running, most atomic.Int64
		v := mustVerifier(t, Config{
			Issuers: []Issuer{{URL: testIssuer, Audiences: []string{testAudience}, Algorithms: []string{"HS256"}, Introspection: Introspection{Kind: IntrospectionSupabase}}},
			HTTPClient: &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
				most.Store(max(most.Load(), running.Add(1)))
				defer running.Add(-1)
				if err := pause(r.Context(), time.Second); err != nil {
					return nil, err
				}
				return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(`{"id":"` + testSub + `"}`))}, nil
			})},
		})
		now := time.Now().Unix()
		var wg sync.WaitGroup
		for i := range 3 * introspectParallel {
			wg.Go(func() { wantNoError(t, v, hsToken(map[string]any{"n": i, "iat": now, "exp": now + 60})) })
		}
		wg.Wait()
		if most.Load() != introspectParallel || time.Now().Unix() != now+3 {
			t.Errorf("%d at a time", most.Load())
		}
	})
}

// TestIntrospectionTooLate: a token that expires while its issuer thinks is expired.
func TestIntrospectionTooLate(t *testing.T) {
	t.Parallel()
	a := newAsking(t, nil)
	a.server.answer(func(w http.ResponseWriter, _ *http.Request) {
		a.clock.Advance(time.Hour)
		_, _ = fmt.Fprintf(w, `{"id":%q}`, testSub)
	})
	wantCode(t, a.Verifier, hsToken(), CodeExpired)
}

// TestIntrospectionFlood: forged tokens wait in bounded number, and when the issuer goes
// away those that wait are not asked about any more.
func TestIntrospectionFlood(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int64
		v := mustVerifier(t, Config{
			Issuers: []Issuer{{URL: testIssuer, Audiences: []string{testAudience}, Algorithms: []string{"HS256"}, Introspection: Introspection{Kind: IntrospectionSupabase}}},
			HTTPClient: &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
				asked.Add(1)
				<-r.Context().Done()
				return nil, r.Context().Err()
			})},
		})
		now := time.Now().Unix()
		var wg sync.WaitGroup
		var busy atomic.Int64
		for i := range introspectWaiting + 100 {
			wg.Go(func() {
				_, err := v.Verify(t.Context(), hsToken(map[string]any{"n": i, "iat": now, "exp": now + 600}))
				if CodeOf(err) != CodeProviderUnreachable {
					t.Errorf("got %v", err)
				}
				if errors.Is(err, errBusy) {
					busy.Add(1)
				}
			})
		}
		wg.Wait()
		if busy.Load() != 100 || asked.Load() != introspectParallel*remoteAttempts || time.Now().Unix() > now+31 {
			t.Errorf("%d were turned away, %d tries, %d s", busy.Load(), asked.Load(), time.Now().Unix()-now)
		}
	})
}

// TestEvictDuringIntrospection: who asks after a sign-out is not told what was asked for
// before it.
func TestEvictDuringIntrospection(t *testing.T) {
	t.Parallel()
	a := newAsking(t, nil)
	asked, release := make(chan struct{}), make(chan struct{})
	a.server.answer(func(w http.ResponseWriter, _ *http.Request) {
		close(asked)
		<-release
		_, _ = fmt.Fprintf(w, `{"id":%q}`, testSub)
	})
	token := hsToken()
	first := make(chan error, 1)
	go func() {
		_, err := a.Verify(t.Context(), token)
		first <- err
	}()
	<-asked
	a.say(http.StatusForbidden, "") // signed out
	a.EvictSession(testIssuer, "s-1")
	wantCode(t, a.Verifier, token, CodeProviderError)
	close(release)
	if err := <-first; err != nil {
		t.Error(err)
	}
	wantCode(t, a.Verifier, token, CodeProviderError)
	a.wantAsked(t, 2)
}
