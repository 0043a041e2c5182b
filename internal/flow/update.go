package flow

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
)

// Update is a change of the caller's own account. Nil fields stay as they are.
type Update struct {
	Email       *string
	Phone       *string
	Password    *string
	Data        map[string]json.RawMessage // merged key by key; null removes a key
	AppMetadata bool                       // the request tried to set app_metadata: only operators may
}

// Update changes the caller's own account. What it verifies:
//
//   - the token is first-party: a token that an OAuth client got can't take the account over;
//   - account and session are alive, before and at the moment of the change;
//   - with a second factor in use, password and addresses need a session that proved it;
//   - addresses change at once only where sign-ups are confirmed at once, else they need a
//     message, which this version can't send.
//
// A new password ends all other sessions of the account.
func (a *Accounts) Update(ctx context.Context, c auth.Caller, in Update) (auth.User, error) {
	if !c.FirstParty {
		return auth.User{}, auth.E(auth.CodeNotFirstParty, "")
	}
	u, err := a.User(ctx, c)
	if err != nil {
		return auth.User{}, err
	}
	if in.AppMetadata {
		return auth.User{}, auth.E(auth.CodeNotAdmin, "")
	}
	if err := a.checkUpdate(&u, c, &in); err != nil {
		return auth.User{}, err
	}
	p := auth.UserPatch{At: a.c.now(), UserMetadata: metadataPatch(in.Data), RequireSession: c.SessionID}
	if err := a.patchEmail(&p, &u, in.Email); err != nil {
		return auth.User{}, err
	}
	if err := a.patchPhone(&p, &u, in.Phone); err != nil {
		return auth.User{}, err
	}
	action := "user_modified"
	if in.Password != nil {
		action = "user_updated_password"
		if err := a.patchPassword(ctx, &p, &u, c, *in.Password); err != nil {
			return auth.User{}, err
		}
	}
	entry, err := a.c.auditUser(action, "user", c.IP, &u)
	if err != nil {
		return auth.User{}, err
	}
	p.Audit = []auth.AuditEntry{entry}
	return a.c.update(ctx, u.ID, p, auth.CodeSessionNotFound)
}

// checkUpdate refuses before any work is done.
func (a *Accounts) checkUpdate(u *auth.User, c auth.Caller, in *Update) error {
	credential := in.Email != nil || in.Phone != nil || in.Password != nil
	switch {
	case credential && c.SessionID.IsZero():
		return auth.E(auth.CodeNotFirstParty, "") // a token that nothing can revoke must not take the account over
	case credential && u.IsSSO:
		return auth.E(auth.CodeSSOManaged, "")
	case credential && u.HasVerifiedFactor() && c.AAL != auth.AAL2:
		return auth.E(auth.CodeInsufficientAAL, "")
	case in.Password != nil && u.IsAnonymous && u.Email == "" && u.Phone == "" && in.Email == nil && in.Phone == nil:
		return auth.E(auth.CodeNeedsAddress, "")
	}
	return checkMetadata("data", in.Data)
}

func (a *Accounts) patchEmail(p *auth.UserPatch, u *auth.User, email *string) error {
	if email == nil {
		return nil
	}
	e, err := auth.NormalizeEmail(*email)
	if err != nil || e == u.Email {
		return err
	}
	if !a.c.EmailAutoconfirm {
		return auth.E(auth.CodeNoMailer, "Changing the e-mail address needs a message, which this server can't send yet")
	}
	return a.c.setAddress(p, u, auth.ProviderEmail, e, p.At)
}

func (a *Accounts) patchPhone(p *auth.UserPatch, u *auth.User, phone *string) error {
	if phone == nil {
		return nil
	}
	n, err := auth.NormalizePhone(*phone)
	if err != nil || n == u.Phone {
		return err
	}
	if !a.c.PhoneAutoconfirm {
		return auth.E(auth.CodeNoMailer, "Changing the phone number needs a message, which this server can't send yet")
	}
	return a.c.setAddress(p, u, auth.ProviderPhone, n, p.At)
}

func (a *Accounts) patchPassword(ctx context.Context, p *auth.UserPatch, u *auth.User, c auth.Caller, password string) error {
	if weak := a.c.Policy.Check(password); weak != nil {
		return weak
	}
	if err := a.c.take("password/user", u.ID.String(), a.c.UpdatePerUser); err != nil {
		return err
	}
	if u.PasswordHash != "" {
		same, _, err := a.c.Hasher.Verify(ctx, u.PasswordHash, password)
		if err != nil {
			return err
		}
		if same {
			return auth.E(auth.CodeSamePassword, "")
		}
	}
	hash, err := a.c.Hasher.Hash(ctx, password)
	if err != nil {
		return err
	}
	p.PasswordHash, p.Revoke, p.RevokeWith = &hash, auth.RevokeOthers, c.SessionID
	return nil
}

// setAddress puts a proved address on an account: the column, the identity, the metadata.
// An anonymous account becomes a permanent one by it.
func (c *Config) setAddress(p *auth.UserPatch, u *auth.User, provider, address string, confirmed time.Time) error {
	id, err := auth.NewID(p.At, c.Rand)
	if err != nil {
		return err
	}
	data, err := marshalAny(identityData(u.ID, provider, address, false))
	if err != nil {
		return err
	}
	identity := auth.Identity{
		ID: id, UserID: u.ID, Provider: provider, ProviderID: u.ID.String(), Data: data,
		CreatedAt: p.At, UpdatedAt: p.At,
	}
	verified := map[string]any{"sub": u.ID.String(), provider: address, provider + "_verified": !confirmed.IsZero()}
	if provider == auth.ProviderEmail {
		p.Email, p.EmailConfirmedAt, identity.Email = &address, &confirmed, address
	} else {
		p.Phone, p.PhoneConfirmedAt = &address, &confirmed
	}
	p.Identities = append(p.Identities, identity)
	if u.IsAnonymous {
		no := false
		p.IsAnonymous = &no
	}
	if err := setMetadata(&p.UserMetadata, verified); err != nil {
		return err
	}
	return c.setProviders(p, u, provider)
}

// setProviders keeps app_metadata.provider and .providers in step with the identities.
func (c *Config) setProviders(p *auth.UserPatch, u *auth.User, added string) error {
	providers := []string{}
	for i := range u.Identities {
		if u.Identities[i].Provider == added {
			return nil
		}
	}
	for _, id := range slices.Concat(u.Identities, p.Identities) {
		if !slices.Contains(providers, id.Provider) { // two accounts of one provider are one provider
			providers = append(providers, id.Provider)
		}
	}
	return setMetadata(&p.AppMetadata, map[string]any{"provider": providers[0], "providers": providers})
}

// update stores a patch and says in the domain's words what went wrong.
func (c *Config) update(ctx context.Context, id auth.ID, p auth.UserPatch, missing auth.Code) (auth.User, error) {
	u, err := c.Store.UpdateUser(ctx, id, p)
	switch {
	case errors.Is(err, auth.ErrEmailTaken):
		return auth.User{}, auth.E(auth.CodeEmailExists, "")
	case errors.Is(err, auth.ErrPhoneTaken):
		return auth.User{}, auth.E(auth.CodePhoneExists, "")
	case errors.Is(err, auth.ErrNotFound):
		return auth.User{}, auth.E(missing, "")
	case err != nil:
		return auth.User{}, fmt.Errorf("flow: update account: %w", err)
	}
	return u, nil
}
