package storetest

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
)

func listCases() []testCase {
	return []testCase{
		{"pages and order", listPages},
		{"filter", listFilter},
		{"nobody", listNobody},
	}
}

// listed gives the numbers of the users of one page, from their addresses.
func (e *env) listed(q auth.UserQuery) (numbers []int, total int64) {
	e.tb.Helper()
	page, err := e.ListUsers(e.ctx, q)
	e.ok("ListUsers", err)
	for i := range page.Users {
		numbers = append(numbers, int(page.Users[i].ID[15]))
		e.same("listed and looked up", e.user(int(page.Users[i].ID[15])), page.Users[i])
	}
	return numbers, page.Total
}

func listPages(_ *testing.T, e *env) {
	// Each order is another permutation of the users.
	for n := 1; n <= 5; n++ {
		a := account(n)
		a.User.Email = string(rune('a'+(n*2)%5)) + "@example.com"
		a.User.CreatedAt = after(time.Duration(n) * time.Microsecond)
		a.User.UpdatedAt = after(-time.Duration(n) * time.Microsecond)
		a.User.LastSignInAt = after(time.Duration((n*3)%5) * time.Microsecond)
		if n == 5 { // never signed in: after all others, on both engines
			a.User.LastSignInAt = time.Time{}
		}
		e.create(a)
	}
	foreign := account(6)
	foreign.User.Aud = "other"
	e.create(foreign)
	e.create(account(7))
	e.ok("SoftDeleteUser", e.SoftDeleteUser(e.ctx, userID(7), auth.SoftDelete{
		At: t0, Email: "gone", ProviderIDs: map[auth.ID]string{identityID(7): "gone"}, Audit: audit(1000, "user_deleted", "team"),
	}))

	q := auth.UserQuery{Aud: "authenticated", Page: 1, PerPage: 10}
	for by, want := range map[string][]int{
		"created_at":      {1, 2, 3, 4, 5},
		"updated_at":      {5, 4, 3, 2, 1},
		"last_sign_in_at": {2, 4, 1, 3, 5},
		"email":           {5, 3, 1, 4, 2},
	} {
		q.SortBy, q.Desc = by, false
		got, total := e.listed(q)
		e.same(by, want, got)
		e.same(by+" total", int64(5), total)
		q.Desc = true
		got, _ = e.listed(q)
		backwards := make([]int, 0, 5)
		for i := range want {
			backwards = append(backwards, want[len(want)-1-i])
		}
		e.same(by+" descending", backwards, got)
	}

	q.SortBy, q.Desc, q.PerPage = "created_at", false, 2
	for page, want := range map[int][]int{1: {1, 2}, 2: {3, 4}, 3: {5}, 4: nil, 1 << 40: nil} {
		q.Page = page
		got, total := e.listed(q)
		e.same(fmt.Sprintf("page %d", page), want, got)
		e.same(fmt.Sprintf("page %d total", page), int64(5), total)
	}

	// Equal sort keys: every account is on exactly one page.
	for n := 11; n <= 17; n++ {
		a := account(n)
		a.User.Aud = "equal"
		e.create(a)
	}
	seen := map[int]int{}
	for page := 1; page <= 4; page++ {
		numbers, _ := e.listed(auth.UserQuery{Aud: "equal", SortBy: "created_at", Desc: true, Page: page, PerPage: 2})
		for _, n := range numbers {
			seen[n]++
		}
	}
	e.same("equal keys", map[int]int{11: 1, 12: 1, 13: 1, 14: 1, 15: 1, 16: 1, 17: 1}, seen)
}

func listFilter(_ *testing.T, e *env) {
	for n, u := range []struct{ email, phone, metadata string }{
		1: {"ada@example.com", "", `{"full_name":"Ada Lovelace"}`},
		2: {"grace@navy.mil", "4915112345", `{"full_name":"Grace Hopper"}`},
		3: {"100%_sure@example.com", "", `{"full_name":null}`},
		4: {"", "4915199999", `{"name":"Ada"}`},
		5: {`back\slash@example.com`, "", `{"full_name":"[a-z]* ?^]"}`},
	} {
		if n == 0 {
			continue
		}
		a := account(n)
		a.User.Email, a.User.Phone, a.User.UserMetadata = u.email, u.phone, json.RawMessage(u.metadata)
		e.create(a)
	}
	for filter, want := range map[string][]int{
		"":              {1, 2, 3, 4, 5},
		"example":       {1, 3, 5},
		"EXAMPLE.com":   {1, 3, 5},
		"grace@navy":    {2},
		"love":          {1},
		"HOPPER":        {2},
		"ada lovelace":  {1},
		"49151":         {2, 4},
		"99999":         {4},
		"%":             {3},
		"_":             {3},
		"0%_s":          {3},
		`\`:             {5},
		`k\s`:           {5},
		"[a-z]":         {5},
		"[A-Z]*":        {5},
		"*":             {5},
		"?":             {5},
		"^":             {5},
		"]":             {5},
		"a%e":           {},
		"a_a":           {},
		"' or 1=1 --":   {},
		"nothing":       {},
		"ada lovelace ": {},
	} {
		got, total := e.listed(auth.UserQuery{Aud: "authenticated", Filter: filter, SortBy: "created_at", Page: 1, PerPage: 100})
		slices.Sort(got)
		e.same(fmt.Sprintf("filter %q", filter), want, got)
		e.same(fmt.Sprintf("filter %q total", filter), int64(len(want)), total)
	}
	got, total := e.listed(auth.UserQuery{Aud: "authenticated", Filter: "example", SortBy: "email", Desc: true, Page: 2, PerPage: 2})
	e.same("filtered page", 1, len(got))
	e.same("filtered page total", int64(3), total)
	got, _ = e.listed(auth.UserQuery{Aud: "other", Filter: "example", SortBy: "email", Page: 1, PerPage: 2})
	e.same("filter with another audience", []int(nil), got)
}

func listNobody(_ *testing.T, e *env) {
	page, err := e.ListUsers(e.ctx, auth.UserQuery{Aud: "authenticated", SortBy: "created_at", Page: 1, PerPage: 50})
	e.ok("ListUsers", err)
	e.same("empty", auth.UserPage{}, page)
}
