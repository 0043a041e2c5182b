package server

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // for database/sql

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/config"
	"github.com/cardea-auth/cardea/internal/notify"
)

// rig is a server whose jobs run and whose messages arrive in an inbox.
type rig struct {
	*Server

	service string // the service_role key
	read    map[auth.ID]bool
	mu      sync.Mutex
	offset  time.Duration
}

// now is a clock that can be put forward.
func (r *rig) now() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return time.Now().Add(r.offset)
}

func (r *rig) forward(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.offset += d
}

// proof is what makes a server ask for messages.
func proof(settings ...string) []string {
	return append([]string{
		"CARDEA_EMAIL_AUTOCONFIRM=false", "CARDEA_PHONE_ENABLED=true", "CARDEA_MAIL_INTERVAL=0s", "CARDEA_SMS_INTERVAL=0s",
	}, settings...)
}

// newRig opens a server on a fresh database and runs its jobs until the test ends.
func newRig(tb testing.TB, kind string, opt Options, settings ...string) *rig {
	tb.Helper()
	return openRig(tb, load(tb, databaseURL(tb, kind), settings...), opt)
}

func openRig(tb testing.TB, cfg config.Config, opt Options) *rig {
	tb.Helper()
	r := &rig{read: map[auth.ID]bool{}}
	opt.Now = r.now
	var err error
	if r.Server, err = Open(context.Background(), cfg, opt); err != nil {
		tb.Fatal(err)
	}
	if r.service, err = r.APIKeys().JWT("service_role"); err != nil {
		tb.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.runJobs(ctx)
	}()
	tb.Cleanup(func() {
		stop()
		<-done
		_ = r.Close()
	})
	return r
}

// rows reads the database beside the server. %s in the text is where tables are.
func (r *rig) rows(tb testing.TB, text string, each func(scan func(...any) error) error) {
	tb.Helper()
	path, isFile := r.cfg.SQLitePath()
	driver, source, schema := "sqlite", path, ""
	if !isFile {
		driver, source, schema = "pgx", r.cfg.DatabaseURL, "auth."
	}
	db, err := sql.Open(driver, source)
	if err != nil {
		tb.Fatal(err)
	}
	defer db.Close()
	rows, err := db.QueryContext(context.Background(), fmt.Sprintf(text, schema))
	if err != nil {
		tb.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := each(rows.Scan); err != nil {
			tb.Fatal(err)
		}
	}
	if rows.Err() != nil {
		tb.Fatal(rows.Err())
	}
}

// newMailRig has an inbox in place of mail servers and providers.
func newMailRig(tb testing.TB, kind string, settings ...string) *rig {
	tb.Helper()
	return newRig(tb, kind, Options{Inbox: &notify.Inbox{}}, proof(settings...)...)
}

// reply is a response with its body.
type reply struct {
	*httptest.ResponseRecorder

	body string
}

func (r reply) json(tb testing.TB) map[string]any {
	tb.Helper()
	var v map[string]any
	if err := json.Unmarshal([]byte(r.body), &v); err != nil {
		tb.Fatalf("%v in %d %q", err, r.Code, r.body)
	}
	return v
}

// text gives a member of the body; "" if it isn't there.
func (r reply) text(tb testing.TB, path ...string) string {
	tb.Helper()
	var v any = r.json(tb)
	for _, name := range path {
		m, _ := v.(map[string]any)
		v = m[name]
	}
	if v == nil {
		return ""
	}
	return fmt.Sprint(v)
}

// ask makes a request below /auth/v1. The body is marshalled unless it is a string.
func (r *rig) ask(method, path, token string, body any) reply {
	text, ok := body.(string)
	if !ok && body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			panic(err)
		}
		text = string(raw)
	}
	req := httptest.NewRequest(method, "/auth/v1"+path, strings.NewReader(text))
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	w := httptest.NewRecorder()
	r.Handler().ServeHTTP(w, req)
	return reply{w, w.Body.String()}
}

// must makes a request that has to succeed.
func (r *rig) must(tb testing.TB, method, path, token string, body any) reply {
	tb.Helper()
	a := r.ask(method, path, token, body)
	if a.Code != 200 {
		tb.Fatalf("%s %s %v: %d %s", method, path, body, a.Code, a.body)
	}
	return a
}

type object = map[string]any

// mail waits for the next message to an address, the oldest one that was not read yet.
func (r *rig) mail(tb testing.TB, to string) notify.Rendered {
	tb.Helper()
	for deadline := time.After(20 * time.Second); ; {
		changed := r.Inbox().Changed()
		for _, m := range slices.Backward(r.Inbox().Messages(to)) {
			if !r.read[m.ID] {
				r.read[m.ID] = true
				return m
			}
		}
		select {
		case <-changed:
		case <-deadline:
			tb.Fatalf("no message to %s", to)
		}
	}
}

// linkToken is the token in the link of a message.
func linkToken(tb testing.TB, m notify.Rendered) string {
	tb.Helper()
	u, err := url.Parse(m.Link)
	if err != nil || u.Query().Get("token") == "" {
		tb.Fatalf("no token in %q: %v", m.Link, err)
	}
	return u.Query().Get("token")
}

// verify presents the token of a link.
func (r *rig) verify(token, kind string) reply {
	return r.ask("POST", "/verify", "", object{"type": kind, "token_hash": token})
}

// made makes an account with a proved address without any message.
func (r *rig) made(tb testing.TB, email string) string {
	tb.Helper()
	return r.must(tb, "POST", "/admin/users", r.service, object{"email": email, "password": "correct horse", "email_confirm": true}).text(tb, "id")
}

// pkcePair is a verifier and its challenge.
func pkcePair() (verifier, challenge string) {
	verifier = strings.Repeat("v3rifier-", 6)
	sum := sha256.Sum256([]byte(verifier))
	return verifier, base64.RawURLEncoding.EncodeToString(sum[:])
}
