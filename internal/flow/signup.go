package flow

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/cardea-auth/cardea/internal/auth"
)

// SignUp is a request for a new account. With neither Email nor Phone it is anonymous.
type SignUp struct {
	auth.Meta

	Email    string
	Phone    string
	Password string
	Data     map[string]json.RawMessage // becomes user metadata
	Audience string                     // "" for the configured one
}

// SignUpResult is the new account. Session is set when it is signed in at once; otherwise
// the address waits for its proof.
type SignUpResult struct {
	User    auth.User
	Session *auth.SignedIn
}

// SignUp makes an account. When the address is taken and sign-ups are confirmed at once the
// answer is CodeUserAlreadyExists; when they are not, it is a user that looks like a new one
// but exists nowhere, so that nobody learns which addresses have accounts. The work is the
// same in all cases.
func (a *Accounts) SignUp(ctx context.Context, in SignUp) (SignUpResult, error) {
	if in.Audience == "" {
		in.Audience = a.c.Audience
	}
	if in.Email == "" && in.Phone == "" {
		return a.signUpAnonymous(ctx, in)
	}
	if err := a.checkSignUp(&in); err != nil {
		return SignUpResult{}, err
	}
	if err := a.c.take("signup/ip", in.IP, a.c.SignupPerIP); err != nil {
		return SignUpResult{}, err
	}
	hash, err := a.c.Hasher.Hash(ctx, in.Password)
	if err != nil {
		return SignUpResult{}, err
	}
	provider, confirmed := auth.ProviderEmail, a.c.EmailAutoconfirm
	if in.Phone != "" {
		provider, confirmed = auth.ProviderPhone, a.c.PhoneAutoconfirm
	}
	u, err := a.c.newUser(in.Audience)
	if err != nil {
		return SignUpResult{}, err
	}
	u.Email, u.Phone, u.PasswordHash = in.Email, in.Phone, hash
	if err := a.c.addIdentity(&u, provider, in.Data, confirmed); err != nil {
		return SignUpResult{}, err
	}
	res, err := a.create(ctx, u, in.Meta, confirmed, auth.MethodPassword, provider)
	if errors.Is(err, auth.ErrEmailTaken) || errors.Is(err, auth.ErrPhoneTaken) {
		if confirmed {
			return SignUpResult{}, auth.E(auth.CodeUserAlreadyExists, "")
		}
		return a.pretend(ctx, u, in.Audience)
	}
	return res, err
}

// checkSignUp refuses what can be refused without looking at any account, and normalises
// the address.
func (a *Accounts) checkSignUp(in *SignUp) error {
	var err error
	switch {
	case a.c.SignupDisabled:
		return auth.E(auth.CodeSignupDisabled, "")
	case in.Password == "":
		return auth.E(auth.CodeValidation, "Signup requires a valid password")
	case in.Email != "" && in.Phone != "":
		return auth.E(auth.CodeValidation, "Only an email address or phone number should be provided on signup.")
	case in.Email != "" && !a.c.EmailEnabled:
		return auth.E(auth.CodeEmailSignupDisabled, "")
	case in.Phone != "" && !a.c.PhoneEnabled:
		return auth.E(auth.CodePhoneSignupDisabled, "")
	case in.Email != "":
		in.Email, err = auth.NormalizeEmail(in.Email)
	default:
		in.Phone, err = auth.NormalizePhone(in.Phone)
	}
	if err != nil {
		return err
	}
	if weak := a.c.Policy.Check(in.Password); weak != nil {
		return weak
	}
	return checkMetadata("data", in.Data)
}

func (a *Accounts) signUpAnonymous(ctx context.Context, in SignUp) (SignUpResult, error) {
	switch {
	case !a.c.AnonymousEnabled:
		return SignUpResult{}, auth.E(auth.CodeAnonymousDisabled, "")
	case a.c.SignupDisabled:
		return SignUpResult{}, auth.E(auth.CodeSignupDisabled, "")
	}
	if err := checkMetadata("data", in.Data); err != nil {
		return SignUpResult{}, err
	}
	if err := a.c.take("anonymous/ip", in.IP, a.c.AnonymousPerIP); err != nil {
		return SignUpResult{}, err
	}
	u, err := a.c.newUser(in.Audience)
	if err != nil {
		return SignUpResult{}, err
	}
	u.IsAnonymous = true
	if u.UserMetadata, err = marshalObject(in.Data); err != nil {
		return SignUpResult{}, err
	}
	return a.create(ctx, u, in.Meta, true, auth.MethodAnonymous, "")
}

