package usersync

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/cardea-auth/cardea"
)

// Source says what an issuer vouches for about one user. Which path verified the token, the
// issuer's keys or its answer, must make no difference to what it says.
//
// Ask gives an identity of that issuer and subject, or an error: an *[cardea.Error] with
// the code AUTH_PROVIDER_ERROR if the issuer says that the user may not come, or
// [ErrNoEvidence] if it can't be asked about without a token. Every other error means that
// there was no answer. The token is empty when it has expired, or when a user waits who
// came before the process started; the Principal then has issuer and subject only.
type Source interface {
	Ask(ctx context.Context, p *cardea.Principal, token string) (Identity, error)
}

// ErrNoEvidence: the source needs a token that is good, and there is none. The user's next
// request brings one.
var ErrNoEvidence = errors.New("usersync: the issuer can't be asked about the user without a token")

// Claims is the Source for issuers whose tokens can be believed about addresses: it takes
// the claims email_verified and phone_number_verified (OpenID Connect Core §5.1), and asks
// nobody.
//
// Not for Supabase: its access tokens say nothing of addresses, and user_metadata, which
// does, is written by the user. It is not looked at here either.
type Claims struct{}

// Ask implements Source.
func (Claims) Ask(_ context.Context, p *cardea.Principal, _ string) (Identity, error) {
	if p.RawClaims() == nil {
		return Identity{}, ErrNoEvidence
	}
	id := tokenIdentity(p)
	var claims map[string]json.RawMessage
	if err := json.Unmarshal(p.RawClaims(), &claims); err != nil {
		return Identity{}, err
	}
	id.Email, id.EmailVerified = p.Email, isTrue(claims["email_verified"])
	id.Phone, id.PhoneVerified = p.Phone, isTrue(claims["phone_number_verified"])
	if number := str(claims["phone_number"]); number != "" {
		id.Phone = number // what the flag is about
	}
	id.Profile = id.Profile.with(profileOf(claims))
	return id, nil
}

// isTrue also takes "true", which Cognito writes.
func isTrue(raw json.RawMessage) bool { return string(raw) == "true" || string(raw) == `"true"` }

// str gives a JSON string, and "" for everything else.
func str(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return ""
	}
	return s
}

// tokenIdentity is what every verified token says: who, how the account was made, and the
// names that the user gave. No address: nobody vouches for it.
func tokenIdentity(p *cardea.Principal) Identity {
	id := Identity{Issuer: p.Issuer, Subject: p.Subject}
	id.metadata(p.AppMetadata, p.UserMetadata)
	return id
}

// metadata reads app_metadata, which the issuer writes, and user_metadata, which the user
// writes and which only makes a profile.
func (id *Identity) metadata(app, user json.RawMessage) {
	var a struct {
		Provider  string   `json:"provider"`
		Providers []string `json:"providers"`
	}
	if json.Unmarshal(app, &a) == nil {
		id.AuthProvider = a.Provider
		for _, name := range a.Providers {
			id.Providers = append(id.Providers, Provider{Name: name})
		}
	}
	var u map[string]json.RawMessage
	if json.Unmarshal(user, &u) == nil {
		id.Profile = profileOf(u)
	}
}

// profileOf reads the names that issuers use, the more exact ones first.
func profileOf(m map[string]json.RawMessage) Profile {
	first := func(names ...string) string {
		for _, name := range names {
			if s := str(m[name]); s != "" {
				return s
			}
		}
		return ""
	}
	return Profile{
		FirstName: first("first_name", "given_name"), LastName: first("last_name", "family_name"),
		FullName: first("full_name", "name"), AvatarURL: first("avatar_url", "picture"), Locale: first("locale"),
	}
}
