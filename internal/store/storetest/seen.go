package storetest

import (
	"testing"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
)

// memberSeen: whoever has read a membership changes that one and no other: an acceptance
// must not bring back the role that was taken from the invitation meanwhile.
func memberSeen(_ *testing.T, e *env) {
	e.create(account(1))
	e.tenant(1)
	invited := membership(1, 1, "owner")
	invited.State = auth.MemberInvited
	e.join(invited)
	smaller := invited
	smaller.Role, smaller.UpdatedAt = "viewer", after(time.Microsecond)
	e.join(smaller)

	accepted := invited
	accepted.State, accepted.UpdatedAt = auth.MemberActive, after(time.Minute)
	c := change(accepted, 1)
	c.From, c.Seen = []string{auth.MemberInvited}, invited.UpdatedAt
	_, err := e.ChangeMembership(e.ctx, c)
	e.is("as it was before", err, auth.ErrConflict)
	got, err := e.MembershipIn(e.ctx, tenantID(1), userID(1))
	e.ok("MembershipIn", err)
	e.same("as it is", smaller, got.Membership)

	accepted.Role = "viewer"
	c = change(accepted, 2)
	c.From, c.Seen = []string{auth.MemberInvited}, smaller.UpdatedAt
	_, err = e.ChangeMembership(e.ctx, c)
	e.ok("as it is now", err)

	e.create(account(2))
	c = change(membership(1, 2, "viewer"), 3)
	c.Seen = t0
	_, err = e.ChangeMembership(e.ctx, c)
	e.is("where there is none", err, auth.ErrConflict)
}
