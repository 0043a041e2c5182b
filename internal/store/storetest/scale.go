package storetest

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
)

// Scale is a database as unkind to lists as can be: whatever a filter asks for begins far
// behind what it does not ask for. Accounts have the numbers 1 to Users, in the form of
// fixedID, tenants 1 to Tenants; of U accounts
//
//	inactive        1 to 0.4 U
//	phone verified  from 0.6 U on, all others not
//	assigned        1 to 0.8 U: to agent U, the last fifty of them to agent U-1
//	audience        "elsewhere" the last ten
//	roles           "patient" all, "admin" the last ten
//	profile         every tenth
//	session         one each, of the same number, in the tenant n % Tenants + 1
//	memberships     tenant n % Tenants + 1 as "patient"; tenant 1 everybody, the last ten as "owner"
//	patient of      tenant 1 all up to 0.5 U; in the care of account U there: 1 and 2
//	500 tenants     account U-2, in the tenants 1 to 500, or as many as there are
type Scale struct{ Users, Tenants int }

// ScaleOf gives the scale for a number of accounts.
func ScaleOf(users int) Scale {
	users = max(users, 1000)
	return Scale{Users: users, Tenants: min(max(users/10, 100), 10000)}
}

// Seeder is what a store under test may implement to be measured with many accounts.
type Seeder interface {
	// Seed fills an empty database, and gives the database the statistics it plans with.
	Seed(ctx context.Context, s Scale) error
}

// ScaledQuery is one list, and the account numbers of its first rows.
type ScaledQuery struct {
	Name  string
	Query auth.PersonQuery
	First []int
}

// Queries gives a list for each filter.
func (s Scale) Queries() []ScaledQuery {
	yes, no := true, false
	from := func(n int) []int { return []int{n, n + 1, n + 2} }
	part := func(tenths int) int { return s.Users*tenths/10 + 1 }
	tail := s.Users - 9
	agent, other := userID(s.Users), userID(s.Users-1)
	few := s.Users*8/10 - 49
	list := []ScaledQuery{
		{"all", auth.PersonQuery{}, from(1)},
		{"deep", auth.PersonQuery{After: userID(part(9))}, from(part(9) + 1)},
		{"audience", auth.PersonQuery{Aud: "authenticated"}, from(1)},
		{"rare audience", auth.PersonQuery{Aud: "elsewhere"}, from(tail)},
		{"active", auth.PersonQuery{Active: &yes}, from(part(4))},
		{"inactive", auth.PersonQuery{Active: &no}, from(1)},
		{"phone verified", auth.PersonQuery{PhoneVerified: &yes}, from(part(6))},
		{"phone not verified", auth.PersonQuery{PhoneVerified: &no}, from(1)},
		{"unassigned", auth.PersonQuery{Unassigned: true}, from(part(8))},
		{"agent with many", auth.PersonQuery{Agent: agent}, from(1)},
		{"agent with few", auth.PersonQuery{Agent: other}, from(few)},
		{"role of all", auth.PersonQuery{Role: "patient"}, from(1)},
		{"rare role", auth.PersonQuery{Role: "admin"}, from(tail)},
		{"tenant with all", auth.PersonQuery{Tenant: tenantID(1)}, from(1)},
		{"tenant with few", auth.PersonQuery{Tenant: tenantID(8)}, nil},
		{"rare role in a tenant", auth.PersonQuery{Tenant: tenantID(1), Role: "owner"}, from(tail)},
	}
	for i := range list {
		list[i].Query.At, list[i].Query.Limit = after(time.Hour), 50
	}
	return list
}

// BenchLists measures lists and sign-ins with many accounts; their number is that of
// CARDEA_BENCH_USERS. It fails when the median of a list takes longer than 20 ms.
func BenchLists(b *testing.B, f Factory) {
	s := ScaleOf(benchUsers(b))
	e := newEnv(b, f)
	seeder, ok := e.Store.(Seeder)
	if !ok {
		b.Fatal("storetest: the store can't be seeded")
	}
	if err := seeder.Seed(e.ctx, s); err != nil {
		b.Fatal(err)
	}
	for _, q := range s.Queries() {
		e.timed(b, "people/"+q.Name, func() (int, error) {
			list, err := e.ListPeople(e.ctx, q.Query)
			return len(list), err
		})
	}
	e.timed(b, "tenants", func() (int, error) {
		list, err := e.ListTenants(e.ctx, tenantID(s.Tenants/2), 50)
		return len(list), err
	})
	e.timed(b, "members", func() (int, error) {
		list, err := e.MembersOf(e.ctx, tenantID(1), userID(s.Users/2), 50)
		return len(list), err
	})
	e.timed(b, "memberships of 500", func() (int, error) {
		list, err := e.MembershipsOf(e.ctx, userID(s.Users-2))
		return len(list), err
	})
	e.timed(b, "relations/patients", func() (int, error) {
		return count(e.Relations(e.ctx, auth.RelationQuery{Tenant: tenantID(1), At: after(time.Hour), Limit: 50}))
	})
	e.timed(b, "relations/care", func() (int, error) {
		return count(e.Relations(e.ctx, auth.RelationQuery{Tenant: tenantID(1), Kind: auth.RelationCare, At: after(time.Hour), Limit: 50}))
	})
	e.benchSignIn(b, s)
}

