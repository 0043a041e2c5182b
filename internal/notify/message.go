package notify

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
)

// The channels of auth.Message.
const (
	ChannelEmail    = "email"
	ChannelSMS      = "sms"
	ChannelWhatsApp = "whatsapp"
	// ChannelDecoy marks a row that costs what a message costs and is never sent.
	ChannelDecoy = "decoy"
)

// Kind names what a message says: GoTrue's template keys, and notices to the owner.
type Kind string

// Messages that prove something; they carry a link, a code or both.
const (
	KindConfirmation     Kind = "confirmation"
	KindInvite           Kind = "invite"
	KindRecovery         Kind = "recovery"
	KindMagicLink        Kind = "magic_link"
	KindEmailChange      Kind = "email_change"
	KindReauthentication Kind = "reauthentication"
	KindSMS              Kind = "sms"
	KindPhoneChange      Kind = "phone_change"
)

// Notices to the owner of the account.
const (
	KindPasswordChanged  Kind = "password_changed"
	KindEmailChanged     Kind = "email_changed" // goes to Vars.OldEmail
	KindPhoneChanged     Kind = "phone_changed"
	KindIdentityLinked   Kind = "identity_linked"
	KindIdentityUnlinked Kind = "identity_unlinked"
	KindFactorEnrolled   Kind = "mfa_factor_enrolled"
	KindFactorUnenrolled Kind = "mfa_factor_unenrolled"
	KindNewDevice        Kind = "new_device"
	KindAccountExists    Kind = "account_exists" // somebody signed up with the owner's address
	KindMemberInvited    Kind = "member_invited" // a tenant asks the owner to become a member
)

// Kinds gives every kind, those that prove something first.
func Kinds() []Kind {
	return []Kind{
		KindConfirmation, KindInvite, KindRecovery, KindMagicLink, KindEmailChange, KindReauthentication,
		KindSMS, KindPhoneChange,
		KindPasswordChanged, KindEmailChanged, KindPhoneChanged, KindIdentityLinked, KindIdentityUnlinked,
		KindFactorEnrolled, KindFactorUnenrolled, KindNewDevice, KindAccountExists, KindMemberInvited,
	}
}

// Notice reports whether the kind only informs.
func (k Kind) Notice() bool { return !slices.Contains(Kinds()[:8], k) }

// Vars are the variables of templates, named as GoTrue names them. A template that uses
// another name does not load.
type Vars struct {
	SiteURL         string         `json:"site_url,omitempty"`
	ConfirmationURL string         `json:"confirmation_url,omitempty"` // "" when the message has no link
	Email           string         `json:"email,omitempty"`            // of the account
	NewEmail        string         `json:"new_email,omitempty"`        // the address that waits for proof
	SendingTo       string         `json:"sending_to,omitempty"`       // the address that this message goes to
	Token           string         `json:"token,omitempty"`            // the code; "" when the message has none
	TokenHash       string         `json:"token_hash,omitempty"`       // the token of the link
	Data            map[string]any `json:"data,omitempty"`             // user metadata: written by the user
	RedirectTo      string         `json:"redirect_to,omitempty"`

	OldEmail   string `json:"old_email,omitempty"`
	Phone      string `json:"phone,omitempty"`
	OldPhone   string `json:"old_phone,omitempty"`
	Provider   string `json:"provider,omitempty"`
	FactorType string `json:"factor_type,omitempty"`

	// Of a sign-in from a new device. Whoever signs in writes the User-Agent header, so
	// Device must be a summary ("Firefox on Windows"), never the header.
	Device    string `json:"device,omitempty"`
	IPAddress string `json:"ip_address,omitempty"`
}

// Code is the name that GoTrue's SMS_TEMPLATE uses for the token.
func (v Vars) Code() string { return v.Token }

// Message is what is sealed into the outbox. It is put into words when it is sent, so that
// the transaction that caused it stays short and a corrected template holds for what waits.
type Message struct {
	ID      auth.ID      `json:"id"`
	Channel string       `json:"channel"`
	Kind    Kind         `json:"kind"`
	Purpose auth.Purpose `json:"purpose,omitempty"` // of the token; "" for notices
	UserID  auth.ID      `json:"user_id,omitzero"`
	To      string       `json:"to"`               // e-mail address, or E.164 digits with or without "+"
	Locale  string       `json:"locale,omitempty"` // wish of the person (see [LocaleOf]); "" means the default

	CreatedAt time.Time `json:"created_at"`
	// ExpiresAt is when code and link stop working; zero for notices. A message that could
	// not be sent by then is given up: it would only confuse.
	ExpiresAt time.Time `json:"expires_at,omitzero"`

	Vars Vars `json:"vars"`

	// OtherToken and OtherTokenHash are those of the message to the present address, in the
	// one to the new address: an application that sends its own mail gets both at once.
	OtherToken     string `json:"other_token,omitempty"`
	OtherTokenHash string `json:"other_token_hash,omitempty"`
}

// Box seals messages; internal/seal.Box is one.
type Box interface {
	Seal(plain, context []byte) ([]byte, error)
	Open(sealed, context []byte) ([]byte, error)
}

// sealContext ties the sealed text to its row: copied into another row, whose recipient
// somebody chose, it does not open.
func sealContext(id auth.ID) []byte { return []byte("outbox:" + id.String()) }

// Seal makes the row of the outbox; it is due at once. It refuses messages without id,
// kind or recipient, and channels that do not exist.
func Seal(box Box, m Message) (auth.Message, error) {
	switch {
	case m.ID.IsZero() || m.To == "" || m.CreatedAt.IsZero():
		return auth.Message{}, errors.New("notify: a message needs an id, a recipient and a time")
	case !slices.Contains(Kinds(), m.Kind):
		return auth.Message{}, fmt.Errorf("notify: there is no kind of message %q", m.Kind)
	case !slices.Contains([]string{ChannelEmail, ChannelSMS, ChannelWhatsApp, ChannelDecoy}, m.Channel):
		return auth.Message{}, fmt.Errorf("notify: there is no channel %q", m.Channel)
	}
	plain, err := json.Marshal(m)
	if err != nil {
		return auth.Message{}, fmt.Errorf("notify: encode message: %w", err)
	}
	sealed, err := box.Seal(plain, sealContext(m.ID))
	if err != nil {
		return auth.Message{}, fmt.Errorf("notify: %w", err)
	}
	return auth.Message{
		ID: m.ID, Channel: m.Channel, Kind: string(m.Kind), Sealed: sealed,
		CreatedAt: m.CreatedAt, NotBefore: m.CreatedAt,
	}, nil
}

// Open gives back what [Seal] was given. The error is that of the box, or tells that the
// text is no message; it holds nothing of the text.
func Open(box Box, row auth.Message) (Message, error) {
	plain, err := box.Open(row.Sealed, sealContext(row.ID))
	if err != nil {
		return Message{}, fmt.Errorf("notify: open message: %w", err)
	}
	var m Message
	if err := json.Unmarshal(plain, &m); err != nil {
		return Message{}, errors.New("notify: open message: the sealed text is not a message of this version")
	}
	if m.ID != row.ID {
		return Message{}, errors.New("notify: open message: the sealed text belongs to another row")
	}
	return m, nil
}

// Rendered is a message that is ready to be sent.
type Rendered struct {
	ID        auth.ID
	Channel   string
	Kind      Kind
	To        string
	Locale    string // one of [Locales]
	Subject   string // one line; "" for text messages
	Text      string
	HTML      string // "" for text messages
	Code      string // as in the text; "" for none
	Link      string // as in the text; "" for none
	CreatedAt time.Time
}
