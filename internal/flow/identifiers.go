package flow

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
)

// IdentifierStore keeps what a person has beside the primary addresses.
type IdentifierStore interface {
	IdentifiersOf(ctx context.Context, user auth.ID) ([]auth.Identifier, error)
	ProposeIdentifier(ctx context.Context, p auth.IdentifierProposal) error
	ProveIdentifier(ctx context.Context, p auth.IdentifierProof) (auth.Identifier, error)
	PromoteIdentifier(ctx context.Context, p auth.IdentifierPromotion) (auth.User, error)
	RemoveIdentifier(ctx context.Context, r auth.IdentifierRemoval) error
}

// Address is one e-mail address or phone number of an account.
type Address struct {
	ID         auth.ID // zero for the primary ones
	Kind       string  // auth.ProviderEmail or auth.ProviderPhone
	Value      string
	Primary    bool
	VerifiedAt time.Time // zero: not proved
}

const (
	// maxFurther is how many identifiers an account has beside its primary ones, those that
	// wait for their proof included.
	maxFurther = 10
	// recently is how old the proof behind a session may be for changes that decide who gets
	// into the account: whoever finds a signed-in device must not add himself to it.
	recently = 15 * time.Minute
)

// Addresses lists the caller's addresses, the primary ones first.
func (p *People) Addresses(ctx context.Context, c auth.Caller) ([]Address, error) {
	u, err := p.owner(ctx, c)
	if err != nil {
		return nil, err
	}
	return p.addresses(ctx, &u)
}

// AddressesOf lists those of anybody, for operators and those with user:read.
func (p *People) AddressesOf(ctx context.Context, a Actor, user auth.ID) ([]Address, error) {
	person, err := p.Get(ctx, a, user)
	if err != nil {
		return nil, err
	}
	return p.addresses(ctx, &person.User)
}

func (p *People) addresses(ctx context.Context, u *auth.User) ([]Address, error) {
	list := []Address{}
	if u.Email != "" {
		list = append(list, Address{Kind: auth.ProviderEmail, Value: u.Email, Primary: true, VerifiedAt: u.EmailConfirmedAt})
	}
	if u.Phone != "" {
		list = append(list, Address{Kind: auth.ProviderPhone, Value: u.Phone, Primary: true, VerifiedAt: u.PhoneConfirmedAt})
	}
	further, err := p.c.Identifiers.IdentifiersOf(ctx, u.ID)
	if err != nil {
		return nil, fmt.Errorf("flow: read identifiers: %w", err)
	}
	for _, i := range further {
		if i.VerifiedAt.IsZero() && !i.ExpiresAt.After(p.c.now()) {
			continue // nobody will prove it any more
		}
		list = append(list, Address{ID: i.ID, Kind: i.Kind, Value: i.Value, VerifiedAt: i.VerifiedAt})
	}
	return list, nil
}

// owner reads the account of the caller, who has to be its owner himself.
func (p *People) owner(ctx context.Context, c auth.Caller) (auth.User, error) {
	if !c.FirstParty || c.SessionID.IsZero() {
		return auth.User{}, auth.E(auth.CodeNotFirstParty, "")
	}
	return NewAccounts(p.c).User(ctx, c)
}

// keyholder is owner for changes that decide who gets into the account. What it verifies
// besides:
//
//   - the account is not managed by single sign-on;
//   - with a second factor in use, the session has proved it;
//   - the proof behind the session is fresh.
func (p *People) keyholder(ctx context.Context, c auth.Caller) (auth.User, error) {
	u, err := p.owner(ctx, c)
	switch {
	case err != nil:
		return u, err
	case u.IsSSO:
		return u, auth.E(auth.CodeSSOManaged, "")
	case u.HasVerifiedFactor() && c.AAL != auth.AAL2:
		return u, auth.E(auth.CodeInsufficientAAL, "")
	case c.AuthTime.IsZero() || !p.c.now().Before(c.AuthTime.Add(recently)):
		return u, auth.E(auth.CodeReauthNeeded, "")
	}
	return u, nil
}

