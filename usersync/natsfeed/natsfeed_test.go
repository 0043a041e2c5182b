package natsfeed_test

import (
	"context"
	"encoding/json"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/cardea-auth/cardea"
	"github.com/cardea-auth/cardea/usersync"
	"github.com/cardea-auth/cardea/usersync/natsfeed"
	"github.com/cardea-auth/cardea/usersync/sqlite"
)

// broker is a NATS server on a loopback address.
func broker(t *testing.T) *server.Server {
	t.Helper()
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: t.TempDir(), NoLog: true, NoSigs: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(20 * time.Second) {
		t.Fatal("the broker does not start")
	}
	return s
}

// S3.11: a change reaches a stream, and once, however often it is delivered.
func TestFeed(t *testing.T) {
	t.Parallel()
	conn, err := nats.Connect(broker(t).ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	feed, err := natsfeed.New(js, natsfeed.Config{})
	if err != nil {
		t.Fatal(err)
	}
	db, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "users.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	store, err := sqlite.New(db, sqlite.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1_800_000_000, 0)
	failed := 0
	users, err := usersync.New(usersync.Config{
		Store: store, Consumers: []usersync.Consumer{feed}, Now: func() time.Time { return now },
		OnFailure: func(context.Context, usersync.Failure) { failed++ },
	})
	if err != nil {
		t.Fatal(err)
	}
	p := &cardea.Principal{Issuer: "https://issuer.test", Subject: "ada"}
	if _, err := users.Ensure(t.Context(), p, ""); err != nil {
		t.Fatal(err)
	}
	users.Drain(t.Context()) // no stream has the subject yet
	if failed != 1 {
		t.Errorf("without a stream: %d failures", failed)
	}
	stream, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "USERS", Subjects: []string{"users.>"}})
	if err != nil {
		t.Fatal(err)
	}
	now = now.Add(time.Minute)
	users.Drain(t.Context())
	message, err := stream.GetLastMsgForSubject(t.Context(), "users.created")
	if err != nil {
		t.Fatal(err)
	}
	var e usersync.Event
	if err := json.Unmarshal(message.Data, &e); err != nil || e.Data.User.Subject != "ada" || message.Header.Get("Nats-Msg-Id") != e.ID {
		t.Errorf("%+v, %v, id %s", e, err, message.Header.Get("Nats-Msg-Id"))
	}
	if err := feed.Deliver(t.Context(), e.ID, message.Data); err != nil {
		t.Fatal(err)
	}
	info, err := stream.Info(t.Context())
	if err != nil || info.State.Msgs != 1 {
		t.Errorf("%d messages, %v", info.State.Msgs, err)
	}
}

func TestBadInput(t *testing.T) {
	t.Parallel()
	if _, err := natsfeed.New(nil, natsfeed.Config{}); err == nil {
		t.Error("no JetStream, and no error")
	}
	conn, err := nats.Connect(broker(t).ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	for _, prefix := range []string{"a b", "users.>", "*", ".users", "users."} {
		if _, err := natsfeed.New(js, natsfeed.Config{Prefix: prefix}); err == nil {
			t.Errorf("%q was taken", prefix)
		}
	}
	feed, err := natsfeed.New(js, natsfeed.Config{Name: "n"})
	if err != nil || feed.Name() != "nats:n" {
		t.Fatal(feed, err)
	}
	for _, payload := range []string{"", "{}", `{"type":"user."}`, `{"type":"user.>"}`} {
		if err := feed.Deliver(t.Context(), "1", []byte(payload)); err == nil {
			t.Errorf("%q was published", payload)
		}
	}
}
