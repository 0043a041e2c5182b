package token

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/sync/singleflight"

	"github.com/cardea-auth/cardea/internal/auth"
)

// APIKeyStore keeps opaque API keys. The rules are those of store.APIKeys.
type APIKeyStore interface {
	CreateAPIKey(ctx context.Context, k auth.APIKey) error
	APIKeyByHash(ctx context.Context, hash []byte) (auth.APIKey, error)
	ListAPIKeys(ctx context.Context) ([]auth.APIKey, error)
	RevokeAPIKey(ctx context.Context, id auth.ID, at time.Time) error
}

const (
	publishablePrefix = "sb_publishable_"
	secretPrefix      = "sb_secret_"
	shownChars        = 6 // of the random part, in lists: 36 of 256 bits
	opaqueRandom      = 32
	opaqueChecksum    = 4
	maxKeyName        = 100 // code points
)

// APIKeys makes and resolves API keys. It is safe for concurrent use.
type APIKeys struct {
	ring    *Ring
	store   APIKeyStore
	cache   *roleCache
	lookups singleflight.Group
}

// NewAPIKeys makes the API keys of a ring.
func NewAPIKeys(ring *Ring, store APIKeyStore) *APIKeys {
	return &APIKeys{ring: ring, store: store, cache: newRoleCache()}
}

// JWT makes an API key in the form of a token, for anon or service_role: iss, role, iat and
// an exp ten years ahead; no subject. Each call makes another one, and all stay good until
// the key that signed them is revoked: they can't be revoked one by one.
func (a *APIKeys) JWT(role string) (string, error) {
	if role != auth.RoleAnon && role != auth.RoleServiceRole {
		return "", fmt.Errorf("token: there are no API keys for role %q", role)
	}
	return a.ring.issueAPIKey(role)
}

// Create makes an opaque key of kind auth.APIKeyPublishable or auth.APIKeySecret. plain is
// the only copy: the store keeps its SHA-256, which is enough for 256 random bits. The name
// is for people: 1 to 100 characters, none of them a control character.
func (a *APIKeys) Create(ctx context.Context, name, kind string) (plain string, k auth.APIKey, err error) {
	prefix, ok := prefixOf(kind)
	if !ok {
		return "", auth.APIKey{}, auth.E(auth.CodeValidation, fmt.Sprintf("Unknown kind of API key: use %s or %s",
			auth.APIKeyPublishable, auth.APIKeySecret))
	}
	if n := utf8.RuneCountInString(name); n < 1 || n > maxKeyName || !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl) {
		return "", auth.APIKey{}, auth.E(auth.CodeValidation, fmt.Sprintf("The name of an API key has 1 to %d characters, none of them a control character", maxKeyName))
	}
	raw, err := random32(a.ring.config.Rand)
	if err != nil {
		return "", auth.APIKey{}, err
	}
	checksum := opaqueSum(prefix, raw)
	plain = prefix + base64.RawURLEncoding.EncodeToString(append(raw, checksum[:]...))
	now := auth.Truncate(a.ring.config.Now())
	id, err := auth.NewID(now, a.ring.config.Rand)
	if err != nil {
		return "", auth.APIKey{}, err
	}
	hash := sha256.Sum256([]byte(plain))
	k = auth.APIKey{
		ID: id, Name: name, Kind: kind, Prefix: plain[:len(prefix)+shownChars],
		Hash: hash[:], CreatedAt: now,
	}
	if err := a.store.CreateAPIKey(ctx, k); err != nil {
		return "", auth.APIKey{}, fmt.Errorf("token: create API key: %w", err)
	}
	return plain, k, nil
}

func prefixOf(kind string) (string, bool) {
	switch kind {
	case auth.APIKeyPublishable:
		return publishablePrefix, true
	case auth.APIKeySecret:
		return secretPrefix, true
	}
	return "", false
}

func opaqueSum(prefix string, raw []byte) [opaqueChecksum]byte {
	sum := sha256.Sum256(append([]byte(prefix), raw...))
	return [opaqueChecksum]byte(sum[:opaqueChecksum])
}

