package main

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/cardea-auth/cardea/internal/gotruetest"
	"github.com/cardea-auth/cardea/internal/pgtest"
)

func makeGoTrue(url string) error {
	return gotruetest.Make(context.Background(), url, 100, time.Now().Add(-time.Hour))
}

// TestPostgresScripts runs what needs a PostgreSQL. $GOTRUE is the database of a GoTrue,
// $REFRESH a refresh token of it; sql STATEMENT runs on it as a superuser, and gives the
// error, if any, as the new stdout.
func TestPostgresScripts(t *testing.T) {
	t.Parallel()
	url := pgtest.NewMigrated(t, makeGoTrue) // there is one script
	testscript.Run(t, testscript.Params{
		Dir: "testdata/postgres", RequireExplicitExec: true, RequireUniqueNames: true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("GOTRUE", url)
			e.Setenv("REFRESH", gotruetest.Token(5, 3))
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"freeport": freePort, "serving": serving, "terminate": terminate, "http": request, "savejson": saveJSON,
			"sql": func(ts *testscript.TestScript, neg bool, args []string) {
				if neg || len(args) != 1 {
					ts.Fatalf("usage: sql STATEMENT")
				}
				conn, err := pgx.Connect(context.Background(), ts.Getenv("GOTRUE"))
				ts.Check(err)
				defer conn.Close(context.Background())
				if _, err := conn.Exec(context.Background(), args[0]); err != nil {
					_, err = ts.Stdout().Write([]byte(err.Error()))
					ts.Check(err)
				}
			},
		},
	})
}
