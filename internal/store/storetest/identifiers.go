package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
)

func identifierCases() []testCase {
	return []testCase{
		{"C1: proposed, proved, listed", identifierProved},
		{"what waits finds nobody", identifierWaiting},
		{"a wrong, late or foreign code", identifierWrong},
		{"too soon, and too many", identifierLimits},
		{"an address of somebody else", identifierTaken},
		{"nobody else gets a proved one", identifierKept},
		{"made the primary one", identifierPromoted},
		{"a promotion that holds no more", identifierNotPromoted},
		{"removed", identifierRemoved},
		{"the address that becomes the primary one by another way is not there twice", identifierAdopted},
		{"recovery by a further address", identifierRecovery},
		{"it goes with the account", identifierDeleted},
		{"those that wait too long go", identifierExpired},
	}
}

func identifierID(n int) auth.ID { return fixedID(kindToken, 900000+n) }

// identifier is the n-th, of the user with number owner.
func identifier(n, owner int, value string) auth.Identifier {
	kind := auth.ProviderPhone
	for _, r := range value {
		if r == '@' {
			kind = auth.ProviderEmail
		}
	}
	return auth.Identifier{
		ID: identifierID(n), UserID: userID(owner), Kind: kind, Value: value, CreatedAt: after(time.Duration(n) * time.Second),
		ExpiresAt: after(time.Hour),
	}
}

func proposal(n, owner int, value string) auth.IdentifierProposal {
	return auth.IdentifierProposal{
		Identifier: identifier(n, owner, value), CodeHash: fmt.Sprint("code ", n), Max: 10, Messages: []auth.Message{message(700 + n)},
		Audit: audit(700000+n, "identifier_proposed", "user"),
	}
}

func proofOf(n, owner int) auth.IdentifierProof {
	return auth.IdentifierProof{
		ID: identifierID(n), UserID: userID(owner), CodeHashes: []string{"other", fmt.Sprint("code ", n)}, At: after(time.Minute), MaxAttempts: 3,
		Audit: audit(710000+n, "identifier_added", "user"),
	}
}

// further puts a proved identifier on an account.
func (e *env) further(n, owner int, value string) auth.Identifier {
	e.tb.Helper()
	e.ok("ProposeIdentifier", e.ProposeIdentifier(e.ctx, proposal(n, owner, value)))
	i, err := e.ProveIdentifier(e.ctx, proofOf(n, owner))
	e.ok("ProveIdentifier", err)
	return i
}

func (e *env) wantIdentifiers(what string, owner int, want ...auth.Identifier) {
	e.tb.Helper()
	got, err := e.IdentifiersOf(e.ctx, userID(owner))
	e.ok("IdentifiersOf", err)
	e.same(what+": identifiers", want, got)
}

// finds checks whose an address is; 0 for nobody's.
func (e *env) finds(what, email string, owner int) {
	e.tb.Helper()
	u, err := e.UserByEmail(e.ctx, email, "authenticated")
	if owner == 0 {
		e.is(what+": UserByEmail", err, auth.ErrNotFound)
		return
	}
	e.ok(what+": UserByEmail", err)
	want := e.user(owner)
	if want.Email != email {
		want.FoundBy = email
	}
	e.same(what+": account", want, u)
}

func identifierProved(_ *testing.T, e *env) {
	e.create(account(1))
	e.sign(1, 1)
	p := proposal(1, 1, "further@example.com")
	p.RequireSession = sessionID(1)
	e.ok("ProposeIdentifier", e.ProposeIdentifier(e.ctx, p))
	e.wantIdentifiers("waits", 1, p.Identifier)
	proof := proofOf(1, 1)
	proof.RequireSession, proof.Messages = sessionID(1), []auth.Message{message(800)}
	got, err := e.ProveIdentifier(e.ctx, proof)
	e.ok("ProveIdentifier", err)
	want := p.Identifier
	want.VerifiedAt, want.ExpiresAt = proof.At, time.Time{}
	e.same("proved", want, got)
	phone := e.further(2, 1, "972501234567")
	e.wantIdentifiers("both", 1, want, phone)
	e.finds("by the further one", "further@example.com", 1)
	e.finds("by the primary one", emailOf(1), 1)
	u, err := e.UserByPhone(e.ctx, "972501234567", "authenticated")
	e.ok("UserByPhone", err)
	e.same("by the further number", "972501234567", u.FoundBy)
	_, err = e.UserByEmail(e.ctx, "further@example.com", "other")
	e.is("another audience", err, auth.ErrNotFound)
	e.same("messages", 3, e.claimed(after(time.Hour)))
	e.wantAudit("written down", account(1).Audit[0], audit(100001, "login", "account"), p.Audit, proof.Audit,
		proposal(2, 1, "").Audit, proofOf(2, 1).Audit)
	_, err = e.ProveIdentifier(e.ctx, proof)
	e.is("again", err, auth.ErrNotFound)
	again := proposal(3, 1, "further@example.com")
	e.ok("a proved one is proposed again", e.ProposeIdentifier(e.ctx, again))
	e.wantIdentifiers("and stays", 1, want, phone)
}

