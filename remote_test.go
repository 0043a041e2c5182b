package cardea

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/cookiejar"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// roundTrip is an http.RoundTripper out of a function.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// drip is a body that gives one byte every second.
type drip struct{ ctx context.Context }

func (d drip) Read(b []byte) (int, error) {
	if err := pause(d.ctx, time.Second); err != nil {
		return 0, err
	}
	b[0] = ' '
	return 1, nil
}

func (drip) Close() error { return nil }

// remoteVerifier trusts an issuer behind a RoundTripper, at the real time, which is the
// bubble's in synctest.
func remoteVerifier(t *testing.T, f roundTrip) *Verifier {
	t.Helper()
	return mustVerifier(t, Config{HTTPClient: &http.Client{Transport: f}, Issuers: []Issuer{{URL: testIssuer, Audiences: []string{testAudience}}}})
}

// elapse moves the clock of a bubble on, and lets everything happen until then.
func elapse(d time.Duration) { <-time.After(d) }

func tokenNow() string {
	now := time.Now().Unix()
	return esToken(map[string]any{"iat": now, "exp": now + 3600})
}

// TestSlowIssuer: a server that drips, and one that is silent, end with the time-outs: 3
// tries of 10 s and 0.3 s between them.
func TestSlowIssuer(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]roundTrip{
		"drip": func(r *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: http.StatusOK, Body: drip{r.Context()}}, nil
		},
		"silence": func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				v := remoteVerifier(t, f)
				start := time.Now()
				wantCode(t, v, tokenNow(), CodeProviderUnreachable)
				if took := time.Since(start); took != 30*time.Second+600*time.Millisecond {
					t.Errorf("took %s", took)
				}
				start = time.Now()
				wantCode(t, v, tokenNow(), CodeProviderUnreachable) // remembered
				if took := time.Since(start); took != 0 {
					t.Errorf("the second one took %s", took)
				}
				elapse(remoteBackoff) // the outage is known now: nobody waits so long again
				start = time.Now()
				wantCode(t, v, tokenNow(), CodeProviderUnreachable)
				if took := time.Since(start); took != jwksPatience {
					t.Errorf("the third one took %s", took)
				}
				// The request's own deadline is shorter still.
				elapse(time.Minute)
				ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
				defer cancel()
				if _, err := v.Verify(ctx, tokenNow()); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("got %v", err)
				}
				elapse(time.Minute) // for the last fetch to end
			})
		})
	}
}

// TestOverdueKeys: nobody asked for an hour, and then the issuer hangs: a request waits
// 2 s for newer keys, and those behind it no longer than it does.
func TestOverdueKeys(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hang := false
		v := remoteVerifier(t, func(r *http.Request) (*http.Response, error) {
			if hang {
				<-r.Context().Done()
				return nil, r.Context().Err()
			}
			return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(string(jwksOf(ecKey("ec")))))}, nil
		})
		wantCode(t, v, tokenNow(), "")
		elapse(2 * time.Hour)
		hang = true
		for _, want := range []time.Duration{jwksPatience, 0, 0} {
			start := time.Now()
			wantCode(t, v, esToken(map[string]any{"n": want, "iat": start.Unix(), "exp": start.Unix() + 60}), "")
			if took := time.Since(start); took != want {
				t.Errorf("waited %s, want %s", took, want)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := v.Verify(ctx, tokenNow()); err != nil {
			t.Error(err) // old keys serve, also for who does not wait
		}
		elapse(time.Minute)
	})
}

// TestHTTPClientIsCopied: the caller's client keeps its own rules, and ours takes no
// cookies along.
func TestHTTPClientIsCopied(t *testing.T) {
	t.Parallel()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	c := &http.Client{Jar: jar}
	for _, ours := range []*http.Client{sameHostClient(c), noRedirectClient(c), sameHostClient(nil)} {
		if ours == c || ours.Jar != nil || ours.CheckRedirect == nil {
			t.Errorf("%+v", ours)
		}
	}
	if c.Jar == nil || c.CheckRedirect != nil {
		t.Error("the caller's client was changed")
	}
}

// TestBadAddress: an address that makes no request fails at once.
func TestBadAddress(t *testing.T) {
	t.Parallel()
	r := remote{client: &http.Client{}, sleep: noSleep}
	if _, err := r.get(t.Context(), "https://a b", "x", ""); err == nil {
		t.Error("no error")
	}
	for _, kind := range []IntrospectionKind{IntrospectionSupabase, IntrospectionRFC7662} {
		in := &introspector{kind: kind, url: "https://a b"}
		if _, err := in.request(t.Context(), "t"); err == nil {
			t.Error("no error")
		}
	}
	if got := redacted("https://u:p@h/x"); strings.Contains(got, "p@") {
		t.Error(got)
	}
	if got := redacted("https://u:p@%zz"); strings.Contains(got, "p@") {
		t.Error(got)
	}
}
