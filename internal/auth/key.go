package auth

import "time"

// KeyUse says what a key of the ring signs. A key has one use for life: a long-lived
// API key token must never be mistaken for a person's session, nor the reverse.
type KeyUse string

// The uses.
const (
	KeyUseAccess  KeyUse = "access"  // access tokens of sessions; public part in the JWKS
	KeyUseAPIKey  KeyUse = "api_key" // anon and service_role tokens; public part in the JWKS
	KeyUseRefresh KeyUse = "refresh" // HMAC master of refresh tokens; never published
)

// KeyStatus is a key's place in its life: standby → current → previous → gone, or
// revoked from any of them.
type KeyStatus string

// The states. At most one key of a use is current, and at most one standby.
const (
	KeyStandby  KeyStatus = "standby"  // published, so that every verifier knows it before it signs
	KeyCurrent  KeyStatus = "current"  // signs
	KeyPrevious KeyStatus = "previous" // verifies what it signed, until that has expired
	KeyRevoked  KeyStatus = "revoked"  // neither; kept so that nobody brings it back
)

// SigningKey is a row of the key ring.
type SigningKey struct {
	ID          string // kid
	Use         KeyUse
	Algorithm   string // "ES256", "RS256", "EdDSA", "HS256"
	Status      KeyStatus
	Sealed      []byte // private or secret part, sealed under the key-encryption key
	PublicJWK   []byte // JSON; nil for symmetric keys
	CreatedAt   time.Time
	ActivatedAt time.Time // became current
	RetiredAt   time.Time // became previous
	RevokedAt   time.Time
}

// Kinds of opaque API keys.
const (
	APIKeyPublishable = "publishable" // stands for nobody; may be in a browser
	APIKeySecret      = "secret"      // stands for the service role; servers only
)

// APIKey is a row of the opaque API keys. The key itself is shown once and never stored.
type APIKey struct {
	ID        ID
	Name      string
	Kind      string // APIKeyPublishable or APIKeySecret
	Prefix    string // the first characters, to recognise it in a list
	Hash      []byte // SHA-256 of the whole key
	CreatedAt time.Time
	RevokedAt time.Time
}