func identifierWaiting(_ *testing.T, e *env) {
	e.create(account(1))
	e.ok("ProposeIdentifier", e.ProposeIdentifier(e.ctx, proposal(1, 1, "wait@example.com")))
	e.finds("waits", "wait@example.com", 0)
	a := account(2)
	a.User.Email = "wait@example.com"
	e.create(a) // and keeps nobody from it
}

func identifierWrong(_ *testing.T, e *env) {
	e.create(account(1))
	e.create(account(2))
	e.sign(1, 1)
	e.ok("ProposeIdentifier", e.ProposeIdentifier(e.ctx, proposal(1, 1, "further@example.com")))
	for _, bend := range []func(*auth.IdentifierProof){
		func(p *auth.IdentifierProof) { p.UserID = userID(2) },
		func(p *auth.IdentifierProof) { p.ID = identifierID(9) },
		func(p *auth.IdentifierProof) { p.At = after(time.Hour) },
		func(p *auth.IdentifierProof) { p.RequireSession = sessionID(9) },
		func(p *auth.IdentifierProof) { p.CodeHashes = nil },          // counts
		func(p *auth.IdentifierProof) { p.CodeHashes = []string{""} }, // counts
	} {
		p := proofOf(1, 1)
		bend(&p)
		_, err := e.ProveIdentifier(e.ctx, p)
		e.is("ProveIdentifier", err, auth.ErrNotFound)
	}
	p := proofOf(1, 1)
	p.CodeHashes = []string{"wrong"}
	_, err := e.ProveIdentifier(e.ctx, p)
	e.is("the third wrong one", err, auth.ErrNotFound)
	_, err = e.ProveIdentifier(e.ctx, proofOf(1, 1))
	e.is("the right one afterwards", err, auth.ErrNotFound)
	next := proposal(2, 1, "further@example.com")
	e.ok("a new code", e.ProposeIdentifier(e.ctx, next))
	p = proofOf(2, 1)
	p.ID = identifierID(1) // the identifier keeps its id
	_, err = e.ProveIdentifier(e.ctx, p)
	e.ok("ProveIdentifier", err)
	empty := proposal(3, 1, "decoy@example.com")
	empty.CodeHash = ""
	e.ok("ProposeIdentifier", e.ProposeIdentifier(e.ctx, empty))
	p = proofOf(3, 1)
	p.CodeHashes = []string{""}
	_, err = e.ProveIdentifier(e.ctx, p)
	e.is("no code is right", err, auth.ErrNotFound)
}

func identifierLimits(_ *testing.T, e *env) {
	e.create(account(1))
	e.is("no account", e.ProposeIdentifier(e.ctx, proposal(1, 2, "a@example.com")), auth.ErrNotFound)
	p := proposal(1, 1, "a@example.com")
	p.RequireSession = sessionID(1)
	e.is("no session", e.ProposeIdentifier(e.ctx, p), auth.ErrNotFound)
	e.ok("ProposeIdentifier", e.ProposeIdentifier(e.ctx, proposal(1, 1, "a@example.com")))
	p = proposal(2, 1, "b@example.com")
	p.NotSince = after(0)
	e.is("too soon", e.ProposeIdentifier(e.ctx, p), auth.ErrTooSoon)
	p.NotSince = after(time.Second)
	p.Max = 1
	e.is("too many", e.ProposeIdentifier(e.ctx, p), auth.ErrConflict)
	again := proposal(3, 1, "a@example.com")
	again.Max = 1
	e.ok("again is not one more", e.ProposeIdentifier(e.ctx, again))
	want := identifier(1, 1, "a@example.com")
	e.wantIdentifiers("one", 1, want)
	e.same("messages", 2, e.claimed(after(time.Hour)))
}

func identifierTaken(_ *testing.T, e *env) {
	e.create(account(1))
	e.create(account(2))
	e.further(1, 1, "further@example.com")
	for n, value := range map[int]string{2: emailOf(1), 3: "further@example.com"} {
		e.ok("proposed all the same", e.ProposeIdentifier(e.ctx, proposal(n, 2, value)))
		_, err := e.ProveIdentifier(e.ctx, proofOf(n, 2))
		e.is(value, err, auth.ErrEmailTaken)
	}
	a := account(3)
	a.User.Email, a.User.Phone, a.User.PhoneConfirmedAt, a.User.Identities = "", "972501234567", t0, nil
	e.create(a)
	e.ok("ProposeIdentifier", e.ProposeIdentifier(e.ctx, proposal(4, 2, "972501234567")))
	_, err := e.ProveIdentifier(e.ctx, proofOf(4, 2))
	e.is("a number", err, auth.ErrPhoneTaken)
	e.wantIdentifiers("they can never be proved", 2)
}