// wellFormed tells a key that we could have made from a mistyped one, without the store.
// The checksum is no secret and no proof.
func wellFormed(credential, prefix string) bool {
	encoded := credential[len(prefix):]
	if strings.ContainsAny(encoded, "\r\n") {
		return false
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(encoded)
	if err != nil || len(raw) != opaqueRandom+opaqueChecksum {
		return false
	}
	return opaqueSum(prefix, raw[:opaqueRandom]) == [opaqueChecksum]byte(raw[opaqueRandom:])
}

// List gives the opaque keys, newest first, revoked ones included.
func (a *APIKeys) List(ctx context.Context) ([]auth.APIKey, error) {
	keys, err := a.store.ListAPIKeys(ctx)
	if err != nil {
		return nil, fmt.Errorf("token: list API keys: %w", err)
	}
	return keys, nil
}

// Revoke ends an opaque key: at once on this node, within [cacheFor] on others. Again it
// changes nothing. The error is auth.ErrNotFound for an unknown id.
func (a *APIKeys) Revoke(ctx context.Context, id auth.ID) error {
	if err := a.store.RevokeAPIKey(ctx, id, auth.Truncate(a.ring.config.Now())); err != nil {
		return fmt.Errorf("token: revoke API key: %w", err)
	}
	a.cache.clear()
	return nil
}

// Resolve tells which role an API key stands for.
//
//   - ok false and no error: the credential is no API key; it may be a person's token.
//   - ok true: an opaque key that exists and is not revoked (anon or service_role), or a
//     token without subject that an API-key key, the shared secret or a given key has
//     signed, for anon, service_role or supabase_admin, and that has not expired. Such a
//     token needs neither exp nor aud: Supabase's own have no aud.
//   - an error with the code bad_jwt: looks like an API key and is not a good one. With the
//     code unavailable: the store can't be asked.
//
// Answers are remembered for [cacheFor], so that a revocation anywhere acts within it.
func (a *APIKeys) Resolve(ctx context.Context, credential string) (role string, ok bool, err error) {
	prefix := ""
	switch {
	case strings.HasPrefix(credential, publishablePrefix):
		prefix = publishablePrefix
	case strings.HasPrefix(credential, secretPrefix):
		prefix = secretPrefix
	case !isJWT(credential):
		return "", false, nil
	}
	now := a.ring.config.Now()
	s := a.ring.at(now)
	if prefix == "" && s.personal(credential) {
		return "", false, nil
	}
	hash := sha256.Sum256([]byte(credential))
	if found, hit := a.cache.get(hash, now); hit {
		return found.role, found.err == nil, found.err
	}
	if prefix == "" {
		return a.resolveJWT(s, credential, hash, now)
	}
	if !wellFormed(credential, prefix) {
		return "", false, errAPIKey()
	}
	return a.resolveOpaque(ctx, prefix, hash, now)
}

func (a *APIKeys) resolveJWT(s *snapshot, credential string, hash cacheKey, now time.Time) (string, bool, error) {
	role, expires, ok, err := s.apiKeyRole(credential, now)
	if err != nil || !ok {
		return "", false, err
	}
	a.cache.put(hash, answer{role: role}, now, expires)
	return role, true, nil
}

// resolveOpaque asks the store, once for all who present the same key at the same time.
func (a *APIKeys) resolveOpaque(ctx context.Context, prefix string, hash cacheKey, now time.Time) (string, bool, error) {
	// The generation is part of the name, so that nobody who comes after a revocation joins
	// a question that was asked before it.
	generation := a.cache.generation()
	name := string(binary.BigEndian.AppendUint64(hash[:], generation))
	result := a.lookups.DoChan(name, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), learnTimeout)
		defer cancel()
		if found, hit := a.cache.get(hash, now); hit { // somebody was faster since we looked
			return found, nil
		}
		found, err := a.lookUp(ctx, prefix, hash)
		if err != nil {
			return nil, err
		}
		a.cache.putIf(generation, hash, found, now)
		return found, nil
	})
	select {
	case <-ctx.Done():
		return "", false, auth.Wrap(auth.CodeUnavailable, ctx.Err())
	case r := <-result:
		found, isAnswer := r.Val.(answer)
		if r.Err != nil || !isAnswer {
			return "", false, auth.Wrap(auth.CodeUnavailable, r.Err)
		}
		return found.role, found.err == nil, found.err
	}
}

// lookUp gives the store's answer; its error means that there is none.
func (a *APIKeys) lookUp(ctx context.Context, prefix string, hash cacheKey) (answer, error) {
	k, err := a.store.APIKeyByHash(ctx, hash[:])
	switch {
	case errors.Is(err, auth.ErrNotFound):
		return answer{err: errAPIKey()}, nil
	case err != nil:
		return answer{}, fmt.Errorf("token: look up API key: %w", err)
	}
	if want, ok := prefixOf(k.Kind); !ok || want != prefix || !k.RevokedAt.IsZero() {
		return answer{err: errAPIKey()}, nil
	}
	if k.Kind == auth.APIKeySecret {
		return answer{role: auth.RoleServiceRole}, nil
	}
	return answer{role: auth.RoleAnon}, nil
}

// errAPIKey is one sentence for unknown, mistyped and revoked keys.
func errAPIKey() error { return auth.E(auth.CodeBadJWT, "Invalid API key") }
