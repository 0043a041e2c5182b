package moving_test

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/moving"
	"github.com/cardea-auth/cardea/internal/store"
)

// benchUsers is how many users a measurement has.
func benchUsers(tb testing.TB, otherwise int) int {
	tb.Helper()
	text := os.Getenv("CARDEA_BENCH_USERS")
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		tb.Fatal("CARDEA_BENCH_USERS:", err)
	}
	return n
}

// endless is a file that is made while it is read.
type endless struct {
	head, tail string
	line       func(i int) string
	n, i       int
	buf        string
}

// Read implements io.Reader.
func (e *endless) Read(p []byte) (int, error) {
	for e.buf == "" {
		switch {
		case e.i == 0:
			e.buf = e.head
		case e.i <= e.n:
			e.buf = e.line(e.i)
		case e.i == e.n+1:
			e.buf = e.tail
		default:
			return 0, io.EOF
		}
		e.i++
	}
	n := copy(p, e.buf)
	e.buf = e.buf[n:]
	return n, nil
}

// files are files of n users in some of the forms.
func files(n int) map[string]func() (moving.Reader, error) {
	const ndjson = `{"external_id":"x%d","email":"user%d@example.org","password_hash":"` + bcrypt + `","profile":{"full_name":"User %d"}}` + "\n"
	return map[string]func() (moving.Reader, error){
		"cardea": func() (moving.Reader, error) {
			return moving.Cardea(&endless{n: n, line: func(i int) string { return fmt.Sprintf(ndjson, i, i, i) }}), nil
		},
		"csv": func() (moving.Reader, error) {
			return moving.CSV(&endless{n: n, head: "email,password_hash,name\n", line: func(i int) string {
				return fmt.Sprintf("user%d@example.org,%s,User %d\n", i, bcrypt, i)
			}})
		},
		"firebase": func() (moving.Reader, error) {
			return moving.Firebase(&endless{n: n, head: `{"users":[{"localId":"x0"}`, tail: "]}", line: func(i int) string {
				return fmt.Sprintf(`,{"localId":"x%d","email":"user%d@example.org","passwordHash":"zKVTMvnWVw5BBOZN","salt":"C0sHCg9ek77hsg==","displayName":"User %d"}`+"\n", i, i, i)
			}}, moving.FirebaseHash{})
		},
	}
}

// TestFlatMemory: reading a file takes the same memory however long it is.
func TestFlatMemory(t *testing.T) { //nolint:paralleltest // measures the whole process
	n := benchUsers(t, 50000)
	for name, open := range files(n) {
		r, err := open()
		if err != nil {
			t.Fatal(err)
		}
		var least, most uint64
		records := 0
		for ; ; records++ {
			if _, err = r.Next(); err != nil {
				break
			}
			if records%(n/10) == n/20 {
				runtime.GC()
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				if least == 0 {
					least = m.HeapAlloc
				}
				most = max(most, m.HeapAlloc)
			}
		}
		if records < n || err != io.EOF { //nolint:errorlint // exactly that
			t.Fatalf("%s: %d records, %v", name, records, err)
		}
		t.Logf("%s: %d records, %d to %d kB in use", name, records, least>>10, most>>10)
		if most > least+2<<20 {
			t.Errorf("%s: memory grows with the file: from %d to %d kB", name, least>>10, most>>10)
		}
	}
}

// BenchmarkRead reads and checks, and stores nothing.
func BenchmarkRead(b *testing.B) {
	for name, open := range files(1 << 40) {
		b.Run(name, func(b *testing.B) {
			r, err := open()
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := r.Next(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkImport imports CARDEA_BENCH_USERS (2,000) users in each round.
func BenchmarkImport(b *testing.B) {
	n := benchUsers(b, 2000)
	for _, kind := range []string{"sqlite", "postgres"} {
		b.Run(kind, func(b *testing.B) {
			var s store.Store
			if kind == "sqlite" {
				s = openSQLite(b)
			} else {
				s, _ = openPostgres(b)
			}
			round := 0
			b.ReportAllocs()
			for b.Loop() {
				round++
				tr := newTrial(s, 1000)
				tr.Name, tr.Source = fmt.Sprint(round), fmt.Sprint(round)
				line := func(i int) string {
					return fmt.Sprintf(`{"external_id":"x%d","email":"user%d@r%d.example.org","password_hash":"%s","profile":{"full_name":"User %d"}}`+"\n", i, i, round, bcrypt, i)
				}
				totals, err := moving.Import(b.Context(), tr.Config, func(auth.MoveProgress) (moving.Reader, error) {
					return moving.Cardea(&endless{n: n, line: line}), nil
				})
				if err != nil || totals.Moved != int64(n) {
					b.Fatalf("%+v, %v", totals, err)
				}
			}
			b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "users/s")
		})
	}
}

// BenchmarkWrite exports CARDEA_BENCH_USERS (2,000) users.
func BenchmarkWrite(b *testing.B) {
	n := benchUsers(b, 2000)
	s := openSQLite(b)
	tr := newTrial(s, 1000)
	if _, err := tr.run(b.Context(), users(n)); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		var out strings.Builder
		if got, err := moving.Write(b.Context(), s, &out, moving.WriteConfig{}); err != nil || got != int64(n) {
			b.Fatal(got, err)
		}
	}
	b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "users/s")
}
