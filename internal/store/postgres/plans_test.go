package postgres_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/store/postgres"
	"github.com/cardea-auth/cardea/internal/store/storetest"
)

// TestPlans looks at the plans that the store's connections use (generic ones, as
// plan_cache_mode says): whatever is asked, no table with as many rows as there are accounts
// is read from its beginning, and no page is sorted out of all its candidates.
func TestPlans(t *testing.T) {
	t.Parallel()
	s, conn := open(t, postgres.Config{})
	scale := storetest.ScaleOf(20000)
	if err := (audited{s, conn}).Seed(t.Context(), scale); err != nil {
		t.Fatal(err)
	}
	exec(t, conn, "SET plan_cache_mode = force_generic_plan; SET jit = off")
	statements := postgres.ListStatements()
	wholeTable := regexp.MustCompile(`Seq Scan on (users|profiles|user_roles|memberships|relations|sessions)`)
	yes, no := true, false
	queries := scale.Queries()
	for i, q := range []auth.PersonQuery{
		{Role: "patient", Active: &no}, {Role: "patient", Active: &yes, PhoneVerified: &no, Unassigned: true, Aud: "x"},
		{Tenant: id('c', 1), Role: "x", Active: &yes, PhoneVerified: &yes, Unassigned: true},
		{Agent: id('u', 1), Tenant: id('c', 1), Role: "x", Active: &yes}, {Agent: id('u', 1), Role: "x"},
		{Unassigned: true, Active: &yes, Aud: "x"},
	} {
		q.At, q.Limit = t0, 50
		queries = append(queries, storetest.ScaledQuery{Name: fmt.Sprint("together ", i), Query: q})
	}
	for _, q := range queries {
		statements["people: "+q.Name] = postgres.PeopleStatement(q.Query)
	}
	for name, sql := range statements {
		plan := genericPlan(t, conn, sql)
		for _, line := range strings.Split(plan, "\n") {
			bad := wholeTable.MatchString(line)
			if strings.HasPrefix(name, "people:") || name == "members" || name == "tenants" {
				bad = bad || strings.Contains(line, "Sort") || strings.Contains(line, "Hash Join") || strings.Contains(line, "Merge Join")
			}
			if bad {
				t.Errorf("%s: %s\n%s", name, strings.TrimSpace(line), plan)
				break
			}
		}
	}
}

// genericPlan gives the plan of a statement for parameters that are not known. Their types
// are the server's to find.
func genericPlan(t *testing.T, conn *pgx.Conn, sql string) string {
	t.Helper()
	if _, err := conn.Prepare(t.Context(), "looked_at", sql); err != nil {
		t.Fatalf("%v\n%s", err, sql)
	}
	numbers := regexp.MustCompile(`\$\d+`).FindAllString(sql, -1)
	slices.Sort(numbers)
	nulls := strings.TrimSuffix(strings.Repeat("NULL, ", len(slices.Compact(numbers))), ", ")
	rows, err := conn.Query(t.Context(), "EXPLAIN EXECUTE looked_at("+nulls+")", pgx.QueryExecModeSimpleProtocol)
	if err != nil {
		t.Fatal(err)
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatalf("%v\n%s", err, sql)
	}
	if err := conn.Deallocate(t.Context(), "looked_at"); err != nil {
		t.Fatal(err)
	}
	return strings.Join(lines, "\n")
}

// TestPlansWithoutStatistics looks at the plans of a database that is filled for the first
// time: statements are prepared while the planner takes every table for tiny and all of its
// indexes for equal. None may be used without a condition on its first column, as that
// reads the whole index, and goes on doing so until somebody gathers statistics.
func TestPlansWithoutStatistics(t *testing.T) {
	t.Parallel()
	s, conn := open(t, postgres.Config{})
	create(t, s, 1)
	exec(t, conn, "SET plan_cache_mode = force_generic_plan; SET jit = off")
	exec(t, conn, "SET enable_seqscan = off") // which would be right as long as the tables are empty
	rows, err := conn.Query(t.Context(), `SELECT c.relname, a.attname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
		JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0] WHERE c.relnamespace = 'auth'::regnamespace`)
	if err != nil {
		t.Fatal(err)
	}
	first := map[string]string{} // index -> its first column
	var index, column string
	if _, err := pgx.ForEachRow(rows, []any{&index, &column}, func() error { first[index] = column; return nil }); err != nil {
		t.Fatal(err)
	}
	statements := postgres.ListStatements()
	for _, q := range storetest.ScaleOf(1000).Queries() {
		statements["people: "+q.Name] = postgres.PeopleStatement(q.Query)
	}
	used := regexp.MustCompile(`(?:Index (?:Only )?Scan|Bitmap Index Scan)(?: Backward)? (?:using|on) (\w+)`)
	for name, sql := range statements {
		lines := strings.Split(genericPlan(t, conn, sql), "\n")
		seen := 0
		for i, line := range lines {
			m := used.FindStringSubmatch(line)
			if m == nil {
				continue
			}
			seen++
			// A page of all accounts begins at an id.
			if i+1 == len(lines) || !strings.Contains(lines[i+1], "Index Cond:") || !regexp.MustCompile(`\b`+first[m[1]]+`\b`).MatchString(lines[i+1]) {
				t.Errorf("%s: %s is read as a whole\n%s", name, m[1], strings.Join(lines, "\n"))
			}
		}
		if seen == 0 {
			t.Errorf("%s: no index is used\n%s", name, strings.Join(lines, "\n"))
		}
	}
}