// AddAddress sends a code to a further address. What is somebody else's gets the same
// answer, and no code, unless answers are explicit. The first address of a kind is no further
// one: it is changed with the profile.
func (p *People) AddAddress(ctx context.Context, c auth.Caller, value string) (Address, error) {
	u, err := p.keyholder(ctx, c)
	if err != nil {
		return Address{}, err
	}
	email, phone, err := p.c.readIdentifier(value)
	if err != nil {
		return Address{}, err
	}
	kind, primary, proved := auth.ProviderEmail, u.Email, !u.EmailConfirmedAt.IsZero()
	if phone != "" {
		kind, primary, proved = auth.ProviderPhone, u.Phone, !u.PhoneConfirmedAt.IsZero()
	}
	value = email + phone
	switch {
	case !proved:
		return Address{}, auth.E(auth.CodeValidation, "The primary address of this kind has to be proved first")
	case value == primary:
		return Address{}, auth.E(auth.CodeValidation, "This is the account's primary address already")
	}
	limited := p.c.mayText
	if kind == auth.ProviderEmail {
		limited = p.c.mayMail
	}
	accounts := NewAccounts(p.c)
	holder, err := accounts.mayWait(ctx, email, phone, &u, limited(value, c.IP))
	if err != nil {
		return Address{}, err
	}
	if holder != nil && holder.ID == u.ID {
		return Address{}, auth.E(auth.CodeValidation, "This is an address of the account already")
	}
	return p.propose(ctx, c, &u, kind, value, holder)
}

// propose stores what waits, with its code and its message.
func (p *People) propose(ctx context.Context, c auth.Caller, u *auth.User, kind, value string, holder *auth.User) (Address, error) {
	life, every := p.c.LinkLife, p.c.MailEvery
	n := Notice{Channel: channelEmail, Kind: kindOf(auth.PurposeReauthenticate), To: value, User: u, Purpose: auth.PurposeReauthenticate}
	if kind == auth.ProviderPhone {
		life, every = p.c.SMSLife, p.c.SMSEvery
		n.Channel, n.Kind = channelSMS, kindOf(auth.PurposeSMS)
	}
	t, s, err := p.c.newOneTime(u.ID, auth.PurposeIdentifier, value, nil, life)
	if err != nil {
		return Address{}, err
	}
	n.Code = s.code
	if holder != nil {
		t.CodeHash = "" // nobody proves that this is his
	}
	m, err := NewAccounts(p.c).messageTo(holder, n)
	if err != nil {
		return Address{}, err
	}
	entry, err := p.c.auditUser("identifier_proposed", "user", c.IP, u)
	if err != nil {
		return Address{}, err
	}
	entry.Traits = map[string]any{"kind": kind}
	in := auth.IdentifierProposal{
		Identifier:     auth.Identifier{ID: t.ID, UserID: u.ID, Kind: kind, Value: value, CreatedAt: t.CreatedAt, ExpiresAt: t.ExpiresAt},
		RequireSession: c.SessionID, CodeHash: t.CodeHash, Max: maxFurther, Messages: []auth.Message{m}, Audit: entry,
	}
	if every > 0 {
		in.NotSince = t.CreatedAt.Add(-every)
	}
	switch err := p.c.Identifiers.ProposeIdentifier(ctx, in); {
	case errors.Is(err, auth.ErrTooSoon) && kind == auth.ProviderPhone:
		return Address{}, &auth.Error{Code: auth.CodeSMSTooSoon, RetryAfter: every}
	case errors.Is(err, auth.ErrTooSoon):
		return Address{}, &auth.Error{Code: auth.CodeMailTooSoon, RetryAfter: every}
	case errors.Is(err, auth.ErrConflict):
		return Address{}, auth.E(auth.CodeValidation, fmt.Sprintf("An account has at most %d further addresses", maxFurther))
	case errors.Is(err, auth.ErrNotFound):
		return Address{}, auth.E(auth.CodeSessionNotFound, "")
	case err != nil:
		return Address{}, fmt.Errorf("flow: propose identifier: %w", err)
	}
	return p.waiting(ctx, u, kind, value)
}

