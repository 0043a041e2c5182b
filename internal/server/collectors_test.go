package server

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/config"
	"github.com/cardea-auth/cardea/internal/flow"
	"github.com/cardea-auth/cardea/internal/hook"
	"github.com/cardea-auth/cardea/internal/token"
)

const casesSecret = "v1,whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// caseFile keeps data of people and answers collectors, in the mood that the test sets.
type caseFile struct {
	*httptest.Server

	mu    sync.Mutex
	mood  string
	asked []string // type and id of each request
}

func newCaseFile(t *testing.T) *caseFile {
	t.Helper()
	secrets, err := hook.ParseSecrets(casesSecret)
	if err != nil {
		t.Fatal(err)
	}
	a := &caseFile{}
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || secrets.Verify(r.Header, body, time.Now()) != nil {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		var in struct {
			Type, ID string
			User     string `json:"user_id"`
		}
		if err := json.Unmarshal(body, &in); err != nil {
			t.Error(err)
		}
		a.mu.Lock()
		defer a.mu.Unlock()
		a.asked = append(a.asked, in.Type+" "+in.ID)
		w.Header().Set("Content-Type", "application/json")
		switch {
		case a.mood == "broken":
			w.WriteHeader(http.StatusInternalServerError)
		case a.mood == "lies":
			_, _ = io.WriteString(w, `{"success":true}`)
		case in.Type == "person.erase":
			_, _ = fmt.Fprintf(w, `{"id":%q,"user_id":%q,"status":"erased"}`, in.ID, in.User)
		default:
			_, _ = fmt.Fprintf(w, `{"id":%q, "user_id":%q, "data": {"cases": [ {"title":"A <cut>"} ]}}`, in.ID, in.User)
		}
	}))
	t.Cleanup(a.Close)
	return a
}

func (a *caseFile) be(mood string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.mood = mood
}

// settings registers the application for both phases.
func (a *caseFile) settings(t *testing.T) []string {
	t.Helper()
	dir := t.TempDir()
	secret, file := filepath.Join(dir, "secret"), filepath.Join(dir, "collectors.yaml")
	for name, text := range map[string]string{
		secret: casesSecret + "\n",
		file: "collectors:\n  - name: cases\n    url: " + a.URL + "/privacy\n    secret_file: " + secret +
			"\n    timeout: 5s\n    phases: [export, erase]\n",
	} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return []string{"CARDEA_VERIFICATION=none", "CARDEA_COLLECTORS=" + file}
}

// A16.3, X16: an application that fails, or lies, keeps the deletion open, where operators see
// it; our own tables do not wait for it; it is asked under one id until it has done it.
func TestCollectorKeepsErasureOpen(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds() {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			app := newCaseFile(t)
			r := stillRig(t, kind, app.settings(t)...)
			l := r.leaver(t, 1)
			app.be("broken")
			r.call(t, 204, "DELETE", "/api/users/me", l.access, "")
			for i, mood := range []string{"broken", "lies"} {
				app.be(mood)
				if n, err := r.EraseDue(t.Context()); n != 1 || err != nil {
					t.Fatalf("%s: %d, %v", mood, n, err)
				}
				if n, err := r.EraseDue(t.Context()); n != 0 || err != nil {
					t.Fatalf("%s: it is not left alone: %d, %v", mood, n, err)
				}
				if found := r.traces(t, l.words()...); len(found) > 0 {
					t.Fatalf("our own tables wait: %v", found)
				}
				a := r.call(t, 200, "GET", "/admin/v1/erasures?open=true", r.service, "")
				if !strings.Contains(a.body, `"state":"failing"`) || !strings.Contains(a.body, fmt.Sprintf(`"attempts":%d`, i+1)) {
					t.Fatalf("%s: %s", mood, a.body)
				}
				r.forward(2 * time.Minute)
			}
			app.be("well")
			e := r.erasure(t, l.id)
			r.call(t, 200, "POST", "/admin/v1/erasures/"+e.ID.String()+"/retry", r.service, "", "X-Reason", "repaired")
			if n, err := r.EraseDue(t.Context()); n != 1 || err != nil {
				t.Fatalf("%d, %v", n, err)
			}
			r.gone(t, &l)
			for _, one := range app.asked {
				if one != "person.erase "+e.ID.String() {
					t.Errorf("asked for %q", one)
				}
			}
			if len(app.asked) != 3 {
				t.Errorf("asked %d times", len(app.asked))
			}
			r.call(t, 404, "POST", "/admin/v1/erasures/"+e.ID.String()+"/retry", r.service, "", "X-Reason", "again")
		})
	}
}

