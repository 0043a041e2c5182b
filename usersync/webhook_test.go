package usersync_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cardea-auth/cardea/cardeatest"
	"github.com/cardea-auth/cardea/usersync"
)

// signed makes a message as a sender does who has read the standard, not our code.
func signed(id string, at time.Time, body string, keys ...string) *http.Request {
	r := httptest.NewRequest("POST", "/hooks/users", strings.NewReader(body))
	stamp := strconv.FormatInt(at.Unix(), 10)
	var list []string
	for _, s := range keys {
		key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(s, "whsec_"))
		if err != nil {
			panic(err)
		}
		m := hmac.New(sha256.New, key)
		fmt.Fprintf(m, "%s.%s.%s", id, stamp, body)
		list = append(list, "v1,"+base64.StdEncoding.EncodeToString(m.Sum(nil)))
	}
	r.Header.Set("webhook-id", id)
	r.Header.Set("webhook-timestamp", stamp)
	r.Header.Set("webhook-signature", strings.Join(list, " "))
	return r
}

type hooked struct {
	*cardeatest.Issuer
	store *moody
	count func(string) int
	users *usersync.Syncer
	http.Handler
}

func newHooked(t *testing.T) *hooked {
	t.Helper()
	iss := issuer(t)
	base, count := onSQLite(t)
	h := &hooked{Issuer: iss, store: &moody{Store: base}, count: count}
	h.users = newSyncer(t, iss, usersync.Config{Store: h.store})
	var err error
	if h.Handler, err = h.users.Webhook(usersync.WebhookConfig{Issuer: iss.URL(), Secrets: []string{secret(0), "v1," + secret(1)}}); err != nil {
		t.Fatal(err)
	}
	return h
}

// says sends a message now.
func (h *hooked) says(id, body string) *httptest.ResponseRecorder {
	return send(h, signed(id, h.Clock().Now(), body, secret(0)))
}

const adaCreated = `{"metadata":{"name":"after-user-created"},"user":{"id":"ada","email":"ada@example.org","phone":"",
	"email_confirmed_at":"2026-01-02T03:04:05Z","updated_at":"2026-01-02T03:04:05Z","user_metadata":{"full_name":"Ada"},
	"identities":[{"id":"g1","provider":"google"}]}}`

// A20.2: what is not signed is refused before anybody looks into it; so is what is old, and
// what was received before; during a rotation both secrets count.
func TestWebhookSignature(t *testing.T) {
	t.Parallel()
	now := func(h *hooked) time.Time { return h.Clock().Now() }
	change := func(name, value string) func(*hooked) *http.Request {
		return func(h *hooked) *http.Request {
			r := signed("m1", now(h), adaCreated, secret(0))
			r.Header.Set(name, value)
			return r
		}
	}
	for name, c := range map[string]struct {
		request func(*hooked) *http.Request
		status  int
		code    string
	}{
		"good":           {func(h *hooked) *http.Request { return signed("m1", now(h), adaCreated, secret(0)) }, 200, ""},
		"the new secret": {func(h *hooked) *http.Request { return signed("m1", now(h), adaCreated, secret(1)) }, 200, ""},
		"both":           {func(h *hooked) *http.Request { return signed("m1", now(h), adaCreated, secret(1), secret(0)) }, 200, ""},
		"299 s old": {func(h *hooked) *http.Request {
			return signed("m1", now(h).Add(-299*time.Second), adaCreated, secret(0))
		}, 200, ""},
		"301 s old": {func(h *hooked) *http.Request {
			return signed("m1", now(h).Add(-301*time.Second), adaCreated, secret(0))
		}, 401, "WEBHOOK_TOO_OLD"},
		"from the future":      {func(h *hooked) *http.Request { return signed("m1", now(h).Add(302*time.Second), adaCreated, secret(0)) }, 401, "WEBHOOK_TOO_OLD"},
		"another secret":       {func(h *hooked) *http.Request { return signed("m1", now(h), adaCreated, secret(2)) }, 401, "INVALID_SIGNATURE_HEADER"},
		"no signature":         {func(h *hooked) *http.Request { return signed("m1", now(h), adaCreated) }, 401, "INVALID_SIGNATURE_HEADER"},
		"not JSON, not signed": {func(h *hooked) *http.Request { return signed("m1", now(h), "{", secret(2)) }, 401, "INVALID_SIGNATURE_HEADER"},
		"not JSON":             {func(h *hooked) *http.Request { return signed("m1", now(h), "{", secret(0)) }, 400, "INVALID_REQUEST"},
		"another id":           {change("webhook-id", "m2"), 401, "INVALID_SIGNATURE_HEADER"},
		"another time":         {change("webhook-timestamp", "1"), 401, "INVALID_SIGNATURE_HEADER"},
		"no time":              {change("webhook-timestamp", ""), 401, "INVALID_SIGNATURE_HEADER"},
		"another version":      {change("webhook-signature", "v2,AAAA"), 401, "INVALID_SIGNATURE_HEADER"},
		"too many":             {change("webhook-signature", strings.Repeat("v1,AAAA ", 17)), 401, "INVALID_SIGNATURE_HEADER"},
		"GET": {func(h *hooked) *http.Request {
			r := signed("m1", now(h), adaCreated, secret(0))
			r.Method = "GET"
			return r
		}, 405, "METHOD_NOT_ALLOWED"},
		"too long": {func(h *hooked) *http.Request {
			return signed("m1", now(h), strings.Repeat(" ", 256<<10+1), secret(0))
		}, 413, "REQUEST_BODY_TOO_LARGE"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHooked(t)
			rec := send(h, c.request(h))
			if rec.Code != c.status || !strings.Contains(rec.Body.String(), c.code) {
				t.Errorf("%d %s, want %d %s", rec.Code, rec.Body, c.status, c.code)
			}
			want := 0
			if c.status == 200 {
				want = 1
			}
			if n := h.count("users"); n != want {
				t.Errorf("%d users, want %d", n, want)
			}
		})
	}
}

