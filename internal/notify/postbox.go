package notify

import (
	"cmp"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
)

// Notice is something to tell a person, in the words of the flow that has to tell it.
type Notice struct {
	Channel string // one of the channels
	Kind    string // one of [Kinds]
	To      string // address or number
	User    *auth.User
	Purpose auth.Purpose // of the token; "" for a notice without one
	Code    string       // "" for none
	Link    string       // token of the link; "" for none

	RedirectTo         string // checked before
	NewEmail, OldEmail string
	NewPhone, OldPhone string

	Provider   string // of an identity that came or went
	FactorType string // of a factor that came or went
	// OtherCode and OtherLink are those of the present address, in the message to the new one.
	OtherCode, OtherLink string

	UserAgent string // of a new device, as it was sent; only a summary of it is kept
	IP        string // of a new device
}

// PostboxConfig is what [NewPostbox] needs.
type PostboxConfig struct {
	Box       Box
	PublicURL string // where people reach this server; never taken from a request
	SiteURL   string // of the application; where links lead that name no other place
	// Paths are the paths of links under PublicURL, by kind; LinkURL for kinds that are missing.
	Paths map[Kind]string
	// LinkURL is where links lead, the server or a page of the application that gives it the
	// token; "" means PublicURL and "/auth/v1/verify".
	LinkURL  string
	LinkLife time.Duration // of codes and links in mails
	SMSLife  time.Duration // of codes in text messages
	Rand     io.Reader     // nil: crypto/rand
}

// Postbox turns notices into sealed rows of the outbox. It is safe for concurrent use.
type Postbox struct {
	c      PostboxConfig
	public *url.URL
}

// NewPostbox checks the addresses: links in mails are made of them.
func NewPostbox(c PostboxConfig) (*Postbox, error) {
	public, err := url.Parse(c.PublicURL)
	if err != nil || public.Scheme != "https" && public.Scheme != "http" || public.Host == "" || public.RawQuery != "" || public.Fragment != "" || public.User != nil {
		return nil, fmt.Errorf("notify: the public URL %q is no http or https address that links could begin with", c.PublicURL)
	}
	if c.Box == nil || c.LinkLife <= 0 || c.SMSLife <= 0 {
		return nil, errors.New("notify: a postbox needs a box and the life of links and of codes")
	}
	for kind, path := range c.Paths {
		if !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") {
			return nil, fmt.Errorf("notify: the path %q of links of kind %q has to begin with one slash", path, kind)
		}
	}
	if c.Rand == nil {
		c.Rand = rand.Reader
	}
	return &Postbox{c: c, public: public}, nil
}

// Put seals a notice. Errors are mistakes of the caller (no recipient, no such kind) or a
// lack of random bytes.
func (p *Postbox) Put(now time.Time, n Notice) (auth.Message, error) {
	id, err := auth.NewID(now, p.c.Rand)
	if err != nil {
		return auth.Message{}, fmt.Errorf("notify: %w", err)
	}
	m := Message{
		ID: id, Channel: n.Channel, Kind: Kind(n.Kind), Purpose: n.Purpose, To: n.To, CreatedAt: now, Vars: p.vars(&n),
		OtherToken: n.OtherCode, OtherTokenHash: n.OtherLink,
	}
	if n.User != nil {
		m.UserID, m.Locale = n.User.ID, LocaleOf(n.User.UserMetadata)
	}
	switch {
	case n.Code == "" && n.Link == "":
	case n.Channel == ChannelEmail:
		m.ExpiresAt = now.Add(p.c.LinkLife)
	default:
		m.ExpiresAt = now.Add(p.c.SMSLife)
	}
	return Seal(p.c.Box, m)
}

// Decoy seals nothing, with the same work. Its row goes the way of a message and is
// deleted where a message would be sent.
func (p *Postbox) Decoy(now time.Time) (auth.Message, error) {
	id, err := auth.NewID(now, p.c.Rand)
	if err != nil {
		return auth.Message{}, fmt.Errorf("notify: %w", err)
	}
	n := Notice{
		Channel: ChannelDecoy, Kind: string(KindMagicLink), To: "nobody@invalid.example", Purpose: auth.PurposeMagicLink,
		Code: "000000", Link: strings.Repeat("0", 2*28), User: &auth.User{UserMetadata: json.RawMessage(`{"email_verified":true}`)},
	}
	return Seal(p.c.Box, Message{
		ID: id, Channel: n.Channel, Kind: Kind(n.Kind), Purpose: n.Purpose, To: n.To, Locale: LocaleOf(n.User.UserMetadata),
		CreatedAt: now, ExpiresAt: now.Add(p.c.LinkLife), Vars: p.vars(&n),
	})
}

func (p *Postbox) vars(n *Notice) Vars {
	v := Vars{
		SiteURL: p.c.SiteURL, RedirectTo: n.RedirectTo, SendingTo: n.To,
		NewEmail: n.NewEmail, OldEmail: n.OldEmail, Phone: n.NewPhone, OldPhone: n.OldPhone,
		Token: n.Code, Provider: n.Provider, FactorType: n.FactorType, IPAddress: n.IP,
	}
	if v.RedirectTo == "" {
		v.RedirectTo = p.c.SiteURL
	}
	if n.UserAgent != "" || Kind(n.Kind) == KindNewDevice {
		v.Device = Device(n.UserAgent)
	}
	if n.User != nil {
		v.Email = n.User.Email
		if v.Phone == "" {
			v.Phone = n.User.Phone
		}
		if json.Unmarshal(n.User.UserMetadata, &v.Data) != nil {
			v.Data = nil
		}
	}
	if Kind(n.Kind) == KindEmailChanged {
		if n.NewEmail != "" {
			v.Email = n.NewEmail
		}
		if v.OldEmail == "" {
			v.OldEmail = n.To
		}
	}
	// A nonce is typed where the person already is: there is no page for it to lead to.
	if n.Link != "" && n.Purpose != auth.PurposeReauthenticate {
		v.TokenHash = n.Link
		v.ConfirmationURL = p.link(Kind(n.Kind), n.Purpose, n.Link, v.RedirectTo)
	}
	return v
}

// link has GoTrue's order of parameters; some applications cut it apart.
func (p *Postbox) link(kind Kind, purpose auth.Purpose, token, redirectTo string) string {
	base := strings.TrimRight(p.public.String(), "/")
	page := base + p.c.Paths[kind]
	if page == base {
		page = cmp.Or(p.c.LinkURL, base+"/auth/v1/verify")
	}
	sep := "?"
	if strings.Contains(page, "?") {
		sep = "&"
	}
	link := page + sep + "token=" + url.QueryEscape(token) + "&type=" + url.QueryEscape(purpose.LinkType())
	if redirectTo != "" {
		link += "&redirect_to=" + url.QueryEscape(redirectTo)
	}
	return link
}
