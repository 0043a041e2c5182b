package flow

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/hook"
	"github.com/cardea-auth/cardea/ratelimit"
)

// WebhookStore is what Webhooks needs of a database.
type WebhookStore interface {
	PasswordChanged(ctx context.Context, n auth.SignedNotice) (ended int64, err error)
}

// Webhooks are what other servers tell us of accounts, such as an issuer that holds the
// passwords.
type Webhooks struct {
	c        Config
	store    WebhookStore
	receiver *hook.Receiver
	undated  bool
}

// NewWebhooks makes Webhooks. Of Config it needs Limiter, Now and Rand. With undated, notices
// that do not say when they were made are taken; see [Webhooks.PasswordChanged] for the price.
func NewWebhooks(c Config, store WebhookStore, receiver *hook.Receiver, undated bool) *Webhooks {
	return &Webhooks{c, store, receiver, undated}
}

// webhooksPerIP is S2.42's limit.
func webhooksPerIP() ratelimit.Limit { return ratelimit.Limit{Count: 30, Period: time.Minute} }

// SignedBody is a body whose signature is right. Only Open makes one.
type SignedBody struct {
	proof hook.Proof
	meta  auth.Meta
	open  bool
}

// Open checks the signature of a body that nobody has parsed: what a stranger sends must not
// even be told apart by its form (B2.35). The names of the header are in canonical form.
func (n *Webhooks) Open(header map[string][]string, body []byte, m auth.Meta) (SignedBody, error) {
	proof, err := n.receiver.Verify(header, body, n.c.now())
	if err != nil {
		return SignedBody{}, &auth.Error{Code: auth.CodeWebhookSignature, Cause: err}
	}
	return SignedBody{proof, m, true}, nil
}

// Admit is asked before a body is read.
func (n *Webhooks) Admit(m auth.Meta) error { return n.c.take("webhook/ip", m.IP, webhooksPerIP()) }

// PasswordChanged ends every session of somebody whose password has changed elsewhere. madeAt
// is what the body says of its time, zero if it says nothing. The answer is the same for an
// account that does not exist. What it verifies:
//
//   - the signature, by Open;
//   - the time that was signed, of the headers or of the body, is within [hook.Tolerance];
//   - the notice has not been taken before: one that is copied off the wire signs people out.
//
// A notice without any time can't be told from one of last year. Where such are taken, the
// same body is refused for as long as one with a time would be. It can't be for longer: the
// next change of the same password may have the same body, and refusing that one would leave
// the sessions alive of whoever made the change undone.
func (n *Webhooks) PasswordChanged(ctx context.Context, in SignedBody, user auth.ID, madeAt time.Time) error {
	if !in.open {
		return auth.E(auth.CodeWebhookSignature, "")
	}
	entry, err := n.c.audit("sessions_revoked", "account", in.meta.IP)
	if err != nil {
		return err
	}
	now := entry.At
	if !in.proof.SignedAt.IsZero() {
		madeAt = in.proof.SignedAt
	}
	until := now.Add(hook.Tolerance)
	switch {
	case madeAt.IsZero() && !n.undated:
		return auth.E(auth.CodeWebhookStale, "")
	case madeAt.IsZero():
	case madeAt.Before(now.Add(-hook.Tolerance)), madeAt.After(now.Add(hook.Tolerance)):
		return auth.E(auth.CodeWebhookStale, "")
	default: // from then on its own time refuses it
		until = auth.Truncate(madeAt.Add(hook.Tolerance + time.Second))
	}
	entry.ActorUsername = "webhook"
	entry.Traits = map[string]any{"user_id": user.String(), "reason": "the password was changed elsewhere"}
	_, err = n.store.PasswordChanged(ctx, auth.SignedNotice{Digest: in.proof.Digest, At: now, Until: until, UserID: user, Audit: entry})
	if errors.Is(err, auth.ErrConflict) {
		return auth.E(auth.CodeWebhookReplayed, "")
	}
	if err != nil {
		return fmt.Errorf("flow: password changed elsewhere: %w", err)
	}
	return nil
}
