// Package natsfeed passes the changes of mirrored users on to NATS JetStream. It is a module
// of its own, so that no service gets a NATS client that it does not use.
package natsfeed

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/cardea-auth/cardea/usersync"
)

// Config says where events go.
type Config struct {
	// Name tells this consumer from others, also after a restart; "" means users.
	Name string
	// Prefix begins the subjects: "users" makes users.created, users.updated, users.linked,
	// users.status and users.deleted. "" means users. A stream has to have them.
	Prefix string
}

// Feed is a [usersync.Consumer]. Make one with [New].
type Feed struct {
	js jetstream.JetStream
	c  Config
}

var _ usersync.Consumer = (*Feed)(nil)

// New makes a Feed. The service makes the stream, with the limits that it wants, and closes
// the connection. Core NATS is not enough: it does not say whether anybody has the message.
func New(js jetstream.JetStream, c Config) (*Feed, error) {
	if c.Name == "" {
		c.Name = "users"
	}
	if c.Prefix == "" {
		c.Prefix = "users"
	}
	switch {
	case js == nil:
		return nil, errors.New("natsfeed: no JetStream")
	case strings.ContainsAny(c.Prefix, " \t\r\n*>") || strings.HasPrefix(c.Prefix, ".") || strings.HasSuffix(c.Prefix, "."):
		return nil, fmt.Errorf("natsfeed: Prefix: %q is no subject", c.Prefix)
	}
	return &Feed{js: js, c: c}, nil
}

// Name implements usersync.Consumer.
func (f *Feed) Name() string { return "nats:" + f.c.Name }

// Deliver implements usersync.Consumer: it waits until the stream has stored the event. The
// event's id is the message's, so that JetStream drops repeats within the stream's window
// for duplicates (two minutes unless the stream says otherwise); a receiver that needs more
// drops ids that it has seen.
func (f *Feed) Deliver(ctx context.Context, id string, payload []byte) error {
	var e struct {
		Type string `json:"type"`
	}
	if err := json.Unmarshal(payload, &e); err != nil {
		return fmt.Errorf("natsfeed: event: %w", err)
	}
	_, kind, ok := strings.Cut(e.Type, ".")
	if !ok || kind == "" || strings.ContainsAny(kind, " \t\r\n*>") {
		return fmt.Errorf("natsfeed: event of the type %q", e.Type)
	}
	m := &nats.Msg{Subject: f.c.Prefix + "." + kind, Data: payload, Header: nats.Header{}}
	if _, err := f.js.PublishMsg(ctx, m, jetstream.WithMsgID(id)); err != nil {
		return fmt.Errorf("natsfeed: publish: %w", err)
	}
	return nil
}
