package flow_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestAdminDelete(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.has(account())
	var got auth.AuditEntry
	b.store.del = func(id auth.ID, e auth.AuditEntry) error {
		if id != (auth.ID{1}) {
			t.Errorf("deletes %s", id)
		}
		got = e
		return nil
	}
	if err := b.admin().Delete(t.Context(), auth.ID{1}, false, operator()); err != nil {
		t.Fatal(err)
	}
	b.steps(t, "UserByID", "DeleteUser")
	if diff := cmp.Diff(byOperator("user_deleted", "team", auth.ID{1}), got, cmpopts.IgnoreFields(auth.AuditEntry{}, "ID")); diff != "" {
		t.Error(diff)
	}
}

// softDelete runs one and gives what was stored.
func softDelete(t *testing.T, u auth.User) auth.SoftDelete {
	t.Helper()
	b := setup(t)
	b.has(u)
	var got auth.SoftDelete
	b.store.softDelete = func(_ auth.ID, d auth.SoftDelete) error { got = d; return nil }
	if err := b.admin().Delete(t.Context(), u.ID, true, operator()); err != nil {
		t.Fatal(err)
	}
	b.steps(t, "UserByID", "SoftDeleteUser")
	return got
}

// TestAdminSoftDelete: what identifies the person is replaced by hashes that fit their
// columns, and that differ between accounts even for equal addresses.
func TestAdminSoftDelete(t *testing.T) {
	t.Parallel()
	person := func(id byte) auth.User {
		return auth.User{
			ID: auth.ID{id}, Email: "a@x.org", Phone: "493012345678901",
			Identities: []auth.Identity{{ID: auth.ID{21}, Provider: "email", ProviderID: "p"}, {ID: auth.ID{22}, Provider: "google", ProviderID: "p"}},
		}
	}
	one, again, two := softDelete(t, person(1)), softDelete(t, person(1)), softDelete(t, person(2))
	if diff := cmp.Diff(one, again, cmpopts.IgnoreFields(auth.AuditEntry{}, "ID")); diff != "" {
		t.Errorf("the hashes are not stable:\n%s", diff)
	}
	if len(one.Phone) == 0 || len(one.Phone) > 15 || len(one.Email) == 0 || len(one.Email) > 255 {
		t.Errorf("lengths: phone %d, e-mail %d", len(one.Phone), len(one.Email))
	}
	all := map[string]bool{}
	for _, d := range []auth.SoftDelete{one, two} {
		all[d.Email], all[d.Phone] = true, true
		for _, id := range []auth.ID{{21}, {22}} {
			all[d.ProviderIDs[id]] = true
		}
	}
	if len(all) != 8 || all[""] {
		t.Errorf("hashes of two accounts: %v, want eight different ones", all)
	}
	for s := range all {
		if strings.Contains(s, "x.org") || strings.Contains(s, "49301") || strings.Contains(s, "@") {
			t.Errorf("%q shows what it replaces", s)
		}
	}
	if !one.At.Equal(at()) || len(one.ProviderIDs) != 2 {
		t.Errorf("%+v", one)
	}
	if diff := cmp.Diff(byOperator("user_deleted", "team", auth.ID{1}), one.Audit, cmpopts.IgnoreFields(auth.AuditEntry{}, "ID")); diff != "" {
		t.Error(diff)
	}
	none := softDelete(t, auth.User{ID: auth.ID{1}})
	if none.Email != "" || none.Phone != "" || len(none.ProviderIDs) != 0 {
		t.Errorf("an account without addresses gets some: %+v", none)
	}
}

func TestAdminDeleteFailures(t *testing.T) {
	t.Parallel()
	boom := errors.New("boom")
	for _, c := range []struct {
		name string
		soft bool
		err  error
		want auth.Code
	}{
		{"gone meanwhile", false, auth.ErrNotFound, auth.CodeUserNotFound},
		{"gone meanwhile, soft", true, auth.ErrNotFound, auth.CodeUserNotFound},
		{"database", false, boom, auth.CodeInternal},
		{"database, soft", true, boom, auth.CodeInternal},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.has(account())
			b.store.del = func(auth.ID, auth.AuditEntry) error { return c.err }
			b.store.softDelete = func(auth.ID, auth.SoftDelete) error { return c.err }
			wantCode(t, b.admin().Delete(t.Context(), auth.ID{1}, c.soft, operator()), c.want)
		})
	}
	t.Run("unknown", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.has(account())
		wantCode(t, b.admin().Delete(t.Context(), auth.ID{9}, false, operator()), auth.CodeUserNotFound)
		b.steps(t, "UserByID")
	})
}

func TestAdminList(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var got auth.UserQuery
	b.store.list = func(q auth.UserQuery) (auth.UserPage, error) {
		got = q
		return auth.UserPage{Users: []auth.User{account()}, Total: 1}, nil
	}
	page, err := b.admin().List(t.Context(), auth.UserQuery{Filter: "ann", Page: 1, PerPage: 50})
	if err != nil || page.Total != 1 {
		t.Fatalf("%+v, %v", page, err)
	}
	if diff := cmp.Diff(auth.UserQuery{Aud: "authenticated", Filter: "ann", Page: 1, PerPage: 50}, got); diff != "" {
		t.Error(diff)
	}
	for _, filter := range []string{"a\x00", "\xff"} {
		_, err := b.admin().List(t.Context(), auth.UserQuery{Filter: filter})
		wantCode(t, err, auth.CodeValidation)
	}
	b.steps(t, "ListUsers")
}

func TestAdminGet(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.has(account())
	if got, err := b.admin().Get(t.Context(), auth.ID{1}); err != nil || got.Email != "a@x.org" {
		t.Errorf("%+v, %v", got, err)
	}
	_, err := b.admin().Get(t.Context(), auth.ID{9})
	wantCode(t, err, auth.CodeUserNotFound)
	boom := errors.New("boom")
	b.store.byID = func(auth.ID) (auth.User, error) { return auth.User{}, boom }
	if _, err := b.admin().Get(t.Context(), auth.ID{1}); !errors.Is(err, boom) {
		t.Errorf("%v", err)
	}
}
