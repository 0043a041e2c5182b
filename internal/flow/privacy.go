package flow

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/ratelimit"
)

// ErasureStore keeps the jobs that delete people.
type ErasureStore interface {
	BeginErasure(ctx context.Context, b auth.BeginErasure) (e auth.Erasure, begun bool, err error)
	ErasureOf(ctx context.Context, user auth.ID) (auth.Erasure, error)
	Erasures(ctx context.Context, q auth.ErasureQuery) ([]auth.Erasure, error)
	RetryErasure(ctx context.Context, id auth.ID, at time.Time, audit auth.AuditEntry) (auth.Erasure, error)
}

// HoldStore keeps legal holds.
type HoldStore interface {
	PlaceHold(ctx context.Context, h auth.LegalHold, audit auth.AuditEntry) error
	LiftHold(ctx context.Context, user, hold auth.ID, audit auth.AuditEntry) error
	HoldsOf(ctx context.Context, user auth.ID) ([]auth.LegalHold, error)
}

// PrivacyConfig is what Privacy needs besides Config.
type PrivacyConfig struct {
	Erasures ErasureStore
	Plan     auth.ErasurePlan // what becomes of each table; nil: the standard
	// Exports, Applications (nil: none) and Sign make exports. Sign gives a detached JWS.
	Exports      ExportStore
	Applications Applications
	Sign         func(document []byte) (string, error)
	Issuer       string // named in exports
	// Wake makes the runner look for jobs now; nil: it looks from time to time.
	Wake func()
}

// Privacy is what people may ask for by law: to be deleted, and to be told what is known of
// them; and what may forbid the first.
type Privacy struct {
	c        Config
	p        PrivacyConfig
	accounts *Accounts
}

// NewPrivacy makes Privacy. Of c it needs what NewAccounts needs, and Holds.
func NewPrivacy(c Config, p PrivacyConfig) *Privacy { return &Privacy{c, p, NewAccounts(c)} }

// fresh lets a person through who has just proved to be himself. What it verifies:
//
//   - the token is first-party, account and session are alive, the account is not banned;
//   - with a second factor in use, the session has proved it;
//   - the session was proved less than a day ago, or the nonce of a message is right.
//
// An open session on a forgotten device must be enough neither to delete an account nor to
// carry everything away that is known of its owner.
func (p *Privacy) fresh(ctx context.Context, who auth.Caller, nonce string) (auth.User, error) {
	us, err := p.c.caller(ctx, who)
	if err != nil {
		return auth.User{}, err
	}
	if err := p.c.take("privacy/user", us.User.ID.String(), ratelimit.Limit{Count: 30, Period: time.Minute}); err != nil {
		return auth.User{}, err
	}
	switch {
	case us.User.HasVerifiedFactor() && who.AAL != auth.AAL2:
		return auth.User{}, auth.E(auth.CodeInsufficientAAL, "")
	case !stale(p.c.now(), who.AuthTime):
		return us.User, nil
	case nonce == "":
		return auth.User{}, auth.E(auth.CodeReauthNeeded, "Sign in again, or send the code of a message, to do this")
	}
	if err := p.c.take("password/user", us.User.ID.String(), p.c.UpdatePerUser); err != nil {
		return auth.User{}, err
	}
	return us.User, p.accounts.checkNonce(ctx, &us.User, nonce)
}

// EraseMe deletes the caller for good. It can be asked again: whoever lost the answer gets it
// once more, by a token of the account that is gone.
func (p *Privacy) EraseMe(ctx context.Context, who auth.Caller, nonce string) (auth.Erasure, error) {
	u, err := p.fresh(ctx, who, nonce)
	if auth.CodeOf(err) == auth.CodeTokenUserNotFound {
		if e, found := p.p.Erasures.ErasureOf(ctx, who.UserID); found == nil {
			return e, nil
		}
	}
	if err != nil {
		return auth.Erasure{}, err
	}
	b, err := p.begin(u.ID)
	if err != nil {
		return auth.Erasure{}, err
	}
	b.RequireSession, b.Erasure.ActorID, b.Audit.ActorID = who.SessionID, u.ID, u.ID
	return p.erase(ctx, b, auth.CodeSessionNotFound)
}

// Erase deletes somebody for good: for operators, who say why. An account that was
// soft-deleted can be erased too.
func (p *Privacy) Erase(ctx context.Context, a Actor, id auth.ID) (auth.Erasure, error) {
	reason, err := operatorsReason(a)
	if err != nil {
		return auth.Erasure{}, err
	}
	b, err := p.begin(id)
	if err != nil {
		return auth.Erasure{}, err
	}
	// What an operator types tells often of whom.
	b.Erasure.Reason = auth.ScrubbedText(reason)
	b.Audit.ActorID, b.Audit.ActorUsername, b.Audit.IP = a.Caller.UserID, auth.RoleServiceRole, a.Caller.IP
	meta := a.Caller.Meta
	meta.Reason = b.Erasure.Reason
	operatorTraits(meta, b.Audit.Traits)
	return p.erase(ctx, b, auth.CodeUserNotFound)
}

