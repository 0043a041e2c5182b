package presets

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cardea-auth/cardea/cardeatest"
	"github.com/cardea-auth/cardea/internal/scripttest"
)

// relayScript is the script of a preset whose users a Supabase project signs in. A request
// whose bearer token is "as:" and a name is sent with a token of the project.
func (s system) relayScript() string { return filepath.Join("testdata", "relay_"+s.preset+".txt") }

// projectUsers are the people of the project: what its tokens and its /user say. Their
// addresses are proved there.
func projectUsers() map[string]cardeatest.User {
	id := func(n string) string { return "6f9f4e0a-3f6a-4a39-9a1d-0000000000" + n }
	return map[string]cardeatest.User{
		"ada": {ID: id("01"), Email: "ada@example.org", UserMetadata: map[string]any{"full_name": "Ada Lovelace", "role": "admin"}},
		"bob": {ID: id("02"), Phone: "919811112222"},
		"eve": {ID: id("03"), Email: "eve@example.org"},
		// Made anew at the project: the address is the same, the id is not.
		"eve again": {ID: id("04"), Email: "eve@example.org"},
		// A token with the role that opens everything there.
		"root": {ID: id("05"), Email: "root@example.org", Role: "service_role"},
		"old":  {ID: id("06"), Email: "old@example.org", Lifetime: -time.Hour},
	}
}

// relay replays the exchanges of a server in the mode relay.
func (s system) relay(t *testing.T, surfaces string) {
	t.Helper()
	t.Parallel()
	begin := time.Date(2026, 3, 1, 8, 0, 0, 123456000, time.UTC) // as scripttest's clock does
	project := cardeatest.New(t, cardeatest.Config{Serve: true, Clock: cardeatest.NewClock(t, begin)})
	tokens := map[string]string{}
	for name, u := range projectUsers() {
		tokens["Bearer as:"+name] = "Bearer " + project.Token(u)
	}
	scripttest.Run(t, scripttest.Config{
		Files: s.relayScript(), Update: *update, Check: inspect, Headers: []string{"Allow", "Www-Authenticate", "Retry-After", "Cache-Control"},
		Settings: append(s.settings(), "CARDEA_MODE=relay", "SUPABASE_URL="+strings.TrimSuffix(project.URL(), "/auth/v1"), "CARDEA_SURFACES="+surfaces),
		Handler: func(_ *testing.T, b *scripttest.Bench) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if token, ok := tokens[r.Header.Get("Authorization")]; ok {
					r.Header.Set("Authorization", token)
				}
				answer := httptest.NewRecorder()
				b.Server.Handler().ServeHTTP(answer, r)
				maps.Copy(w.Header(), answer.Header())
				w.WriteHeader(answer.Code)
				// The project's address is another one in every run.
				_, _ = strings.NewReplacer(project.URL(), "https://project.supabase.co/auth/v1").WriteString(w, answer.Body.String())
			})
		},
	})
}

// S2.1, S2.16, S2.28 to S2.32: 360Ghar beside its Supabase project.
func TestGhar360Relay(t *testing.T) { ghar360().relay(t, "mirror,admin") }

// S3.2 to S3.9, S3.14: the backend of Medhastra beside its Supabase project.
func TestMedhastraRelay(t *testing.T) { medhastra().relay(t, "rest,admin") }
