package token

// SignAsAPIKey signs any claims with the key of API keys: what a leaked key could do.
func SignAsAPIKey(r *Ring, claims any) (string, error) {
	return signJSON(r.state.Load().apiKey, claims)
}

// Personal is the short cut of APIKeys.Resolve.
func Personal(r *Ring, token string) bool { return r.state.Load().personal(token) }
