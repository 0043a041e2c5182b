package auth

import (
	"encoding/json"
	"fmt"
	"slices"
)

// FoundToken is what a store knows of a token that was presented rightly, read under the
// lock of its account.
type FoundToken struct {
	Token OneTime
	User  User      // with identities and factors
	Flow  FlowState // of Token.FlowState; zero when there is none, or none any more

	Further     bool // the account has proved the token's address beside its primary one
	Paired      bool // the change of the e-mail address needs the proof of both addresses
	OtherAlive  bool // the token of the other address can still be redeemed
	OtherProved bool // the token of the other address has been redeemed
}

// RedeemPlan is what a token does to its account. Both stores ask [Redeem.Plan] for it and
// write it in the step that consumes the token.
type RedeemPlan struct {
	Outcome  RedeemOutcome
	Audit    AuditEntry // with the actor
	Provider string     // whose identity signs in

	// The rest is for RedeemDone only.
	Patch            UserPatch
	DropFactors      bool // and the profile and the consents
	ClearEmailChange bool
	ClearPhoneChange bool
	Replaced         string   // address that another one takes the place of
	Session          *Session // to be started; nil for none
	// Flow is stored with its user and its code. When it is zero, the flow of the token (if
	// there is one) is deleted: nobody will ask for its code.
	Flow FlowState
}

// Plan says what a token that was found does. What it verifies, besides that the store has
// found the token alive, by its hash and among the purposes:
//
//   - the account still has the address that the token was sent to, as its primary one or, for
//     a sign-in or a recovery, as one that it has proved besides;
//   - the account is not banned;
//   - the PKCE flow is still there, when the answer is to be its code: a link that was asked
//     for with a challenge is never good without it there;
//   - an e-mail change that needs both proofs has had the other one. A missing other token
//     is no proof: it may have been burnt by wrong tries, on purpose.
func (r *Redeem) Plan(f *FoundToken) (RedeemPlan, error) {
	u, t := &f.User, &f.Token
	p := RedeemPlan{Audit: r.Audit, Patch: UserPatch{At: r.At}, Provider: t.Purpose.provider()}
	p.Audit.ActorID, p.Audit.ActorUsername, p.Audit.ActorViaSSO = u.ID, u.Username(), u.IsSSO
	wantsCode := r.AuthCodeHash != "" && !t.FlowState.IsZero()
	change := t.Purpose == PurposeEmailCurrent || t.Purpose == PurposeEmailNew
	switch {
	case p.Provider == "", t.Address == "", t.Address != t.Purpose.addressOf(u) && !f.further(),
		change && u.EmailChange == "",
		wantsCode && f.Flow.ID.IsZero():
		return p, nil
	case u.BannedAt(r.At):
		p.Outcome = RedeemBanned
		return p, nil
	case change && f.Paired && f.OtherAlive:
		p.Outcome = RedeemHalf
		return p, nil
	case change && f.Paired && !f.OtherProved:
		return p, nil
	}
	p.Outcome = RedeemDone
	if wantsCode {
		p.Flow = f.Flow
		p.Flow.UserID, p.Flow.CodeHash, p.Flow.CodeIssuedAt = u.ID, r.AuthCodeHash, r.At
	} else if r.Session != nil {
		s := *r.Session
		s.UserID, p.Session = u.ID, &s
	}
	if !f.further() { // else the address has been proved, and the primary one has not
		if err := p.prove(t, u, r); err != nil {
			return p, err
		}
	}
	return p, p.replacePassword(u, r)
}

// further reports whether the token went to a proved address that is not the primary one, for
// something that such an address is good for.
func (f *FoundToken) further() bool {
	switch f.Token.Purpose {
	case PurposeMagicLink, PurposeRecovery, PurposeSMS:
		return f.Further && f.Token.Address != f.Token.Purpose.addressOf(&f.User)
	}
	return false
}

// provider is the identity that a token of this purpose proves; "" for none.
func (p Purpose) provider() string {
	switch p {
	case PurposeSignup, PurposeClaim, PurposeInvite, PurposeMagicLink, PurposeRecovery, PurposeEmailCurrent, PurposeEmailNew:
		return ProviderEmail
	case PurposeSMS, PurposePhoneChange:
		return ProviderPhone
	}
	return ""
}

// addressOf is the address of the account that a token of this purpose speaks of.
func (p Purpose) addressOf(u *User) string {
	switch p {
	case PurposeEmailNew:
		return u.EmailChange
	case PurposePhoneChange:
		return u.PhoneChange
	case PurposeSMS:
		return u.Phone
	}
	return u.Email
}