func identifierKept(_ *testing.T, e *env) {
	e.create(account(1))
	e.create(account(2))
	e.further(1, 1, "further@example.com")
	e.further(2, 1, "972501234567")
	a := account(3)
	a.User.Email = "further@example.com"
	e.is("CreateAccount", e.CreateAccount(e.ctx, a), auth.ErrEmailTaken)
	a = account(4)
	a.User.Phone = "972501234567"
	e.is("CreateAccount", e.CreateAccount(e.ctx, a), auth.ErrPhoneTaken)
	before := e.user(2)
	_, err := e.UpdateUser(e.ctx, userID(2), auth.UserPatch{At: after(1), Email: ptr("further@example.com")})
	e.is("UpdateUser", err, auth.ErrEmailTaken)
	_, err = e.UpdateUser(e.ctx, userID(2), auth.UserPatch{At: after(1), Phone: ptr("972501234567")})
	e.is("UpdateUser", err, auth.ErrPhoneTaken)
	e.same("nothing changed", before, e.user(2))
	sso := account(5)
	sso.User.Email, sso.User.IsSSO = "further@example.com", true
	e.create(sso) // its address is its organisation's business
	e.finds("and finds nobody else", "further@example.com", 1)
}

// promotion makes the identifier n the primary one instead of emailOf(owner).
func promotion(n, owner int, value string) auth.IdentifierPromotion {
	at := after(2 * time.Minute)
	return auth.IdentifierPromotion{
		ID: identifierID(n), UserID: userID(owner),
		Patch: auth.UserPatch{
			At: at, Email: &value, EmailConfirmedAt: &at, Messages: []auth.Message{message(900 + n)},
			Audit: []auth.AuditEntry{audit(720000+n, "identifier_promoted", "user")},
		},
		Former: auth.Identifier{
			ID: identifierID(500 + n), UserID: userID(owner), Kind: auth.ProviderEmail, Value: emailOf(owner), VerifiedAt: t0, CreatedAt: at,
		},
	}
}

func identifierPromoted(_ *testing.T, e *env) {
	e.create(account(1))
	e.further(1, 1, "further@example.com")
	e.issue(1, token(1, 1, auth.PurposeRecovery, emailOf(1)))
	p := promotion(1, 1, "further@example.com")
	u, err := e.PromoteIdentifier(e.ctx, p)
	e.ok("PromoteIdentifier", err)
	e.same("as it is", e.user(1), u)
	e.same("the address", "further@example.com", u.Email)
	e.wantIdentifiers("the former one", 1, p.Former)
	e.finds("by the former one", emailOf(1), 1)
	e.finds("by the new one", "further@example.com", 1)
	res, err := e.RedeemOneTime(e.ctx, byCode(1, emailOf(1), auth.PurposeRecovery))
	e.ok("RedeemOneTime", err)
	e.same("old links open nothing", auth.RedeemRefused, res.Outcome)
	back := promotion(501, 1, emailOf(1))
	back.Former = auth.Identifier{}
	_, err = e.PromoteIdentifier(e.ctx, back)
	e.ok("back", err)
	e.wantIdentifiers("without the other", 1)
	e.finds("it is free", "further@example.com", 0)
}

func identifierNotPromoted(_ *testing.T, e *env) {
	e.create(account(1))
	e.create(account(2))
	e.further(1, 1, "further@example.com")
	e.ok("ProposeIdentifier", e.ProposeIdentifier(e.ctx, proposal(2, 1, "wait@example.com")))
	before := e.user(1)
	for _, bend := range []func(*auth.IdentifierPromotion){
		func(p *auth.IdentifierPromotion) { p.UserID = userID(2) },
		func(p *auth.IdentifierPromotion) { p.ID = identifierID(2) },
		func(p *auth.IdentifierPromotion) { p.ID = identifierID(9) },
		func(p *auth.IdentifierPromotion) { p.Patch.Email = ptr("other@example.com") },
		func(p *auth.IdentifierPromotion) { p.Patch.RequireSession = sessionID(9) },
		func(p *auth.IdentifierPromotion) { p.Patch.RequireUpdatedAt = after(time.Hour) },
	} {
		p := promotion(1, 1, "further@example.com")
		bend(&p)
		_, err := e.PromoteIdentifier(e.ctx, p)
		e.is("PromoteIdentifier", err, auth.ErrNotFound)
	}
	e.same("nothing changed", before, e.user(1))
}

