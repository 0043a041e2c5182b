package hook_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/hook"
	"github.com/cardea-auth/cardea/internal/pgtest"
	"github.com/cardea-auth/cardea/internal/store/postgres"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

// TestFunctions runs the hooks of an application in a real database.
func TestFunctions(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	for _, sql := range []string{
		`CREATE TABLE public.tries (user_id uuid, valid boolean)`,
		`CREATE FUNCTION public.token(event jsonb) RETURNS jsonb LANGUAGE sql AS $$
			SELECT jsonb_set(event, '{claims,user_role}', '"physician"') - 'user_id' $$`,
		`CREATE FUNCTION public.steal(event jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT jsonb_set(event, '{claims,sub}', '"victim"') $$`,
		`CREATE FUNCTION public.before(event json) RETURNS jsonb LANGUAGE sql AS $$
			SELECT CASE WHEN event->'user'->>'email' LIKE '%@example.org' THEN '{}'::jsonb
			ELSE '{"error": {"http_code": 403, "message": "Members only"}}'::jsonb END $$`,
		`CREATE FUNCTION public.after(event jsonb) RETURNS void LANGUAGE sql AS $$ SELECT $$`,
		`CREATE FUNCTION public.attempt(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN
			INSERT INTO public.tries VALUES ((event->>'user_id')::uuid, (event->>'valid')::boolean);
			IF (SELECT count(*) FROM public.tries) > 2 THEN RETURN '{"decision": "reject", "message": "Too many tries"}'; END IF;
			RETURN '{"decision": "continue"}'; END $$`,
		`CREATE FUNCTION public.raises(event jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'secret detail'; END $$`,
		`CREATE FUNCTION public.huge(event jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT jsonb_build_object('a', repeat('x', 10000000)) $$`,
	} {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	s, err := postgres.Open(t.Context(), postgres.Config{URL: url, MaxConns: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	at := func(name string) hook.Endpoint {
		return hook.Endpoint{Enabled: true, URI: "pg-functions://postgres/public/" + name}
	}
	config := func(token string) hook.Config {
		return hook.Config{
			CustomizeAccessToken: at(token), BeforeUserCreated: at("before"), AfterUserCreated: at("after"), PasswordVerification: at("attempt"),
			Database: s, User: func(u *auth.User) any { return map[string]string{"email": u.Email} },
		}
	}
	h, ctx, ours := newHooks(t, config("token")), t.Context(), claimsLike(t, nil)
	got, err := h.CustomizeAccessToken(ctx, ids[1], "password", []byte(ours))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(claimsLike(t, map[string]any{"user_role": "physician"}), string(got)); diff != "" {
		t.Errorf("claims (-want +got):\n%s", diff)
	}
	for _, bad := range []string{"steal", "raises", "huge", "missing", "tries"} {
		c, err := newHooks(t, config(bad)).CustomizeAccessToken(ctx, ids[1], "password", []byte(ours))
		if err == nil || c != nil || strings.Contains(outcomeOf(err).Message, "secret detail") {
			t.Errorf("%s: %s, %v", bad, c, err)
		}
	}
	if err := h.BeforeUserCreated(ctx, &user, ""); err != nil {
		t.Error(err)
	}
	err = h.BeforeUserCreated(ctx, &auth.User{Email: "x@example.com"}, "")
	if diff := cmp.Diff(outcome{auth.CodeHookRefused, "Members only", &hook.Refusal{Status: 403, Message: "Members only"}}, outcomeOf(err)); diff != "" {
		t.Errorf("refusal (-want +got):\n%s", diff)
	}
	if err := h.AfterUserCreated(ctx, hook.Event{}, &user); err != nil {
		t.Error(err)
	}
	for n := range 3 { // what the function writes stays
		v, err := h.PasswordVerification(ctx, ids[1], n == 0, "")
		want := hook.Verdict{}
		if n == 2 {
			want = hook.Verdict{Reject: true, Message: "Too many tries"}
		}
		if v != want || err != nil {
			t.Errorf("try %d: %+v, %v", n, v, err)
		}
	}
}

// databaseFunc is a database that does what a test says.
type databaseFunc func(ctx context.Context, limit time.Duration) ([]byte, error)

func (f databaseFunc) CallFunction(ctx context.Context, _, _ string, _ []byte, limit time.Duration) ([]byte, error) {
	return f(ctx, limit)
}

// TestFunctionFails: every failure of a function has its code.
func TestFunctionFails(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		db   databaseFunc
		want outcome
	}{
		{"NULL", func(context.Context, time.Duration) ([]byte, error) { return nil, nil }, outcome{}},
		{"too slow", func(_ context.Context, limit time.Duration) ([]byte, error) {
			if limit != 2*time.Second {
				t.Errorf("the limit is %v", limit)
			}
			return nil, context.DeadlineExceeded
		}, outcome{auth.CodeHookTimeout, "Failed to reach hook within maximum time of 2.000000 seconds", nil}},
		{"too long", func(context.Context, time.Duration) ([]byte, error) { return make([]byte, 200<<10+1), nil },
			outcome{auth.CodeHookAnswerTooLarge, "Payload size exceeded size limit of 204800 bytes", nil}},
		{"an error", func(context.Context, time.Duration) ([]byte, error) { return nil, errors.New("permission denied") },
			outcome{auth.CodeInternal, "Error running hook", nil}},
		{"garbage", func(context.Context, time.Duration) ([]byte, error) { return []byte("(1,2)"), nil },
			outcome{auth.CodeInternal, "Error unmarshaling hook output", nil}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			h := newHooks(t, hook.Config{
				AfterUserCreated: hook.Endpoint{Enabled: true, URI: "pg-functions://postgres/public/f"}, Database: tc.db,
				User: func(*auth.User) any { return nil },
			})
			if diff := cmp.Diff(tc.want, outcomeOf(h.AfterUserCreated(t.Context(), hook.Event{}, &user))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
