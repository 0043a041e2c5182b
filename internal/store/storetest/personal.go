package storetest

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cardea-auth/cardea/internal/auth"
)

func personalData(_ *testing.T, e *env) {
	a := fullAccount(1)
	a.User.Aud, a.User.BannedUntil = "authenticated", time.Time{}
	e.create(a)
	e.create(account(2))
	e.sign(1, 1)
	e.sign(2, 2)
	e.addFactor(1, 1)
	e.tenant(1, membership(1, 1, "nurse"))
	e.relate(relation(1, auth.RelationCare, 1, 2, 1))
	e.patch(1, auth.ProfilePatch{At: t0, FullName: ptr("Ada"), Audit: []auth.AuditEntry{audit(720030, "profile_modified", "user")}})
	e.further(20, 1, "second@example.org")
	e.provision(arriving("ada", 1))
	e.ok("ChangeConsents", e.ChangeConsents(e.ctx, userID(1), []auth.ConsentChange{consent(1, 1, dataUse, auth.ConsentGrant, t0)}))
	foreign := audit(720031, "user_modified", "user")
	foreign.ActorID, foreign.ActorUsername = userID(2), "clerk@example.com"
	foreign.Traits = map[string]any{"user_id": userID(1).String(), "reason": "private", "api_key": "sb_secret_x"}
	e.ok("WriteAudit", e.WriteAudit(e.ctx, foreign))
	data, err := e.PersonalData(e.ctx, userID(1))
	e.ok("PersonalData", err)
	rows := map[string]int{}
	for _, t := range data {
		rows[t.Name] = len(t.Rows)
	}
	delete(rows, auth.AuditTable)
	delete(rows, "user_roles")
	wantFactors := 0
	if _, ok := e.Store.(FactorMaker); ok {
		wantFactors = 1
	}
	e.same("rows", map[string]int{
		"users": 1, "identities": 2, "sessions": 1, "mfa_factors": wantFactors, "known_devices": 0, "profiles": 1, "memberships": 1, "relations": 1,
		"user_identifiers": 1, "external_subjects": 1, "consents": 1, "consent_events": 1,
	}, rows)
	e.same("the account", map[string]any{"email": emailOf(1), "phone": a.User.Phone, "created_at": "2026-03-04T05:06:07.123465Z", "is_active": true},
		pick(data[0].Rows[0], "email", "phone", "created_at", "is_active"))
	text, err := json.Marshal(data)
	e.ok("it is JSON", err)
	for _, secret := range []string{"$hash$", emailOf(2), "clerk@example.com", "sb_secret", `"private"`, sessionID(2).String()} {
		if strings.Contains(string(text), secret) {
			e.tb.Errorf("the export holds %q: %s", secret, text)
		}
	}
	if !strings.Contains(string(text), `"192.0.2.7"`) || !strings.Contains(string(text), `"Ada Lovelace"`) {
		e.tb.Errorf("the export lacks what is the person's: %s", text)
	}
	_, err = e.PersonalData(e.ctx, userID(9))
	e.is("of nobody", err, auth.ErrNotFound)
	e.erase(erasure(1))
	_, err = e.PersonalData(e.ctx, userID(1))
	e.is("of somebody who has gone", err, auth.ErrNotFound)
}

func pick(row map[string]any, names ...string) map[string]any {
	out := map[string]any{}
	for _, name := range names {
		out[name] = row[name]
	}
	return out
}

// personalTables: a new table or column that knows people has to be registered, or this fails.
func personalTables(t *testing.T, e *env) {
	s, ok := e.Store.(interface {
		Columns(ctx context.Context) (map[string][]string, error)
	})
	if !ok {
		t.Fatal("the store does not tell its columns: the test proves nothing")
	}
	columns, err := s.Columns(e.ctx)
	e.ok("Columns", err)
	known := map[string]bool{
		// mfa_amr_claims go with their session; the others are about the deletion itself.
		"mfa_amr_claims": true, "erasures": true, "tombstones": true, "legal_holds": true,
		// Without people.
		"signing_keys": true, "api_keys": true, "tenants": true, "webhook_receipts": true,
		// Keeps the ids of another system and ours, so that nobody who was deleted comes back
		// with the next import; how far imports have come.
		"moved": true, "imports": true,
		// Sealed, and gone after delivery, or 30 days after the last attempt.
		"outbox": true,
	}
	for _, p := range auth.PersonalTables() {
		known[p.Name] = true
		var named []string
		for _, c := range p.Show {
			named = append(named, c.Name)
		}
		named = append(named, p.Hide...)
		var there []string
		for _, c := range columns[p.Name] {
			there = append(there, strings.Fields(c)[0])
		}
		slices.Sort(named)
		slices.Sort(there)
		if d := cmp.Diff(there, named); d != "" {
			t.Errorf("%s: Show and Hide of auth.PersonalTables are not its columns (-there +named):\n%s", p.Name, d)
		}
	}
	for name := range columns {
		if !known[name] && !strings.HasPrefix(name, "goose") {
			t.Errorf("the table %s is neither in auth.PersonalTables nor known to be without people", name)
		}
	}
	if len(columns) == 0 {
		t.Error("no tables")
	}
}

// everyAction: a plan that is accepted at the start must not fail a year later.
func everyAction(_ *testing.T, e *env) {
	n := 0
	for _, p := range auth.PersonalTables() {
		for _, action := range p.Actions {
			if action == auth.EraseRetain || p.Name == "users" && action == auth.EraseAnonymise { // done by the beginning
				continue
			}
			n++
			e.create(account(n))
			e.ok("ChangeConsents", e.ChangeConsents(e.ctx, userID(n), []auth.ConsentChange{consent(n, n, dataUse, auth.ConsentGrant, t0)}))
			e.erase(erasure(n, table(p.Name, action)))
			for done := false; !done; {
				a := attempt(n, 0, auth.StepApply)
				a.Batch = 1000
				got, err := e.AdvanceErasure(e.ctx, a)
				e.ok(p.Name+" "+action, err)
				done = got.Steps[0].Done()
			}
		}
	}
	if n < 10 {
		e.tb.Errorf("%d actions", n)
	}
}
