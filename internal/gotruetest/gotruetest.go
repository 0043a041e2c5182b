// Package gotruetest makes databases as a GoTrue (Supabase Auth) leaves them, for tests
// that take one over: its schema with all its tables, an application beside it, accounts
// with what accounts have, and the refresh tokens that their clients hold.
package gotruetest

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	_ "embed" // the SQL
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

//go:embed schema.sql
var schema string

//go:embed app.sql
var app string

//go:embed data.sql
var data string

// Version is the newest entry of the schema's schema_migrations.
const Version = "20260625000000"

// passwords are those of the accounts, in turn, and their bcrypt hashes of cost 10.
func passwords() (plain, hashes []string) {
	return []string{"Old-password-1", "Old-password-2", "Old-password-3", "Old-password-4", "Old-password-5"},
		[]string{
			"$2a$10$sNmqM9JH5BqsRN4mZfPYmO8dFxSzRfIFkVwnbvL3epcNtOBSSHQA6", "$2a$10$o74Iveo4p12hIqrXLO6A3.eo1o5WdzXoX8nsBnPU9Bd0d2tMvtOGm",
			"$2a$10$ZMnDq8wriInclr3GIjZszuT/eLStgb85.Sg8H0S082P3FPLSwlx5y", "$2a$10$V4PkknL4SfUqteNJh7Q.1eGoptN5Otn0BPc6vx92xr7t7s7aL0X8q",
			"$2a$10$QaPniu8Qp/pcnrXI4fbn6u.seZHQV8mmlYmIYKreOl1nwpp6.zJle",
		}
}

// Make puts the schema, the application and n accounts into an empty database, whose URL
// is that of a superuser. Their sessions were refreshed at the given moment.
func Make(ctx context.Context, url string, n int, refreshed time.Time) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return fmt.Errorf("gotruetest: %w", err)
	}
	defer conn.Close(ctx) //nolint:errcheck // committed
	for _, sql := range []string{schema, app} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return fmt.Errorf("gotruetest: %w", err)
		}
	}
	_, hashes := passwords()
	if _, err := conn.Exec(ctx, data, n, hashes, refreshed); err != nil {
		return fmt.Errorf("gotruetest: accounts: %w", err)
	}
	if _, err := conn.Exec(ctx, "ANALYZE"); err != nil {
		return fmt.Errorf("gotruetest: %w", err)
	}
	return nil
}

// UserID is the id of the i-th account.
func UserID(i int) string { return fmt.Sprintf("00000000-0000-4000-8000-%012x", i) }

// SessionID is the id of its session; odd accounts have one.
func SessionID(i int) string { return fmt.Sprintf("00000000-0000-4000-9000-%012x", i) }

// Email is the address of the i-th account.
func Email(i int) string { return fmt.Sprintf("user%d@clinic.example", i) }

// Password is the password of the i-th account.
func Password(i int) string {
	plain, _ := passwords()
	return plain[i%len(plain)]
}

// Token is one of the three refresh tokens that the session of account i has had, for i
// of 1 mod 4: 3 is the current one, 2 its parent.
func Token(i, k int) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d/%d", i, k))
	return strings.NewReplacer("0", "g", "1", "h", "8", "i", "9", "j").Replace(hex.EncodeToString(sum[:])[:12])
}

// Counter is the number of the current refresh token of account i, for i of 3 mod 4.
func Counter(i int) int64 { return int64(i % 7) }

// CountedToken is the refresh token with a number of account i, for i of 3 mod 4.
func CountedToken(i int, counter int64) string {
	key := sha256.Sum256(fmt.Appendf(nil, "key%d", i))
	b := []byte{0}
	id, err := hex.DecodeString(strings.ReplaceAll(SessionID(i), "-", ""))
	if err != nil {
		panic("gotruetest: " + err.Error())
	}
	b = append(b, id...)
	b = binary.AppendUvarint(b, uint64(counter)) //nolint:gosec // G115: small
	mac := hmac.New(sha256.New, key[:])
	mac.Write(b)
	b = append(b, mac.Sum(nil)[:16]...)
	sum := sha256.Sum256(b)
	return base64.RawURLEncoding.EncodeToString(append(b, sum[:4]...))
}