// waiting finds what has just been proposed: an address that waited before keeps its id.
func (p *People) waiting(ctx context.Context, u *auth.User, kind, value string) (Address, error) {
	list, err := p.addresses(ctx, u)
	if err != nil {
		return Address{}, err
	}
	for _, a := range list {
		if a.Kind == kind && a.Value == value {
			return a, nil
		}
	}
	return Address{}, auth.E(auth.CodeConflict, "")
}

// ProveAddress takes the code. Of two accounts that prove one address the second one learns
// that it is taken: it holds the code, so it may.
func (p *People) ProveAddress(ctx context.Context, c auth.Caller, id auth.ID, code string) (Address, error) {
	u, err := p.owner(ctx, c)
	if err != nil {
		return Address{}, err
	}
	if err := p.c.take("verify/ip", c.IP, p.c.VerifyPerIP); err != nil {
		return Address{}, err
	}
	i, err := p.further(ctx, &u, id)
	if err != nil {
		return Address{}, err
	}
	if !i.VerifiedAt.IsZero() {
		return Address{ID: i.ID, Kind: i.Kind, Value: i.Value, VerifiedAt: i.VerifiedAt}, nil
	}
	typed, ok := cleanCode(code)
	if !ok {
		return Address{}, auth.E(auth.CodeOTPExpired, "")
	}
	proof := auth.IdentifierProof{
		ID: i.ID, UserID: u.ID, RequireSession: c.SessionID, At: p.c.now(), MaxAttempts: maxTries,
		CodeHashes: p.c.Codes.CodeHashes(auth.PurposeIdentifier, i.Value, typed),
	}
	if proof.Messages, err = p.tellOfAddress(&u, NoticeIdentityLinked, i.Value, proof.At); err != nil {
		return Address{}, err
	}
	if proof.Audit, err = p.noteAddress("identifier_added", c, &u, &i); err != nil {
		return Address{}, err
	}
	switch i, err = p.c.Identifiers.ProveIdentifier(ctx, proof); {
	case errors.Is(err, auth.ErrEmailTaken):
		return Address{}, auth.E(auth.CodeEmailExists, "")
	case errors.Is(err, auth.ErrPhoneTaken):
		return Address{}, auth.E(auth.CodePhoneExists, "")
	case errors.Is(err, auth.ErrNotFound):
		return Address{}, auth.E(auth.CodeOTPExpired, "")
	case err != nil:
		return Address{}, fmt.Errorf("flow: prove identifier: %w", err)
	}
	return Address{ID: i.ID, Kind: i.Kind, Value: i.Value, VerifiedAt: i.VerifiedAt}, nil
}

// further finds an identifier of the account.
func (p *People) further(ctx context.Context, u *auth.User, id auth.ID) (auth.Identifier, error) {
	list, err := p.c.Identifiers.IdentifiersOf(ctx, u.ID)
	if err != nil {
		return auth.Identifier{}, fmt.Errorf("flow: read identifiers: %w", err)
	}
	n := slices.IndexFunc(list, func(i auth.Identifier) bool { return i.ID == id })
	if n < 0 {
		return auth.Identifier{}, auth.E(auth.CodeBadID, "")
	}
	return list[n], nil
}