func removal(n, owner int) auth.IdentifierRemoval {
	return auth.IdentifierRemoval{
		ID: identifierID(n), UserID: userID(owner), At: after(3 * time.Minute), Messages: []auth.Message{message(950 + n)},
		Audit: audit(730000+n, "identifier_removed", "user"),
	}
}

func identifierRemoved(_ *testing.T, e *env) {
	e.create(account(1))
	e.create(account(2))
	kept := e.further(1, 1, "kept@example.com")
	e.further(2, 1, "gone@example.com")
	e.issue(1, token(1, 1, auth.PurposeRecovery, "gone@example.com"))
	e.is("somebody else's", e.RemoveIdentifier(e.ctx, removal(2, 2)), auth.ErrNotFound)
	r := removal(2, 1)
	r.RequireSession = sessionID(9)
	e.is("without the session", e.RemoveIdentifier(e.ctx, r), auth.ErrNotFound)
	e.ok("RemoveIdentifier", e.RemoveIdentifier(e.ctx, removal(2, 1)))
	e.is("again", e.RemoveIdentifier(e.ctx, removal(2, 1)), auth.ErrNotFound)
	e.wantIdentifiers("left", 1, kept)
	e.finds("it is free", "gone@example.com", 0)
	res, err := e.RedeemOneTime(e.ctx, byCode(1, "gone@example.com", auth.PurposeRecovery))
	e.ok("RedeemOneTime", err)
	e.same("what was on its way there opens nothing", auth.RedeemRefused, res.Outcome)
}

func identifierAdopted(_ *testing.T, e *env) {
	e.create(account(1))
	e.further(1, 1, "further@example.com")
	_, err := e.UpdateUser(e.ctx, userID(1), auth.UserPatch{At: after(time.Hour), Email: ptr("further@example.com")})
	e.ok("UpdateUser", err)
	e.wantIdentifiers("it is the primary one", 1)
}

// A recovery by a further address signs in, and proves nothing about the primary one.
func identifierRecovery(_ *testing.T, e *env) {
	for n, taken := range []func(*auth.User){func(*auth.User) {}, func(u *auth.User) { u.EmailConfirmedAt = time.Time{} }} {
		owner, address := n+1, fmt.Sprintf("further%d@example.com", n)
		a := account(owner)
		e.create(a)
		e.further(owner, owner, address)
		u := a.User
		taken(&u)
		if u.EmailConfirmedAt.IsZero() {
			_, err := e.UpdateUser(e.ctx, u.ID, auth.UserPatch{At: after(time.Second), EmailConfirmedAt: &u.EmailConfirmedAt})
			e.ok("UpdateUser", err)
		}
		before := e.user(owner)
		e.issue(owner, token(owner, owner, auth.PurposeRecovery, address))
		r := byCode(owner, address, auth.PurposeRecovery)
		s := session(owner, 0)
		r.Session = &s
		res, err := e.RedeemOneTime(e.ctx, r)
		e.ok("RedeemOneTime", err)
		e.same("done", auth.RedeemDone, res.Outcome)
		e.same("the password stays", before.PasswordHash, res.User.PasswordHash)
		e.same("the primary address is as proved as before", before.EmailConfirmedAt, res.User.EmailConfirmedAt)
		if !e.alive(owner, owner) {
			e.tb.Error("no session")
		}
	}
	e.issue(1, token(9, 1, auth.PurposeSignup, "further0@example.com"))
	res, err := e.RedeemOneTime(e.ctx, byCode(9, "further0@example.com", auth.PurposeSignup))
	e.ok("RedeemOneTime", err)
	e.same("a further address proves no sign-up", auth.RedeemRefused, res.Outcome)
}

func identifierDeleted(_ *testing.T, e *env) {
	for n := 1; n <= 2; n++ {
		e.create(account(n))
		e.further(n, n, fmt.Sprintf("further%d@example.com", n))
	}
	e.ok("DeleteUser", e.DeleteUser(e.ctx, userID(1), audit(900001, "x", "team")))
	e.ok("SoftDeleteUser", e.SoftDeleteUser(e.ctx, userID(2), auth.SoftDelete{At: after(time.Hour), Audit: audit(900002, "x", "team")}))
	for n := 1; n <= 2; n++ {
		e.wantIdentifiers("gone", n)
		e.finds("free", fmt.Sprintf("further%d@example.com", n), 0)
	}
}

func identifierExpired(_ *testing.T, e *env) {
	e.create(account(1))
	kept := e.further(1, 1, "kept@example.com")
	e.ok("ProposeIdentifier", e.ProposeIdentifier(e.ctx, proposal(2, 1, "wait@example.com")))
	for want := int64(1); want >= 0; want-- {
		n, err := e.DeleteExpiredOneTimes(e.ctx, after(48*time.Hour), 10)
		e.ok("DeleteExpiredOneTimes", err)
		e.same("gone", want, n)
	}
	e.wantIdentifiers("left", 1, kept)
}
