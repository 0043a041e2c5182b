package usersync

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/cardea-auth/cardea"
)

// The codes of [Syncer.Webhook], besides those of package cardea.
const (
	CodeSignature cardea.Code = "INVALID_SIGNATURE_HEADER" // 401: nobody who knows a secret sent this
	CodeTooOld    cardea.Code = "WEBHOOK_TOO_OLD"          // 401: more than 300 s old, or ahead
	CodeReplayed  cardea.Code = "WEBHOOK_REPLAYED"         // 409: this message was received before
)

// WebhookConfig is one sender of news about users.
type WebhookConfig struct {
	// Issuer is whose users the sender speaks of. A message can't name another one.
	Issuer string
	// Secrets are those of the sender, "whsec_..." or Supabase's "v1,whsec_...". During a
	// rotation both the old and the new one count.
	Secrets []string
	// MaxBody is the longest message in bytes; 0 means 256 KiB.
	MaxBody int64
}

// Webhook gives the handler for the issuer's own news: a user was created, changed, banned
// or deleted. It takes
//
//   - Supabase's and Cardea's hook after-user-created: {"metadata": ..., "user": {...}};
//   - a database webhook of the table auth.users: {"type": "INSERT", "UPDATE" or "DELETE",
//     "schema", "table", "record", "old_record"}.
//
// Other messages are answered 200 and ignored. The signature is that of Standard Webhooks
// and is checked before anything is parsed: 401; a message that is more than 300 s old: 401;
// one that was received before: 409. Both, the message and the mark that it was received, are
// in one transaction, so a message whose work failed may come again.
func (s *Syncer) Webhook(c WebhookConfig) (http.Handler, error) {
	keys, err := parseSecrets(c.Secrets)
	if err != nil {
		return nil, fmt.Errorf("usersync: webhook: %w", err)
	}
	if c.Issuer == "" || c.MaxBody < 0 {
		return nil, errors.New("usersync: webhook: no Issuer, or a negative MaxBody")
	}
	if c.MaxBody == 0 {
		c.MaxBody = 256 << 10
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		status, err := s.receive(w, r, c, keys)
		if err != nil {
			s.c.WriteError(w, r, err)
			return
		}
		answer(w, http.StatusOK, map[string]string{"status": status})
	}), nil
}

// receive gives what became of the message.
func (s *Syncer) receive(w http.ResponseWriter, r *http.Request, c WebhookConfig, keys secrets) (string, error) {
	if r.Method != http.MethodPost {
		return "", cardea.NewError(cardea.CodeMethod, nil)
	}
	body, err := readBody(w, r, c.MaxBody)
	if err != nil {
		return "", err
	}
	m, err := keys.verify(r.Header, body, s.c.Now())
	switch {
	case errors.Is(err, errTooOld):
		return "", refusal(CodeTooOld, http.StatusUnauthorized, "The message is too old", err)
	case err != nil:
		return "", refusal(CodeSignature, http.StatusUnauthorized, "The signature is not right", err)
	}
	id, ok, err := readMessage(body, c.Issuer, m.at, s.c.Now())
	if err != nil {
		return "", cardea.NewError(cardea.CodeRequestInvalid, err)
	}
	if !ok {
		return "ignored", nil
	}
	// The name of the issuer is part of the mark: senders don't know each other's ids.
	once := Once{ID: c.Issuer + " " + m.id, Until: m.at.Add(2 * Tolerance).Truncate(time.Microsecond)}
	got, err := s.sync(r.Context(), Request{Identity: id, Once: once}, s.cache.generation.Load())
	switch {
	case errors.Is(err, ErrReplayed):
		return "", refusal(CodeReplayed, http.StatusConflict, "The message was received before", err)
	case cardea.CodeOf(err) == cardea.CodeUserInactive:
		return "inactive", nil
	case err != nil:
		return "", err
	case got.Created:
		return "created", nil
	}
	return "synced", nil
}

func refusal(code cardea.Code, status int, message string, cause error) error {
	return &cardea.Error{Code: code, Status: status, Message: message, Cause: cause}
}

// readBody reads a bounded body.
func readBody(w http.ResponseWriter, r *http.Request, most int64) ([]byte, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, most))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return nil, cardea.NewError(cardea.CodeBodyTooLarge, err)
	case err != nil:
		return nil, cardea.NewError(cardea.CodeRequestInvalid, err)
	}
	return body, nil
}

// readMessage reads a message whose signature is good. False for one that is about
// something else. at is when it was sent.
func readMessage(body []byte, issuer string, at, now time.Time) (Identity, bool, error) {
	var m struct {
		Type      string      `json:"type"`
		Schema    string      `json:"schema"`
		Table     string      `json:"table"`
		Record    *userRecord `json:"record"`
		OldRecord *userRecord `json:"old_record"`
		User      *userRecord `json:"user"`
		Metadata  struct {
			Name string `json:"name"`
		} `json:"metadata"`
	}
	if err := json.Unmarshal(body, &m); err != nil {
		return Identity{}, false, fmt.Errorf("usersync: message: %w", err)
	}
	var record *userRecord
	deleted := false
	switch {
	case m.User != nil && (m.Metadata.Name == "" || m.Metadata.Name == "after-user-created"):
		record = m.User
	case m.Schema != "auth" || m.Table != "users":
		return Identity{}, false, nil
	case m.Type == "INSERT" || m.Type == "UPDATE":
		record = m.Record
	case m.Type == "DELETE":
		record, deleted = m.OldRecord, true
	default:
		return Identity{}, false, nil
	}
	if record == nil || record.ID == "" {
		return Identity{}, false, errors.New("usersync: message without a user")
	}
	id := record.standing(record.identity(issuer), now)
	if deleted {
		id.Standing = StandingDeleted
	}
	if id.SourceAt.IsZero() || deleted {
		id.SourceAt = at
	}
	if !id.Valid() {
		return Identity{}, false, errors.New("usersync: message about an impossible user")
	}
	return id, true, nil
}
