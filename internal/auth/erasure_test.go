package auth_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cardea-auth/cardea/internal/auth"
)

func days(s string) (time.Duration, error) {
	d, err := time.ParseDuration(strings.Replace(s, "d", "h", 1))
	return 24 * d, err
}

// X16: the plan is data, and what it can't mean is refused.
func TestErasureRule(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]auth.ErasureRule{
		"profiles=delete":              {Table: "profiles", Action: auth.EraseDelete},
		"profiles=retain:365d":         {Table: "profiles", Action: auth.EraseRetain, Keep: 365 * 24 * time.Hour},
		"memberships=end":              {Table: "memberships", Action: auth.EraseEnd},
		"users=delete":                 {Table: "users", Action: auth.EraseDelete},
		"audit_log_entries=retain:10d": {Table: auth.AuditTable, Action: auth.EraseRetain, Keep: 240 * time.Hour},
	} {
		got, err := auth.ParseErasureRule(text, days)
		if err != nil || got != want {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{
		"", "profiles", "profiles=", "profiles=keep", "nothing=delete", "sessions=retain:5d", "profiles=retain", "profiles=retain:",
		"profiles=retain:0d", "profiles=retain:-5d", "profiles=delete:5d", "audit_log_entries=delete", "users=retain:5d", "profiles = delete",
	} {
		if got, err := auth.ParseErasureRule(text, days); err == nil {
			t.Errorf("%q is read as %+v", text, got)
		}
	}
	if (auth.ErasurePlan{{Table: "profiles", Action: "delete"}, {Table: "profiles", Action: "retain"}}).Check() == nil {
		t.Error("two rules for one table")
	}
}

// Whatever a rule is, a plan with it has steps that can be done, and never touches less than
// the standard plan does.
func FuzzErasureRule(f *testing.F) {
	for _, s := range []string{"profiles=delete", "memberships=retain:1d", "users=delete", "relations=end", "audit_log_entries=retain:9d", "=", "a=b:c"} {
		f.Add(s)
	}
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, text string) {
		r, err := auth.ParseErasureRule(text, time.ParseDuration)
		if err != nil {
			return
		}
		steps := auth.ErasurePlan{r}.Steps(now, []string{"app"})
		if len(steps) < len(auth.ErasurePlan(nil).Steps(now, []string{"app"})) {
			t.Fatalf("%q has fewer steps: %+v", text, steps)
		}
		for i := range steps {
			if steps[i].Action == auth.EraseRetain || steps[i].Kind == auth.StepTable && steps[i].Action == "" {
				t.Fatalf("%q: a step that nobody does: %+v", text, steps[i])
			}
		}
	})
}

func TestErasurePlanSteps(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	later := now.Add(7 * 365 * 24 * time.Hour)
	plan := auth.ErasurePlan{
		{Table: "users", Action: auth.EraseDelete}, {Table: "relations", Action: auth.EraseRetain, Keep: later.Sub(now)},
		{Table: auth.AuditTable, Action: auth.EraseRetain, Keep: later.Sub(now)},
	}
	got := plan.Steps(now, []string{"app"})
	first := slices.IndexFunc(got, func(s auth.ErasureStep) bool { return !s.NotBefore.IsZero() })
	want := []auth.ErasureStep{
		{Kind: auth.StepTable, Name: "known_devices", Action: auth.EraseDelete},
		{Kind: auth.StepTable, Name: "profiles", Action: auth.EraseDelete},
		{Kind: auth.StepTable, Name: "memberships", Action: auth.EraseDelete},
		{Kind: auth.StepTable, Name: "relations", Action: auth.EraseEnd},
		{Kind: auth.StepTable, Name: "consents", Action: auth.EraseDelete},
		{Kind: auth.StepTable, Name: auth.ConsentEvents, Action: auth.EraseAnonymise},
		{Kind: auth.StepCollector, Name: "app"},
		{Kind: auth.StepTable, Name: "relations", Action: auth.EraseDelete, NotBefore: later},
		{Kind: auth.StepTable, Name: auth.AuditTable, Action: auth.EraseAnonymise, NotBefore: later},
		{Kind: auth.StepTable, Name: "users", Action: auth.EraseDelete},
	}
	if d := cmp.Diff(want, got); d != "" || first < 0 {
		t.Errorf("steps (-want +got):\n%s", d)
	}
	e := auth.Erasure{BegunAt: now, Steps: got}
	if d := cmp.Diff([]int{0, 1, 2, 3, 4, 5, 6}, e.Due(now)); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]int{0, 1, 2, 3, 4, 5, 6, 7, 8}, e.Due(later)); d != "" {
		t.Errorf("the account's row comes last: %s", d)
	}
}

