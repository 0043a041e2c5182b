package postgres

import (
	"encoding/base64"
	"errors"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/cardea-auth/cardea/internal/auth"
)

// A15.6, B3.6: whose failure an error is.
func TestTriggerError(t *testing.T) {
	t.Parallel()
	const where = "PL/pgSQL function public.handle_new_user() line 4 at RAISE"
	for _, c := range []struct {
		name, what string
		pg         pgconn.PgError
		want       auth.Code
		message    string
		log        []string
	}{
		{"raised", "create account", pgconn.PgError{Code: "P0001", Message: "no room for ada@example.com", Where: where}, auth.CodeTriggerFailed,
			"Database error saving new user", []string{"public.handle_new_user", "P0001", "no room for [address]"}},
		{"a statement in it", "update user", pgconn.PgError{Code: "42501", Message: "permission denied for table profiles",
			Where: "SQL statement \"INSERT INTO public.profiles (id) VALUES (new.id)\"\nPL/pgSQL function public.handle_new_user() line 3 at SQL statement"},
			auth.CodeTriggerFailed, "Database error updating user", []string{"public.handle_new_user", "permission denied for table profiles"}},
		{"a function that it calls", "delete user", pgconn.PgError{Code: "22012", Message: "division by zero",
			Where: "PL/pgSQL function inner_one(integer) line 1 at RETURN\nPL/pgSQL function public.\"Outer\"() line 3 at PERFORM"},
			auth.CodeTriggerFailed, "Database error deleting user", []string{`public."Outer"`}},
		{"in another language", "create account", pgconn.PgError{Code: "P0001", Message: "non", Where: "fonction PL/pgSQL public.f(), ligne 2 à RAISE"},
			auth.CodeTriggerFailed, "Database error saving new user", []string{"public.f"}},
		{"at a sign-in", "start session", pgconn.PgError{Code: "P0001", Message: "no", Where: where}, auth.CodeTriggerFailed,
			"Database error granting user", nil},
		{"on purpose", "create account", pgconn.PgError{Code: "PT403", Message: "Members only,\n please", Where: where}, auth.CodeTriggerRefused,
			"Members only, please", []string{"PT403"}},
		{"on purpose, but no refusal", "create account", pgconn.PgError{Code: "PT500", Message: "x", Where: where}, auth.CodeTriggerFailed,
			"Database error saving new user", nil},
		{"deadlock while it ran", "create account", pgconn.PgError{Code: "40P01", Where: where}, "", "", nil},
		{"cancelled while it ran", "create account", pgconn.PgError{Code: "57014", Where: where}, "", "", nil},
		{"our own trigger", "update user", pgconn.PgError{Code: "23503", Where: "PL/pgSQL function auth.cardea_copy_roles() line 3 at SQL statement"}, "", "", nil},
		{"our own statement", "create account", pgconn.PgError{Code: "22P02", Where: "JSON data, line 1: x"}, "", "", nil},
		{"a foreign key's", "delete user", pgconn.PgError{Code: "23503", Where: `SQL statement "DELETE FROM ONLY "auth"."users" x WHERE $1 OPERATOR(pg_catalog.=) "id""`}, "", "", nil},
		{"nothing", "create account", pgconn.PgError{Code: "23505"}, "", "", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			err := triggerError(c.what, &c.pg)
			if c.want == "" {
				if err != nil {
					t.Errorf("%v", err)
				}
				return
			}
			var e *auth.Error
			if !errors.As(err, &e) || e.Code != c.want || e.Message != c.message {
				t.Fatalf("%#v", err)
			}
			for _, part := range c.log {
				if !strings.Contains(e.Cause.Error(), part) {
					t.Errorf("the log has no %q: %v", part, e.Cause)
				}
			}
		})
	}
}

func TestRedacted(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"no profile for ada@example.com: closed":           "no profile for [address] closed",
		"number +491701234567, please":                     "number [number] please",
		"value 'secret' is wrong (code 42)":                "value [value] is wrong (code 42)",
		"relation \"public.profiles\" does not exist":      "relation \"public.profiles\" does not exist",
		"tabs\tand\nlines":                                 "tabs and lines",
		"a long one " + strings.Repeat("x", 250) + " rest": "a long one [value] rest",
		"a very long one " + strings.Repeat("x ", 300):     strings.TrimSpace("a very long one " + strings.Repeat("x ", 142)),
		"broken \xff\x00 bytes":                            "broken bytes",
	} {
		if got := redacted(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func FuzzTriggerError(f *testing.F) {
	f.Add("PL/pgSQL function public.f() line 1 at RAISE", "P0001", "no for a@b.c")
	f.Add("SQL function \"f\" statement 1", "PT400", "\xff")
	f.Add("", "", "")
	f.Fuzz(func(t *testing.T, where, code, message string) {
		err := triggerError("create account", &pgconn.PgError{Where: where, Code: code, Message: message})
		if err == nil {
			return
		}
		var e *auth.Error
		if !errors.As(err, &e) || e.Code != auth.CodeTriggerFailed && e.Code != auth.CodeTriggerRefused {
			t.Fatalf("%#v", err)
		}
		if e.Code == auth.CodeTriggerFailed && strings.Contains(redacted(message), "@") {
			t.Fatalf("an address is left of %q", message)
		}
		if !utf8.ValidString(e.Message) || len(e.Message) > maxTriggerText+16 {
			t.Fatalf("%q", e.Message)
		}
	})
}

func FuzzLegacyKey(f *testing.F) {
	f.Add("gotrue:9:" + base64.RawURLEncoding.EncodeToString(make([]byte, 32)))
	f.Add(base64.RawURLEncoding.EncodeToString(make([]byte, 32)))
	f.Add("gotrue:-1:AAAA")
	f.Add("gotrue::")
	f.Add(`{"key_id":"x","alg":"aes-gcm-hkdf"}`)
	f.Fuzz(func(t *testing.T, text string) {
		key, newest, ok := parseLegacyKey(text, 7)
		if ok && (newest < 0 || newest > 7) { // the key would make tokens that are ours
			t.Fatalf("%q: %d", text, newest)
		}
		marked := "gotrue:" + strconv.FormatInt(newest, 10) + ":" + base64.RawURLEncoding.EncodeToString(key)
		if again, n, read := parseLegacyKey(marked, 7); ok && (!read || n != newest || string(again) != string(key)) {
			t.Fatalf("%q is written %q", text, marked)
		}
	})
}
