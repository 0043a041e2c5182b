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

	Email      string
	Phone      string
	Password   string
	Data       map[string]json.RawMessage // becomes user metadata
	Audience   string                     // "" for the configured one
	Channel    string                     // of the message to a phone number
	PKCE       PKCE
	RedirectTo string // checked

	// more puts what a registration adds on the new account; nil: nothing.
	more func(*auth.NewAccount) error
	// explicit tells that an address is taken, also where addresses have to be proved.
	explicit bool
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
	if err := a.checkSignUp(ctx, &in); err != nil {
		return SignUpResult{}, err
	}
	if err := a.c.human(ctx, in.Meta); err != nil {
		return SignUpResult{}, err
	}
	if err := a.c.take("signup/ip", in.IP, a.c.SignupPerIP); err != nil {
		return SignUpResult{}, err
	}
	provider, confirmed := auth.ProviderEmail, a.c.EmailAutoconfirm
	if in.Phone != "" {
		provider, confirmed = auth.ProviderPhone, a.c.PhoneAutoconfirm
	}
	if !confirmed && a.c.sends(in.Email) {
		return a.signUpToProve(ctx, in, provider)
	}
	u, err := a.newPerson(ctx, &in, provider, confirmed)
	if err != nil {
		return SignUpResult{}, err
	}
	account := auth.NewAccount{User: u}
	if err := a.extend(&account, &in); err != nil {
		return SignUpResult{}, err
	}
	res, err := a.create(ctx, account, in.Meta, confirmed, auth.MethodPassword, provider)
	if !errors.Is(err, auth.ErrEmailTaken) && !errors.Is(err, auth.ErrPhoneTaken) {
		return res, err
	}
	if confirmed {
		return SignUpResult{}, auth.E(auth.CodeUserAlreadyExists, "")
	}
	stored, err := a.find(ctx, in.Email, in.Phone, in.Audience)
	if err != nil && !errors.Is(err, auth.ErrNotFound) {
		return SignUpResult{}, err
	}
	proved := err == nil && !stored.ConfirmedAt().IsZero()
	if proved && in.explicit {
		return SignUpResult{}, auth.E(auth.CodeUserAlreadyExists, "")
	}
	pretended, err := a.pretend(&in)
	return SignUpResult{User: a.c.disclosed(pretended, proved)}, err
}

// extend adds to the account what the sign-up brings besides, or what everybody gets.
func (a *Accounts) extend(account *auth.NewAccount, in *SignUp) error {
	if in.more == nil {
		return a.c.welcome(account, in.IP)
	}
	return in.more(account)
}

// newPerson is a new account with its password and its identity, not yet stored.
func (a *Accounts) newPerson(ctx context.Context, in *SignUp, provider string, confirmed bool) (auth.User, error) {
	hash, err := a.c.Hasher.Hash(ctx, in.Password)
	if err != nil {
		return auth.User{}, err
	}
	u, err := a.c.newUser(in.Audience)
	if err != nil {
		return auth.User{}, err
	}
	u.Email, u.Phone, u.PasswordHash = in.Email, in.Phone, hash
	return u, a.c.addIdentity(&u, provider, in.Data, confirmed)
}

// signUpToProve makes an account that waits for the proof of its address, with the message
// that asks for it. Whether the address is new, waiting or somebody's, the work is one look,
// one hash and one write.
func (a *Accounts) signUpToProve(ctx context.Context, in SignUp, provider string) (SignUpResult, error) {
	state, err := a.c.newFlowState(in.PKCE)
	if err != nil {
		return SignUpResult{}, err
	}
	purpose, life := auth.PurposeSignup, a.c.LinkLife
	if provider == auth.ProviderPhone {
		purpose, life = auth.PurposeSMS, a.c.SMSLife
		err = a.c.mayText(in.Phone, in.IP)
	} else {
		err = a.c.mayMail(in.Email, in.IP)
	}
	if err != nil {
		return SignUpResult{}, err
	}
	stored, err := a.find(ctx, in.Email, in.Phone, in.Audience)
	if err == nil {
		return a.askAgain(ctx, &stored, purpose, &in, state)
	}
	if !errors.Is(err, auth.ErrNotFound) {
		return SignUpResult{}, err
	}
	u, err := a.newPerson(ctx, &in, provider, false)
	if err != nil {
		return SignUpResult{}, err
	}
	entry, err := a.c.auditUser("user_signedup", "team", in.IP, &u)
	if err != nil {
		return SignUpResult{}, err
	}
	account := auth.NewAccount{User: u, Audit: []auth.AuditEntry{entry}, FlowState: state}
	if err := a.extend(&account, &in); err != nil {
		return SignUpResult{}, err
	}
	if err := a.addProof(&account, purpose, life, in.Channel, in.RedirectTo); err != nil {
		return SignUpResult{}, err
	}
	err = a.c.createAccount(ctx, account, in.IP)
	if errors.Is(err, auth.ErrEmailTaken) || errors.Is(err, auth.ErrPhoneTaken) {
		return SignUpResult{User: account.User}, nil // somebody else made it a moment ago, and their message is on its way
	}
	if err != nil {
		return SignUpResult{}, err
	}
	return SignUpResult{User: account.User}, nil
}

