package postgres_test

import (
	"context"
	"testing"
	"time"

	"github.com/cardea-auth/cardea/internal/gotruetest"
	"github.com/cardea-auth/cardea/internal/pgtest"
	"github.com/cardea-auth/cardea/internal/store/postgres"
)

// crowd is the database of a GoTrue with 100,000 accounts, 50,000 sessions and 75,000
// refresh tokens in rows.
func crowd(url string) error { return gotruetest.Make(context.Background(), url, 100_000, t0) }

// BenchmarkAdopt is the whole adoption of 100,000 accounts, with its checks; locked-ms is
// how long the tables were closed. Run it with -benchtime=5x: each run needs a database of
// its own.
func BenchmarkAdopt(b *testing.B) {
	var locked time.Duration
	for b.Loop() {
		b.StopTimer()
		c := adoption(pgtest.NewMigrated(b, crowd))
		b.StartTimer()
		r, err := postgres.Adopt(b.Context(), c)
		if err != nil || r.Users != 100_000 || r.Sessions != 50_000 {
			b.Fatalf("%v %+v", err, r)
		}
		locked += r.Locked
	}
	b.ReportMetric(float64(locked.Milliseconds())/float64(b.N), "locked-ms/op")
}

// BenchmarkAdoptAgain is the second run, which finds it done.
func BenchmarkAdoptAgain(b *testing.B) {
	c := adoption(pgtest.NewMigrated(b, gotrue))
	if _, err := postgres.Adopt(b.Context(), c); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if r, err := postgres.Adopt(b.Context(), c); err != nil || !r.Already {
			b.Fatal(err)
		}
	}
}
