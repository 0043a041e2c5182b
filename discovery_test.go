package cardea

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// provider is an OpenID provider: a discovery document and keys on another host.
type provider struct {
	*keyServer
	keys *keyServer
	docs atomic.Int64
}

func newProvider(t *testing.T, document func(p *provider) string) (*provider, *Verifier, *fakeClock) {
	t.Helper()
	p := &provider{keyServer: newKeyServer(t), keys: newKeyServer(t, ecKey("ec"))}
	p.answer(func(w http.ResponseWriter, r *http.Request) {
		p.docs.Add(1)
		if r.URL.Path != "/.well-known/openid-configuration" || r.Header.Get("apikey") != "" {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		_, _ = fmt.Fprint(w, document(p))
	})
	clock := newFakeClock()
	v := mustVerifier(t, Config{Now: clock.Now, CacheTTL: -1, Sleep: noSleep,
		Issuers: []Issuer{{Kind: KindOIDC, URL: p.URL, Audiences: []string{testAudience}}}})
	return p, v, clock
}

func goodDocument(p *provider) string {
	return fmt.Sprintf(`{"issuer":%q,"jwks_uri":%q,"id_token_signing_alg_values_supported":["none","RS256"]}`, p.URL, p.keys.URL+"/certs")
}

// TestDiscovery: the keys may be on another host, and may move.
func TestDiscovery(t *testing.T) {
	t.Parallel()
	p, v, clock := newProvider(t, goodDocument)
	token := func() string {
		now := clock.Now().Unix()
		return esToken(map[string]any{"iss": p.URL, "iat": now, "exp": now + 3600})
	}
	wantCode(t, v, token(), "")
	wantCode(t, v, token(), "")
	if p.docs.Load() != 1 || p.keys.fetches.Load() != 1 {
		t.Errorf("%d documents, %d key sets", p.docs.Load(), p.keys.fetches.Load())
	}
	moved := newKeyServer(t, ecKey("ec"))
	old := p.keys
	p.keys = moved
	old.serve() // the old place has no keys any more
	clock.Advance(time.Hour)
	wantCode(t, v, token(), "")
	if moved.fetches.Load() != 1 || old.fetches.Load() != 1 {
		t.Error("the keys moved and nobody noticed")
	}
	p.status(http.StatusServiceUnavailable) // and with the document away the old keys serve
	clock.Advance(2 * time.Hour)
	wantCode(t, v, token(), "")
}

// TestDiscoveryRefused: a document that proves nothing gives no keys: 503, and the keys
// are not even asked for.
func TestDiscoveryRefused(t *testing.T) {
	t.Parallel()
	replace := func(old, with string) func(p *provider) string {
		return func(p *provider) string { return strings.ReplaceAll(goodDocument(p), old, with) }
	}
	for name, document := range map[string]func(p *provider) string{
		"not JSON":          func(*provider) string { return "<html>" },
		"a list":            func(*provider) string { return "[]" },
		"empty":             func(*provider) string { return "{}" },
		"another issuer":    func(p *provider) string { return strings.Replace(goodDocument(p), p.URL, "https://evil.test", 1) },
		"a slash more":      func(p *provider) string { return strings.Replace(goodDocument(p), p.URL, p.URL+"/", 1) },
		"issuer a list":     func(p *provider) string { return strings.Replace(goodDocument(p), `"`+p.URL+`"`, `["`+p.URL+`"]`, 1) },
		"no jwks_uri":       replace("jwks_uri", "jwks"),
		"jwks_uri twice":    func(p *provider) string { return `{"jwks_uri":"https://evil.test",` + goodDocument(p)[1:] },
		"jwks_uri a number": func(p *provider) string { return fmt.Sprintf(`{"issuer":%q,"jwks_uri":1}`, p.URL) },
		"jwks_uri file": func(p *provider) string {
			return fmt.Sprintf(`{"issuer":%q,"jwks_uri":"file:///etc/passwd"}`, p.URL)
		},
		"jwks_uri in clear": func(p *provider) string { return fmt.Sprintf(`{"issuer":%q,"jwks_uri":"http://keys.test/c"}`, p.URL) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, v, _ := newProvider(t, document)
			wantCode(t, v, esToken(map[string]any{"iss": p.URL}), CodeProviderUnreachable)
			wantCode(t, v, esToken(map[string]any{"iss": p.URL}), CodeProviderUnreachable)
			if p.docs.Load() != 1 || p.keys.fetches.Load() != 0 {
				t.Errorf("%d documents, %d key sets", p.docs.Load(), p.keys.fetches.Load())
			}
		})
	}
}
