package storetest

import (
	"encoding/json"
	"testing"

	"github.com/cardea-auth/cardea/internal/auth"
)

// dropProfile: what a stranger wrote about the owner, and agreed to in his name, goes with the first proof, and so does
// the role that he asked for. The roles that the account has were nobody's to take.
func dropProfile(_ *testing.T, e *env) {
	text := "Mallory"
	for n := 1; n <= 2; n++ {
		a := unproved(n)
		a.User.AppMetadata = json.RawMessage(`{"provider":"email","providers":["email"],"roles":["nurse"],"pending_roles":["physician"]}`)
		a.Profile = &auth.ProfilePatch{At: t0, FullName: &text}
		e.create(a)
		e.ok("ChangeConsents", e.ChangeConsents(e.ctx, userID(n), []auth.ConsentChange{consent(n, n, dataUse, auth.ConsentGrant, t0)}))
	}
	e.issue(1, token(1, 1, auth.PurposeMagicLink, emailOf(1)))
	res := e.redeem("the owner's link", byLink(1, auth.PurposeMagicLink), auth.RedeemDone)
	e.same("app metadata", json.RawMessage(`{"provider":"email","providers":["email"],"roles":["nurse"]}`), res.User.AppMetadata)
	got, err := e.PersonByID(e.ctx, userID(1))
	e.ok("PersonByID", err)
	e.same("profile", auth.Profile{Active: true}, got.Profile)
	e.same("consents that a stranger gave", 0, len(e.consents(1, auth.ID{}))+len(e.events(1)))
	e.same("another's consents", 2, len(e.consents(2, auth.ID{}))+len(e.events(2)))
	other, err := e.PersonByID(e.ctx, userID(2))
	e.ok("PersonByID", err)
	e.same("another's", "Mallory", other.Profile.FullName)
}
