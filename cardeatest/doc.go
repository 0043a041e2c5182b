// Package cardeatest tests services that are guarded by package cardea: an issuer inside
// of the test process, tokens for any user in microseconds, a clock that the test moves,
// and an issuer that can be slow, broken or away.
//
//	iss := cardeatest.New(t)
//	h := newHandler(iss.Verifier()) // the service under test
//	rec := httptest.NewRecorder()
//	h.ServeHTTP(rec, iss.Request("GET", "/me", cardeatest.User{Email: "ada@example.com"}))
//	cardeatest.AssertAllowed(t, rec)
//
// Nothing of the service is switched off: tokens are real ES256 tokens, the Verifier is
// the real one, and it fetches the real key set document, through a transport without
// sockets. A service that reads the address of its issuer from its configuration gets one
// over HTTP with Config.Serve, or with [Issuer.JWKSURL].
//
// # Why this can't open a production service
//
//   - Every constructor needs a [testing.TB] and panics outside of a test binary
//     ([testing.Testing]); an [Issuer] that was not made by [New] panics when used.
//   - Every Issuer makes its own random key. There is no constant token, key, user or
//     user id, and no Verifier accepts the tokens unless it was told to trust that key.
//   - No package of this module imports this one outside of its tests; a test proves it.
//
// An Issuer may be used by many goroutines. Parallel tests should each have their own:
// [New] takes some tens of microseconds.
package cardeatest
