package flow_test

import (
	"context"
	"crypto/rand"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/flow"
	"github.com/cardea-auth/cardea/ratelimit"
)

// codes hashes by writing down what it was given.
type codes struct{}

func (codes) CodeHashes(p auth.Purpose, address, code string) []string {
	return []string{string(p) + "|" + address + "|" + code, "old:" + string(p) + "|" + address + "|" + code}
}

// postbox keeps the notices.
type postbox struct {
	mu      sync.Mutex
	notices []flow.Notice
	decoys  int
}

func (p *postbox) Put(now time.Time, n flow.Notice) (auth.Message, error) {
	if n.To == "" {
		return auth.Message{}, errors.New("a notice to nobody")
	}
	p.mu.Lock()
	p.notices = append(p.notices, n)
	p.mu.Unlock()
	id, err := auth.NewID(now, rand.Reader)
	return auth.Message{ID: id, Channel: n.Channel, Kind: n.Kind, Sealed: []byte("sealed"), CreatedAt: now}, err
}

func (p *postbox) Decoy(now time.Time) (auth.Message, error) {
	p.mu.Lock()
	p.decoys++
	p.mu.Unlock()
	id, err := auth.NewID(now, rand.Reader)
	return auth.Message{ID: id, Channel: "decoy", CreatedAt: now}, err
}

// messages is a bench whose server can send messages and wants addresses proved.
func messages(t *testing.T) (*bench, *postbox) {
	t.Helper()
	b, post := setup(t), &postbox{}
	c := &b.config
	c.EmailAutoconfirm, c.PhoneAutoconfirm = false, false
	c.Mail, c.Texts, c.MagicLinks, c.BothAddresses = true, true, true, true
	c.CodeLength, c.LinkLife, c.SMSLife = 6, time.Hour, 5*time.Minute
	c.Codes, c.Post = codes{}, post
	c.Notices = []string{"password_changed", "email_changed", "phone_changed", "account_exists"}
	b.store.queue = func([]auth.Message) error { return nil }
	return b, post
}

// limited gives the bench the limits of a small server.
func limited(b *bench) {
	c := &b.config
	c.Limiter = ratelimit.NewMemory(0, now)
	many := ratelimit.Limit{Count: 100, Period: time.Hour}
	c.SignupPerIP, c.AnonymousPerIP, c.UpdatePerUser, c.VerifyPerIP, c.MailPerIP = many, many, many, many, many
	c.MailPerServer, c.TextPerServer = many, many
	c.MailEvery, c.SMSEvery = time.Minute, time.Minute
}

// knows makes the look-ups by address answer with one account.
func (b *bench) knows(u auth.User) {
	find := func(address string) func(a, _ string) (auth.User, error) {
		return func(a, _ string) (auth.User, error) {
			if a == address && a != "" {
				return u, nil
			}
			return auth.User{}, auth.ErrNotFound
		}
	}
	b.store.byEmail, b.store.byPhone = find(u.Email), find(u.Phone)
}

// issues keeps what was issued.
func (b *bench) issues() *[]auth.IssueOneTime {
	var got []auth.IssueOneTime
	b.store.issue = func(i auth.IssueOneTime) error {
		got = append(got, i)
		return nil
	}
	return &got
}

type human struct{ seen []string }

func (h *human) Check(_ context.Context, token, _ string) error {
	h.seen = append(h.seen, token)
	if token != "person" {
		return auth.E(auth.CodeCaptchaFailed, "")
	}
	return nil
}

type hooks struct {
	asked  []string
	refuse error
}

func (h *hooks) BeforeUserCreated(_ context.Context, u *auth.User, _ string) error {
	h.asked = append(h.asked, u.Email)
	return h.refuse
}

func (h *hooks) AfterUserCreated(now time.Time, _ *auth.User, _ string) (*auth.Message, error) {
	id, err := auth.NewID(now, rand.Reader)
	return &auth.Message{ID: id, Channel: "hook"}, err
}

// codeOf is the code of an error, "" for none.
func codeOf(err error) auth.Code {
	if err == nil {
		return ""
	}
	return auth.CodeOf(err)
}
