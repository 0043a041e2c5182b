// Package presets replays the documented exchanges of five systems against a whole server
// with the preset of each: one test per preset, named after it. Requests and golden answers
// are in testdata/<preset>*.txt. Every requirement of a system is accounted for: a script
// replays it, or it is listed as missing with the step that brings it, or it is proved
// elsewhere.
package presets

import (
	"encoding/base64"
	"encoding/json"
	"flag"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cardea-auth/cardea/internal/config"
	"github.com/cardea-auth/cardea/internal/scripttest"
)

//nolint:gochecknoglobals // a flag
var update = flag.Bool("update", false, "write the golden answers anew; review the diff like code")

// system is one of the five, with what is expected of its preset.
type system struct {
	preset string
	number int // of its requirements: S0, S1 ...
	// service is the application behind the preset: it trusts the server's tokens and nothing
	// else. Its routes are looked at before the server's.
	service func(t *testing.T, b *scripttest.Bench) *http.ServeMux
	missing []absent
	proved  map[string]string // requirements without an exchange: numbers to where they are proved
}

// A25.1, S0: medical cases on Supabase Auth.
func TestMedMitra(t *testing.T) { medmitra().test(t) }

// A25.1, S3: a backend that keeps the users of a Supabase project in step.
func TestMedhastra(t *testing.T) { medhastra().test(t) }

func (s system) test(t *testing.T) {
	t.Parallel()
	t.Run("exchanges", func(t *testing.T) {
		t.Parallel()
		s.replay(t)
	})
	t.Run("missing", func(t *testing.T) {
		t.Parallel()
		s.stillMissing(t)
	})
	t.Run("every item is accounted for", func(t *testing.T) {
		t.Parallel()
		s.account(t)
	})
}

func (s system) scripts() string { return filepath.Join("testdata", s.preset+"*.txt") }

func (s system) settings() []string { return []string{"CARDEA_PRESET=" + s.preset} }

// handler serves the application's routes, and the server's.
func (s system) handler(t *testing.T, b *scripttest.Bench) http.Handler {
	t.Helper()
	mux := http.NewServeMux()
	if s.service != nil {
		mux = s.service(t, b)
	}
	mux.Handle("/", b.Server.Handler())
	return mux
}

func (s system) replay(t *testing.T) {
	t.Helper()
	scripttest.Run(t, scripttest.Config{
		Files: s.scripts(), Update: *update, Settings: s.settings(), Handler: s.handler, Check: inspect,
		Headers: []string{
			"Location", "Link", "Allow", "X-Total-Count", "Www-Authenticate", "Retry-After", "Cache-Control", "X-Sb-Error-Code",
			"X-Supabase-Api-Version",
		},
	})
}

// inspect looks at what holds in every exchange of every preset.
func inspect(t *testing.T, x scripttest.Exchange) {
	t.Helper()
	what := x.Request.Method + " " + x.Request.URL.Path
	h, body := x.Answer.Header(), x.Answer.Body.Bytes()
	if x.Answer.Code >= http.StatusInternalServerError && x.Answer.Code != http.StatusServiceUnavailable {
		t.Errorf("%s: %d %s", what, x.Answer.Code, body)
	}
	if len(body) > 0 && h.Get("Content-Type") == "" {
		t.Errorf("%s: an answer without Content-Type", what)
	}
	var tokens struct {
		Access  string `json:"access_token"`
		Expires int64  `json:"expires_in"`
		Type    string `json:"token_type"`
	}
	if json.Unmarshal(body, &tokens) != nil || tokens.Access == "" {
		return
	}
	if got := h.Get("Cache-Control"); !strings.Contains(got, "no-store") {
		t.Errorf("%s: tokens with Cache-Control %q", what, got)
	}
	checkToken(t, what, tokens.Access, tokens.Expires)
	if tokens.Type != "bearer" {
		t.Errorf("%s: token_type %q", what, tokens.Type)
	}
}

// checkToken: X2, X4, X6. A token lives as long as the answer says and never over a day, is
// signed with a key of its own algorithm, and its claim role is the database's.
func checkToken(t *testing.T, what, token string, life int64) {
	t.Helper()
	var head struct{ Alg, Kid, Typ string }
	var claims struct {
		Role     string
		Iat, Exp int64
	}
	for i, into := range []any{&head, &claims} {
		raw, err := base64.RawURLEncoding.DecodeString(strings.Split(token+"..", ".")[i])
		if err == nil {
			err = json.Unmarshal(raw, into)
		}
		if err != nil {
			t.Fatalf("%s: token: %v", what, err)
		}
	}
	if got := claims.Exp - claims.Iat; got != life || got > int64(config.MaxTokenTTL/time.Second) {
		t.Errorf("%s: the token lives %d s, the answer says %d", what, got, life)
	}
	if head.Alg != "ES256" && head.Alg != "HS256" || head.Kid == "" && head.Alg == "ES256" {
		t.Errorf("%s: header %+v", what, head)
	}
	if claims.Role != "authenticated" {
		t.Errorf("%s: role %q", what, claims.Role)
	}
}
