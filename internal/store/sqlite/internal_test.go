package sqlite

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/cardea-auth/cardea/internal/auth"
)

// Factors come with step 4; until then nothing but SQL can make them, and they have to be
// read already.
func TestFactors(t *testing.T) {
	t.Parallel()
	s := openAt(t, filepath.Join(t.TempDir(), "cardea.db"))
	a := newAccount(1)
	if err := s.CreateAccount(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	insert := func(id auth.ID, name, kind, status string, at time.Time, phone, challenged any) {
		t.Helper()
		if err := s.write(t.Context(), "test", func(r runner) error {
			_, err := exec(t.Context(), r, `INSERT INTO mfa_factors (id, user_id, friendly_name, factor_type, status, created_at,
				updated_at, phone, last_challenged_at, secret) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 'sealed')`,
				id.String(), a.User.ID.String(), name, kind, status, at.UnixMicro(), at.UnixMicro(), phone, challenged)
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	insert(auth.ID{15: 2}, "My phone é", "phone", auth.FactorVerified, now.Add(time.Microsecond), "49170", now.UnixMicro())
	insert(auth.ID{15: 3}, "", "totp", auth.FactorUnverified, now, nil, nil)
	u, err := s.UserByEmail(t.Context(), a.User.Email, a.User.Aud)
	if err != nil {
		t.Fatal(err)
	}
	want := []auth.Factor{
		{ID: auth.ID{15: 3}, UserID: a.User.ID, Type: "totp", Status: auth.FactorUnverified, CreatedAt: now, UpdatedAt: now},
		{ID: auth.ID{15: 2}, UserID: a.User.ID, FriendlyName: "My phone é", Type: "phone", Status: auth.FactorVerified,
			Phone: "49170", LastChallengedAt: now, CreatedAt: now.Add(time.Microsecond), UpdatedAt: now.Add(time.Microsecond)},
	}
	if d := cmp.Diff(want, u.Factors); d != "" {
		t.Error(d)
	}
	if err := s.SoftDeleteUser(t.Context(), a.User.ID, auth.SoftDelete{At: now, Audit: auth.AuditEntry{At: now}}); err != nil {
		t.Fatal(err)
	}
	if n := count(t, s, "mfa_factors"); n != 0 {
		t.Errorf("%d factors are left after the soft deletion", n)
	}
}

func count(t *testing.T, s *Store, table string) (n int) {
	t.Helper()
	if err := s.read("test", func(r runner) error {
		return one(t.Context(), r, "SELECT count(*) FROM "+table, nil, &n)
	}); err != nil {
		t.Fatal(err)
	}
	return n
}

// What identifies the person is gone from the row and its identities (also from one that
// the caller didn't know of).
func TestSoftDeleteLeavesNothing(t *testing.T) {
	t.Parallel()
	s := openAt(t, filepath.Join(t.TempDir(), "cardea.db"))
	a := newAccount(1)
	a.User.Email, a.User.Phone, a.User.PasswordHash = "ada@secret.example", "4917055", "$secret$"
	a.User.EmailChange, a.User.PhoneChange = "next@secret.example", "4917056"
	a.User.UserMetadata, a.User.AppMetadata = []byte(`{"x":"secret"}`), []byte(`{"x":"secret"}`)
	for n := byte(1); n <= 2; n++ {
		a.User.Identities = append(a.User.Identities, auth.Identity{
			ID: auth.ID{15: n}, Provider: fmt.Sprintf("p%d", n), ProviderID: "secret", Data: []byte(`{"email":"ada@secret.example"}`),
		})
	}
	if err := s.CreateAccount(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	if err := s.SoftDeleteUser(t.Context(), a.User.ID, auth.SoftDelete{
		At: now, Email: "h1", Phone: "h2", ProviderIDs: map[auth.ID]string{{15: 1}: "h3"}, Audit: auth.AuditEntry{At: now},
	}); err != nil {
		t.Fatal(err)
	}
	var users, rows string
	if err := s.read("test", func(r runner) error {
		if err := one(t.Context(), r, `SELECT json_array(email, phone, encrypted_password, raw_app_meta_data, raw_user_meta_data,
			email_change, phone_change, deleted_at) FROM users`, nil, &users); err != nil {
			return err
		}
		return one(t.Context(), r, `SELECT json_group_array(json_array(id, provider_id, identity_data, email)) FROM identities`, nil, &rows)
	}); err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf(`["h1","h2",null,"{}","{}","","",%d]`, now.UnixMicro()); users != want {
		t.Errorf("user %s, want %s", users, want)
	}
	if want := `[["00000000-0000-0000-0000-000000000001","h3","{}",null]]`; rows != want {
		t.Errorf("identities %s, want %s", rows, want)
	}
}

// confirmed_at is the earlier of the two, as least() gives it on PostgreSQL.
func TestConfirmedAt(t *testing.T) {
	t.Parallel()
	s := openAt(t, filepath.Join(t.TempDir(), "cardea.db"))
	later := now.Add(time.Hour)
	for i, c := range []struct{ email, phone time.Time }{{}, {email: now}, {phone: now}, {now, later}, {later, now}} {
		a := newAccount(byte(i + 1))
		a.User.EmailConfirmedAt, a.User.PhoneConfirmedAt = c.email, c.phone
		if err := s.CreateAccount(t.Context(), a); err != nil {
			t.Fatal(err)
		}
		var got time.Time
		if err := s.read("test", func(r runner) error {
			return one(t.Context(), r, "SELECT confirmed_at FROM users WHERE id = ?", []any{a.User.ID.String()}, (*micros)(&got))
		}); err != nil {
			t.Fatal(err)
		}
		if want := a.User.ConfirmedAt(); !got.Equal(want) {
			t.Errorf("case %d: confirmed_at %v, want %v", i, got, want)
		}
	}
}

// A search folds every script's upper and lower case, and nothing in it is a wildcard or
// an error, bad UTF-8 included (C2).
func TestFilter(t *testing.T) {
	t.Parallel()
	s := openAt(t, filepath.Join(t.TempDir(), "cardea.db"))
	for i, name := range []string{"Élodie Müller", "ΑΘΗΝΑ", "İpek", "a\uFFFDb", "Straße 100%"} {
		a := newAccount(byte(i + 1))
		a.User.UserMetadata = fmt.Appendf(nil, `{"full_name":%q}`, name)
		if err := s.CreateAccount(t.Context(), a); err != nil {
			t.Fatal(err)
		}
	}
	for filter, want := range map[string]int64{
		"élodie": 1, "ÉLODIE MÜLLER": 1, "αθηνα": 1, "\u212Aey": 0, "straße": 1, "straẞe": 1, "0%": 1, "a\xffb": 0, "A\uFFFDB": 1,
		"\xff\xfe\xed\xa0\x80": 0, "a\x00b": 0, strings.Repeat("x", 100000): 0, strings.Repeat("[", 900): 0,
		strings.Repeat("k", 1000): 0, "**": 0, "[^x]": 0, "[]": 0, "u?er": 0,
	} {
		page, err := s.ListUsers(t.Context(), auth.UserQuery{Aud: "authenticated", Filter: filter, SortBy: "email", Page: 1, PerPage: 9})
		if err != nil {
			t.Errorf("%.20q: %v", filter, err)
		}
		if page.Total != want || int64(len(page.Users)) != want {
			t.Errorf("%.20q: %d users, total %d, want %d", filter, len(page.Users), page.Total, want)
		}
	}
	if _, err := s.ListUsers(t.Context(), auth.UserQuery{SortBy: "id; DROP TABLE users", Page: 1, PerPage: 9}); err == nil {
		t.Error("an order that does not exist was taken")
	}
}

func FuzzFoldedGlob(f *testing.F) {
	for _, seed := range []string{"", "a", "*", "[a-z]", "]", "^", "?", "É", "\xff", "K", "ſ", "-"} {
		f.Add(seed)
	}
	s := openAt(f, filepath.Join(f.TempDir(), "cardea.db"))
	f.Fuzz(func(t *testing.T, filter string) {
		if len(filter) > maxFilterBytes || strings.ContainsRune(filter, 0) || !utf8.ValidString(filter) {
			t.Skip("never becomes a pattern as it is")
		}
		// Invariants: a text contains itself in every case; a text that shares no letter
		// with it doesn't contain it.
		for text, want := range map[string]int{
			filter: 1, "<" + filter + ">": 1, strings.ToUpper(filter): -1, "\u2603": 0,
		} {
			if want == -1 { // only where the two are equal by simple folding
				if want = 1; !strings.EqualFold(filter, text) {
					continue
				}
			}
			if filter == "" || strings.Contains("\u2603", filter) {
				want = 1
			}
			var got int
			if err := s.read("test", func(r runner) error {
				return one(context.Background(), r, "SELECT ? GLOB ?", []any{text, foldedGlob(filter)}, &got)
			}); err != nil {
				t.Fatal(err)
			}
			if got != want {
				t.Errorf("%q GLOB %q = %d, want %d", text, foldedGlob(filter), got, want)
			}
		}
	})
}

// A write that fails half-way, panics or is cancelled leaves nothing, and the next one works.
func TestWriteIsWhole(t *testing.T) {
	t.Parallel()
	s := openAt(t, filepath.Join(t.TempDir(), "cardea.db"))
	insert := func(r runner) {
		if _, err := exec(t.Context(), r, `INSERT INTO audit_log_entries (id) VALUES ('x')`); err != nil {
			t.Error(err)
		}
	}
	errHalf := errors.New("half-way")
	cancelled, cancel := context.WithCancel(t.Context())
	defer cancel()
	for name, f := range map[string]func() error{
		"error": func() error {
			return s.write(t.Context(), "test", func(r runner) error { insert(r); return errHalf })
		},
		"panic": func() (err error) {
			defer func() { err, _ = recover().(error) }()
			return s.write(t.Context(), "test", func(r runner) error { insert(r); panic(errHalf) })
		},
		"transaction lost": func() error {
			return s.write(t.Context(), "test", func(r runner) error {
				insert(r)
				if _, err := exec(t.Context(), r, "ROLLBACK"); err != nil {
					t.Error(err)
				}
				return errHalf
			})
		},
		"cancelled": func() error {
			return s.write(cancelled, "test", func(r runner) error {
				insert(r)
				cancel()
				return nil
			})
		},
	} {
		if err := f(); !errors.Is(err, errHalf) && !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", name, err)
		}
		if n := count(t, s, "audit_log_entries"); n != 0 {
			t.Errorf("%s: %d rows are left", name, n)
		}
		if err := s.write(t.Context(), "test", func(runner) error { return nil }); err != nil {
			t.Errorf("the write after %s: %v", name, err)
		}
	}
}

// The hot statements must not look at every row.
func TestQueryPlans(t *testing.T) {
	t.Parallel()
	s := openAt(t, filepath.Join(t.TempDir(), "cardea.db"))
	page, err := listQuery(auth.UserQuery{SortBy: "created_at", Desc: true})
	if err != nil {
		t.Fatal(err)
	}
	for name, query := range map[string]string{
		"by e-mail": sqlUserByEmail, "by phone": sqlUserByPhone, "by id": sqlUserByID, "with session": sqlUserWithSession,
		"rotation": sqlSessionForRotation, "rotate": sqlRotate, "sign-in": sqlSignIn, "identity": sqlIdentitySignIn,
		"end one": sqlDeleteSession, "end others": sqlDeleteOtherSessions, "past not_after": sqlFindPastNotAfter, "page": page,
		"token by link": sqlFindByLink, "token by code": sqlFindByCode, "tried": sqlTried, "nonce": sqlNonce,
		"tokens of an account": sqlDeleteTokens, "flow": sqlTakeFlow, "claim": sqlClaim, "due": sqlMessageDue,
		"failed": sqlMessageFailed, "expired": sqlDeleteExpiredTokens, "flows": sqlDeleteOldFlows, "dead": sqlDeadMessages,
		"erasable": sqlErasable, "erase user": sqlEraseUser, "audit page": sqlAuditPage, "end relations": sqlEndRelations,
		"end memberships": sqlEndMemberships, "holds": sqlHoldsOf, "erasure": sqlErasureOf,
		"consents": sqlConsentsOf, "withdraw": sqlWithdrawConsent, "history of consents": sqlConsentHistory, "old notices": sqlDeleteOldWebhooks,
	} {
		args := make([]any, 6)
		for i := range args {
			args[i] = 1
		}
		highest := 1
		for n := 2; n <= 6; n++ {
			if strings.Contains(query, fmt.Sprintf("?%d", n)) {
				highest = n
			}
		}
		if err := s.read("test", func(r runner) error {
			return each(t.Context(), r, "EXPLAIN QUERY PLAN "+query, args[:highest], func(scan func(...any) error) error {
				var id, parent, unused int
				var detail string
				err := scan(&id, &parent, &unused, &detail)
				scansTable := strings.HasPrefix(detail, "SCAN ") && !strings.HasPrefix(detail, "SCAN (") &&
					!strings.HasPrefix(detail, "SCAN t") && !strings.HasPrefix(detail, "SCAN json_each") && !strings.HasPrefix(detail, "SCAN p")
				if scansTable || name != "page" && strings.Contains(detail, "TEMP B-TREE FOR ORDER BY") && strings.Contains(detail, "users") {
					t.Errorf("%s: %s", name, detail)
				}
				return err
			})
		}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// X16: what no plan can decide about goes at once, every table of it. user_roles is kept by a
// trigger of the account.
func TestOpensSomething(t *testing.T) {
	t.Parallel()
	for _, table := range auth.PersonalTables() {
		if len(table.Actions) == 0 && table.Name != "user_roles" && !slices.Contains(opensSomething(), table.Name) {
			t.Errorf("nothing erases %s", table.Name)
		}
	}
}
