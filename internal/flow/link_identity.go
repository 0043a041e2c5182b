package flow

import (
	"context"
	"errors"
	"fmt"

	"github.com/cardea-auth/cardea/internal/auth"
)

// IDTokens verifies what providers say of people who have just signed in there.
type IDTokens interface {
	// VerifyIDToken reads an ID token (OpenID Connect Core §2). Errors: CodeFeatureDisabled
	// when nobody has configured the provider, CodeIDToken when the token is not good, not
	// new, or of another application, CodeUnavailable when the provider's keys can't be had.
	VerifyIDToken(ctx context.Context, provider, token string) (auth.ProviderIdentity, error)
}

// LinkIdentity adds the caller's account at a provider to the account here, by an ID token
// that the provider has just given to the application. Linked already: nothing happens. Who
// gets in by it decides over the account, so the proof behind the session must be fresh. The
// owner is told.
//
// Errors besides those of the caller: see [IDTokens]; CodeIdentityExists when it is another
// account's, or this one has another of that provider.
func (p *People) LinkIdentity(ctx context.Context, c auth.Caller, provider, token string) error {
	u, err := p.keyholder(ctx, c)
	switch {
	case err != nil:
		return err
	case u.IsAnonymous:
		return auth.E(auth.CodeForbidden, "An anonymous account has to get an address or a number first")
	case p.c.IDTokens == nil:
		return auth.E(auth.CodeFeatureDisabled, "Linking of identities is not available on this server")
	}
	if err := p.c.take("verify/ip", c.IP, p.c.VerifyPerIP); err != nil {
		return err
	}
	who, err := p.c.IDTokens.VerifyIDToken(ctx, provider, token)
	if err != nil {
		return err //nolint:wrapcheck // an *auth.Error
	}
	for i := range u.Identities {
		if u.Identities[i].Provider != provider {
			continue
		}
		if u.Identities[i].ProviderID == who.Subject {
			return nil
		}
		return auth.E(auth.CodeIdentityExists, "Another identity of this provider is linked already")
	}
	patch, err := p.linkPatch(&u, &c, provider, &who)
	if err != nil {
		return err
	}
	switch _, err := p.c.Store.UpdateUser(ctx, u.ID, patch); {
	case errors.Is(err, auth.ErrIDTaken):
		return auth.E(auth.CodeIdentityExists, "")
	case errors.Is(err, auth.ErrNotFound): // the session has ended, or somebody else has changed the account
		return auth.E(auth.CodeConflict, "")
	case err != nil:
		return fmt.Errorf("flow: link identity: %w", err)
	}
	return nil
}

// linkPatch is the change of the account. It holds only for the account as it was read: of
// two tokens of one provider at once the second must not replace what the first has linked.
func (p *People) linkPatch(u *auth.User, c *auth.Caller, provider string, who *auth.ProviderIdentity) (auth.UserPatch, error) {
	now := p.c.now()
	patch := auth.UserPatch{At: now, RequireSession: c.SessionID, RequireUpdatedAt: u.UpdatedAt}
	data := map[string]any{"iss": who.Issuer, "sub": who.Subject, "provider_id": who.Subject}
	if who.Email != "" {
		data["email"], data["email_verified"] = who.Email, who.EmailVerified
	}
	doc, err := marshalAny(data)
	if err != nil {
		return patch, err
	}
	row, err := auth.NewID(now, p.c.Rand)
	if err != nil {
		return patch, err
	}
	patch.Identities = []auth.Identity{{
		ID: row, UserID: u.ID, Provider: provider, ProviderID: who.Subject, Data: doc, CreatedAt: now, UpdatedAt: now,
	}}
	providers := providersOf(u, provider)
	if err := setMetadata(&patch.AppMetadata, map[string]any{"provider": providers[0], "providers": providers}); err != nil {
		return patch, err
	}
	if patch.Messages, err = p.tellOfAddress(u, NoticeIdentityLinked, provider, now); err != nil {
		return patch, err
	}
	entry, err := p.c.auditUser("identity_linked", "user", c.IP, u)
	entry.Traits = map[string]any{"provider": provider}
	patch.Audit = []auth.AuditEntry{entry}
	return patch, err
}
