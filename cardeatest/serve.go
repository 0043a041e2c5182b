package cardeatest

import (
	"crypto/ecdsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"

	"github.com/cardea-auth/cardea"
)

// The paths of the issuer, as with Supabase and Cardea.
const (
	basePath      = "/auth/v1"
	pathJWKS      = "/.well-known/jwks.json"
	pathDiscovery = "/.well-known/openid-configuration"
	pathUser      = "/user"
)

// serve starts the server unless it runs, and gives its address.
func (i *Issuer) serve() string {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.server == nil {
		i.server = httptest.NewServer(http.HandlerFunc(i.overHTTP))
		i.tb.Cleanup(i.server.Close)
	}
	return i.server.URL
}

// overHTTP breaks the connection where the transport gives an error.
func (i *Issuer) overHTTP(w http.ResponseWriter, r *http.Request) {
	if !i.answer(w, r, strings.TrimPrefix(r.URL.Path, basePath)) {
		panic(http.ErrAbortHandler)
	}
}

// transport reaches the Issuer without sockets, so that tests run fast, without network
// and inside of testing/synctest.
type transport struct {
	issuer *Issuer
	next   *http.Client // of the service, for other hosts; may be nil
}

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Host != t.issuer.host() {
		if t.next == nil || t.next.Transport == nil {
			return nil, fmt.Errorf("cardeatest: no network in tests: %s", r.URL.Redacted())
		}
		return t.next.Transport.RoundTrip(r)
	}
	base, err := url.Parse(t.issuer.url)
	if err != nil {
		return nil, err
	}
	rec := httptest.NewRecorder()
	if !t.issuer.answer(rec, r, strings.TrimPrefix(r.URL.Path, base.Path)) {
		return nil, errDown
	}
	response := rec.Result()
	response.Request = r
	return response, nil
}

// answer serves one request; false means that the connection breaks.
func (i *Issuer) answer(w http.ResponseWriter, r *http.Request, path string) bool {
	s := i.health()
	if path == pathJWKS {
		i.mu.Lock()
		i.fetches++
		i.mu.Unlock()
	}
	if err := s.wait(r.Context()); err != nil || s.down || (s.keysDown && path == pathJWKS) {
		return false
	}
	switch {
	case s.status != 0:
		writeJSON(w, s.status, map[string]any{"code": s.status, "msg": "the test wants it so"})
	case r.Method != http.MethodGet:
		writeJSON(w, http.StatusMethodNotAllowed, map[string]any{"msg": "GET only"})
	case path == pathJWKS:
		w.Header().Set("Cache-Control", "public, max-age=600")
		writeJSON(w, http.StatusOK, i.keySet())
	case path == pathDiscovery:
		writeJSON(w, http.StatusOK, map[string]any{"issuer": i.url, "jwks_uri": strings.TrimSuffix(i.url, "/") + pathJWKS})
	case path == pathUser:
		i.answerUser(w, r)
	default:
		writeJSON(w, http.StatusNotFound, map[string]any{"code": http.StatusNotFound, "msg": "not found"})
	}
	return true
}

// answerUser is GET /user of Supabase: the user of a good token, 403 for a bad one.
func (i *Issuer) answerUser(w http.ResponseWriter, r *http.Request) {
	p, err := i.trusted.VerifyRequest(r)
	if err != nil {
		status := http.StatusForbidden
		if cardea.CodeOf(err) == cardea.CodeHeaderMissing {
			status = http.StatusUnauthorized
		}
		writeJSON(w, status, map[string]any{"code": status, "error_code": "bad_jwt", "msg": "invalid JWT"})
		return
	}
	user := map[string]any{
		"id": p.Subject, "aud": p.Audience[0], "role": p.Role, "email": p.Email, "phone": p.Phone,
		"app_metadata": p.AppMetadata, "user_metadata": p.UserMetadata, "is_anonymous": p.Anonymous,
		"identities": []any{},
	}
	if p.Email != "" {
		user["email_confirmed_at"] = p.IssuedAt
	}
	if p.Phone != "" {
		user["phone_confirmed_at"] = p.IssuedAt
	}
	writeJSON(w, http.StatusOK, user)
}

// keySet gives the published keys as a JWK Set (RFC 7517 §5).
func (i *Issuer) keySet() map[string]any {
	i.mu.Lock()
	defer i.mu.Unlock()
	list := make([]any, 0, len(i.keys))
	for _, k := range i.keys {
		x, y := coordinates(&k.private.PublicKey)
		list = append(list, map[string]any{
			"kid": k.id, "alg": "ES256", "use": "sig", "key_ops": []string{"verify"},
			"kty": "EC", "crv": "P-256", "x": b64(x), "y": b64(y),
		})
	}
	return map[string]any{"keys": list}
}

// coordinates gives x and y in their full length (RFC 7518 §6.2.1.2).
func coordinates(k *ecdsa.PublicKey) (x, y []byte) {
	point, err := k.Bytes() // 4, x, y
	if err != nil {
		panic("cardeatest: " + err.Error()) // the key was made here
	}
	half := len(point) / 2
	return point[1 : half+1], point[half+1:]
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		status, body = http.StatusInternalServerError, []byte(`{}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client may be gone
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
