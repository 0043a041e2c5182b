package token

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/seal"
)

// key is one key in memory. It never changes after it was made.
type key struct {
	row     auth.SigningKey // as stored; Sealed tells whether a reload can keep this key
	private any             // *ecdsa.PrivateKey, *rsa.PrivateKey, ed25519.PrivateKey, []byte; nil: verifies only
	public  any             // *ecdsa.PublicKey, *rsa.PublicKey, ed25519.PublicKey, []byte; nil for refresh masters
	jwk     *jwk            // nil for symmetric keys
	signer  *signer         // nil when it has no private part or is a refresh master
}

// jwk is the public part as it is published (RFC 7517 §4, RFC 7518 §6). There is no field
// for a private member: a mistake can't publish one.
type jwk struct {
	Algorithm string   `json:"alg"`
	Curve     string   `json:"crv,omitempty"`
	Exponent  string   `json:"e,omitempty"`
	KeyOps    []string `json:"key_ops"`
	ID        string   `json:"kid"`
	Type      string   `json:"kty"`
	Modulus   string   `json:"n,omitempty"`
	Use       string   `json:"use"`
	X         string   `json:"x,omitempty"`
	Y         string   `json:"y,omitempty"`
}

func publicJWK(kid, algorithm string, public any) (*jwk, error) {
	encode := base64.RawURLEncoding.EncodeToString
	out := &jwk{Algorithm: algorithm, ID: kid, Use: "sig", KeyOps: []string{"verify"}}
	switch p := public.(type) {
	case *ecdsa.PublicKey:
		point, err := p.Bytes() // 0x04, X, Y (SEC 1 §2.3.3)
		if err != nil {
			return nil, fmt.Errorf("token: public key %s: %w", kid, err)
		}
		half := len(point[1:]) / 2
		out.Type, out.Curve, out.X, out.Y = "EC", "P-256", encode(point[1:1+half]), encode(point[1+half:])
	case *rsa.PublicKey:
		var e [8]byte
		binary.BigEndian.PutUint64(e[:], uint64(p.E)) //nolint:gosec // G115: checked to be positive
		out.Type, out.Modulus, out.Exponent = "RSA", encode(p.N.Bytes()), encode(bytes.TrimLeft(e[:], "\x00"))
	case ed25519.PublicKey:
		out.Type, out.Curve, out.X = "OKP", "Ed25519", encode(p)
	default:
		return nil, fmt.Errorf("token: key %s has no public form", kid)
	}
	return out, nil
}

// signer makes compact JWS (RFC 7515 §7.1) with one key.
type signer struct {
	kid, algorithm string
	header         string // encoded, without the dot: the same for every token
	private        any
}

func newSigner(kid, algorithm string, private any) (*signer, error) {
	header, err := json.Marshal(struct {
		Algorithm string `json:"alg"`
		ID        string `json:"kid,omitempty"`
		Type      string `json:"typ"`
	}{algorithm, kid, "JWT"})
	if err != nil {
		return nil, fmt.Errorf("token: header: %w", err)
	}
	return &signer{
		kid: kid, algorithm: algorithm, private: private,
		header: base64.RawURLEncoding.EncodeToString(header),
	}, nil
}

// sign gives the token with this payload.
func (s *signer) sign(payload []byte) (string, error) {
	encoding := base64.RawURLEncoding
	out := make([]byte, 0, len(s.header)+encoding.EncodedLen(len(payload))+encoding.EncodedLen(signatureSize(s.private))+2)
	out = append(append(out, s.header...), '.')
	out = encoding.AppendEncode(out, payload)
	signature, err := signature(s.private, out)
	if err != nil {
		return "", fmt.Errorf("token: sign with key %q: %w", s.kid, err)
	}
	out = encoding.AppendEncode(append(out, '.'), signature)
	return string(out), nil
}

func signatureSize(private any) int {
	if k, ok := private.(*rsa.PrivateKey); ok {
		return k.Size()
	}
	return ed25519.SignatureSize // ES256 the same; HS256 half of it
}

func signature(private any, signed []byte) ([]byte, error) {
	switch k := private.(type) {
	case *ecdsa.PrivateKey:
		digest := sha256.Sum256(signed)
		r, s, err := ecdsa.Sign(rand.Reader, k, digest[:])
		if err != nil {
			return nil, err
		}
		out := make([]byte, 64) // R and S with leading zeros: RFC 7518 §3.4
		r.FillBytes(out[:32])
		s.FillBytes(out[32:])
		return out, nil
	case *rsa.PrivateKey:
		digest := sha256.Sum256(signed)
		return rsa.SignPKCS1v15(nil, k, crypto.SHA256, digest[:])
	case ed25519.PrivateKey:
		return ed25519.Sign(k, signed), nil
	case []byte:
		mac := hmac.New(sha256.New, k)
		mac.Write(signed)
		return mac.Sum(nil), nil
	}
	return nil, fmt.Errorf("no signing key: %T", private)
}

// generate makes the private part of a key. Elliptic keys come from source alone, so that
// tests can repeat them.
func generate(algorithm string, source io.Reader) (any, error) {
	switch algorithm {
	case ES256:
		for range 64 { // a draw is outside the order of P-256 once in 2^32
			raw, err := random32(source)
			if err != nil {
				return nil, err
			}
			if k, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), raw); err == nil {
				return k, nil
			}
		}
		return nil, errors.New("token: the random source gives no P-256 key")
	case RS256:
		return rsa.GenerateKey(rand.Reader, rsaBits)
	case EdDSA:
		seed, err := random32(source)
		if err != nil {
			return nil, err
		}
		return ed25519.NewKeyFromSeed(seed), nil
	case HS256:
		return random32(source)
	}
	return nil, fmt.Errorf("token: no key can be made for algorithm %q", algorithm)
}

