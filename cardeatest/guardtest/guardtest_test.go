package guardtest

import (
	"net/http"
	"strings"
	"testing"

	"github.com/cardea-auth/cardea"
)

// A8.1: the table holds of the guards that all others are compared with.
func TestNetHTTP(t *testing.T) {
	t.Parallel()
	RunHTTP(t, NetHTTP)
}

// TestTheTableFindsBrokenGuards: a table that everything passes proves nothing.
func TestTheTableFindsBrokenGuards(t *testing.T) {
	t.Parallel()
	passed := Answer{Status: http.StatusOK, Seen: &Seen{Subject: subject, ContextSubject: subject}}
	for _, c := range httpCases() {
		refused := c.code != "" && !c.anonymous
		if got := c.problems(c.answer(t), passed, c.hooks()); (refused || c.anonymous) && len(got) == 0 {
			t.Errorf("%s: nobody noticed a guard that lets everybody pass as a doctor", c.name)
		}
		if got := c.problems(c.answer(t), c.answer(t), append(c.hooks(), "denied again")); len(got) == 0 {
			t.Errorf("%s: nobody noticed a hook that was called too often", c.name)
		}
		if len(c.hooks()) > 0 && len(c.problems(c.answer(t), c.answer(t), nil)) == 0 {
			t.Errorf("%s: nobody noticed a hook that was not called", c.name)
		}
		if got := c.problems(c.answer(t), c.answer(t), c.hooks()); len(got) != 0 {
			t.Errorf("%s: a right answer is called wrong: %q", c.name, got)
		}
	}
	broken := cases()[0]
	leak := Answer{Status: http.StatusForbidden, Code: cardea.CodeForbidden, Message: "could not use the " + secret}
	if got := strings.Join(broken.problems(broken.answer(t), leak, nil), "\n"); !strings.Contains(got, "tells a secret") {
		t.Errorf("nobody noticed the secret: %s", got)
	}
}

// TestCases: every route is asked for, refused and passed at least once where it can be,
// and no two cases have one name.
func TestCases(t *testing.T) {
	t.Parallel()
	names, routes := map[string]bool{}, map[string]int{}
	for _, c := range httpCases() {
		if names[c.name] {
			t.Errorf("two cases are called %q", c.name)
		}
		names[c.name] = true
		routes[c.route]++
	}
	for _, r := range HTTPRoutes() {
		if routes[r.Name] == 0 {
			t.Errorf("no case is about the route %q", r.Name)
		}
	}
}

func TestSeen(t *testing.T) {
	t.Parallel()
	if _, err := ParseSeen("no JSON"); err == nil {
		t.Error("text that is no Seen was read")
	}
	ctx := cardea.WithPrincipal(t.Context(), &cardea.Principal{Subject: "a"})
	want := Seen{Subject: "b", ContextSubject: "a"}
	got, err := ParseSeen(See(ctx, &cardea.Principal{Subject: "b"}, true).JSON())
	if err != nil || *got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	if got := See(t.Context(), nil, false); got != (Seen{}) {
		t.Errorf("without a principal: %+v", got)
	}
}
