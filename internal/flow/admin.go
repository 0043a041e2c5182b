package flow

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
)

// Admin is what operators do to accounts. Whoever calls it has been proved to be one.
type Admin struct {
	c Config
	// validHash says whether an imported password hash is one that can be checked later.
	validHash func(hash string) error
}

// NewAdmin makes Admin. validHash refuses password hashes of a form that no sign-in could
// ever check, or that would cost too much to check.
func NewAdmin(c Config, validHash func(hash string) error) *Admin { return &Admin{c, validHash} }

// NewUser is an account made by an operator. Empty fields take the defaults.
type NewUser struct {
	ID           auth.ID // zero: a new one
	Audience     string
	Role         string
	Email        string
	Phone        string
	Password     string
	PasswordHash string // instead of Password; any form that password.ValidHash accepts
	EmailConfirm bool
	PhoneConfirm bool
	UserMetadata map[string]json.RawMessage
	AppMetadata  map[string]json.RawMessage
	BanFor       time.Duration // 0: not banned
}

// UserChange is a change by an operator. Nil fields stay as they are.
type UserChange struct {
	Audience     *string
	Role         *string
	Email        *string
	Phone        *string
	Password     *string
	PasswordHash *string
	EmailConfirm *bool // true confirms now; false takes the confirmation back
	PhoneConfirm *bool
	UserMetadata map[string]json.RawMessage
	AppMetadata  map[string]json.RawMessage
	BanFor       *time.Duration // pointer to 0 lifts a ban
}

// List gives a page of accounts.
func (a *Admin) List(ctx context.Context, q auth.UserQuery) (auth.UserPage, error) {
	if q.Aud == "" {
		q.Aud = a.c.Audience
	}
	if !auth.CleanText(q.Filter) {
		return auth.UserPage{}, auth.E(auth.CodeValidation, "filter contains characters that can't be stored")
	}
	page, err := a.c.Store.ListUsers(ctx, q)
	if err != nil {
		return auth.UserPage{}, fmt.Errorf("flow: list accounts: %w", err)
	}
	return page, nil
}

// Get gives one account.
func (a *Admin) Get(ctx context.Context, id auth.ID) (auth.User, error) {
	u, err := a.c.Store.UserByID(ctx, id)
	if errors.Is(err, auth.ErrNotFound) {
		return auth.User{}, auth.E(auth.CodeUserNotFound, "")
	}
	if err != nil {
		return auth.User{}, fmt.Errorf("flow: read account: %w", err)
	}
	return u, nil
}

// Create makes an account and mails nobody.
func (a *Admin) Create(ctx context.Context, in NewUser, meta auth.Meta) (auth.User, error) {
	hash, err := a.prepare(ctx, &in)
	if err != nil {
		return auth.User{}, err
	}
	u, err := a.c.newUser(in.Audience)
	if err != nil {
		return auth.User{}, err
	}
	if !in.ID.IsZero() {
		u.ID = in.ID
	}
	u.Role, u.Email, u.Phone, u.PasswordHash = in.Role, in.Email, in.Phone, hash
	if in.BanFor > 0 {
		u.BannedUntil = u.CreatedAt.Add(in.BanFor)
	}
	if err := a.identify(&u, &in); err != nil {
		return auth.User{}, err
	}
	entry, err := a.audit("user_signedup", "team", &u, meta)
	if err != nil {
		return auth.User{}, err
	}
	account := auth.NewAccount{User: u, Audit: []auth.AuditEntry{entry}}
	if err := a.welcome(&in, &account, meta.IP); err != nil {
		return auth.User{}, err
	}
	err = a.c.createAccount(ctx, account, meta.IP)
	switch {
	case errors.Is(err, auth.ErrEmailTaken):
		return auth.User{}, auth.E(auth.CodeEmailExists, "")
	case errors.Is(err, auth.ErrPhoneTaken):
		return auth.User{}, auth.E(auth.CodePhoneExists, "")
	case errors.Is(err, auth.ErrIDTaken):
		return auth.User{}, auth.E(auth.CodeConflict, "A user with this id already exists")
	case err != nil:
		return auth.User{}, err
	}
	return u, nil
}

