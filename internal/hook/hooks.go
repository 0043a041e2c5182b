package hook

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
)

// Config says which hooks there are. The zero value has none.
type Config struct {
	BeforeUserCreated    Endpoint
	AfterUserCreated     Endpoint
	SendEmail            Endpoint
	SendSMS              Endpoint
	CustomizeAccessToken Endpoint
	PasswordVerification Endpoint
	MFAVerification      Endpoint

	// User puts an account into the form that the API shows it in, without any secret.
	// Needed by the first four.
	User func(*auth.User) any
	// AdminRoles are the roles whose tokens administer accounts: no hook can give one of them.
	AdminRoles []string
	// Database runs functions; nil: pg-functions:// can't be used.
	Database Database
	// Observe hears of every call when it has ended, for metrics and the log; nil: nobody
	// does. Error texts hold no secrets, but may quote the application's database.
	Observe func(name Name, took time.Duration, err error)

	Transport http.RoundTripper // nil: an own one, without a proxy
	Now       func() time.Time  // nil: the clock
	Rand      io.Reader         // nil: crypto/rand
}

func (c *Config) endpoints() map[Name]Endpoint {
	return map[Name]Endpoint{
		BeforeUserCreated: c.BeforeUserCreated, AfterUserCreated: c.AfterUserCreated, SendEmail: c.SendEmail, SendSMS: c.SendSMS,
		CustomizeAccessToken: c.CustomizeAccessToken, PasswordVerification: c.PasswordVerification, MFAVerification: c.MFAVerification,
	}
}

// names are all hooks, in the order in which problems are listed.
func names() []Name {
	return []Name{
		BeforeUserCreated, AfterUserCreated, SendEmail, SendSMS, CustomizeAccessToken, PasswordVerification, MFAVerification,
	}
}

// needsUser tells the hooks whose payload has a user.
func needsUser(n Name) bool {
	return n == BeforeUserCreated || n == AfterUserCreated || n == SendEmail || n == SendSMS
}

// Check lists everything that is wrong; empty if nothing is. Hooks that are not enabled are
// not looked at.
func (c *Config) Check() []Problem {
	_, problems := c.targets()
	return problems
}

func (c *Config) targets() (map[Name]target, []Problem) {
	targets := map[Name]target{}
	var problems []Problem
	client := newClient(c.Transport)
	all := c.endpoints()
	for _, name := range names() {
		e := all[name]
		if !e.Enabled {
			continue
		}
		a, secrets, wrong := e.parse(name)
		problems = append(problems, wrong...)
		if needsUser(name) && c.User == nil {
			problems = append(problems, Problem{name, "user", "nothing shows an account"})
		}
		switch {
		case a.function == "":
			targets[name] = &service{url: a.url, secrets: secrets, client: client, now: c.Now}
		case c.Database == nil:
			problems = append(problems, Problem{name, "database", "functions can be called on PostgreSQL only"})
		default:
			targets[name] = &function{db: c.Database, schema: a.schema, name: a.function}
		}
	}
	return targets, problems
}

// Hooks calls the hooks that are configured. A nil *Hooks has none. It is safe for
// concurrent use. Errors are [auth.Error]s: CodeHookRefused with a [Refusal], CodeHookTimeout,
// CodeHookTimeoutAfterRetry, CodeHookAnswerTooLarge, CodeHookContentType, CodeInternal; or
// the context's own when the caller has gone.
type Hooks struct {
	c       Config
	targets map[Name]target
}

