package usersync

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/cardea-auth/cardea"
)

// Whatever a signed message holds, what comes out names a user of that issuer and can be
// stored.
func FuzzMessage(f *testing.F) {
	for _, seed := range []string{
		`{"user":{"id":"ada","email":"a@b.c","email_confirmed_at":"2026-01-02T03:04:05Z"}}`,
		`{"type":"INSERT","schema":"auth","table":"users","record":{"id":"x","banned_until":"infinity","updated_at":"2026-01-02 03:04:05.678+00"}}`,
		`{"type":"DELETE","schema":"auth","table":"users","old_record":{"id":"x"}}`,
		`{"user":{"id":"\u0000"}}`, `{}`, `[]`, `null`, `{"user":{"id":"a","deleted_at":"0001-01-01T00:00:00Z"}}`,
	} {
		f.Add([]byte(seed))
	}
	now := time.Unix(1_800_000_000, 0).UTC()
	f.Fuzz(func(t *testing.T, body []byte) {
		id, ok, err := readMessage(body, "https://issuer.test", now, now)
		if err != nil || !ok {
			return
		}
		if id.Issuer != "https://issuer.test" || !id.Valid() || id.Standing == StandingUnknown || id.SourceAt.IsZero() {
			t.Errorf("%+v", id)
		}
		p := id.Proved()
		for _, s := range []string{p.Email, p.Phone, p.AuthProvider, p.Profile.FullName, p.Profile.AvatarURL} {
			if !plain(s) {
				t.Errorf("%q", s)
			}
		}
	})
}

// Whatever a client pushes, only a profile comes out, and it can be stored.
func FuzzPush(f *testing.F) {
	for _, seed := range []string{`{"first_name":"Ada","user_metadata":{"avatar_url":"https://x.test"}}`, `{"id":1}`, "", "null", `{"email":null}`, `{"phone":"+1"}`} {
		f.Add([]byte(seed))
	}
	p := &cardea.Principal{Issuer: "i", Subject: "s", Email: "a@b.c"}
	f.Fuzz(func(t *testing.T, body []byte) {
		profile, ignored, err := readPush(body, p)
		if err != nil {
			return
		}
		if profile != profile.clean() {
			t.Errorf("%+v", profile)
		}
		for _, one := range ignored {
			if one.Reason == "" {
				t.Errorf("%+v", one)
			}
		}
	})
}

// Nothing is good without a key, whatever the headers say.
func FuzzVerify(f *testing.F) {
	key := []byte(strings.Repeat("k", 32))
	now := time.Unix(1_800_000_000, 0)
	good := http.Header{}
	secrets{key}.sign(good, "m1", now, []byte("{}"))
	f.Add("m1", good.Get(headerTimestamp), good.Get(headerSignature), []byte("{}"))
	f.Add("", "", "", []byte(nil))
	f.Add("a.b", "-1", "v1,AAAA v1,", []byte("x"))
	f.Fuzz(func(t *testing.T, id, stamp, signature string, body []byte) {
		h := http.Header{}
		h.Set(headerID, id)
		h.Set(headerTimestamp, stamp)
		h.Set(headerSignature, signature)
		if _, err := (secrets{key}).verify(h, body, now); err == nil {
			want := http.Header{}
			secrets{key}.sign(want, id, now, body)
			if h.Get(headerTimestamp) == want.Get(headerTimestamp) && !strings.Contains(signature, want.Get(headerSignature)) {
				t.Errorf("%q %q %q", id, stamp, signature)
			}
		}
		other := secrets{[]byte(strings.Repeat("o", 32))}
		if _, err := other.verify(h, body, now); err == nil && signature == good.Get(headerSignature) {
			t.Error("a signature of another key")
		}
	})
}

func TestMoment(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		`null`: "none", `""`: "none", `"infinity"`: "forever", `"0001-01-01T00:00:00Z"`: "none",
		`"2026-01-02T03:04:05.1234567Z"`: "2026-01-02T03:04:05.123456Z", `"2026-01-02T03:04:05"`: "2026-01-02T03:04:05Z",
		`"2026-01-02 05:04:05.5+02"`: "2026-01-02T03:04:05.5Z", `"2026-01-02T05:04:05+02:00"`: "2026-01-02T03:04:05Z",
		`"soon"`: "error", `7`: "error",
	} {
		var m moment
		got := "error"
		switch err := json.Unmarshal([]byte(in), &m); {
		case err != nil:
		case m.forever:
			got = "forever"
		case !m.there():
			got = "none"
		default:
			got = m.at.Format(time.RFC3339Nano)
		}
		if got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}

// The memory stays within its bounds, and old rows go first.
func TestCacheIsBounded(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	c := newCache(time.Minute, 100)
	for n := range 1000 {
		u := User{ID: "x", Issuer: "i", Subject: strings.Repeat("s", n+1), Status: StatusActive}
		c.put(0, u, now.Add(time.Duration(n)*time.Second))
		if _, ok := c.get(userKey{"i", u.Subject}, now.Add(time.Duration(n)*time.Second)); !ok || len(c.rows) > 100 {
			t.Fatalf("row %d: %v, %d rows", n, ok, len(c.rows))
		}
	}
	c.put(0, User{Issuer: "i", Subject: "off", Status: StatusBanned}, now)
	if _, ok := c.get(userKey{"i", "off"}, now); ok {
		t.Error("a row that is not active was kept")
	}
	// A row that was read before a change is not put after it.
	generation := c.generation.Load()
	c.forget(userKey{"i", "a"})
	c.put(generation, User{Issuer: "i", Subject: "a", Status: StatusActive}, now)
	if _, ok := c.get(userKey{"i", "a"}, now); ok {
		t.Error("an old row came back")
	}
}
