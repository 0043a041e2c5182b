package cardeatest

import (
	"crypto/x509"
	"encoding/pem"
	"maps"
	"strings"
	"time"

	"github.com/cardea-auth/cardea"
)

// BadToken is a token that every Verifier must refuse.
type BadToken struct {
	Name  string
	Token string
	Code  cardea.Code // what the Verifier of Issuer.Verifier says about it
}

// BadTokens gives a token of each kind for the user, most of them attacks, so that a
// service proves in one loop that it lets none pass. All are answered 401.
func (i *Issuer) BadTokens(u User) []BadToken {
	i.must()
	i.tb.Helper()
	return []BadToken{
		{"expired", i.Expired(u), cardea.CodeExpired},
		{"not yet valid", i.NotYetValid(u), cardea.CodeNotYetValid},
		{"made for a year", i.LongLived(u), cardea.CodeLifetime},
		{"without expiry", i.without(u, "exp"), cardea.CodeExpirationMissing},
		{"without time of issue", i.without(u, "iat"), cardea.CodeIssuedAtMissing},
		{"without subject", i.without(u, "sub"), cardea.CodeSubject},
		{"wrong audience", i.WrongAudience(u), cardea.CodeAudienceInvalid},
		{"without audience", i.without(u, "aud"), cardea.CodeAudienceMissing},
		{"wrong issuer", i.WrongIssuer(u), cardea.CodeIssuerInvalid},
		{"without issuer", i.without(u, "iss"), cardea.CodeIssuerMissing},
		{"ID token", i.IDToken(u), cardea.CodeTokenType},
		{"foreign key under our kid", i.ForeignKey(u), cardea.CodeSignature},
		{"unknown kid", i.UnknownKey(u), cardea.CodeKeyNotFound},
		{"changed after signing", i.Tampered(u), cardea.CodeSignature},
		{"alg none", i.AlgNone(u), cardea.CodeAlgorithmNotAllowed},
		{"alg none without signature", i.unsigned(u), cardea.CodeTokenStructure},
		{"HS256 with the public key as secret", i.AlgConfusion(u), cardea.CodeAlgorithmNotAllowed},
		{"not a token", "test-token", cardea.CodeTokenStructure},
	}
}

// Expired gives a token that was good until a second ago.
func (i *Issuer) Expired(u User) string {
	u.Lifetime = -time.Second
	return i.Token(u)
}

// NotYetValid gives a token that is good from in an hour on (nbf).
func (i *Issuer) NotYetValid(u User) string {
	return i.with(u, map[string]any{"nbf": i.Clock().Now().Add(time.Hour).Unix()})
}

// LongLived gives a token that is made for a year.
func (i *Issuer) LongLived(u User) string {
	u.Lifetime = 365 * 24 * time.Hour
	return i.Token(u)
}

// WrongAudience gives a token for another service of the same issuer.
func (i *Issuer) WrongAudience(u User) string {
	return i.with(u, map[string]any{"aud": "another-service"})
}

// WrongIssuer gives a token that says to be of somebody else, under our key.
func (i *Issuer) WrongIssuer(u User) string {
	return i.with(u, map[string]any{"iss": "https://evil.test" + basePath})
}

// IDToken gives an ID token (OpenID Connect Core §2) for an audience of ours: it says who
// signed in, and is no permission to call anybody.
func (i *Issuer) IDToken(u User) string { return i.with(u, map[string]any{"nonce": "n-0S6_WzA2Mj"}) }

// ForeignKey gives a token that is signed with somebody else's key under our kid.
func (i *Issuer) ForeignKey(u User) string {
	return i.sign(i.header(nil), i.marshal(i.claims(u)), i.foreign)
}

// UnknownKey gives a token with a kid that was never published.
func (i *Issuer) UnknownKey(u User) string {
	return i.sign(i.header(map[string]any{"kid": "unknown-key"}), i.marshal(i.claims(u)), i.foreign)
}

// Tampered gives a token whose subject was changed after it was signed.
func (i *Issuer) Tampered(u User) string {
	header, rest, _ := strings.Cut(i.Token(u), ".")
	_, signature, _ := strings.Cut(rest, ".")
	u.ID = i.uuid("somebody else")
	return header + "." + b64(i.marshal(i.claims(u))) + "." + signature
}

// AlgNone gives a token with alg none (RFC 7518 §3.6) and a signature nobody looks at.
func (i *Issuer) AlgNone(u User) string {
	return i.sign(i.header(map[string]any{"alg": "none"}), i.marshal(i.claims(u)), []byte("none"))
}

// unsigned is AlgNone as RFC 7518 §3.6 writes it: the signature is empty.
func (i *Issuer) unsigned(u User) string {
	return i.sign(i.header(map[string]any{"alg": "none"}), i.marshal(i.claims(u)), nil)
}

// AlgConfusion gives a token with alg HS256 whose secret is our public key, which
// everybody has (RFC 8725 §2.1).
func (i *Issuer) AlgConfusion(u User) string {
	i.must()
	der, err := x509.MarshalPKIXPublicKey(&i.current().private.PublicKey)
	if err != nil {
		i.tb.Fatalf("cardeatest: %v", err)
	}
	secret := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	return i.sign(i.header(map[string]any{"alg": "HS256"}), i.marshal(i.claims(u)), secret)
}

func (i *Issuer) current() *signingKey {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.keys[0]
}

// header is that of a good token, with changes.
func (i *Issuer) header(changes map[string]any) map[string]any {
	i.must()
	h := map[string]any{"alg": "ES256", "kid": i.current().id, "typ": "JWT"}
	maps.Copy(h, changes)
	return h
}

// with gives a token with changed claims.
func (i *Issuer) with(u User, changes map[string]any) string {
	i.must()
	claims := maps.Clone(u.Claims)
	if claims == nil {
		claims = map[string]any{}
	}
	maps.Copy(claims, changes)
	u.Claims = claims
	return i.Token(u)
}

func (i *Issuer) without(u User, name string) string { return i.with(u, map[string]any{name: nil}) }