// prepare checks and normalises the fields of a new account and makes its password hash.
func (a *Admin) prepare(ctx context.Context, in *NewUser) (string, error) {
	var err error
	if in.Email == "" && in.Phone == "" {
		return "", auth.E(auth.CodeValidation, "Cannot create a user without either an email or phone")
	}
	if in.Email != "" {
		if in.Email, err = auth.NormalizeEmail(in.Email); err != nil {
			return "", err
		}
	}
	if in.Phone != "" {
		if in.Phone, err = auth.NormalizePhone(in.Phone); err != nil {
			return "", err
		}
	}
	if in.Audience == "" {
		in.Audience = a.c.Audience
	}
	if in.Role == "" {
		in.Role = auth.RoleAuthenticated
	}
	if err := errors.Join(checkName("aud", in.Audience), checkName("role", in.Role)); err != nil {
		return "", err
	}
	if err := checkMetadata("user_metadata", in.UserMetadata); err != nil {
		return "", err
	}
	if err := checkMetadata("app_metadata", in.AppMetadata); err != nil {
		return "", err
	}
	return a.hash(ctx, in.Password, in.PasswordHash)
}

// identify gives a new account its identities, metadata and confirmations.
func (a *Admin) identify(u *auth.User, in *NewUser) error {
	for _, p := range []struct{ provider, address string }{{auth.ProviderEmail, u.Email}, {auth.ProviderPhone, u.Phone}} {
		if p.address == "" {
			continue
		}
		if err := a.c.addIdentity(u, p.provider, in.UserMetadata, false); err != nil {
			return err
		}
	}
	providers := make([]string, len(u.Identities))
	for i := range u.Identities {
		providers[i] = u.Identities[i].Provider
	}
	// An operator's data is taken as it is; the identity's own members stay in the identity.
	var err error
	if u.UserMetadata, err = marshalObject(in.UserMetadata); err != nil {
		return err
	}
	app := metadataPatch(in.AppMetadata)
	if err := setMetadata(&app, a.metadata(in, providers)); err != nil {
		return err
	}
	if u.AppMetadata, err = marshalAny(app.Set); err != nil {
		return err
	}
	if in.EmailConfirm && u.Email != "" {
		u.EmailConfirmedAt = u.CreatedAt
	}
	if in.PhoneConfirm && u.Phone != "" {
		u.PhoneConfirmedAt = u.CreatedAt
	}
	return nil
}

// hash gives the password hash of a password or of an imported hash; "" for neither.
func (a *Admin) hash(ctx context.Context, password, hash string) (string, error) {
	switch {
	case password != "" && hash != "":
		return "", auth.E(auth.CodeValidation, "Only a password or a password hash should be provided")
	case hash != "":
		if err := a.validHash(hash); err != nil {
			return "", &auth.Error{Code: auth.CodeValidation, Message: "password_hash is not of a supported form", Cause: err}
		}
		return hash, nil
	case password != "":
		if weak := a.c.Policy.CheckNew(ctx, password); weak != nil {
			return "", weak
		}
		return a.c.Hasher.Hash(ctx, password)
	}
	return "", nil
}

