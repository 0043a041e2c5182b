package admin

import (
	"context"
	"net/http"
	"time"
)

// Key is a key that signs tokens, without its secret part.
type Key struct {
	KID         string    `json:"kid"` // "" for a shared secret of the configuration
	Use         string    `json:"use"` // "access", "api_key" or "refresh"
	Algorithm   string    `json:"alg"`
	Status      string    `json:"status"` // "standby", "current", "previous" or "revoked"
	CreatedAt   time.Time `json:"created_at,omitzero"`
	ActivatedAt time.Time `json:"activated_at,omitzero"`
	RetiredAt   time.Time `json:"retired_at,omitzero"`
	RevokedAt   time.Time `json:"revoked_at,omitzero"`
}

// Keys are the keys that sign tokens.
type Keys struct{ c *Client }

// List gives every key, oldest first.
func (k *Keys) List(ctx context.Context) ([]Key, error) {
	out, err := ask[struct {
		Keys []Key `json:"keys"`
	}](ctx, k.c, call{method: http.MethodGet, path: []string{"keys"}})
	return out.Keys, err
}

// Rotate makes the standby key of a use sign from now on and gives it. What the key before
// has signed stays good.
func (k *Keys) Rotate(ctx context.Context, use string) (Key, error) {
	return ask[Key](ctx, k.c, call{method: http.MethodPost, path: []string{"keys", "rotate"}, body: map[string]string{"use": use}})
}

// Revoke stops accepting what a previous key has signed. [CodeConflict] for one that is in use, [CodeNotFound].
func (k *Keys) Revoke(ctx context.Context, kid, reason string) error {
	return k.c.do(ctx, call{method: http.MethodDelete, path: []string{"keys", kid}, reason: reason})
}

// Kinds of an [APIKey].
const (
	KeyPublishable = "publishable" // stands for nobody; may be in a browser
	KeySecret      = "secret"      // may do everything; servers only
)

// APIKey is an opaque API key. Key itself is there once only, when it has just been made.
type APIKey struct {
	ID        string    `json:"id"`
	Name      string    `json:"name"`
	Kind      string    `json:"kind"`
	Prefix    string    `json:"prefix"` // the first characters, to recognise it
	Key       string    `json:"key,omitempty"`
	CreatedAt time.Time `json:"created_at,omitzero"`
	RevokedAt time.Time `json:"revoked_at,omitzero"`
}

// APIKeys are the opaque API keys, sb_publishable_... and sb_secret_...
type APIKeys struct{ c *Client }

// List gives every key, newest first, revoked ones too.
func (k *APIKeys) List(ctx context.Context) ([]APIKey, error) {
	out, err := ask[struct {
		Keys []APIKey `json:"api_keys"`
	}](ctx, k.c, call{method: http.MethodGet, path: []string{"api-keys"}})
	return out.Keys, err
}

// Create makes a key of kind [KeyPublishable] or [KeySecret].
func (k *APIKeys) Create(ctx context.Context, name, kind string) (APIKey, error) {
	return ask[APIKey](ctx, k.c, call{method: http.MethodPost, path: []string{"api-keys"}, body: map[string]string{"name": name, "kind": kind}})
}

// Revoke ends a key; again changes nothing. [CodeNotFound].
func (k *APIKeys) Revoke(ctx context.Context, id, reason string) error {
	return k.c.do(ctx, call{method: http.MethodDelete, path: []string{"api-keys", id}, reason: reason})
}

// DeadMessage is a mail or text message that was given up. What it says is not shown.
type DeadMessage struct {
	ID        string    `json:"id"`
	Channel   string    `json:"channel"`
	Kind      string    `json:"kind"`
	Attempts  int       `json:"attempts"`
	LastError string    `json:"last_error"`
	CreatedAt time.Time `json:"created_at,omitzero"`
	DeadAt    time.Time `json:"dead_at,omitzero"`
}

// Messages are the messages that could not be delivered.
type Messages struct{ c *Client }

// Dead lists messages that were given up, newest first; limit is 1 to 1000, 0 is 50.
func (m *Messages) Dead(ctx context.Context, limit int) ([]DeadMessage, error) {
	out, err := ask[struct {
		Messages []DeadMessage `json:"messages"`
	}](ctx, m.c, call{method: http.MethodGet, path: []string{"messages", "dead"}, query: map[string][]string(params{}.limit(limit))})
	return out.Messages, err
}

// Retry puts a message back into the queue. A code or link that has expired meanwhile is
// given up again. [CodeNotFound].
func (m *Messages) Retry(ctx context.Context, id string) error {
	return m.c.do(ctx, call{method: http.MethodPost, path: []string{"messages", id, "retry"}})
}
