package gotruetest_test

import (
	"context"
	"encoding/base64"
	"os"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/crypto/bcrypt"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/gotruetest"
	"github.com/cardea-auth/cardea/internal/pgtest"
	"github.com/cardea-auth/cardea/internal/token"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

// What tests of the adoption rely on: the schema is whole, and what the package says of an
// account is what is in its rows.
func TestMake(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	if err := gotruetest.Make(t.Context(), url, 60, time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)); err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	for sql, want := range map[string]int{
		"SELECT count(*) FROM pg_tables WHERE schemaname = 'auth'":                                                 23,
		"SELECT count(*) FROM auth.users":                                                                          60,
		"SELECT count(*) FROM public.profiles":                                                                     60,
		"SELECT count(*) FROM auth.identities":                                                                     62,
		"SELECT count(*) FROM auth.sessions WHERE refresh_token_hmac_key IS NOT NULL":                              15,
		"SELECT count(*) FROM auth.schema_migrations WHERE version = '" + gotruetest.Version + "'":                 1,
		"SELECT count(*) FROM auth.users WHERE id = '" + gotruetest.UserID(20) + "' AND phone = '491500000020'":    1,
		"SELECT count(*) FROM auth.refresh_tokens WHERE token = '" + gotruetest.Token(5, 3) + "' AND NOT revoked":  1,
		"SELECT count(*) FROM auth.refresh_tokens WHERE token = '" + gotruetest.Token(5, 2) + "' AND revoked":      1,
		"SELECT count(*) FROM auth.refresh_tokens WHERE parent = '" + gotruetest.Token(5, 2) + "' AND NOT revoked": 1,
	} {
		var got int
		if err := conn.QueryRow(t.Context(), sql).Scan(&got); err != nil || got != want {
			t.Errorf("%s: %d, want %d (%v)", sql, got, want, err)
		}
	}
	var hash, key string
	if err := conn.QueryRow(t.Context(), "SELECT encrypted_password FROM auth.users WHERE email = $1", gotruetest.Email(8)).Scan(&hash); err != nil {
		t.Fatal(err)
	}
	if err := bcrypt.CompareHashAndPassword([]byte(hash), []byte(gotruetest.Password(8))); err != nil {
		t.Error(err)
	}
	if err := conn.QueryRow(t.Context(), "SELECT refresh_token_hmac_key FROM auth.sessions WHERE id = $1", gotruetest.SessionID(3)).Scan(&key); err != nil {
		t.Fatal(err)
	}
	counted, ok := token.ReadRefresh(gotruetest.CountedToken(3, gotruetest.Counter(3)))
	raw, err := base64.RawURLEncoding.DecodeString(key)
	id, bad := auth.ParseID(gotruetest.SessionID(3))
	if err != nil || bad != nil || !ok || counted.Session != id || counted.Counter != 3 || !counted.MadeWith(raw) || counted.MadeWith(raw[:31]) {
		t.Errorf("token of the second kind: %+v", counted)
	}
}
