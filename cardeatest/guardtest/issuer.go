package guardtest

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"testing"
	"time"

	"github.com/cardea-auth/cardea"
)

const (
	issuerURL = "https://auth.guardtest.example/auth/v1"
	audience  = "authenticated"
	subject   = "5b0f4c1e-0000-7000-8000-00000000cafe"
	keyID     = "k1"
)

// now is the clock of the table.
func now() time.Time { return time.Unix(1_800_000_000, 0).UTC() }

// issuer makes tokens, good and bad.
type issuer struct {
	key    *ecdsa.PrivateKey
	forger *ecdsa.PrivateKey // who pretends to be the issuer
	jwks   []byte
}

func newIssuer(t testing.TB) *issuer {
	t.Helper()
	key, forger := newKey(t), newKey(t)
	point, err := key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return &issuer{key: key, forger: forger, jwks: encode(t, map[string]any{"keys": []any{map[string]any{
		"kty": "EC", "crv": "P-256", "kid": keyID, "alg": "ES256", "use": "sig",
		"x": base64.RawURLEncoding.EncodeToString(point[1:33]),
		"y": base64.RawURLEncoding.EncodeToString(point[33:]),
	}}})}
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func encode(t testing.TB, value any) []byte {
	t.Helper()
	b, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// token signs the claims of a doctor with changes; a nil takes a claim away.
func (i *issuer) token(t testing.TB, changes map[string]any) string {
	t.Helper()
	return sign(t, i.key, map[string]any{"alg": "ES256", "typ": "JWT", "kid": keyID}, changes)
}

func sign(t testing.TB, key *ecdsa.PrivateKey, header, changes map[string]any) string {
	t.Helper()
	claims := map[string]any{
		"iss": issuerURL, "aud": audience, "sub": subject, "role": "authenticated",
		"iat": now().Add(-time.Minute).Unix(), "exp": now().Add(time.Hour).Unix(),
		"session_id": "s1", "aal": "aal1", "email": "doctor@example.com",
		"app_metadata": map[string]any{"roles": []string{"doctor"}},
		"tenant_id":    "c1", "permissions": []string{"patient:read"}, "auth_time": now().Add(-10 * time.Minute).Unix(),
	}
	maps.Copy(claims, changes)
	maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
	signed := base64.RawURLEncoding.EncodeToString(encode(t, header)) + "." +
		base64.RawURLEncoding.EncodeToString(encode(t, claims))
	digest := sha256.Sum256([]byte(signed))
	r, s, err := ecdsa.Sign(rand.Reader, key, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	var signature [64]byte // RFC 7518 §3.4
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature[:])
}

// verifier trusts the issuer, whose key set is fetched without a network.
func (i *issuer) verifier(t testing.TB, down bool, change func(*cardea.Config)) *cardea.Verifier {
	t.Helper()
	c := cardea.Config{
		Issuers:    []cardea.Issuer{{URL: issuerURL, Audiences: []string{audience}}},
		HTTPClient: &http.Client{Transport: wire{i.jwks, down}},
		Now:        now,
		Sleep:      func(context.Context, time.Duration) error { return nil },
		Consents:   consents{},
	}
	change(&c)
	v, err := cardea.NewVerifier(c)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// wire is the way to the issuer.
type wire struct {
	jwks []byte
	down bool
}

// RoundTrip answers with the key set, or not at all.
func (w wire) RoundTrip(r *http.Request) (*http.Response, error) {
	if w.down {
		return nil, errors.New("connection refused")
	}
	return &http.Response{
		StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}},
		Body: io.NopCloser(bytes.NewReader(w.jwks)), ContentLength: int64(len(w.jwks)), Request: r,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}, nil
}