// A20.2: a message that was received before is refused; one whose work failed may come
// again.
func TestWebhookReplay(t *testing.T) {
	t.Parallel()
	h := newHooked(t)
	h.store.down.Store(true)
	if rec := h.says("m1", adaCreated); rec.Code != 503 || rec.Header().Get("Retry-After") != "5" {
		t.Errorf("database down: %d %s", rec.Code, rec.Body)
	}
	h.store.down.Store(false)
	at := h.Clock().Now()
	for n, want := range []int{200, 409, 409} {
		h.Clock().Advance(time.Duration(n) * 100 * time.Second)
		if rec := send(h, signed("m1", at, adaCreated, secret(0))); rec.Code != want {
			t.Errorf("%d: %d %s, want %d", n, rec.Code, rec.Body, want)
		}
	}
	// By the time the mark is forgotten, the message is too old.
	h.Clock().Advance(time.Hour)
	if rec := send(h, signed("m1", at, adaCreated, secret(0))); rec.Code != 401 {
		t.Errorf("an hour later: %d", rec.Code)
	}
	if rec := h.says("m2", adaCreated); rec.Code != 200 {
		t.Errorf("another message: %d %s", rec.Code, rec.Body)
	}
}

// What the issuer says of its users: created, confirmed, banned, back again, deleted; and
// nobody whom it deleted comes back with a token.
func TestWebhookLifeOfAUser(t *testing.T) {
	t.Parallel()
	h := newHooked(t)
	row := func(kind, record string, changes ...string) string {
		for n := 0; n+1 < len(changes); n += 2 {
			record = strings.Replace(record, changes[n], changes[n+1], 1)
		}
		which := "record"
		if kind == "DELETE" {
			which = "old_record"
		}
		return `{"type":"` + kind + `","schema":"auth","table":"users","` + which + `":` + record + `}`
	}
	const ada = `{"id":"ada","email":"Ada@example.org","phone":"919876543210","email_confirmed_at":null,"phone_confirmed_at":null,
		"banned_until":null,"deleted_at":null,"updated_at":"2026-01-01T00:00:00.5+00:00","raw_user_meta_data":{"first_name":"Ada"},
		"raw_app_meta_data":{"provider":"email","providers":["email"]}}`
	confirmed := []string{`"email_confirmed_at":null`, `"email_confirmed_at":"2026-01-02 00:00:00+00"`, "2026-01-01T", "2026-01-02T"}
	banned := []string{`"banned_until":null`, `"banned_until":"infinity"`, "2026-01-01T", "2026-01-04T"}
	get := func() usersync.User {
		t.Helper()
		u, err := h.store.Find(t.Context(), h.URL(), "ada")
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	step := 0
	says := func(body, status string) usersync.User {
		t.Helper()
		step++
		rec := h.says(fmt.Sprint("m", step), body)
		if rec.Code != 200 || !strings.Contains(rec.Body.String(), `"`+status+`"`) {
			t.Errorf("step %d: %d %s, want %s", step, rec.Code, rec.Body, status)
		}
		return get()
	}
	if u := says(row("INSERT", ada), "created"); u.Email != "" || u.Phone != "" || u.Profile.FirstName != "Ada" || u.AuthProvider != "email" {
		t.Errorf("nothing is confirmed: %+v", u)
	}
	if u := says(row("UPDATE", ada, confirmed...), "synced"); u.Email != mail || u.Phone != "" {
		t.Errorf("confirmed: %+v", u)
	}
	if u := says(row("UPDATE", ada, banned...), "inactive"); u.Status != usersync.StatusBanned {
		t.Errorf("banned: %+v", u)
	}
	if u := says(row("UPDATE", ada, "2026-01-01T", "2026-01-03T"), "inactive"); u.Status != usersync.StatusBanned {
		t.Errorf("older news: %+v", u)
	}
	if u := says(row("UPDATE", ada, "2026-01-01T", "2026-01-05T"), "synced"); u.Status != usersync.StatusActive || u.Email != mail {
		t.Errorf("back again: %+v", u)
	}
	if u := says(row("UPDATE", ada, `"banned_until":null`, `"banned_until":"2020-01-01T00:00:00Z"`, "2026-01-01T", "2026-01-06T"), "synced"); u.Status != usersync.StatusActive {
		t.Errorf("a ban that is over: %+v", u)
	}
	if u := says(row("DELETE", ada), "inactive"); u.Status != usersync.StatusDeleted || u.Email != "" {
		t.Errorf("deleted: %+v", u)
	}
	rec := send(service(h.Verifier(), h.users), h.Request("GET", "/me", cardeatest.User{ID: "ada", Email: mail}))
	if rec.Code != 403 {
		t.Errorf("a token that is still good: %d", rec.Code)
	}
	if n := h.count("users"); n != 1 {
		t.Errorf("%d rows", n)
	}
}

// Messages about something else, and messages that make no sense.
func TestWebhookOtherMessages(t *testing.T) {
	t.Parallel()
	h := newHooked(t)
	for body, want := range map[string]string{
		`{"type":"INSERT","schema":"public","table":"users","record":{"id":"x"}}`: "ignored",
		`{"type":"TRUNCATE","schema":"auth","table":"users"}`:                     "ignored",
		`{"metadata":{"name":"send-email"},"user":{"id":"x"}}`:                    "ignored",
		`{}`: "ignored",
		`{"type":"INSERT","schema":"auth","table":"users","record":null}`:                          "INVALID_REQUEST",
		`{"type":"INSERT","schema":"auth","table":"users","record":{"id":""}}`:                     "INVALID_REQUEST",
		`{"type":"INSERT","schema":"auth","table":"users","record":{"id":"a\u0000b"}}`:             "INVALID_REQUEST",
		`{"type":"INSERT","schema":"auth","table":"users","record":{"id":7}}`:                      "INVALID_REQUEST",
		`{"type":"UPDATE","schema":"auth","table":"users","record":{"id":"x","banned_until":"?"}}`: "INVALID_REQUEST",
	} {
		if rec := h.says("m"+strconv.Itoa(len(body)), body); !strings.Contains(rec.Body.String(), want) {
			t.Errorf("%s: %d %s, want %s", body, rec.Code, rec.Body, want)
		}
	}
	if n := h.count("users"); n != 0 {
		t.Errorf("%d users", n)
	}
}

func TestWebhookConfig(t *testing.T) {
	t.Parallel()
	h := newHooked(t)
	for name, c := range map[string]usersync.WebhookConfig{
		"no secret":  {Issuer: "i"},
		"no issuer":  {Secrets: []string{secret(0)}},
		"short":      {Issuer: "i", Secrets: []string{"whsec_" + base64.StdEncoding.EncodeToString([]byte("short"))}},
		"not base64": {Issuer: "i", Secrets: []string{"whsec_!"}},
		"no prefix":  {Issuer: "i", Secrets: []string{"c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"}},
		"asymmetric": {Issuer: "i", Secrets: []string{"v1a,whsk_AAAA"}},
		"five":       {Issuer: "i", Secrets: []string{secret(0), secret(1), secret(2), secret(3), secret(4)}},
		"negative":   {Issuer: "i", Secrets: []string{secret(0)}, MaxBody: -1},
	} {
		if _, err := h.users.Webhook(c); err == nil {
			t.Errorf("%s: no error", name)
		} else if strings.Contains(err.Error(), "c2Vj") {
			t.Errorf("%s: the error has the secret: %v", name, err)
		}
	}
}
