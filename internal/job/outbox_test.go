package job_test

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/job"
	"github.com/cardea-auth/cardea/internal/notify"
	"github.com/cardea-auth/cardea/internal/seal"
	"github.com/cardea-auth/cardea/internal/store/sqlite"
)

// tally counts what is sent, and fails as it is told.
type tally struct {
	mu   sync.Mutex
	sent map[auth.ID]int
	fail func(auth.ID) error
	done chan struct{} // closed when want messages have been sent
	want int
}

func (c *tally) Send(_ context.Context, m notify.Rendered) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.fail(m.ID); err != nil {
		return err
	}
	if c.sent[m.ID]++; len(c.sent) == c.want {
		close(c.done)
	}
	return nil
}

// The whole way on a real database: sealed, stored, claimed by two nodes at once, opened,
// put into words and sent. Each message arrives once; decoys do not; one that is refused is
// dead and can be brought back.
func TestFromPostboxToSender(t *testing.T) {
	t.Parallel()
	db, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "test.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	if err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	box, err := seal.New([]byte("0123456789abcdefghijklmnopqrstuv"))
	if err != nil {
		t.Fatal(err)
	}
	templates, err := notify.LoadTemplates(notify.TemplatesConfig{SiteName: "Clinic"})
	if err != nil {
		t.Fatal(err)
	}
	post, err := notify.NewPostbox(notify.PostboxConfig{Box: box, PublicURL: "https://auth.example.com", LinkLife: time.Hour, SMSLife: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	const n = 1000
	rows := make([]auth.Message, 0, 2*n)
	for range n {
		m, err := post.Put(time.Now(), notify.Notice{Channel: "email", Kind: "recovery", To: "ada@example.com", Purpose: auth.PurposeRecovery, Code: "123456", Link: "abc"})
		if err != nil {
			t.Fatal(err)
		}
		decoy, err := post.Decoy(time.Now())
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, m, decoy)
	}
	for i := range rows {
		rows[i].CreatedAt, rows[i].NotBefore = auth.Truncate(rows[i].CreatedAt), auth.Truncate(rows[i].NotBefore)
	}
	if err := db.Enqueue(t.Context(), rows); err != nil {
		t.Fatal(err)
	}
	refused := rows[0].ID
	c := &tally{sent: map[auth.ID]int{}, done: make(chan struct{}), want: n - 1, fail: func(id auth.ID) error {
		if id == refused {
			return &notify.Error{Text: "550 no such user ada@example.com", Permanent: true}
		}
		return nil
	}}
	s := job.Sender{Store: db, Now: time.Now, Every: 5 * time.Millisecond, Deliver: &notify.Deliverer{Box: box, Templates: templates, Sender: c}}
	first, second := run(t, s), run(t, s)
	select {
	case <-c.done:
	case <-time.After(time.Minute):
		t.Error("not all messages were sent in a minute")
	}
	first()
	second()
	for id, times := range c.sent {
		if times != 1 {
			t.Errorf("%s was sent %d times", id, times)
		}
	}
	dead, err := db.DeadMessages(t.Context(), 10)
	if err != nil || len(dead) != 1 || dead[0].ID != refused || dead[0].LastError != "550 no such user [removed]" {
		t.Fatalf("%v %+v", err, dead)
	}
	// Brought back, it is sent by whoever comes next, who sends what decoys are left too.
	if err := db.RetryMessage(t.Context(), refused, auth.Truncate(time.Now())); err != nil {
		t.Fatal(err)
	}
	c.mu.Lock()
	c.want, c.done, c.fail = n, make(chan struct{}), func(auth.ID) error { return nil }
	c.mu.Unlock()
	third := run(t, s)
	select {
	case <-c.done:
	case <-time.After(time.Minute):
		t.Error("the message did not come back")
	}
	third()
	if left, err := db.ClaimMessages(t.Context(), auth.Truncate(time.Now().Add(time.Hour)), time.Minute, 10); err != nil || len(left) != 0 && left[0].Channel != notify.ChannelDecoy {
		t.Errorf("%v %+v", err, left)
	}
	if err := db.RetryMessage(t.Context(), refused, time.Now()); !errors.Is(err, auth.ErrNotFound) {
		t.Errorf("still dead: %v", err)
	}
}