func random32(source io.Reader) ([]byte, error) {
	b := make([]byte, 32)
	if _, err := io.ReadFull(source, b); err != nil {
		return nil, fmt.Errorf("token: random bytes: %w", err)
	}
	return b, nil
}

// sealContext ties a sealed private part to its kid, use and algorithm: copied into
// another row, or with the row's use changed, it does not open.
func sealContext(row *auth.SigningKey) []byte {
	return []byte("signing_key:" + row.ID + ":" + string(row.Use) + ":" + row.Algorithm)
}

// newRow makes a key for the database.
func (r *Ring) newRow(use auth.KeyUse, status auth.KeyStatus, box *seal.Box, now time.Time) (auth.SigningKey, error) {
	algorithm := r.config.Algorithm
	if use == auth.KeyUseRefresh {
		algorithm = HS256
	}
	id, err := auth.NewID(now, r.config.Rand)
	if err != nil {
		return auth.SigningKey{}, err
	}
	row := auth.SigningKey{ID: id.String(), Use: use, Algorithm: algorithm, Status: status, CreatedAt: now}
	if status == auth.KeyCurrent {
		row.ActivatedAt = now
	}
	private, err := generate(algorithm, r.config.Rand)
	if err != nil {
		return auth.SigningKey{}, err
	}
	plain, symmetric := private.([]byte)
	if !symmetric {
		if plain, err = x509.MarshalPKCS8PrivateKey(private); err != nil {
			return auth.SigningKey{}, fmt.Errorf("token: encode key: %w", err)
		}
		public, err := publicJWK(row.ID, algorithm, publicOf(private))
		if err != nil {
			return auth.SigningKey{}, err
		}
		if row.PublicJWK, err = json.Marshal(public); err != nil {
			return auth.SigningKey{}, fmt.Errorf("token: encode key: %w", err)
		}
	}
	if row.Sealed, err = box.Seal(plain, sealContext(&row)); err != nil {
		return auth.SigningKey{}, err
	}
	return row, nil
}

// openRow reads a key from the database. The column PublicJWK is for people and other
// programs; what we verify with is computed from the sealed part.
func openRow(row *auth.SigningKey, box *seal.Box) (*key, error) {
	plain, err := box.Open(row.Sealed, sealContext(row))
	if err != nil {
		return nil, fmt.Errorf("token: signing key %s does not open (is it the right key-encryption key?): %w", row.ID, err)
	}
	private := any(plain)
	if row.Algorithm != HS256 {
		if private, err = x509.ParsePKCS8PrivateKey(plain); err != nil {
			return nil, fmt.Errorf("token: signing key %s: %w", row.ID, err)
		}
	}
	if (row.Use == auth.KeyUseRefresh) != (row.Algorithm == HS256) {
		return nil, fmt.Errorf("token: signing key %s: algorithm %q is not for %q", row.ID, row.Algorithm, row.Use)
	}
	return newKey(*row, private)
}

// newKey checks that the key is what its algorithm says and makes ready what it is for.
func newKey(row auth.SigningKey, private any) (*key, error) {
	k := &key{row: row, private: private}
	if row.Use == auth.KeyUseRefresh {
		if secret, ok := private.([]byte); !ok || len(secret) != masterSize {
			return nil, fmt.Errorf("token: refresh key %s is not %d bytes long", row.ID, masterSize)
		}
		return k, nil
	}
	k.public = publicOf(private)
	if err := checkPublic(row.Algorithm, k.public); err != nil {
		return nil, fmt.Errorf("token: key %q: %w", row.ID, err)
	}
	var err error
	if row.Algorithm != HS256 {
		if k.jwk, err = publicJWK(row.ID, row.Algorithm, k.public); err != nil {
			return nil, err
		}
	}
	if k.signer, err = newSigner(row.ID, row.Algorithm, private); err != nil {
		return nil, err
	}
	return k, nil
}

func publicOf(private any) any {
	switch p := private.(type) {
	case *ecdsa.PrivateKey:
		return &p.PublicKey
	case *rsa.PrivateKey:
		return &p.PublicKey
	case ed25519.PrivateKey:
		public, _ := p.Public().(ed25519.PublicKey) // documented to be one
		return public
	case []byte:
		return p
	}
	return nil
}

// checkPublic refuses a key of another type, curve or strength than its algorithm wants:
// what stops the bytes of a public key from serving as an HMAC secret.
func checkPublic(algorithm string, public any) error {
	switch p := public.(type) {
	case *ecdsa.PublicKey:
		if algorithm == ES256 && p.Curve == elliptic.P256() {
			return nil
		}
	case *rsa.PublicKey:
		if algorithm == RS256 {
			switch bits := p.N.BitLen(); {
			case bits < rsaBits || bits > 8192:
				return fmt.Errorf("RSA key of %d bits: must be from %d to 8192", bits, rsaBits)
			case p.E < 3 || p.E&1 == 0:
				return errors.New("RSA key with a weak exponent")
			}
			return nil
		}
	case ed25519.PublicKey:
		if algorithm == EdDSA && len(p) == ed25519.PublicKeySize {
			return nil
		}
	case []byte:
		if algorithm == HS256 {
			if len(p) < minSecret {
				return fmt.Errorf("secret of %d bytes: must be %d or more", len(p), minSecret)
			}
			return nil
		}
	}
	switch algorithm {
	case ES256, RS256, EdDSA, HS256:
		return fmt.Errorf("the key material is not one of algorithm %s", algorithm)
	}
	return fmt.Errorf("unknown algorithm %q: use ES256, RS256, EdDSA or HS256", algorithm)
}