// prove puts the address into the plan.
func (p *RedeemPlan) prove(t *OneTime, u *User, r *Redeem) error {
	first := false
	switch t.Purpose {
	case PurposeEmailCurrent, PurposeEmailNew:
		p.ClearEmailChange, p.Replaced = true, u.Email
		p.Patch.Email, p.Patch.EmailConfirmedAt = &u.EmailChange, &r.At
	case PurposePhoneChange:
		p.ClearPhoneChange, p.Replaced = true, u.Phone
		p.Patch.Phone, p.Patch.PhoneConfirmedAt = &u.PhoneChange, &r.At
	case PurposeSMS:
		if !u.PhoneConfirmedAt.IsZero() {
			return nil
		}
		p.Patch.PhoneConfirmedAt, first = &r.At, true
	default:
		if !u.EmailConfirmedAt.IsZero() {
			return nil
		}
		p.Patch.EmailConfirmedAt, first = &r.At, true
	}
	address := t.Address
	if p.Patch.Email != nil {
		address = u.EmailChange
	}
	if first && u.ConfirmedAt().IsZero() && !t.Purpose.own(u) {
		p.drop(u)
	}
	if p.Replaced != "" && r.Tell != nil {
		replacement := u.PhoneChange
		if p.Provider == ProviderEmail {
			replacement = u.EmailChange
		}
		messages, err := r.Tell(u, p.Provider, replacement)
		if err != nil {
			return fmt.Errorf("auth: notices: %w", err)
		}
		p.Patch.Messages = messages
	}
	return p.adopt(t.ID, u, address)
}

// replacePassword puts the new password of the request into the plan.
func (p *RedeemPlan) replacePassword(u *User, r *Redeem) error {
	if r.PasswordHash == "" {
		return nil
	}
	p.Patch.PasswordHash, p.Patch.Revoke = &r.PasswordHash, RevokeAll
	if r.TellPassword == nil {
		return nil
	}
	messages, err := r.TellPassword(u)
	if err != nil {
		return fmt.Errorf("auth: notices: %w", err)
	}
	p.Patch.Messages = append(p.Patch.Messages, messages...)
	return nil
}

// own reports whether what is on an account that nobody has proved yet was put there by the
// step that this token completes: the sign-up, or the invitation that made the account.
func (p Purpose) own(u *User) bool {
	switch p {
	case PurposeSignup:
		return true
	case PurposeSMS:
		return u.LastSignInAt.IsZero()
	case PurposeInvite:
		return !u.InvitedAt.IsZero() && u.InvitedAt.Equal(u.CreatedAt)
	}
	return false
}

// drop takes away whatever was put on the account before anybody proved anything, so that
// whoever made an account for somebody else's address has nothing left in it.
func (p *RedeemPlan) drop(u *User) {
	none := ""
	p.Patch.PasswordHash = &none
	p.Patch.Revoke = RevokeAll
	p.DropFactors, p.ClearEmailChange, p.ClearPhoneChange = true, true, true
	// A role that a stranger has asked for must not be approved for the owner. Those that the
	// account has were nobody's to take, or an operator's to give.
	var app, old map[string]json.RawMessage
	if json.Unmarshal(u.AppMetadata, &app) == nil && app["pending_roles"] != nil {
		p.Patch.AppMetadata.Delete = []string{"pending_roles"}
	}
	if json.Unmarshal(u.UserMetadata, &old) == nil { // what is no object is replaced as a whole
		for name := range old {
			p.Patch.UserMetadata.Delete = append(p.Patch.UserMetadata.Delete, name)
		}
	}
	for i := range u.Identities {
		if name := u.Identities[i].Provider; name != p.Provider && !slices.Contains(p.Patch.RemoveIdentities, name) {
			p.Patch.RemoveIdentities = append(p.Patch.RemoveIdentities, name)
		}
	}
	if p.Provider == ProviderEmail && u.Phone != "" {
		p.Patch.Phone = &none
	}
	if p.Provider == ProviderPhone && u.Email != "" {
		p.Patch.Email = &none
	}
}

// adopt writes the proved address into identity and metadata. An identity that has to be
// made gets the id of the token, which is used up and therefore free.
func (p *RedeemPlan) adopt(id ID, u *User, address string) error {
	proved := map[string]any{"sub": u.ID.String(), p.Provider: address, p.Provider + "_verified": true}
	data, err := json.Marshal(proved)
	if err != nil {
		return fmt.Errorf("auth: identity data: %w", err)
	}
	p.Patch.Identities = []Identity{{
		ID: id, UserID: u.ID, Provider: p.Provider, ProviderID: u.ID.String(), Data: data,
		CreatedAt: p.Patch.At, UpdatedAt: p.Patch.At,
	}}
	if err := p.Patch.UserMetadata.set(proved); err != nil {
		return err
	}
	if u.IsAnonymous {
		no := false
		p.Patch.IsAnonymous = &no
	}
	providers, before := []string{}, []string{}
	for i := range u.Identities {
		name := u.Identities[i].Provider
		before = append(before, name)
		if !slices.Contains(p.Patch.RemoveIdentities, name) && !slices.Contains(providers, name) {
			providers = append(providers, name)
		}
	}
	if !slices.Contains(providers, p.Provider) {
		providers = append(providers, p.Provider)
	}
	if len(p.Patch.RemoveIdentities) == 0 && slices.Contains(before, p.Provider) {
		return nil // the identities are what they were
	}
	return p.Patch.AppMetadata.set(map[string]any{"provider": providers[0], "providers": providers})
}

// set adds members; one that was to be deleted is written instead.
func (p *MetadataPatch) set(members map[string]any) error {
	if p.Set == nil {
		p.Set = make(map[string]json.RawMessage, len(members))
	}
	for name, value := range members {
		raw, err := json.Marshal(value)
		if err != nil {
			return fmt.Errorf("auth: metadata: %w", err)
		}
		p.Set[name] = raw
		p.Delete = slices.DeleteFunc(p.Delete, func(d string) bool { return d == name })
	}
	return nil
}