// Update changes an account. A new password ends every session of it.
func (a *Admin) Update(ctx context.Context, id auth.ID, in UserChange, meta auth.Meta) (auth.User, error) {
	u, err := a.Get(ctx, id)
	if err != nil {
		return auth.User{}, err
	}
	p := auth.UserPatch{
		At: a.c.now(), Aud: in.Audience, Role: in.Role,
		UserMetadata: metadataPatch(in.UserMetadata), AppMetadata: metadataPatch(in.AppMetadata),
	}
	if err := a.checkChange(&in); err != nil {
		return auth.User{}, err
	}
	if err := a.patchAddresses(&p, &u, &in); err != nil {
		return auth.User{}, err
	}
	if in.Password != nil || in.PasswordHash != nil {
		hash, err := a.hash(ctx, deref(in.Password), deref(in.PasswordHash))
		if err != nil {
			return auth.User{}, err
		}
		if hash != "" {
			p.PasswordHash, p.Revoke = &hash, auth.RevokeAll
		}
	}
	if in.BanFor != nil {
		until := time.Time{}
		if *in.BanFor > 0 {
			until = p.At.Add(*in.BanFor)
		}
		p.BannedUntil = &until
	}
	entry, err := a.audit("user_modified", "user", &u, meta)
	if err != nil {
		return auth.User{}, err
	}
	p.Audit = []auth.AuditEntry{entry}
	return a.c.update(ctx, id, p, auth.CodeUserNotFound)
}

func (a *Admin) checkChange(in *UserChange) error {
	if in.Audience != nil {
		if err := checkName("aud", *in.Audience); err != nil {
			return err
		}
	}
	if in.Role != nil {
		if err := checkName("role", *in.Role); err != nil {
			return err
		}
	}
	if err := checkMetadata("user_metadata", in.UserMetadata); err != nil {
		return err
	}
	return checkMetadata("app_metadata", in.AppMetadata)
}

// patchAddresses applies new addresses at once: an operator has vouched for them. Whether
// they count as proved is said by the two Confirm fields; a new address without one keeps
// the state of the old.
func (a *Admin) patchAddresses(p *auth.UserPatch, u *auth.User, in *UserChange) error {
	emailAt, phoneAt := u.EmailConfirmedAt, u.PhoneConfirmedAt
	confirm(&emailAt, in.EmailConfirm, p.At)
	confirm(&phoneAt, in.PhoneConfirm, p.At)
	if in.Email != nil && *in.Email != "" {
		email, err := auth.NormalizeEmail(*in.Email)
		if err != nil {
			return err
		}
		if email != u.Email {
			if err := a.c.setAddress(p, u, auth.ProviderEmail, email, emailAt); err != nil {
				return err
			}
		}
	}
	if in.Phone != nil && *in.Phone != "" {
		phone, err := auth.NormalizePhone(*in.Phone)
		if err != nil {
			return err
		}
		if phone != u.Phone {
			if err := a.c.setAddress(p, u, auth.ProviderPhone, phone, phoneAt); err != nil {
				return err
			}
		}
	}
	// Without an address there is nothing to confirm: one added later would count as proved.
	if in.EmailConfirm != nil && (u.Email != "" || p.Email != nil) {
		p.EmailConfirmedAt = &emailAt
	}
	if in.PhoneConfirm != nil && (u.Phone != "" || p.Phone != nil) {
		p.PhoneConfirmedAt = &phoneAt
	}
	return nil
}

func confirm(at *time.Time, want *bool, now time.Time) {
	switch {
	case want == nil:
	case !*want:
		*at = time.Time{}
	case at.IsZero():
		*at = now
	}
}

// audit begins an entry for what an operator did.
func (a *Admin) audit(action, logType string, u *auth.User, meta auth.Meta) (auth.AuditEntry, error) {
	e, err := a.c.audit(action, logType, meta.IP)
	e.ActorUsername = auth.RoleServiceRole
	e.Traits = operatorTraits(meta, map[string]any{"user_id": u.ID.String()})
	return e, err
}

// checkName refuses an audience or role that can't be a name: these end up in tokens and,
// as SET ROLE, in databases.
func checkName(field, s string) error {
	if s == "" || len(s) > 63 || !auth.CleanText(s) {
		return auth.E(auth.CodeValidation, field+" must have 1 to 63 characters")
	}
	for _, r := range s {
		if r < ' ' || r == 0x7f {
			return auth.E(auth.CodeValidation, field+" contains control characters")
		}
	}
	return nil
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