// operatorsReason lets operators through that say why.
func operatorsReason(a Actor) (string, error) {
	if !a.Operator {
		return "", auth.E(auth.CodeNotAdmin, "")
	}
	if err := checkReason(a.Reason); err != nil {
		return "", err
	}
	reason := strings.TrimSpace(a.Reason)
	if reason == "" {
		return "", auth.E(auth.CodeValidation, "This needs a reason")
	}
	return reason, nil
}

// begin makes the job. Its audit entry names the person by the id only, and says nothing of
// where he was: it is to stay.
func (p *Privacy) begin(user auth.ID) (auth.BeginErasure, error) {
	entry, err := p.c.audit("user_erasure_begun", "team", "")
	if err != nil {
		return auth.BeginErasure{}, err
	}
	id, err := auth.NewID(entry.At, p.c.Rand)
	if err != nil {
		return auth.BeginErasure{}, err
	}
	entry.Traits = map[string]any{"user_id": user.String(), "erasure_id": id.String()}
	return auth.BeginErasure{
		Erasure: auth.Erasure{ID: id, UserID: user, BegunAt: entry.At, Steps: p.p.Plan.Steps(entry.At, p.erasers())},
		Audit:   entry,
	}, nil
}

// erasers names the applications that have to erase what they know of a person.
func (p *Privacy) erasers() []string {
	if p.p.Applications == nil {
		return nil
	}
	return p.p.Applications.Names("erase")
}

func (p *Privacy) erase(ctx context.Context, b auth.BeginErasure, missing auth.Code) (auth.Erasure, error) {
	e, _, err := p.p.Erasures.BeginErasure(ctx, b)
	switch {
	case errors.Is(err, auth.ErrNotFound):
		return auth.Erasure{}, auth.E(missing, "")
	case errors.Is(err, auth.ErrHeld):
		return auth.Erasure{}, p.c.held(ctx, b.Erasure.UserID)
	case err != nil:
		return auth.Erasure{}, fmt.Errorf("flow: begin erasure: %w", err)
	}
	if p.p.Wake != nil {
		p.p.Wake()
	}
	return e, nil
}

// ErasureOf gives the job that deletes somebody: for operators.
func (p *Privacy) ErasureOf(ctx context.Context, a Actor, user auth.ID) (auth.Erasure, error) {
	if !a.Operator {
		return auth.Erasure{}, auth.E(auth.CodeNotAdmin, "")
	}
	e, err := p.p.Erasures.ErasureOf(ctx, user)
	if errors.Is(err, auth.ErrNotFound) {
		return auth.Erasure{}, auth.E(auth.CodeErasureNotFound, "")
	}
	if err != nil {
		return auth.Erasure{}, fmt.Errorf("flow: read erasure: %w", err)
	}
	return e, nil
}

// Erasures lists jobs, newest first: for operators.
func (p *Privacy) Erasures(ctx context.Context, a Actor, q auth.ErasureQuery) ([]auth.Erasure, error) {
	if !a.Operator {
		return nil, auth.E(auth.CodeNotAdmin, "")
	}
	list, err := p.p.Erasures.Erasures(ctx, q)
	if err != nil {
		return nil, fmt.Errorf("flow: list erasures: %w", err)
	}
	return list, nil
}

// RetryErasure makes what has failed of a job be tried now: for operators.
func (p *Privacy) RetryErasure(ctx context.Context, a Actor, id auth.ID) (auth.Erasure, error) {
	if !a.Operator {
		return auth.Erasure{}, auth.E(auth.CodeNotAdmin, "")
	}
	if err := checkReason(a.Reason); err != nil {
		return auth.Erasure{}, err
	}
	entry, err := p.c.audit("erasure_retried", "team", a.Caller.IP)
	if err != nil {
		return auth.Erasure{}, err
	}
	entry.ActorID, entry.ActorUsername = a.Caller.UserID, auth.RoleServiceRole
	meta := a.Caller.Meta
	meta.Reason = auth.ScrubbedText(strings.TrimSpace(a.Reason)) // nobody will look for it here
	entry.Traits = operatorTraits(meta, map[string]any{"erasure_id": id.String()})
	e, err := p.p.Erasures.RetryErasure(ctx, id, entry.At, entry)
	if errors.Is(err, auth.ErrNotFound) {
		return auth.Erasure{}, auth.E(auth.CodeErasureNotFound, "")
	}
	if err != nil {
		return auth.Erasure{}, fmt.Errorf("flow: retry erasure: %w", err)
	}
	if p.p.Wake != nil {
		p.p.Wake()
	}
	return e, nil
}

// Applications names the applications that are asked in exports and in deletions.
func (p *Privacy) Applications() (export, erase []string) {
	if p.p.Applications == nil {
		return []string{}, []string{}
	}
	return append([]string{}, p.p.Applications.Names("export")...), append([]string{}, p.erasers()...)
}