const person = "019caabb-0000-7001-8000-000000000001"

// A16.5: what tells who a person was goes, and nothing else.
func TestAnonymised(t *testing.T) {
	t.Parallel()
	id, err := auth.ParseID(person)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		given, want  string
		own, changed bool
	}{
		"own": {
			`{"action":"login","actor_id":"` + person + `","actor_username":"ada@example.org","actor_name":"Ada","actor_via_sso":false,"log_type":"account","traits":{"provider":"email"}}`,
			`{"action":"login","actor_id":"` + person + `","actor_name":"[erased]","actor_username":"[erased]","actor_via_sso":false,"log_type":"account","traits":{"provider":"email"}}`,
			true, true,
		},
		"others": {
			`{"action":"user_invited","actor_id":"x","actor_username":"clerk@example.org","log_type":"team","traits":{"user_id":"` + person + `","user_email":"ada@example.org","user_phone":"","at":"2026-03-01T08:00:00Z","list":["a@b.c",{"full_name":"Ada"}],"n":12345678901234567890}}`,
			`{"action":"user_invited","actor_id":"x","actor_username":"clerk@example.org","log_type":"team","traits":{"user_id":"` + person + `","user_email":"[erased]","user_phone":"","at":"2026-03-01T08:00:00Z","list":["[erased]",{"full_name":"[erased]"}],"n":12345678901234567890}}`,
			false, true,
		},
		"text": {
			`{"action":"ban","traits":{"user_id":"` + person + `","reason":"wrote (ada@example.org), call 0151/123 45 67"}}`,
			`{"action":"ban","traits":{"user_id":"` + person + `","reason":"wrote ([erased]), call [erased]"}}`,
			false, true,
		},
		"nothing to do": {`{"action":"x","actor_id":"` + person + `","actor_username":"","traits":{"n":1}}`, `{"action":"x","actor_id":"` + person + `","actor_username":"","traits":{"n":1}}`, true, false},
		"broken":        {`ada@example.org`, `{"erased":true}`, true, true},
		"a list":        {`["ada@example.org"]`, `{"erased":true}`, true, true},
	} {
		got, own, changed := auth.Anonymised(json.RawMessage(c.given), id)
		var a, b any
		if err := errors.Join(json.Unmarshal(got, &a), json.Unmarshal([]byte(c.want), &b)); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(b, a); d != "" || own != c.own || changed != c.changed {
			t.Errorf("%s: own %v changed %v (-want +got):\n%s", name, own, changed, d)
		}
		if strings.Contains(c.want, "12345678901234567890") && !strings.Contains(string(got), "12345678901234567890") {
			t.Errorf("%s: a number was rounded: %s", name, got)
		}
	}
}

// Whatever an entry holds, nothing that looks like an address stays, and doing it again
// changes nothing.
func FuzzAnonymised(f *testing.F) {
	for _, s := range []string{
		`{"actor_id":"` + person + `","actor_username":"a@b.c"}`, `{"traits":{"email":5,"x":["a@b.c"]}}`, `{}`, `null`, `[`, `{"traits":{"reason":"@@"}}`,
	} {
		f.Add(s)
	}
	id, err := auth.ParseID(person)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		once, own, _ := auth.Anonymised(json.RawMessage(text), id)
		if !json.Valid(once) {
			t.Fatalf("%q became %q", text, once)
		}
		twice, again, changed := auth.Anonymised(once, id)
		if changed && own == again {
			t.Fatalf("%q, %q, %q", text, once, twice)
		}
	})
}
