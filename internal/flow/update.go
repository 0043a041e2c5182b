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
	Email           *string
	Phone           *string
	Password        *string
	CurrentPassword string
	Nonce           string
	Data            map[string]json.RawMessage // merged key by key; null removes a key
	AppMetadata     bool                       // the request tried to set app_metadata: only operators may
	Channel         string
	PKCE            PKCE
	RedirectTo      string // checked
}

// Update changes the caller's own account. What it verifies:
//
//   - the token is first-party: a token that an OAuth client got can't take the account over;
//   - account and session are alive, before and at the moment of the change;
//   - with a second factor in use, password and addresses need a session that proved it;
//   - a new address waits until it is proved by a message, unless sign-ups are confirmed at
//     once; the old one stays in use meanwhile;
//   - where the configuration asks for it, a password change needs a nonce or the current
//     password.
//
// A new password ends all other sessions of the account, and its owner is told.
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
	waiting, err := a.patchAddresses(ctx, &p, &u, c, &in)
	if err != nil {
		return auth.User{}, err
	}
	action := "user_modified"
	if in.Password != nil {
		action = "user_updated_password"
		if err := a.patchPassword(ctx, &p, &u, c, &in); err != nil {
			return auth.User{}, err
		}
	}
	entry, err := a.c.auditUser(action, "user", c.IP, &u)
	if err != nil {
		return auth.User{}, err
	}
	p.Audit = []auth.AuditEntry{entry}
	u, err = a.c.update(ctx, u.ID, p, auth.CodeSessionNotFound)
	if err != nil || waiting == nil {
		return u, err
	}
	return waiting(ctx, u)
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

// patchAddresses puts new addresses into the patch, or gives the step that follows it: the
// messages that prove them. At most one address may wait in a request.
func (a *Accounts) patchAddresses(ctx context.Context, p *auth.UserPatch, u *auth.User, c auth.Caller, in *Update) (func(context.Context, auth.User) (auth.User, error), error) {
	state, err := a.c.newFlowState(in.PKCE)
	if err != nil {
		return nil, err
	}
	var waiting func(context.Context, auth.User) (auth.User, error)
	if in.Email != nil {
		email, err := auth.NormalizeEmail(*in.Email)
		switch {
		case err != nil:
			return nil, err
		case email == u.Email:
		case a.c.EmailAutoconfirm:
			err = a.c.setAddress(p, u, auth.ProviderEmail, email, p.At)
		default:
			var holder *auth.User
			if holder, err = a.mayWait(ctx, email, "", u, a.c.mayMail(email, c.IP)); err == nil {
				waiting = func(ctx context.Context, u auth.User) (auth.User, error) {
					err := a.sendEmailChange(ctx, &u, email, in.RedirectTo, state, c, holder)
					return u, err
				}
			}
		}
		if err != nil {
			return nil, err
		}
	}
	if in.Phone == nil {
		return waiting, nil
	}
	phone, err := auth.NormalizePhone(*in.Phone)
	switch {
	case err != nil || phone == u.Phone:
		return waiting, err
	case a.c.PhoneAutoconfirm:
		return waiting, a.c.setAddress(p, u, auth.ProviderPhone, phone, p.At)
	case waiting != nil:
		return nil, auth.E(auth.CodeValidation, "Change the e-mail address and the phone number one after the other")
	}
	holder, err := a.mayWait(ctx, "", phone, u, a.c.mayText(phone, c.IP))
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, u auth.User) (auth.User, error) {
		err := a.sendPhoneChange(ctx, &u, phone, in.Channel, c, holder)
		return u, err
	}, nil
}

// mayWait says whether an address may be put on the account as waiting: messages can be
// sent, the limits allow one, and nobody else has it. Where answers are neutral somebody
// may have it: holder is that account, and then the address waits for a proof that never
// comes.
func (a *Accounts) mayWait(ctx context.Context, email, phone string, u *auth.User, limited error) (holder *auth.User, err error) {
	if !a.c.sends(email) {
		return nil, auth.E(auth.CodeNoMailer, "")
	}
	if limited != nil {
		return nil, limited
	}
	holder, err = a.holder(ctx, email, phone, u.Aud)
	switch {
	case err != nil || holder == nil || !a.c.ExplicitAnswers:
		return holder, err
	case email != "":
		return nil, auth.E(auth.CodeEmailExists, "")
	}
	return nil, auth.E(auth.CodePhoneExists, "")
}

// messageTo is the message of a change to the new address; when somebody else has it, he
// hears of the attempt by mail, and the token goes to nobody.
func (a *Accounts) messageTo(holder *auth.User, n Notice) (auth.Message, error) {
	now := a.c.now()
	var m auth.Message
	var err error
	switch {
	case holder == nil:
		m, err = a.c.Post.Put(now, n)
	case a.c.tells(NoticeAccountExists) && holder.Email != "" && !holder.EmailConfirmedAt.IsZero():
		m, err = a.c.Post.Put(now, Notice{Channel: channelEmail, Kind: NoticeAccountExists, To: holder.Email, User: holder})
	default:
		m, err = a.c.Post.Decoy(now)
	}
	if err != nil {
		return m, fmt.Errorf("flow: seal message: %w", err)
	}
	return m, nil
}

