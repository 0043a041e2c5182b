package moving

import (
	"encoding/json"
	"io"
	"strings"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
)

// Auth0 reads users as the export job and the bulk import of Auth0 write them (a JSON object
// on each line, or an array), and with them the file of password hashes that its support
// gives out; nil for none. The hashes can also be read alone: they are users too.
func Auth0(users io.Reader, passwords Input) (Reader, error) {
	a := &auth0{}
	if passwords != nil {
		var err error
		if a.passwords, err = openSide(passwords, FormNDJSON, "", auth0Key); err != nil {
			return nil, err
		}
	}
	return records{either(users), a.read}, nil
}

type auth0 struct{ passwords *side }

// auth0Key is the user_id of a line of the file of passwords.
func auth0Key(r row) string {
	if r["alt_id"] != "" {
		return "auth0|" + r["alt_id"]
	}
	var id struct {
		OID string `json:"$oid"`
	}
	if json.Unmarshal([]byte(r["_id"]), &id) != nil || id.OID == "" {
		return ""
	}
	return "auth0|" + id.OID
}

type auth0User struct {
	UserID        string                     `json:"user_id"`
	OldID         string                     `json:"Id"` // as the export names it without a choice of fields
	MongoID       json.RawMessage            `json:"_id"`
	AltID         string                     `json:"alt_id"`
	Email         string                     `json:"email"`
	EmailVerified bool                       `json:"email_verified"`
	Phone         string                     `json:"phone_number"`
	PhoneVerified bool                       `json:"phone_verified"`
	Name          string                     `json:"name"`
	Picture       string                     `json:"picture"`
	Blocked       bool                       `json:"blocked"`
	CreatedAt     string                     `json:"created_at"`
	UpdatedAt     string                     `json:"updated_at"`
	LastLogin     string                     `json:"last_login"`
	PasswordHash  string                     `json:"passwordHash"`
	Hash          string                     `json:"password_hash"`
	UserMetadata  map[string]json.RawMessage `json:"user_metadata"`
	AppMetadata   map[string]json.RawMessage `json:"app_metadata"`
	Multifactor   []json.RawMessage          `json:"multifactor"`
	Identities    []struct {
		Connection  string          `json:"connection"`
		Provider    string          `json:"provider"`
		UserID      json.RawMessage `json:"user_id"` // a number at some providers
		ProfileData json.RawMessage `json:"profileData"`
	} `json:"identities"`
	Identifiers []struct {
		Type     string `json:"type"`
		Value    string `json:"value"`
		Verified bool   `json:"verified"`
	} `json:"identifiers"`
}

func (a *auth0) read(doc []byte, line int64) (Record, error) {
	var u auth0User
	if !auth.CleanJSON(doc) || json.Unmarshal(doc, &u) != nil {
		return Record{}, problem(line, CodeForm, "no user of Auth0")
	}
	id := u.id()
	if id == "" {
		return Record{}, problem(line, CodeForm, "no user_id")
	}
	rec := Record{
		ExternalID: id, Email: u.Email, Phone: u.Phone, FullName: u.Name, ImageURL: u.Picture, HasProfile: true,
		Hash: u.PasswordHash, User: u.UserMetadata, App: u.AppMetadata, Factors: len(u.Multifactor),
	}
	if rec.Hash == "" {
		rec.Hash = u.Hash
	}
	rec.Roles = takeRoles(rec.App)
	u.identify(&rec)
	if u.Blocked {
		rec.BannedUntil = Forever()
	}
	for _, f := range []struct {
		to   *time.Time
		text string
	}{{&rec.CreatedAt, u.CreatedAt}, {&rec.UpdatedAt, u.UpdatedAt}, {&rec.LastSignInAt, u.LastLogin}} {
		var ok bool
		if *f.to, ok = readTime(f.text); !ok {
			return rec, failed(line, id, CodeTime, "not a moment that can be stored")
		}
	}
	rows, err := a.passwords.of(id)
	if err != nil {
		return rec, err
	}
	if len(rows) > 0 {
		rec.Hash = rows[0]["passwordHash"]
	}
	return rec, nil
}

func (u *auth0User) id() string {
	switch {
	case u.UserID != "":
		if !strings.Contains(u.UserID, "|") { // as in a bulk import
			return "auth0|" + u.UserID
		}
		return u.UserID
	case u.OldID != "":
		return u.OldID
	}
	return auth0Key(row{"alt_id": u.AltID, "_id": string(u.MongoID)})
}

// identify reads addresses and identities.
func (u *auth0User) identify(rec *Record) {
	for _, i := range u.Identifiers {
		if i.Type == "email" && (rec.Email == "" || strings.EqualFold(rec.Email, i.Value)) {
			rec.Email, u.EmailVerified = i.Value, u.EmailVerified || i.Verified
		}
		if i.Type == "phone_number" && rec.Phone == "" {
			rec.Phone, u.PhoneVerified = i.Value, i.Verified
		}
	}
	if u.EmailVerified {
		rec.EmailProved = ProvedSometime()
	}
	if u.PhoneVerified {
		rec.PhoneProved = ProvedSometime()
	}
	for _, i := range u.Identities {
		id := strings.Trim(string(i.UserID), `"`)
		if i.Provider == "auth0" || i.Provider == "email" || i.Provider == "sms" || id == "" {
			continue
		}
		data := map[string]json.RawMessage{}
		if len(i.ProfileData) > 0 {
			_ = json.Unmarshal(i.ProfileData, &data) // what is no object is no profile
		}
		doc, err := json.Marshal(data)
		if err == nil {
			rec.Identities = append(rec.Identities, Identity{Provider: providerName(i.Provider), ProviderID: id, Data: doc})
		}
	}
}

// takeRoles takes the roles out of metadata: they have to be known here.
func takeRoles(app map[string]json.RawMessage) []string {
	var roles []string
	if raw, ok := app["roles"]; ok && json.Unmarshal(raw, &roles) == nil {
		delete(app, "roles")
	}
	return roles
}