// New makes Hooks; nil when no hook is enabled. The error joins everything that
// [Config.Check] lists.
func New(c Config) (*Hooks, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Rand == nil {
		c.Rand = rand.Reader
	}
	targets, problems := c.targets()
	errs := make([]error, len(problems))
	for i, p := range problems {
		errs[i] = p
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if len(targets) == 0 {
		return nil, nil //nolint:nilnil // a nil *Hooks is one without hooks
	}
	return &Hooks{c: c, targets: targets}, nil
}

// Has reports whether a hook is configured.
func (h *Hooks) Has(n Name) bool { return h != nil && h.targets[n] != nil }

// Event is what a hook is told of. A job that delivers it later, and perhaps twice, gives
// the same one each time: the receiver sees one webhook-id.
type Event struct {
	ID auth.ID   // zero: a new one
	At time.Time // zero: now
	IP string    // of the client, "" if unknown
}

// begin gives the metadata of a call.
func (h *Hooks) begin(n Name, e Event) (metadata, error) {
	if e.At.IsZero() {
		e.At = h.c.Now()
	}
	if e.ID.IsZero() {
		var err error
		if e.ID, err = auth.NewID(e.At, h.c.Rand); err != nil {
			return metadata{}, fmt.Errorf("hook: %w", err)
		}
	}
	return metadata{UUID: e.ID, Time: e.At.UTC(), Name: n, IP: e.IP}, nil
}

// call makes one call and reads the answer into out, which may be nil.
func (h *Hooks) call(ctx context.Context, m metadata, payload, out any) error {
	began := h.c.Now()
	err := h.exchange(ctx, m, payload, out)
	if h.c.Observe != nil {
		h.c.Observe(m.Name, h.c.Now().Sub(began), err)
	}
	return err
}

func (h *Hooks) exchange(ctx context.Context, m metadata, payload, out any) error {
	t := h.targets[m.Name]
	if t == nil {
		return broken("", fmt.Errorf("hook %s is not configured", m.Name))
	}
	body, err := json.Marshal(payload)
	if err != nil {
		return broken("", fmt.Errorf("hook %s: payload: %w", m.Name, err))
	}
	answer, err := t.call(ctx, m.UUID.String(), body)
	if err != nil {
		return err
	}
	if len(answer) == 0 {
		answer = []byte("{}")
	}
	var no refusal
	if err := decodeOne(answer, &no); err != nil {
		return broken("Error unmarshaling hook output", fmt.Errorf("hook %s: %w", m.Name, err))
	}
	switch {
	case no.Error != nil && no.Error.Message == "":
		return broken("Error unmarshaling hook output", fmt.Errorf("hook %s: an error without a message", m.Name))
	case no.Error != nil:
		return refused(no.Error.HTTPCode, no.Error.Message)
	case out == nil:
		return nil
	}
	if err := decodeOne(answer, out); err != nil {
		return broken("Error unmarshaling hook output", fmt.Errorf("hook %s: %w", m.Name, err))
	}
	return nil
}

// BeforeUserCreated asks whether an account may come about. u is not stored yet. Any error
// means that it must not.
func (h *Hooks) BeforeUserCreated(ctx context.Context, u *auth.User, ip string) error {
	if !h.Has(BeforeUserCreated) {
		return nil
	}
	m, err := h.begin(BeforeUserCreated, Event{IP: ip})
	if err != nil {
		return err
	}
	return h.call(ctx, m, userPayload{m, h.c.User(u)}, nil)
}

// AfterUserCreated tells of a new account. The account stays whatever the answer is; an
// error is for whoever delivers the news, to try again.
func (h *Hooks) AfterUserCreated(ctx context.Context, e Event, u *auth.User) error {
	if !h.Has(AfterUserCreated) {
		return nil
	}
	m, err := h.begin(AfterUserCreated, e)
	if err != nil {
		return err
	}
	return h.call(ctx, m, userPayload{m, h.c.User(u)}, nil)
}

// SendEmail hands a mail over to the application. It is the only way the mail goes: with
// an error nothing has been sent, and without the hook that is an error.
func (h *Hooks) SendEmail(ctx context.Context, e Event, u *auth.User, d EmailData) error {
	if !h.Has(SendEmail) {
		return broken("", fmt.Errorf("hook %s is not configured", SendEmail))
	}
	m, err := h.begin(SendEmail, e)
	if err != nil {
		return err
	}
	return h.call(ctx, m, emailPayload{m, h.c.User(u), d}, nil)
}

// SendSMS does the same for a text message.
func (h *Hooks) SendSMS(ctx context.Context, e Event, u *auth.User, d SMSData) error {
	if !h.Has(SendSMS) {
		return broken("", fmt.Errorf("hook %s is not configured", SendSMS))
	}
	m, err := h.begin(SendSMS, e)
	if err != nil {
		return err
	}
	return h.call(ctx, m, smsPayload{m, h.c.User(u), d}, nil)
}

// CustomizeAccessToken lets the application change the claims of an access token. given and
// the result are JSON objects. method is how the session was proved, or "token_refresh". What
// it verifies of the answer, so that a mistake in a hook is no hole:
//
//   - iss, sub, session_id, iat, aal, is_anonymous are there and as they were: the token is
//     still this person's, of this session, and no better proved;
//   - amr is as it was, or gone; a client_id is as it was, and there if it was there;
//   - aud still holds our audience; role is not empty, and neither one above row-level
//     security nor one of AdminRoles unless it was;
//   - email, phone and role are strings, which may change; exp is in whole seconds, after iat,
//     and not later than it was;
//   - no other claim has the name of one of these in other letters ("SUB").
//
// Every other claim may come, change or go. Any error means that there is no token.
func (h *Hooks) CustomizeAccessToken(ctx context.Context, user auth.ID, method string, given []byte) ([]byte, error) {
	if !h.Has(CustomizeAccessToken) {
		return given, nil
	}
	var ours claims
	if err := decodeOne(given, &ours); err != nil {
		return nil, broken("", fmt.Errorf("hook %s: our own claims: %w", CustomizeAccessToken, err))
	}
	m, err := h.begin(CustomizeAccessToken, Event{})
	if err != nil {
		return nil, err
	}
	var out struct {
		Claims claims `json:"claims"`
	}
	if err := h.call(ctx, m, tokenPayload{m, user, given, method}, &out); err != nil {
		return nil, err
	}
	if out.Claims == nil {
		return nil, broken("output claims field is missing", fmt.Errorf("hook %s: no claims", m.Name))
	}
	if err := out.Claims.check(ours, h.c.AdminRoles); err != nil {
		return nil, broken("output claims do not conform to the expected schema", fmt.Errorf("hook %s: %w", m.Name, err))
	}
	return out.Claims.encode()
}

// Verdict is what the application thinks of a try.
type Verdict struct {
	Reject  bool
	Message string // for the person; not empty when Reject is set
	SignOut bool   // every session of the account is to end
}

// PasswordVerification tells of a try at a password, right or wrong. Any error means that
// there is no sign-in. should_logout_user counts whatever the decision is; a rejection is
// to be answered like a wrong password, with the verdict's message.
func (h *Hooks) PasswordVerification(ctx context.Context, user auth.ID, valid bool, ip string) (Verdict, error) {
	if !h.Has(PasswordVerification) {
		return Verdict{}, nil
	}
	m, err := h.begin(PasswordVerification, Event{IP: ip})
	if err != nil {
		return Verdict{}, err
	}
	return h.decide(ctx, m, passwordPayload{m, user, valid}, "Further password verification attempts will be rejected.")
}

// MFAVerification tells of a try at a second factor. Any error means that it does not
// count. A rejection ends every session of the account.
func (h *Hooks) MFAVerification(ctx context.Context, a MFAAttempt, ip string) (Verdict, error) {
	if !h.Has(MFAVerification) {
		return Verdict{}, nil
	}
	m, err := h.begin(MFAVerification, Event{IP: ip})
	if err != nil {
		return Verdict{}, err
	}
	v, err := h.decide(ctx, m, mfaPayload{m, a}, "Further MFA verification attempts will be rejected.")
	v.SignOut = v.Reject
	return v, err
}

// decide reads a verdict. No decision, or one that is neither word, is a failure: a typing
// error in a hook must not let anybody in.
func (h *Hooks) decide(ctx context.Context, m metadata, payload any, message string) (Verdict, error) {
	var out decision
	if err := h.call(ctx, m, payload, &out); err != nil {
		return Verdict{}, err
	}
	switch out.Decision {
	case "continue":
		return Verdict{SignOut: out.SignOut}, nil
	case "reject":
		if out.Message != "" {
			message = out.Message
		}
		return Verdict{Reject: true, Message: message, SignOut: out.SignOut}, nil
	}
	return Verdict{}, broken("Error unmarshaling hook output", fmt.Errorf("hook %s: decision is neither continue nor reject", m.Name))
}
