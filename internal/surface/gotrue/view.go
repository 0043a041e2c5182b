package gotrue

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
)

// userView is the user object of every endpoint. Missing times are left out; e-mail, phone
// and the two metadata objects are always there.
type userView struct {
	ID                     auth.ID         `json:"id"`
	Aud                    string          `json:"aud"`
	Role                   string          `json:"role"`
	Email                  string          `json:"email"`
	EmailConfirmedAt       time.Time       `json:"email_confirmed_at,omitzero"`
	InvitedAt              time.Time       `json:"invited_at,omitzero"`
	Phone                  string          `json:"phone"`
	PhoneConfirmedAt       time.Time       `json:"phone_confirmed_at,omitzero"`
	ConfirmationSentAt     time.Time       `json:"confirmation_sent_at,omitzero"`
	ConfirmedAt            time.Time       `json:"confirmed_at,omitzero"`
	RecoverySentAt         time.Time       `json:"recovery_sent_at,omitzero"`
	NewEmail               string          `json:"new_email,omitempty"`
	EmailChangeSentAt      time.Time       `json:"email_change_sent_at,omitzero"`
	NewPhone               string          `json:"new_phone,omitempty"`
	PhoneChangeSentAt      time.Time       `json:"phone_change_sent_at,omitzero"`
	ReauthenticationSentAt time.Time       `json:"reauthentication_sent_at,omitzero"`
	LastSignInAt           time.Time       `json:"last_sign_in_at,omitzero"`
	AppMetadata            json.RawMessage `json:"app_metadata"`
	UserMetadata           json.RawMessage `json:"user_metadata"`
	Factors                []factorView    `json:"factors,omitempty"`
	Identities             []identityView  `json:"identities"`
	CreatedAt              time.Time       `json:"created_at"`
	UpdatedAt              time.Time       `json:"updated_at"`
	BannedUntil            time.Time       `json:"banned_until,omitzero"`
	DeletedAt              time.Time       `json:"deleted_at,omitzero"`
	IsAnonymous            bool            `json:"is_anonymous"`
}

// identityView is one identity. "id" is the subject at the provider, "identity_id" the row.
type identityView struct {
	IdentityID   auth.ID         `json:"identity_id"`
	ID           string          `json:"id"`
	UserID       auth.ID         `json:"user_id"`
	Data         json.RawMessage `json:"identity_data"`
	Provider     string          `json:"provider"`
	LastSignInAt time.Time       `json:"last_sign_in_at,omitzero"`
	CreatedAt    time.Time       `json:"created_at"`
	UpdatedAt    time.Time       `json:"updated_at"`
	Email        string          `json:"email,omitempty"`
}

type factorView struct {
	ID               auth.ID   `json:"id"`
	CreatedAt        time.Time `json:"created_at"`
	UpdatedAt        time.Time `json:"updated_at"`
	Status           string    `json:"status"`
	FriendlyName     string    `json:"friendly_name,omitempty"`
	Type             string    `json:"factor_type"`
	Phone            string    `json:"phone,omitempty"`
	LastChallengedAt time.Time `json:"last_challenged_at,omitzero"`
}

// sessionView is the answer of every route that issues tokens.
type sessionView struct {
	AccessToken  string       `json:"access_token"`
	TokenType    string       `json:"token_type"`
	ExpiresIn    int64        `json:"expires_in"` // seconds
	ExpiresAt    int64        `json:"expires_at"` // Unix seconds
	RefreshToken string       `json:"refresh_token"`
	User         userView     `json:"user"`
	WeakPassword *weakReasons `json:"weak_password,omitempty"`
}

// View is an account as every endpoint shows it, for those who tell others of it.
func View(u *auth.User) any { return viewUser(u) }

func viewUser(u *auth.User) userView {
	v := userView{
		ID: u.ID, Aud: u.Aud, Role: u.Role, Email: u.Email, EmailConfirmedAt: u.EmailConfirmedAt, InvitedAt: u.InvitedAt,
		Phone: u.Phone, PhoneConfirmedAt: u.PhoneConfirmedAt, ConfirmationSentAt: u.ConfirmationSentAt,
		ConfirmedAt: u.ConfirmedAt(), RecoverySentAt: u.RecoverySentAt, NewEmail: u.EmailChange,
		EmailChangeSentAt: u.EmailChangeSentAt, NewPhone: u.PhoneChange, PhoneChangeSentAt: u.PhoneChangeSentAt,
		ReauthenticationSentAt: u.ReauthenticationSentAt, LastSignInAt: u.LastSignInAt, AppMetadata: object(u.AppMetadata),
		UserMetadata: object(u.UserMetadata), CreatedAt: u.CreatedAt, UpdatedAt: u.UpdatedAt,
		BannedUntil: u.BannedUntil, DeletedAt: u.DeletedAt, IsAnonymous: u.IsAnonymous, Factors: viewFactors(u.Factors),
		Identities: make([]identityView, len(u.Identities)),
	}
	for i := range u.Identities {
		id := &u.Identities[i]
		v.Identities[i] = identityView{
			IdentityID: id.ID, ID: id.ProviderID, UserID: id.UserID, Data: object(id.Data), Provider: id.Provider,
			LastSignInAt: id.LastSignInAt, CreatedAt: id.CreatedAt, UpdatedAt: id.UpdatedAt, Email: id.Email,
		}
	}
	return v
}

func viewFactors(factors []auth.Factor) []factorView {
	var out []factorView
	for i := range factors {
		f := &factors[i]
		out = append(out, factorView{
			ID: f.ID, CreatedAt: f.CreatedAt, UpdatedAt: f.UpdatedAt, Status: f.Status, FriendlyName: f.FriendlyName,
			Type: f.Type, Phone: f.Phone, LastChallengedAt: f.LastChallengedAt,
		})
	}
	return out
}

// object keeps a metadata document an object for rows that hold NULL.
func object(raw json.RawMessage) json.RawMessage {
	if len(raw) == 0 || string(raw) == "null" {
		return json.RawMessage(`{}`)
	}
	return raw
}

// viewSession puts the session into GoTrue's form and its headers.
func viewSession(h http.Header, in *auth.SignedIn) sessionView {
	h.Set("Sb-Auth-User-Id", in.User.ID.String())
	h.Set("Sb-Auth-Session-Id", in.Session.ID.String())
	h.Set("Sb-Auth-Refresh-Token-Counter", strconv.FormatInt(in.Session.Counter, 10))
	if in.Refreshed {
		h.Set("Sb-Auth-Refresh-Token-Rotated", strconv.FormatBool(!in.Replayed))
		h.Set("Sb-Auth-Refresh-Token-Reuse", strconv.FormatBool(in.Replayed))
	}
	v := sessionView{
		AccessToken: in.Tokens.AccessToken, TokenType: "bearer", ExpiresIn: int64(in.Tokens.ExpiresIn / time.Second),
		ExpiresAt: in.Tokens.ExpiresAt.Unix(), RefreshToken: in.Tokens.RefreshToken, User: viewUser(&in.User),
	}
	if in.WeakPassword != nil {
		v.WeakPassword = &weakReasons{Message: in.WeakPassword.Message, Reasons: in.WeakPassword.Reasons}
	}
	return v
}
