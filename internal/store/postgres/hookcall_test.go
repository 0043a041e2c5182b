package postgres_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/cardea-auth/cardea/internal/store/postgres"
)

// TestCallFunction covers what a function may take and give.
func TestCallFunction(t *testing.T) {
	t.Parallel()
	s, conn := open(t, postgres.Config{MaxConns: 2})
	exec(t, conn, `CREATE SCHEMA app`)
	exec(t, conn, `CREATE TABLE app.seen (payload jsonb)`)
	for _, body := range []string{
		`takes_jsonb(event jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT jsonb_build_object('got', event->'n') $$`,
		`takes_json(event json) RETURNS json LANGUAGE sql AS $$ SELECT json_build_object('got', event->'n') $$`,
		`takes_text(event text) RETURNS text LANGUAGE sql AS $$ SELECT event $$`,
		`gives_null(event jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT NULL::jsonb $$`,
		`gives_nothing(event jsonb) RETURNS void LANGUAGE sql AS $$ INSERT INTO app.seen VALUES (event) $$`,
		`gives_no_row(event jsonb) RETURNS SETOF jsonb LANGUAGE sql AS $$ SELECT event WHERE false $$`,
		`fails(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN INSERT INTO app.seen VALUES (event); RAISE EXCEPTION 'no'; END $$`,
		`sleeps(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(60); RETURN event; END $$`,
		`"Odd""name; --"(event jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT '{"odd": true}'::jsonb $$`,
	} {
		exec(t, conn, `CREATE FUNCTION app.`+body)
	}
	for _, tc := range []struct{ name, function, payload, want string }{
		{"jsonb", "takes_jsonb", `{"n": 1}`, `{"got": 1}`},
		{"json", "takes_json", `{"n": 1}`, `{"got" : 1}`},
		{"text", "takes_text", `{"n": 1}`, `{"n": 1}`},
		{"quotes and statements in the payload", "takes_text", `{"n": "'); DROP TABLE app.seen; --\\"}`, `{"n": "'); DROP TABLE app.seen; --\\"}`},
		{"NULL", "gives_null", `{}`, ``},
		{"void", "gives_nothing", `{}`, ``},
		{"no row", "gives_no_row", `{}`, ``},
		{"a name with quotes", `Odd"name; --`, `{}`, `{"odd": true}`},
	} {
		got, err := s.CallFunction(t.Context(), "app", tc.function, []byte(tc.payload), time.Minute)
		if err != nil || string(got) != tc.want {
			t.Errorf("%s: %q, %v, want %q", tc.name, got, err, tc.want)
		}
	}
	if _, err := s.CallFunction(t.Context(), "app", "fails", []byte(`{"lost": true}`), time.Minute); err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a function that raises: %v", err)
	}
	var seen int
	if err := conn.QueryRow(t.Context(), `SELECT count(*) FROM app.seen`).Scan(&seen); err != nil || seen != 1 {
		t.Errorf("%d rows (%v), want the one of the function that returned", seen, err)
	}
	began := time.Now()
	if _, err := s.CallFunction(t.Context(), "app", "sleeps", []byte(`{}`), 50*time.Millisecond); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a function that takes too long: %v", err)
	}
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("it was stopped after %v", took)
	}
	// The limit is gone with its transaction, on both connections of the pool.
	for range 3 {
		if got, err := s.CallFunction(t.Context(), "pg_catalog", "current_setting", []byte(`statement_timeout`), time.Hour); err != nil || string(got) != "1h" {
			t.Errorf("%q, %v", got, err)
		}
	}
	// A function that was made anew with another parameter works at once.
	exec(t, conn, `DROP FUNCTION app.takes_jsonb`)
	exec(t, conn, `CREATE FUNCTION app.takes_jsonb(event json) RETURNS text LANGUAGE sql AS $$ SELECT '{}' $$`)
	if got, err := s.CallFunction(t.Context(), "app", "takes_jsonb", []byte(`{"n": 1}`), time.Minute); err != nil || string(got) != "{}" {
		t.Errorf("made anew: %q, %v", got, err)
	}
}

// TestCallFunctionQuotes: a name is a name, whatever it holds.
func TestCallFunctionQuotes(t *testing.T) {
	t.Parallel()
	s, conn := open(t, postgres.Config{MaxConns: 2})
	exec(t, conn, `CREATE TABLE public.keep (n int)`)
	for _, name := range []string{
		`f"; DROP TABLE public.keep; --`, `f($1); DROP TABLE public.keep; --`, `pg_sleep(0)--`, `"`, `""`, `a"."b`, `a.b`, ``, `$1`,
		"f\x00\"; DROP TABLE public.keep; --", "f\nDROP TABLE public.keep", strings.Repeat("x", 5000), `\`, `'; DROP TABLE public.keep; --`,
		"\xff", "U&\"\\0022",
	} {
		for _, call := range [][2]string{{name, "f"}, {"public", name}, {name, name}} {
			if got, err := s.CallFunction(t.Context(), call[0], call[1], []byte(`{}`), time.Minute); err == nil {
				t.Errorf("%q: answer %q", call, got)
			}
		}
	}
	var n int
	if err := conn.QueryRow(t.Context(), `SELECT count(*) FROM public.keep`).Scan(&n); err != nil {
		t.Errorf("the table is gone: %v", err)
	}
}

// TestCallFunctionNeedsExecute: a function that the account may not run is an error, never
// an answer.
func TestCallFunctionNeedsExecute(t *testing.T) {
	t.Parallel()
	s, conn := open(t, postgres.Config{MaxConns: 2})
	role := "hook_caller_" + strings.ToLower(strings.NewReplacer("-", "", "=", "").Replace(t.Name()))
	exec(t, conn, `DROP ROLE IF EXISTS `+pgx.Identifier{role}.Sanitize())
	exec(t, conn, `CREATE ROLE `+pgx.Identifier{role}.Sanitize())
	t.Cleanup(func() {
		_, _ = conn.Exec(context.WithoutCancel(t.Context()), `DROP OWNED BY `+pgx.Identifier{role}.Sanitize())
		_, _ = conn.Exec(context.WithoutCancel(t.Context()), `DROP ROLE `+pgx.Identifier{role}.Sanitize())
	})
	exec(t, conn, `CREATE FUNCTION public.closed(event jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT event $$`)
	exec(t, conn, `REVOKE EXECUTE ON FUNCTION public.closed FROM PUBLIC`)
	exec(t, conn, `CREATE FUNCTION public.outer_one(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN SET LOCAL ROLE `+
		pgx.Identifier{role}.Sanitize()+`; RETURN public.closed(event); END $$`)
	if got, err := s.CallFunction(t.Context(), "public", "outer_one", []byte(`{}`), time.Minute); err == nil {
		t.Errorf("answer %q", got)
	}
}
