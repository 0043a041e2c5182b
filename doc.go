// Package cardea checks access tokens and guards the routes of a Go service. It trusts
// the tokens of Cardea, of a Supabase project or of any OpenID issuer, needs the issuer
// only for its public keys, and depends on nothing but the standard library and
// golang-jwt.
//
//	v, err := cardea.NewVerifier(cardea.Config{Issuers: []cardea.Issuer{{
//		URL: "https://auth.example.com/auth/v1", Audiences: []string{"authenticated"}}}})
//	guard := v.Require(cardea.Authenticated())
//	mux.Handle("GET /me", guard(meHandler))
//	// in the handler: p, _ := cardea.PrincipalFrom(r.Context()); p.Subject is the user
//
// # What is verified
//
// The list with its order and codes is at [Verifier.Verify]. In short: the token is one
// well-formed JWS, of an issuer in the list, signed with one of that issuer's keys by
// the algorithm of that key, for one of our audiences, in its time, not made to live
// longer than 24 h, with a subject, and an access token rather than an ID token.
//
// # What is not verified
//
//   - Revocation, unless you say how. A session that was signed out, a user who was
//     banned or deleted: their access tokens stay valid until they expire. Keep access
//     tokens short, or put a [Denylist] or a look-up of your own into [Config].Revoked.
//   - Whether the user still exists, and whether e-mail and phone in the token are
//     confirmed.
//   - Replay and possession: who holds a bearer token may use it.
//   - Claims that neither [Issuer].RequiredClaims nor a [Requirement] names.
//     [Principal.Claim] reads the rest. Names that appear twice are refused at the top
//     level of header and payload; inside of claims the issuer is trusted.
//   - API keys. The anon and service_role keys of Supabase have no subject and live for
//     years; they are refused.
//
// # When the issuer is down
//
// Fetched keys are fresh for at most an hour and serve for 24 h more while no new ones
// can be had. A token that needs a key which is not there is asked about if
// [Introspection] is on, and else, or if nobody answers, it is answered 503 with
// Retry-After and the code AUTH_PROVIDER_UNREACHABLE, never 401: the client should try
// again, not sign its user out.
//
// # Compatibility
//
// Exported names, error codes and their statuses stay as they are within a major
// version. New checks may refuse tokens that were accepted before if they stop an
// attack; the release notes name them. New fields may be added to every struct: use
// field names in literals. New codes may be added: treat an unknown one by its status.
package cardea
