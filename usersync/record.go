package usersync

import (
	"encoding/json"
	"errors"
	"strings"
	"time"
)

// userRecord is a user of Supabase and Cardea, as the user endpoint and hooks give it, and
// as a database webhook gives the row of auth.users.
type userRecord struct {
	ID               string          `json:"id"`
	Email            string          `json:"email"`
	Phone            string          `json:"phone"`
	EmailConfirmedAt moment          `json:"email_confirmed_at"`
	PhoneConfirmedAt moment          `json:"phone_confirmed_at"`
	BannedUntil      moment          `json:"banned_until"`
	DeletedAt        moment          `json:"deleted_at"`
	UpdatedAt        moment          `json:"updated_at"`
	AppMetadata      json.RawMessage `json:"app_metadata"`
	UserMetadata     json.RawMessage `json:"user_metadata"`
	RawApp           json.RawMessage `json:"raw_app_meta_data"`
	RawUser          json.RawMessage `json:"raw_user_meta_data"`
	Identities       []struct {
		Provider   string `json:"provider"`
		ID         string `json:"id"`
		IdentityID string `json:"identity_id"`
	} `json:"identities"`
}

// identity reads the record (S2.10). Standing is what it says at UpdatedAt; a ban needs a
// clock, see banned.
func (u userRecord) identity(issuer string) Identity {
	id := Identity{
		Issuer: issuer, Subject: u.ID, Standing: StandingGood, SourceAt: u.UpdatedAt.at,
		Email: u.Email, EmailVerified: u.EmailConfirmedAt.there(),
		Phone: u.Phone, PhoneVerified: u.PhoneConfirmedAt.there(),
	}
	app, user := u.AppMetadata, u.UserMetadata
	if app == nil {
		app = u.RawApp
	}
	if user == nil {
		user = u.RawUser
	}
	id.metadata(app, user)
	if len(u.Identities) > 0 {
		id.Providers = nil // these have ids
	}
	for _, one := range u.Identities {
		id.Providers = append(id.Providers, Provider{Name: one.Provider, ID: either(one.IdentityID, one.ID)})
	}
	return id
}

// standing adds what the record says of the account.
func (u userRecord) standing(id Identity, now time.Time) Identity {
	switch {
	case u.DeletedAt.there():
		id.Standing = StandingDeleted
	case u.BannedUntil.forever || u.BannedUntil.at.After(now):
		id.Standing = StandingBanned
	}
	return id
}

// moment is a time as the API writes it, or PostgreSQL: with a zone, without one (UTC), or
// infinity. The zero time of old versions is none.
type moment struct {
	at      time.Time
	forever bool
}

func (m moment) there() bool { return m.forever || !m.at.IsZero() }

var errMoment = errors.New("usersync: not a time")

// UnmarshalJSON implements json.Unmarshaler.
func (m *moment) UnmarshalJSON(raw []byte) error {
	*m = moment{}
	if string(raw) == "null" {
		return nil
	}
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		return errMoment
	}
	switch s {
	case "":
		return nil
	case "infinity":
		m.forever = true
		return nil
	}
	s = strings.Replace(s, " ", "T", 1)
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02T15:04:05.999999999Z07"} {
		if at, err := time.Parse(layout, s); err == nil {
			if at.Year() > 1 {
				m.at = at.UTC().Truncate(time.Microsecond)
			}
			return nil
		}
	}
	return errMoment
}
