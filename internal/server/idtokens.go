package server

import (
	"context"
	"slices"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/flow"
	"github.com/cardea-auth/cardea/internal/idp/oidc"
)

const googleIssuer = "https://accounts.google.com"

// idTokens verifies the ID tokens of providers, by their names.
type idTokens map[string]*oidc.Provider

// idTokens gives what verifies ID tokens: of the providers that have client ids in the
// configuration. nil when there is none.
func (s *Server) idTokens() flow.IDTokens {
	p := &s.cfg.People
	clients := slices.DeleteFunc([]string{p.GoogleWebClientID, p.GoogleIOSClientID, p.GoogleAndroidClientID}, func(id string) bool { return id == "" })
	if len(clients) == 0 {
		return nil
	}
	issuer := googleIssuer
	if s.opt.GoogleURL != "" {
		issuer = s.opt.GoogleURL
	}
	return idTokens{"google": oidc.New(issuer, clients, s.opt.Now, nil)}
}

// VerifyIDToken implements flow.IDTokens.
func (t idTokens) VerifyIDToken(ctx context.Context, provider, token string) (auth.ProviderIdentity, error) {
	p := t[provider]
	if p == nil {
		return auth.ProviderIdentity{}, auth.E(auth.CodeFeatureDisabled, "This provider is not available on this server")
	}
	return p.Verify(ctx, token) //nolint:wrapcheck // an *auth.Error
}
