package storetest

import (
	"crypto/sha256"
	"fmt"
	"testing"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
)

func apiKeyCases() []testCase {
	return []testCase{
		{"create, find, list, revoke", apiKeyLife},
		{"collisions", apiKeyTaken},
	}
}

func apiKey(n int) auth.APIKey {
	hash := sha256.Sum256([]byte{byte(n)})
	return auth.APIKey{
		ID: fixedID(kindKey, n), Name: fmt.Sprintf("key %d é", n), Kind: auth.APIKeySecret,
		Prefix: fmt.Sprintf("sb_secret_%d", n), Hash: hash[:], CreatedAt: after(time.Duration(n) * time.Second),
	}
}

func apiKeyLife(_ *testing.T, e *env) {
	first, second := apiKey(1), apiKey(2)
	second.Kind = auth.APIKeyPublishable
	e.ok("CreateAPIKey", e.CreateAPIKey(e.ctx, second))
	e.ok("CreateAPIKey", e.CreateAPIKey(e.ctx, first))
	list := func(what string, want ...auth.APIKey) {
		e.tb.Helper()
		got, err := e.ListAPIKeys(e.ctx)
		e.ok("ListAPIKeys", err)
		e.same(what, want, got)
	}
	list("newest first", second, first)
	got, err := e.APIKeyByHash(e.ctx, first.Hash)
	e.ok("APIKeyByHash", err)
	e.same("APIKeyByHash", first, got)
	for what, hash := range map[string][]byte{"unknown": make([]byte, 32), "prefix": first.Hash[:31], "empty": {}, "nil": nil} {
		_, err = e.APIKeyByHash(e.ctx, hash)
		e.is(what, err, auth.ErrNotFound)
	}

	e.ok("RevokeAPIKey", e.RevokeAPIKey(e.ctx, first.ID, after(time.Hour)))
	e.ok("RevokeAPIKey again", e.RevokeAPIKey(e.ctx, first.ID, after(2*time.Hour)))
	first.RevokedAt = after(time.Hour)
	got, err = e.APIKeyByHash(e.ctx, first.Hash)
	e.ok("APIKeyByHash", err)
	e.same("a revoked key is found", first, got)
	list("after the revocation", second, first)
	e.is("unknown id", e.RevokeAPIKey(e.ctx, fixedID(kindKey, 9), after(time.Hour)), auth.ErrNotFound)
}

func apiKeyTaken(_ *testing.T, e *env) {
	first := apiKey(1)
	e.ok("CreateAPIKey", e.CreateAPIKey(e.ctx, first))
	same := apiKey(2)
	same.Hash = first.Hash
	if err := e.CreateAPIKey(e.ctx, same); err == nil {
		e.tb.Error("two keys with one hash")
	}
	same = apiKey(2)
	same.ID = first.ID
	if err := e.CreateAPIKey(e.ctx, same); err == nil {
		e.tb.Error("two keys with one id")
	}
	got, err := e.ListAPIKeys(e.ctx)
	e.ok("ListAPIKeys", err)
	e.same("only the first", []auth.APIKey{first}, got)
}