// MakePrimary makes a proved address the primary one of its kind; the one until now becomes
// a further one, if it is proved. It gives the account's addresses as they are then.
func (p *People) MakePrimary(ctx context.Context, c auth.Caller, id auth.ID) ([]Address, error) {
	u, err := p.keyholder(ctx, c)
	if err != nil {
		return nil, err
	}
	i, err := p.further(ctx, &u, id)
	if err != nil {
		return nil, err
	}
	if i.VerifiedAt.IsZero() {
		return nil, auth.E(auth.CodeValidation, "The address has to be proved first")
	}
	now := p.c.now()
	in := auth.IdentifierPromotion{ID: i.ID, UserID: u.ID, Patch: auth.UserPatch{At: now, RequireSession: c.SessionID, RequireUpdatedAt: u.UpdatedAt}}
	if err := p.c.setAddress(&in.Patch, &u, i.Kind, i.Value, i.VerifiedAt); err != nil {
		return nil, err
	}
	former, since := u.Email, u.EmailConfirmedAt
	if i.Kind == auth.ProviderPhone {
		former, since = u.Phone, u.PhoneConfirmedAt
	}
	if former != "" && !since.IsZero() {
		in.Former = auth.Identifier{UserID: u.ID, Kind: i.Kind, Value: former, VerifiedAt: since, CreatedAt: now}
		if in.Former.ID, err = auth.NewID(now, p.c.Rand); err != nil {
			return nil, err
		}
	}
	if in.Patch.Messages, err = p.c.tellReplaced(&u, i.Kind, i.Value); err != nil {
		return nil, err
	}
	entry, err := p.noteAddress("identifier_promoted", c, &u, &i)
	if err != nil {
		return nil, err
	}
	in.Patch.Audit = []auth.AuditEntry{entry}
	u, err = p.c.Identifiers.PromoteIdentifier(ctx, in)
	if errors.Is(err, auth.ErrNotFound) {
		return nil, auth.E(auth.CodeConflict, "")
	}
	if err != nil {
		return nil, fmt.Errorf("flow: promote identifier: %w", err)
	}
	return p.addresses(ctx, &u)
}

// RemoveAddress takes a further address away. A primary one is no further one, so the last
// address of an account stays.
func (p *People) RemoveAddress(ctx context.Context, c auth.Caller, id auth.ID) error {
	u, err := p.keyholder(ctx, c)
	if err != nil {
		return err
	}
	i, err := p.further(ctx, &u, id)
	if err != nil {
		return err
	}
	r := auth.IdentifierRemoval{ID: i.ID, UserID: u.ID, RequireSession: c.SessionID, At: p.c.now()}
	if !i.VerifiedAt.IsZero() {
		if r.Messages, err = p.tellOfAddress(&u, NoticeIdentityUnlinked, i.Value, r.At); err != nil {
			return err
		}
	}
	if r.Audit, err = p.noteAddress("identifier_removed", c, &u, &i); err != nil {
		return err
	}
	if err := p.c.Identifiers.RemoveIdentifier(ctx, r); errors.Is(err, auth.ErrNotFound) {
		return auth.E(auth.CodeBadID, "")
	} else if err != nil {
		return fmt.Errorf("flow: remove identifier: %w", err)
	}
	return nil
}

// tellOfAddress is the notice of a way in that came or went, at the primary address.
func (p *People) tellOfAddress(u *auth.User, kind, value string, now time.Time) ([]auth.Message, error) {
	if !p.c.tells(kind) || u.Email == "" || u.EmailConfirmedAt.IsZero() {
		return nil, nil
	}
	m, err := p.c.Post.Put(now, Notice{Channel: channelEmail, Kind: kind, To: u.Email, User: u, Provider: value})
	if err != nil {
		return nil, fmt.Errorf("flow: seal notice: %w", err)
	}
	return []auth.Message{m}, nil
}

func (p *People) noteAddress(action string, c auth.Caller, u *auth.User, i *auth.Identifier) (auth.AuditEntry, error) {
	entry, err := p.c.auditUser(action, "user", c.IP, u)
	entry.Traits = map[string]any{"kind": i.Kind, "identifier_id": i.ID.String()}
	return entry, err
}
