package cardea

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// served gives a real server whose one route is guarded.
func served(t *testing.T, v *Verifier) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(v.Require(Authenticated())(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, _ := PrincipalFrom(r.Context())
		_, _ = io.WriteString(w, p.Subject)
	})))
	t.Cleanup(s.Close)
	return s
}

// callWith sends a request to a server and gives status, header and the code of the body.
func callWith(t *testing.T, s *httptest.Server, token string, headers ...string) (*http.Response, Code) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	resp, err := s.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var answer struct {
		Detail string
		Code   Code
	}
	if resp.StatusCode != http.StatusOK {
		if err := json.Unmarshal(body, &answer); err != nil || answer.Detail != NewError(answer.Code, nil).Message {
			t.Errorf("%d %q: %v", resp.StatusCode, body, err)
		}
	}
	return resp, answer.Code
}

// TestEveryTokenCodeOverHTTP: each failure of the tables through a real server, with its
// status, its code and the challenge (A8.1, A8.7).
func TestEveryTokenCodeOverHTTP(t *testing.T) {
	t.Parallel()
	s := served(t, mustVerifier(t, testConfig(t)))
	seen := map[Code]bool{}
	check := func(t *testing.T, s *httptest.Server, tc failureCase) {
		t.Helper()
		resp, code := callWith(t, s, tc.token)
		if code != tc.want || resp.StatusCode != NewError(tc.want, nil).HTTPStatus() || resp.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d %s, want %s", tc.name, resp.StatusCode, code, tc.want)
		}
		if challenge := resp.Header.Get("WWW-Authenticate"); !strings.HasPrefix(challenge, `Bearer`) || !strings.Contains(challenge, `error="invalid_token"`) {
			t.Errorf("%s: challenge %q", tc.name, challenge)
		}
		seen[code] = true
	}
	for _, list := range [][]failureCase{structureCases(), headerCases(), payloadCases(), signatureCases()} {
		for _, tc := range list {
			if validHeaderValue(tc.token) && tc.token != "" && len(tc.token) < 500_000 {
				check(t, s, tc)
			}
		}
	}
	for _, tc := range policyCases() {
		if tc.want == CodeClaimMissing || tc.want == CodeUserRole {
			check(t, served(t, issuerVerifier(t, tc.change)), tc.failureCase)
		}
	}
	v, list, _ := denying(t)
	list.RevokeSession(testIssuer, "s-1", "")
	list.RevokeUser(testIssuer, "gone", time.Time{}, "")
	revoking := served(t, v)
	check(t, revoking, failureCase{"session", esToken(), CodeTokenRevoked})
	check(t, revoking, failureCase{"user", esToken(map[string]any{"sub": "gone", "session_id": "other"}), CodeUserTokensRevoked})
	a := newAsking(t, nil)
	a.say(http.StatusOK, `{}`)
	check(t, served(t, a.Verifier), failureCase{"not active", hsToken(), CodeTokenInvalid})
	a.say(http.StatusUnauthorized, `{}`)
	check(t, served(t, a.Verifier), failureCase{"refused", hsToken(map[string]any{"n": 1}), CodeProviderError})

	a.say(http.StatusBadGateway, `{}`) // S2.11
	resp, code := callWith(t, served(t, a.Verifier), hsToken(map[string]any{"n": 2}))
	if resp.StatusCode != http.StatusServiceUnavailable || code != CodeProviderUnreachable || resp.Header.Get("Retry-After") != "5" || resp.Header.Get("WWW-Authenticate") != "" {
		t.Errorf("outage: %d %s %v", resp.StatusCode, code, resp.Header)
	}
	for _, c := range Codes() {
		if NewError(c, nil).Reason() == ReasonInvalidToken && !seen[c] && c.info().status == http.StatusUnauthorized {
			switch c {
			case CodeHeaderInvalid, CodeSchemeInvalid: // TestHeaderTable
			case CodeTicketInvalid, CodeTokenInURL: // tests of the tickets
			default:
				t.Errorf("no case makes %s over HTTP", c)
			}
		}
	}
}

