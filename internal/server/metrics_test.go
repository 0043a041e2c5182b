package server

import (
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/hook"
	"github.com/cardea-auth/cardea/internal/password"
)

func TestMetrics(t *testing.T) {
	t.Parallel()
	leaks, err := password.NewLeaks(password.LeaksConfig{})
	if err != nil {
		t.Fatal(err)
	}
	m := &metrics{leaks: leaks}
	m.hookCalled(hook.SendEmail, 250*time.Millisecond, nil)
	m.hookCalled(hook.SendEmail, 250*time.Millisecond, nil)
	m.hookCalled(hook.SendEmail, time.Second, errors.New("no connection"))
	m.hookCalled(hook.BeforeUserCreated, time.Second, &auth.Error{Code: auth.CodeHookRefused, Cause: &hook.Refusal{Status: 403, Message: "no"}})
	w := httptest.NewRecorder()
	m.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	for _, want := range []string{
		"cardea_leak_lookups_total 0\n", "cardea_leak_lookup_failures_total 0\n",
		`cardea_hook_seconds_count{hook="send-email",outcome="ok"} 2` + "\n", `cardea_hook_seconds_sum{hook="send-email",outcome="ok"} 0.5` + "\n",
		`cardea_hook_seconds_count{hook="send-email",outcome="failed"} 1` + "\n", `cardea_hook_seconds_count{hook="before-user-created",outcome="refused"} 1` + "\n",
	} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("%q is not in\n%s", want, w.Body)
		}
	}
}