// create writes the account, signed in or not, in one statement.
func (a *Accounts) create(ctx context.Context, u auth.User, meta auth.Meta, signIn bool, method, provider string) (SignUpResult, error) {
	entry, err := a.c.auditUser("user_signedup", "team", meta.IP, &u)
	if err != nil {
		return SignUpResult{}, err
	}
	entry.Traits = map[string]any{"provider": provider}
	account := auth.NewAccount{User: u, Audit: []auth.AuditEntry{entry}}
	if signIn {
		id, err := auth.NewID(u.CreatedAt, a.c.Rand)
		if err != nil {
			return SignUpResult{}, err
		}
		s := auth.NewSession(id, u.ID, method, u.CreatedAt, meta)
		account.Session, account.User.LastSignInAt = &s, u.CreatedAt
	}
	if err := a.c.Store.CreateAccount(ctx, account); err != nil {
		return SignUpResult{}, fmt.Errorf("flow: create account: %w", err)
	}
	res := SignUpResult{User: account.User}
	if account.Session != nil {
		tokens, err := a.c.Issuer.Issue(&account.User, account.Session)
		if err != nil {
			return SignUpResult{}, fmt.Errorf("flow: issue tokens: %w", err)
		}
		res.Session = &auth.SignedIn{User: account.User, Session: *account.Session, Tokens: tokens}
	}
	return res, nil
}

// pretend answers the sign-up of a taken address when sign-ups have to be proved. A
// confirmed account gives GoTrue's fake user, which applications detect by its empty list
// of identities; an unconfirmed one gives what a new sign-up gives, since the person may
// be at it again. Nothing of the stored account is shown in either case, and nothing of it
// changes.
func (a *Accounts) pretend(ctx context.Context, u auth.User, aud string) (SignUpResult, error) {
	var stored auth.User
	var err error
	if u.Email != "" {
		stored, err = a.c.Store.UserByEmail(ctx, u.Email, aud)
	} else {
		stored, err = a.c.Store.UserByPhone(ctx, u.Phone, aud)
	}
	if err != nil && !errors.Is(err, auth.ErrNotFound) {
		return SignUpResult{}, fmt.Errorf("flow: read account: %w", err)
	}
	if err == nil && !stored.ConfirmedAt().IsZero() {
		u.Role, u.Identities = "", nil
	}
	return SignUpResult{User: u}, nil
}

// newUser is an account with nothing on it yet.
func (c *Config) newUser(aud string) (auth.User, error) {
	now := c.now()
	id, err := auth.NewID(now, c.Rand)
	return auth.User{
		ID: id, Aud: aud, Role: auth.RoleAuthenticated, CreatedAt: now, UpdatedAt: now,
		AppMetadata: json.RawMessage(`{}`), UserMetadata: json.RawMessage(`{}`),
	}, err
}

// addIdentity gives a new account its e-mail or phone identity and the metadata that
// GoTrue's clients read from it.
func (c *Config) addIdentity(u *auth.User, provider string, data map[string]json.RawMessage, confirmed bool) error {
	id, err := auth.NewID(u.CreatedAt, c.Rand)
	if err != nil {
		return err
	}
	address, email := u.Email, u.Email
	if provider == auth.ProviderPhone {
		address, email = u.Phone, ""
	}
	identity, err := marshalAny(identityData(u.ID, provider, address, false))
	if err != nil {
		return err
	}
	u.Identities = append(u.Identities, auth.Identity{
		ID: id, UserID: u.ID, Provider: provider, ProviderID: u.ID.String(), Data: identity, Email: email,
		LastSignInAt: u.CreatedAt, CreatedAt: u.CreatedAt, UpdatedAt: u.CreatedAt,
	})
	meta := map[string]any{}
	for k, v := range data {
		meta[k] = v
	}
	for k, v := range identityData(u.ID, provider, address, confirmed) {
		meta[k] = v
	}
	if u.UserMetadata, err = marshalAny(meta); err != nil {
		return err
	}
	u.AppMetadata, err = marshalAny(map[string]any{"provider": provider, "providers": []string{provider}})
	if confirmed && provider == auth.ProviderEmail {
		u.EmailConfirmedAt = u.CreatedAt
	}
	if confirmed && provider == auth.ProviderPhone {
		u.PhoneConfirmedAt = u.CreatedAt
	}
	return err
}

func identityData(id auth.ID, provider, address string, verified bool) map[string]any {
	return map[string]any{
		"sub": id.String(), provider: address,
		"email_verified": verified && provider == auth.ProviderEmail,
		"phone_verified": verified && provider == auth.ProviderPhone,
	}
}