// TestAdmit: S4.1, S4.7. The limiter comes before everything else, also before a
// remembered token.
func TestAdmit(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		err        error
		status     int
		code       Code
		retryAfter string
	}{
		"nil":          {nil, 200, "", ""},
		"a limit":      {&Error{Code: CodeRateLimited, Message: NewError(CodeRateLimited, nil).Message, RetryAfter: 1500 * time.Millisecond}, 429, CodeRateLimited, "2"},
		"plain error":  {errors.New("too many"), 429, CodeRateLimited, ""},
		"another code": {NewError(CodeForbidden, nil), 403, CodeForbidden, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var answer error
			c := testConfig(t)
			c.Admit = func(r *http.Request) error {
				if r.RemoteAddr == "" {
					t.Error("no address")
				}
				return answer
			}
			s := served(t, mustVerifier(t, c))
			good := esToken()
			if resp, _ := callWith(t, s, good); resp.StatusCode != http.StatusOK {
				t.Fatal(resp.Status)
			}
			answer = tc.err
			for _, token := range []string{good, "junk"} {
				resp, code := callWith(t, s, token)
				if token == "junk" && tc.err == nil {
					continue
				}
				if resp.StatusCode != tc.status || code != tc.code || resp.Header.Get("Retry-After") != tc.retryAfter {
					t.Errorf("%d %s %v", resp.StatusCode, code, resp.Header)
				}
			}
		})
	}
}

// TestRequireHTTPS: S4.8, and B4.14: a header of the caller's proves nothing.
func TestRequireHTTPS(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name           string
		require, trust bool
		encrypted      bool
		proto          []string
		want           Code
	}{
		{"not required", false, false, false, nil, ""},
		{"in clear", true, false, false, nil, CodeHTTPSRequired},
		{"encrypted", true, false, true, nil, ""},
		{"the caller says so", true, false, false, []string{"https"}, CodeHTTPSRequired},
		{"the proxy says so", true, true, false, []string{"https"}, ""},
		{"the proxy says no", true, true, false, []string{"http"}, CodeHTTPSRequired},
		{"the proxy says nothing", true, true, false, nil, CodeHTTPSRequired},
		{"two headers", true, true, false, []string{"https", "http"}, CodeHTTPSRequired},
		{"a list", true, true, false, []string{"https, http"}, CodeHTTPSRequired},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			c := testConfig(t)
			c.RequireHTTPS, c.TrustForwardedProto = tc.require, tc.trust
			v := mustVerifier(t, c)
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
			r.Header.Set("Authorization", "Bearer "+esToken())
			for _, p := range tc.proto {
				r.Header.Add("X-Forwarded-Proto", p)
			}
			if tc.encrypted {
				r.TLS = &tls.ConnectionState{}
			}
			if _, err := v.VerifyRequest(r); CodeOf(err) != tc.want {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}

// TestPreload: all issuers are asked, the sick ones are named, and the good ones serve.
func TestPreload(t *testing.T) {
	t.Parallel()
	good, bad := newKeyServer(t, ecKey("ec")), newKeyServer(t)
	bad.status(http.StatusNotFound)
	c := testConfig(t)
	c.Issuers = append(c.Issuers,
		Issuer{URL: good.URL, Audiences: []string{testAudience}}, Issuer{URL: bad.URL, Audiences: []string{testAudience}})
	v := mustVerifier(t, c)
	err := v.Preload(t.Context())
	if CodeOf(err) != CodeProviderUnreachable || !strings.Contains(err.Error(), bad.URL) || strings.Contains(err.Error(), good.URL) {
		t.Errorf("got %v", err)
	}
	wantCode(t, v, esToken(map[string]any{"iss": good.URL}), "")
	if good.fetches.Load() != 1 || bad.fetches.Load() != 1 {
		t.Error("fetched again")
	}
	if err := mustVerifier(t, testConfig(t)).Preload(context.Background()); err != nil {
		t.Error(err)
	}
}