// askAgain answers the sign-up of a taken address where addresses have to be proved. The
// owner of a proved one hears that somebody tried. An account that waits gets its message
// again; when the password is another one than at the first sign-up, two people may be at
// it, and whoever proves the address must not find the other's password on the account: the
// proof then leaves it without one. Nothing is changed before that, and the answer is the
// pretended one.
func (a *Accounts) askAgain(ctx context.Context, stored *auth.User, p auth.Purpose, in *SignUp, state *auth.FlowState) (SignUpResult, error) {
	proved := !stored.EmailConfirmedAt.IsZero()
	if p == auth.PurposeSMS {
		proved = !stored.PhoneConfirmedAt.IsZero()
	}
	proved = proved || stored.FoundBy != ""
	same := false
	var err error
	if proved || stored.PasswordHash == "" {
		err = a.c.Hasher.VerifyNone(ctx, in.Password)
	} else {
		same, _, err = a.c.Hasher.Verify(ctx, stored.PasswordHash, in.Password)
	}
	if err != nil {
		return SignUpResult{}, err
	}
	if proved && in.explicit {
		return SignUpResult{}, auth.E(auth.CodeUserAlreadyExists, "")
	}
	pretended, err := a.pretend(in)
	if err != nil {
		return SignUpResult{}, err
	}
	if a.c.Hooks != nil { // as for a new account: an answer that came without it would tell
		if err := a.c.Hooks.BeforeUserCreated(ctx, &pretended, in.IP); err != nil {
			return SignUpResult{}, err //nolint:wrapcheck // an *auth.Error for the caller
		}
	}
	switch {
	case !proved:
		if p == auth.PurposeSignup && !same && stored.PasswordHash != "" {
			p = auth.PurposeClaim
		}
		_, err = a.send(ctx, stored, p, in.Channel, in.RedirectTo, state, "user_repeated_signup", in.IP)
	case p != auth.PurposeSMS && a.c.tells(NoticeAccountExists):
		err = a.c.enqueueNotice(ctx, stored, NoticeAccountExists)
	default:
		_, err = a.c.decoy(ctx)
	}
	if err != nil {
		return SignUpResult{}, err
	}
	return SignUpResult{User: a.c.disclosed(pretended, proved)}, nil
}

// checkSignUp refuses what can be refused without looking at any account, and normalises
// the address.
func (a *Accounts) checkSignUp(ctx context.Context, in *SignUp) error {
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
	case in.Phone != "" && in.PKCE != (PKCE{}):
		return auth.E(auth.CodeValidation, "PKCE not supported for phone signups")
	case in.Email != "":
		in.Email, err = auth.NormalizeEmail(in.Email)
	default:
		in.Phone, err = auth.NormalizePhone(in.Phone)
	}
	if err != nil {
		return err
	}
	if weak := a.c.Policy.CheckNew(ctx, in.Password, in.Email, in.Phone); weak != nil {
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
	if err := a.c.human(ctx, in.Meta); err != nil {
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
	return a.create(ctx, auth.NewAccount{User: u}, in.Meta, true, auth.MethodAnonymous, "")
}

// create writes the account, signed in or not, in one statement.
func (a *Accounts) create(ctx context.Context, account auth.NewAccount, meta auth.Meta, signIn bool, method, provider string) (SignUpResult, error) {
	u := &account.User
	entry, err := a.c.auditUser("user_signedup", "team", meta.IP, u)
	if err != nil {
		return SignUpResult{}, err
	}
	entry.Traits = map[string]any{"provider": provider}
	account.Audit = append(account.Audit, entry)
	if signIn {
		id, err := auth.NewID(u.CreatedAt, a.c.Rand)
		if err != nil {
			return SignUpResult{}, err
		}
		s := auth.NewSession(id, u.ID, method, u.CreatedAt, meta)
		s.TenantID, s.TenantRole = firstTenant(account.Memberships, u.CreatedAt)
		account.Session, u.LastSignInAt = &s, u.CreatedAt
	}
	if err := a.c.createAccount(ctx, account, meta.IP); err != nil {
		return SignUpResult{}, err
	}
	res := SignUpResult{User: account.User}
	if account.Session != nil {
		tokens, err := a.c.Issuer.Issue(ctx, &account.User, account.Session)
		if err != nil {
			return SignUpResult{}, fmt.Errorf("flow: issue tokens: %w", err)
		}
		res.Session = &auth.SignedIn{User: account.User, Session: *account.Session, Tokens: tokens}
	}
	return res, nil
}

// pretend is what the sign-up of a taken address is answered with when sign-ups have to be
// proved: what a new one gives. Nothing of the stored account is shown.
func (a *Accounts) pretend(in *SignUp) (auth.User, error) {
	u, err := a.c.newUser(in.Audience)
	if err != nil {
		return u, err
	}
	provider := auth.ProviderEmail
	if in.Phone != "" {
		provider = auth.ProviderPhone
	}
	u.Email, u.Phone = in.Email, in.Phone
	if a.c.sends(in.Email) {
		u.ConfirmationSentAt = u.CreatedAt
	}
	return u, a.c.addIdentity(&u, provider, in.Data, false)
}

// disclosed turns the pretended account into GoTrue's fake user, which applications detect
// by its empty list of identities, when the address is somebody's and answers are to say so.
func (c *Config) disclosed(u auth.User, proved bool) auth.User {
	if proved && c.ExplicitAnswers {
		u.Role, u.Identities = "", nil
	}
	return u
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
	u.AppMetadata, err = c.appMetadata(provider)
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
