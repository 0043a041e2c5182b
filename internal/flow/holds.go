package flow

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/cardea-auth/cardea/internal/auth"
)

// held is the refusal of a deletion, with the reasons of the holds.
func (c *Config) held(ctx context.Context, user auth.ID) error {
	if c.Holds == nil {
		return auth.E(auth.CodeLegalHold, "")
	}
	list, err := c.Holds.HoldsOf(ctx, user)
	if err != nil || len(list) == 0 { // lifted a moment ago: the next try will tell
		return &auth.Error{Code: auth.CodeLegalHold, Cause: err}
	}
	reasons := make([]string, len(list))
	for i := range list {
		reasons[i] = list[i].Reason
	}
	return auth.E(auth.CodeLegalHold, "A legal hold forbids to delete this account: "+strings.Join(reasons, "; "))
}

// PlaceHold forbids to delete somebody, for a reason that he may be told: for operators. A
// deletion that has begun can't be stopped: CodeErasureBegun.
func (p *Privacy) PlaceHold(ctx context.Context, a Actor, user auth.ID) (auth.LegalHold, error) {
	reason, err := operatorsReason(a)
	if err != nil {
		return auth.LegalHold{}, err
	}
	h := auth.LegalHold{UserID: user, Reason: reason, PlacedBy: auth.RoleServiceRole}
	if a.Caller.APIKey != "" {
		h.PlacedBy += " " + a.Caller.APIKey
	}
	entry, err := p.holdEntry("legal_hold_placed", a, user)
	if err != nil {
		return auth.LegalHold{}, err
	}
	if h.ID, err = auth.NewID(entry.At, p.c.Rand); err != nil {
		return auth.LegalHold{}, err
	}
	h.PlacedAt, entry.Traits["hold_id"] = entry.At, h.ID.String()
	err = p.c.Holds.PlaceHold(ctx, h, entry)
	switch {
	case errors.Is(err, auth.ErrConflict):
		return auth.LegalHold{}, auth.E(auth.CodeErasureBegun, "")
	case errors.Is(err, auth.ErrNotFound):
		return auth.LegalHold{}, auth.E(auth.CodeUserNotFound, "")
	case err != nil:
		return auth.LegalHold{}, fmt.Errorf("flow: place hold: %w", err)
	}
	return h, nil
}

// LiftHold takes a hold away, for a reason: for operators.
func (p *Privacy) LiftHold(ctx context.Context, a Actor, user, hold auth.ID) error {
	if _, err := operatorsReason(a); err != nil {
		return err
	}
	entry, err := p.holdEntry("legal_hold_lifted", a, user)
	if err != nil {
		return err
	}
	entry.Traits["hold_id"] = hold.String()
	err = p.c.Holds.LiftHold(ctx, user, hold, entry)
	if errors.Is(err, auth.ErrNotFound) {
		return auth.E(auth.CodeHoldNotFound, "")
	}
	if err != nil {
		return fmt.Errorf("flow: lift hold: %w", err)
	}
	return nil
}

func (p *Privacy) holdEntry(action string, a Actor, user auth.ID) (auth.AuditEntry, error) {
	entry, err := p.c.audit(action, "team", a.Caller.IP)
	entry.ActorID, entry.ActorUsername = a.Caller.UserID, auth.RoleServiceRole
	meta := a.Caller.Meta
	meta.Reason = strings.TrimSpace(a.Reason)
	entry.Traits = operatorTraits(meta, map[string]any{"user_id": user.String()})
	return entry, err
}

// Holds lists what forbids to delete somebody: for operators.
func (p *Privacy) Holds(ctx context.Context, a Actor, user auth.ID) ([]auth.LegalHold, error) {
	if !a.Operator {
		return nil, auth.E(auth.CodeNotAdmin, "")
	}
	if _, err := p.c.person(ctx, user, auth.CodeUserNotFound); err != nil {
		return nil, err
	}
	list, err := p.c.Holds.HoldsOf(ctx, user)
	if err != nil {
		return nil, fmt.Errorf("flow: list holds: %w", err)
	}
	return list, nil
}
