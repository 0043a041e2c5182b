package scripttest

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"log/slog"
	"net"
	"net/url"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/config"
	"github.com/cardea-auth/cardea/internal/notify"
	"github.com/cardea-auth/cardea/internal/server"
)

// Bench is a server under test.
type Bench struct {
	Server *server.Server
	Clock  *Clock
	read   map[auth.ID]bool // messages
}

// Clock stands still until it is moved.
type Clock struct {
	mu sync.Mutex
	t  time.Time
}

// Now gives the time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

// Add lets time pass.
func (c *Clock) Add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// countingRand gives the same bytes in every run: SHA-256 of a counter.
type countingRand struct {
	mu  sync.Mutex
	n   uint64
	buf []byte
}

// Read implements io.Reader.
func (c *countingRand) Read(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for n := 0; n < len(p); {
		if len(c.buf) == 0 {
			c.n++
			sum := sha256.Sum256(binary.BigEndian.AppendUint64(nil, c.n))
			c.buf = sum[:]
		}
		k := copy(p[n:], c.buf)
		n, c.buf = n+k, c.buf[k:]
	}
	return len(p), nil
}

// Start makes a server on a fresh SQLite file, with the given settings.
func Start(tb testing.TB, settings ...string) *Bench {
	tb.Helper()
	return start(tb, nil, settings)
}

func start(tb testing.TB, inbox *notify.Inbox, settings []string) *Bench {
	tb.Helper()
	b := &Bench{Clock: &Clock{t: time.Date(2026, 3, 1, 8, 0, 0, 123456000, time.UTC)}, read: map[auth.ID]bool{}}
	env := append([]string{
		"DATABASE_URL=sqlite://" + filepath.Join(tb.TempDir(), "cardea.db"), "CARDEA_MIGRATE_ON_START=true",
		"CARDEA_ENCRYPTION_KEY=000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", "CARDEA_PUBLIC_URL=http://127.0.0.1:9999",
		"CARDEA_PASSWORD_ALGORITHM=bcrypt", "CARDEA_PASSWORD_BCRYPT_COST=4",
	}, settings...)
	cfg, _, err := config.Load(config.Sources{Env: env})
	if err != nil {
		tb.Fatal(err)
	}
	b.Server, err = server.Open(context.Background(), cfg, server.Options{
		Now: b.Clock.Now, Rand: &countingRand{}, Version: "test", Inbox: inbox,
		Log: slog.New(slog.NewTextHandler(tb.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = b.Server.Close() })
	return b
}

// StartWithMail makes a server whose messages arrive in an inbox.
func StartWithMail(tb testing.TB, settings ...string) *Bench {
	tb.Helper()
	b := start(tb, &notify.Inbox{}, settings)
	ln, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.Server.Serve(ctx, ln) }() // nobody calls; it runs the jobs
	tb.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			tb.Error(err)
		}
	})
	return b
}

// Unread waits for a message to an address that has not been read, and gives a part of it:
// its code, token (of the link), link, or kind.
func (b *Bench) Unread(tb testing.TB, to, what string) string {
	tb.Helper()
	for deadline := time.After(10 * time.Second); ; {
		changed := b.Server.Inbox().Changed()
		m := slices.DeleteFunc(b.Server.Inbox().Messages(to), func(m notify.Rendered) bool { return b.read[m.ID] })
		if len(m) > 0 {
			b.read[m[0].ID] = true
			return part(tb, &m[0], what)
		}
		select {
		case <-changed:
		case <-deadline:
			tb.Fatalf("no message to %s", to)
		}
	}
}

func part(tb testing.TB, m *notify.Rendered, what string) string {
	tb.Helper()
	switch what {
	case "code":
		return m.Code
	case "link":
		return m.Link
	case "kind":
		return string(m.Kind)
	case "token":
		u, err := url.Parse(m.Link)
		if err != nil {
			tb.Fatal(err)
		}
		return u.Query().Get("token")
	}
	tb.Fatalf("mail: no such part %q", what)
	return ""
}