// sendEmailChange makes an address wait for its proof. The new address gets a message, and
// with BothAddresses the present one too, if it has been proved: whoever has stolen a
// session can't take the account away from its owner's mailbox.
func (a *Accounts) sendEmailChange(ctx context.Context, u *auth.User, email, redirectTo string, state *auth.FlowState, c auth.Caller, holder *auth.User) error {
	now := a.c.now()
	u.EmailChange, u.EmailChangeSentAt = email, now
	issue := auth.IssueOneTime{UserID: u.ID, At: now, EmailChange: &email, FlowState: state, RequireSession: c.SessionID, AllowTaken: !a.c.ExplicitAnswers}
	purposes := []auth.Purpose{auth.PurposeEmailNew}
	if a.c.BothAddresses && u.Email != "" && !u.EmailConfirmedAt.IsZero() {
		purposes = []auth.Purpose{auth.PurposeEmailCurrent, auth.PurposeEmailNew}
	}
	var other secretPair
	for _, p := range purposes {
		t, s, err := a.c.newOneTime(u.ID, p, addressOf(u, p), state, a.c.LinkLife)
		if err != nil {
			return err
		}
		n := noticeOf(u, p, "", redirectTo, s)
		n.OtherCode, n.OtherLink, other = other.code, other.link, s
		to := holder
		if p == auth.PurposeEmailCurrent {
			to = nil
		}
		m, err := a.messageTo(to, n)
		if err != nil {
			return err
		}
		issue.Tokens, issue.Messages = append(issue.Tokens, t), append(issue.Messages, m)
	}
	return a.issueChange(ctx, u, issue, c.IP)
}

// sendPhoneChange makes a number wait for its proof.
func (a *Accounts) sendPhoneChange(ctx context.Context, u *auth.User, phone, channel string, c auth.Caller, holder *auth.User) error {
	channel, err := textChannel(channel)
	if err != nil {
		return err
	}
	now := a.c.now()
	u.PhoneChange, u.PhoneChangeSentAt = phone, now
	t, s, err := a.c.newOneTime(u.ID, auth.PurposePhoneChange, phone, nil, a.c.SMSLife)
	if err != nil {
		return err
	}
	m, err := a.messageTo(holder, noticeOf(u, auth.PurposePhoneChange, channel, "", s))
	if err != nil {
		return err
	}
	return a.issueChange(ctx, u, auth.IssueOneTime{
		UserID: u.ID, At: now, PhoneChange: &phone, RequireSession: c.SessionID, AllowTaken: !a.c.ExplicitAnswers,
		Tokens: []auth.OneTime{t}, Messages: []auth.Message{m},
	}, c.IP)
}

func (a *Accounts) issueChange(ctx context.Context, u *auth.User, issue auth.IssueOneTime, ip string) error {
	entry, err := a.c.auditUser("user_confirmation_requested", "user", ip, u)
	if err != nil {
		return err
	}
	issue.Audit = []auth.AuditEntry{entry}
	switch err := a.c.Store.IssueOneTime(ctx, issue); {
	case errors.Is(err, auth.ErrEmailTaken):
		return auth.E(auth.CodeEmailExists, "")
	case errors.Is(err, auth.ErrPhoneTaken):
		return auth.E(auth.CodePhoneExists, "")
	case errors.Is(err, auth.ErrNotFound):
		return auth.E(auth.CodeSessionNotFound, "")
	case err != nil:
		return fmt.Errorf("flow: issue token: %w", err)
	}
	return nil
}

// reauthAfter is how long a session may change the password without a nonce.
const reauthAfter = 24 * time.Hour

// patchPassword puts a new password into the patch.
func (a *Accounts) patchPassword(ctx context.Context, p *auth.UserPatch, u *auth.User, c auth.Caller, in *Update) error {
	password := *in.Password
	if weak := a.c.Policy.CheckNew(ctx, password, u.Email, u.Phone); weak != nil {
		return weak
	}
	if err := a.c.take("password/user", u.ID.String(), a.c.UpdatePerUser); err != nil {
		return err
	}
	if err := a.reauthenticated(ctx, u, c, in); err != nil {
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
	return a.c.tell(p, u, NoticePasswordChanged)
}

// reauthenticated asks for the nonce or the current password, where the configuration wants
// them. A session that began with a code from the mailbox, or an account without a
// password, has no current password to give.
func (a *Accounts) reauthenticated(ctx context.Context, u *auth.User, c auth.Caller, in *Update) error {
	if a.c.ReauthPassword && stale(a.c.now(), c.AuthTime) {
		if in.Nonce == "" {
			return auth.E(auth.CodeReauthNeeded, "")
		}
		if err := a.checkNonce(ctx, u, in.Nonce); err != nil {
			return err
		}
	}
	if !a.c.CurrentPassword || u.PasswordHash == "" || slices.Contains(c.Methods, auth.MethodOTP) {
		return nil
	}
	if in.CurrentPassword == "" {
		return auth.E(auth.CodeCurrentNeeded, "")
	}
	ok, _, err := a.c.Hasher.Verify(ctx, u.PasswordHash, in.CurrentPassword)
	if err == nil && !ok {
		err = auth.E(auth.CodeCurrentInvalid, "")
	}
	return err
}

// stale reports whether a proof is too old for a dangerous change. One of unknown age is.
func stale(now, at time.Time) bool { return at.IsZero() || !now.Before(at.Add(reauthAfter)) }

// tell adds a notice to the owner of the account, if it has a proved address.
func (c *Config) tell(p *auth.UserPatch, u *auth.User, kind string) error {
	if !c.tells(kind) || u.Email == "" || u.EmailConfirmedAt.IsZero() {
		return nil
	}
	m, err := c.Post.Put(p.At, Notice{Channel: channelEmail, Kind: kind, To: u.Email, User: u})
	if err != nil {
		return fmt.Errorf("flow: seal notice: %w", err)
	}
	p.Messages = append(p.Messages, m)
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
