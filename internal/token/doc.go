// Package token makes and reads every token that Cardea hands out: access tokens,
// refresh tokens, and the API keys that stand for anon and service_role. It owns the
// ring of keys behind them.
//
//	access token    JWT; signed by an "access" key           Ring.Issue, Ring.Keys
//	refresh token   opaque, MAC under a "refresh" master      Ring.Refresh, Ring.ParseRefresh
//	API key, JWT    JWT without subject; an "api_key" key     APIKeys.JWT, APIKeys.Resolve
//	API key, opaque sb_publishable_… and sb_secret_…; a row   APIKeys.Create, APIKeys.Resolve
//
// A key has one use for life. [Ring.Keys], which the verifier of sessions asks, knows
// access keys only, so that an API key, which lives for years, is never taken for a
// person's session; [APIKeys.Resolve] knows the others. Where the operator's own
// configuration makes one key do both (a shared secret, or a given key set, as with
// GoTrue), the subject tells them apart: a session has one, an API key must not.
//
// Keys come from one of three places:
//
//   - the database (the default): standby → current → previous, made on the first start,
//     sealed under the key-encryption key. Public parts are computed from what was
//     unsealed, and the seal binds kid, use and algorithm: whoever can only write to the
//     database can't slip in a key, nor turn one into another.
//   - Config.GivenKeys: a JWK set from the configuration, for deployments that bring
//     their keys with them.
//   - Config.Secret with Algorithm HS256: one secret that all services share.
//
// Refresh masters always come from the database.
//
// Reading is lock-free: every method on the request path works on one immutable
// snapshot. Nodes learn each other's rotations by polling ([Ring.Run]) and, for a kid
// that is not known, at once.
package token