// A16.4, S4.46, B4.26: all registered tables and the applications' answers, signed; for the
// person and for operators only; whole or not at all; without anything that opens something.
func TestExport(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds() {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			app := newCaseFile(t)
			r := stillRig(t, kind, app.settings(t)...)
			l, other := r.leaver(t, 1), r.leaver(t, 2)
			mine := r.call(t, 200, "GET", "/api/users/me/export", l.access, "")
			ofOperator := r.call(t, 200, "GET", "/admin/v1/users/"+l.id+"/export", r.service, "", "X-Reason", "asked by letter")
			keys := r.call(t, 200, "GET", "/auth/v1/.well-known/jwks.json", "", "").body
			for _, a := range []reply{mine, ofOperator} {
				doc, signature, err := flow.OpenExport([]byte(a.body))
				if err != nil {
					t.Fatal(err)
				}
				if _, err := token.VerifyDetached(signature, doc, []byte(keys)); err != nil {
					t.Error(err)
				}
				var out struct {
					UserID       string
					Data         map[string][]map[string]any
					Applications map[string]json.RawMessage
				}
				if err := json.Unmarshal([]byte(a.body), &out); err != nil {
					t.Fatal(err)
				}
				if out.UserID != l.id || string(out.Applications["cases"]) != `{"cases":[{"title":"A <cut>"}]}` {
					t.Errorf("%s %s", out.UserID, out.Applications)
				}
				for _, table := range auth.PersonalTables() {
					if _, there := out.Data[table.Name]; !there && len(table.Show) > 0 {
						t.Errorf("the table %s is missing", table.Name)
					}
				}
				for _, secret := range []string{"$2a$", "encrypted_password", l.refresh, other.email, other.id, "correct horse"} {
					if strings.Contains(a.body, secret) {
						t.Errorf("it holds %q", secret)
					}
				}
				for _, known := range []string{l.email, "Leaverson", "4915177", leaversIP} {
					if !strings.Contains(a.body, known) {
						t.Errorf("it lacks %q", known)
					}
				}
			}
			if n := strings.Count(r.call(t, 200, "GET", "/admin/v1/users/"+l.id+"/export", r.service, "", "X-Reason", "count").body, `"user_data_exported"`); n != 2 {
				t.Errorf("%d exports are in the audit log", n)
			}
			r.call(t, 422, "GET", "/admin/v1/users/"+l.id+"/export", r.service, "")
			r.call(t, 403, "GET", "/admin/v1/users/"+other.id+"/export", l.access, "", "X-Reason", "curious")

			for _, mood := range []string{"broken", "lies"} {
				app.be(mood)
				a := r.call(t, 502, "GET", "/api/users/me/export", l.access, "")
				if a.text(t, "code") != "EXPORT_FAILED" || !strings.Contains(a.body, "application cases") || strings.Contains(a.body, l.email) {
					t.Error(a.body)
				}
			}
			app.be("well")
			r.drop(t, "profiles")
			a := r.call(t, 502, "GET", "/admin/v1/users/"+l.id+"/export", r.service, "", "X-Reason", "broken")
			if a.text(t, "code") != "EXPORT_FAILED" || !strings.Contains(a.body, "table profiles") {
				t.Error(a.body)
			}
		})
	}
}

// drop makes a table unreadable.
func (r *rig) drop(tb testing.TB, name string) {
	tb.Helper()
	db, tables := r.tables(tb)
	defer db.Close()
	for _, table := range tables {
		if table == name || table == "auth."+name {
			if _, err := db.ExecContext(tb.Context(), `ALTER TABLE `+table+` RENAME TO renamed`); err != nil {
				tb.Fatal(err)
			}
		}
	}
}

// A collector that can't be what it says stops the server before it starts.
func TestCollectorsAreCheckedAtStart(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"collectors: []": "has no collectors",
		"collector: x":   "not found",
		"{":              "is no list",
		"collectors:\n  - name: cases\n    url: http://cases.example\n    secret: " + casesSecret + "\n    phases: [erase]":   "must be https",
		"collectors:\n  - name: cases\n    url: https://cases.example\n    secret: x\n    phases: [erase]":                    "whsec_",
		"collectors:\n  - name: cases\n    url: https://cases.example\n    secret_file: /nowhere\n    phases: [erase]":        "secret_file",
		"collectors:\n  - name: cases\n    url: https://cases.example\n    timeout: soon\n    phases: [erase]":                "timeout",
		"collectors:\n  - name: cases\n    url: https://cases.example\n    secret: " + casesSecret + "\n    phases: [forget]": "forget",
	} {
		file := filepath.Join(t.TempDir(), "collectors.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		err := tryOpen(t, "CARDEA_COLLECTORS="+file)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "MfKQ9r8") {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func tryOpen(t *testing.T, settings ...string) error {
	t.Helper()
	cfg, _, err := config.Load(config.Sources{Env: append([]string{
		"DATABASE_URL=" + databaseURL(t, "sqlite"), "CARDEA_ENCRYPTION_KEY=000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
		"CARDEA_PUBLIC_URL=http://127.0.0.1:9999",
	}, settings...)})
	if err != nil {
		return err
	}
	s, err := Open(t.Context(), cfg, Options{})
	if err == nil {
		_ = s.Close()
	}
	return err
}