func count[T any](list []T, err error) (int, error) { return len(list), err }

// benchSignIn measures what a token costs for accounts with one tenant and with 500.
func (e *env) benchSignIn(b *testing.B, s Scale) {
	next := 1 << 28
	for name, owner := range map[string]int{"one tenant": s.Users - 3, "500 tenants": s.Users - 2} {
		e.timed(b, "sign-in/"+name, func() (int, error) {
			next++
			_, err := e.StartSession(e.ctx, auth.SessionStart{Session: session(next, owner), Audit: audit(next, "login", "account")})
			return 1, err
		})
		e.timed(b, "switch/"+name, func() (int, error) {
			next++
			_, err := e.SwitchTenant(e.ctx, auth.SwitchTenant{
				SessionID: sessionID(owner), UserID: userID(owner), TenantID: tenantID(1), At: t0, Audit: audit(next, "tenant_switched", "account"),
			})
			return 1, err
		})
		e.timed(b, "get user/"+name, func() (int, error) {
			r, err := e.UserWithSession(e.ctx, userID(owner), sessionID(owner), t0)
			if err == nil && r.TenantID.IsZero() {
				return 0, fmt.Errorf("account %d is in no tenant", owner)
			}
			return 1, err
		})
	}
}

// slowest is what a list may take (its median; a benchmark's neighbours make outliers).
const slowest = 20 * time.Millisecond

// timed measures calls and reports their percentiles beside the mean. A list that is empty
// measures nothing.
func (e *env) timed(b *testing.B, name string, call func() (rows int, err error)) {
	b.Helper()
	b.Run(name, func(b *testing.B) {
		b.ReportAllocs()
		var took []time.Duration
		for b.Loop() {
			start := b.Elapsed()
			rows, err := call()
			took = append(took, b.Elapsed()-start)
			if err != nil || rows == 0 {
				b.Fatalf("%d rows, %v", rows, err)
			}
		}
		slices.Sort(took)
		at := func(percent int) time.Duration { return took[min(len(took)*percent/100, len(took)-1)] }
		b.ReportMetric(float64(at(50).Microseconds())/1000, "p50-ms")
		b.ReportMetric(float64(at(99).Microseconds())/1000, "p99-ms")
		if at(50) > slowest {
			b.Errorf("the median is %v, more than %v", at(50), slowest)
		}
	})
}

// Lists proves on a database of this scale that every list begins where it should: a test
// of the seed as much as of the lists.
func Lists(t *testing.T, f Factory, s Scale) {
	t.Helper()
	e := newEnv(t, f)
	seeder, ok := e.Store.(Seeder)
	if !ok {
		t.Fatal("storetest: the store can't be seeded")
	}
	e.ok("Seed", seeder.Seed(e.ctx, s))
	for _, q := range s.Queries() {
		got := e.people(q.Query)
		if q.First == nil {
			e.same(q.Name, s.Users/s.Tenants+1, len(got)) // and whoever is in 500
			continue
		}
		e.same(q.Name, q.First, got[:min(len(got), 3)])
	}
	e.same("500 tenants", min(500, s.Tenants), len(e.memberships(s.Users-2)))
	e.same("care", 2, len(e.relations(auth.RelationQuery{Tenant: tenantID(1), Kind: auth.RelationCare, At: after(time.Hour)})))
	e.same("patients", 100, len(e.relations(auth.RelationQuery{Tenant: tenantID(1), Kind: auth.RelationPatient, At: after(time.Hour)})))
	for _, n := range []int{2, 20} {
		e.wantTenant("session", n, n, after(time.Hour), n%s.Tenants+1, "patient")
	}
}
