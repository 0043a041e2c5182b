package server

import (
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// medhastraTables are an application's own: cases of a person, and what hangs on them. What a
// policy of a child asks is the parent's owner, once for a statement and by an index (B3.9),
// and every table can be emptied by the owner.
const medhastraTables = `
CREATE FUNCTION public.touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.updated_at = clock_timestamp(); RETURN NEW; END $$;
CREATE TABLE public.cases (
	id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
	user_id uuid NOT NULL REFERENCES auth.users (id) ON DELETE CASCADE,
	case_text text NOT NULL, current_stage text NOT NULL DEFAULT 'initial', is_complete boolean NOT NULL DEFAULT false,
	created_at timestamptz NOT NULL DEFAULT clock_timestamp(), updated_at timestamptz NOT NULL DEFAULT clock_timestamp());
CREATE INDEX ON public.cases (user_id);
CREATE TRIGGER touch BEFORE UPDATE ON public.cases FOR EACH ROW EXECUTE FUNCTION public.touch();
ALTER TABLE public.cases ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON public.cases FOR ALL TO authenticated USING ((SELECT auth.uid()) = user_id) WITH CHECK ((SELECT auth.uid()) = user_id);
GRANT SELECT, INSERT, UPDATE, DELETE ON public.cases TO authenticated;`

const medhastraChild = `
CREATE TABLE public.%[1]s (
	id uuid PRIMARY KEY DEFAULT gen_random_uuid(), case_id uuid NOT NULL REFERENCES public.cases (id) ON DELETE CASCADE,
	body text NOT NULL, updated_at timestamptz NOT NULL DEFAULT clock_timestamp());
CREATE INDEX ON public.%[1]s (case_id);
CREATE TRIGGER touch BEFORE UPDATE ON public.%[1]s FOR EACH ROW EXECUTE FUNCTION public.touch();
ALTER TABLE public.%[1]s ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON public.%[1]s FOR ALL TO authenticated
	USING (case_id IN (SELECT c.id FROM public.cases c WHERE c.user_id = (SELECT auth.uid())))
	WITH CHECK (case_id IN (SELECT c.id FROM public.cases c WHERE c.user_id = (SELECT auth.uid())));
GRANT SELECT, INSERT, UPDATE, DELETE ON public.%[1]s TO authenticated;`

// S3.18: policies that an application has written for Supabase hold on Cardea's own schema,
// with the claims of Cardea's tokens: everybody reads and writes the own cases and what hangs
// on them, and nobody else's; with the account they go.
func TestCasesOfAnApplication(t *testing.T) {
	t.Parallel()
	url := databaseURL(t, "postgres")
	r := openRig(t, load(t, url, "CARDEA_EMAIL_AUTOCONFIRM=true"), Options{})
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(t.Context()) })
	children := []string{"stage_results", "messages", "reports"}
	sql := medhastraTables
	for _, name := range children {
		sql += fmt.Sprintf(medhastraChild, name)
	}
	if _, err := conn.Exec(t.Context(), sql); err != nil {
		t.Fatal(err)
	}
	type owner struct{ id, claims, caseID string }
	people := map[string]*owner{}
	for _, name := range []string{"ada", "grace"} {
		in := r.must(t, "POST", "/signup", "", object{"email": name + "@example.org", "password": "correct horse battery"})
		people[name] = &owner{id: in.text(t, "user", "id"), claims: claimsOf(t, in.text(t, "access_token"))}
	}
	for name, p := range people {
		asOwner(t, conn, p.claims, func(tx pgx.Tx) {
			row := tx.QueryRow(t.Context(), "INSERT INTO public.cases (user_id, case_text) VALUES (auth.uid(), $1) RETURNING id::text", name)
			if err := row.Scan(&p.caseID); err != nil {
				t.Fatal(err)
			}
			for _, child := range children {
				if _, err := tx.Exec(t.Context(), "INSERT INTO public."+child+" (case_id, body) VALUES ($1, 'mine')", p.caseID); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
	ada, grace := people["ada"], people["grace"]
	asOwner(t, conn, ada.claims, func(tx pgx.Tx) {
		for _, table := range append([]string{"cases"}, children...) {
			for _, statement := range []string{"SELECT 1 FROM public." + table, "UPDATE public." + table + " SET updated_at = now()"} {
				tag, err := tx.Exec(t.Context(), statement)
				if err != nil || tag.RowsAffected() != 1 {
					t.Errorf("%s: %v %v", statement, tag, err)
				}
			}
			var later bool // the trigger's time, not the statement's
			if err := tx.QueryRow(t.Context(), "SELECT updated_at > now() FROM public."+table).Scan(&later); err != nil || !later {
				t.Errorf("%s: updated_at: %v %v", table, later, err)
			}
		}
	})
	for _, c := range []struct{ sql, arg string }{
		{"INSERT INTO public.cases (user_id, case_text) VALUES ($1, 'hers')", grace.id},
		{"UPDATE public.cases SET user_id = $1", grace.id},
		{"INSERT INTO public.messages (case_id, body) VALUES ($1, 'not mine')", grace.caseID},
		{"UPDATE public.reports SET case_id = $1", grace.caseID},
	} {
		asOwner(t, conn, ada.claims, func(tx pgx.Tx) {
			if _, err := tx.Exec(t.Context(), c.sql, c.arg); err == nil || !strings.Contains(err.Error(), "42501") {
				t.Errorf("%s: %v", c.sql, err)
			}
		})
	}
	for _, claims := range []string{`{"role":"authenticated"}`, `{}`, ``} {
		asOwner(t, conn, claims, func(tx pgx.Tx) {
			tag, err := tx.Exec(t.Context(), "DELETE FROM public.cases")
			if err != nil || tag.RowsAffected() != 0 {
				t.Errorf("claims %q: %v %v", claims, tag, err)
			}
		})
	}
	asOwner(t, conn, grace.claims, func(tx pgx.Tx) {
		if tag, err := tx.Exec(t.Context(), "DELETE FROM public.cases"); err != nil || tag.RowsAffected() != 1 {
			t.Errorf("%v %v", tag, err)
		}
	})
	r.must(t, "DELETE", "/admin/users/"+ada.id, r.service, nil)
	for _, table := range append([]string{"cases"}, children...) {
		if n := count(t, conn, "SELECT count(*) FROM public."+table); n != 0 {
			t.Errorf("%s: %d rows are left", table, n)
		}
	}
}

// asOwner is asPerson, and keeps what was done.
func asOwner(t *testing.T, conn *pgx.Conn, claims string, do func(tx pgx.Tx)) {
	t.Helper()
	asPerson(t, conn, claims, func(tx pgx.Tx) {
		do(tx)
		_ = tx.Commit(t.Context()) // one that failed is rolled back
	})
}
