package flow

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/token"
)

// OperationsStore is what Operations needs of a database.
type OperationsStore interface {
	WriteAudit(ctx context.Context, entries ...auth.AuditEntry) error
	DeadMessages(ctx context.Context, limit int) ([]auth.Message, error)
	RetryMessage(ctx context.Context, id auth.ID, at time.Time) error
}

// KeyRing are the keys that sign tokens; see token.Ring.
type KeyRing interface {
	List() []auth.SigningKey
	Rotate(ctx context.Context, use auth.KeyUse) (auth.SigningKey, error)
	Revoke(ctx context.Context, kid string) error
}

// APIKeyMaker keeps the opaque API keys; see token.APIKeys.
type APIKeyMaker interface {
	Create(ctx context.Context, name, kind string) (plain string, k auth.APIKey, err error)
	List(ctx context.Context) ([]auth.APIKey, error)
	Revoke(ctx context.Context, id auth.ID) error
}

// Operations are what operators do to the server as a whole: keys, the role catalogue,
// messages that were given up. Whoever calls it has been proved to be an operator. What
// changes something is written to the audit log first, so that nothing is done that is not
// in it.
type Operations struct {
	c     Config
	store OperationsStore
	ring  KeyRing
	keys  APIKeyMaker
}

// NewOperations makes Operations. Of c, Now and Rand are needed.
func NewOperations(c Config, store OperationsStore, ring KeyRing, keys APIKeyMaker) *Operations {
	return &Operations{c, store, ring, keys}
}

// Record writes an audit entry for something that the caller is about to do. action is a
// verb, such as "roles_reload".
func (o *Operations) Record(ctx context.Context, a Actor, action, logType string, traits map[string]any) error {
	if err := checkReason(a.Reason); err != nil {
		return err
	}
	entry, err := o.c.audit(action, logType, a.Caller.IP)
	if err != nil {
		return err
	}
	meta := a.Caller.Meta
	meta.Reason = strings.TrimSpace(a.Reason)
	entry.ActorID, entry.ActorUsername = a.Caller.UserID, auth.RoleServiceRole
	entry.Traits = operatorTraits(meta, traits)
	if err := o.store.WriteAudit(ctx, entry); err != nil {
		return fmt.Errorf("flow: write audit: %w", err)
	}
	return nil
}

// operatorTraits adds what is known of an operator and his reason.
func operatorTraits(meta auth.Meta, traits map[string]any) map[string]any {
	if meta.APIKey != "" {
		traits["api_key"] = meta.APIKey
	}
	if meta.Reason != "" {
		traits["reason"] = meta.Reason
	}
	return traits
}

func checkReason(reason string) error {
	if !auth.CleanText(reason) || utf8.RuneCountInString(reason) > maxReason {
		return auth.E(auth.CodeValidation, fmt.Sprintf("reason must have at most %d characters that can be stored", maxReason))
	}
	return nil
}

// Keys gives the signing keys without their secret parts, oldest first.
func (o *Operations) Keys() []auth.SigningKey { return o.ring.List() }

// RotateKeys makes the standby key of a use current. Errors: CodeValidation for an unknown
// use, CodeFeatureDisabled for keys of the configuration, CodeConflict when somebody else
// rotated at the same time.
func (o *Operations) RotateKeys(ctx context.Context, a Actor, use auth.KeyUse) (auth.SigningKey, error) {
	switch use {
	case auth.KeyUseAccess, auth.KeyUseAPIKey, auth.KeyUseRefresh:
	default:
		return auth.SigningKey{}, auth.E(auth.CodeValidation, "use must be access, api_key or refresh")
	}
	if err := o.Record(ctx, a, "key_rotate", "key", map[string]any{"use": string(use)}); err != nil {
		return auth.SigningKey{}, err
	}
	k, err := o.ring.Rotate(ctx, use)
	if err != nil {
		return auth.SigningKey{}, keyError(err)
	}
	return k, nil
}

// RevokeKey stops accepting what a previous key has signed. Errors: CodeBadID for an unknown
// key, CodeConflict for one that is in use, CodeFeatureDisabled for one of the configuration.
func (o *Operations) RevokeKey(ctx context.Context, a Actor, kid string) error {
	known := false
	for _, k := range o.ring.List() {
		known = known || k.ID == kid && kid != ""
	}
	if !known { // nothing that a caller made up gets into the log or to the database
		return auth.E(auth.CodeBadID, "There is no such key")
	}
	if err := o.Record(ctx, a, "key_revoke", "key", map[string]any{"kid": kid}); err != nil {
		return err
	}
	return keyError(o.ring.Revoke(ctx, kid))
}

// keyError says what an error of the ring means for an operator.
func keyError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, token.ErrConfigured):
		return &auth.Error{Code: auth.CodeFeatureDisabled, Message: "These keys come from the configuration: change them there", Cause: err}
	case errors.Is(err, token.ErrInUse):
		return &auth.Error{Code: auth.CodeConflict, Message: "The key is in use: rotate first, then revoke it", Cause: err}
	case errors.Is(err, token.ErrNoStandby), errors.Is(err, auth.ErrConflict):
		return auth.Wrap(auth.CodeConflict, err)
	case errors.Is(err, auth.ErrNotFound):
		return auth.E(auth.CodeBadID, "There is no such key")
	}
	return fmt.Errorf("flow: keys: %w", err)
}

// APIKeys lists the opaque API keys, newest first, revoked ones included.
func (o *Operations) APIKeys(ctx context.Context) ([]auth.APIKey, error) {
	list, err := o.keys.List(ctx)
	if err != nil {
		return nil, fmt.Errorf("flow: %w", err)
	}
	return list, nil
}

// CreateAPIKey makes an opaque key; plain is the only copy. CodeValidation.
func (o *Operations) CreateAPIKey(ctx context.Context, a Actor, name, kind string) (plain string, k auth.APIKey, err error) {
	if kind != auth.APIKeyPublishable && kind != auth.APIKeySecret || !auth.CleanText(name) || len(name) > 400 {
		return "", auth.APIKey{}, auth.E(auth.CodeValidation, "kind must be publishable or secret, name at most 100 characters")
	}
	if err := o.Record(ctx, a, "api_key_create", "key", map[string]any{"name": name, "kind": kind}); err != nil {
		return "", auth.APIKey{}, err
	}
	plain, k, err = o.keys.Create(ctx, name, kind)
	if err != nil {
		return "", auth.APIKey{}, fmt.Errorf("flow: %w", err)
	}
	return plain, k, nil
}

// RevokeAPIKey ends an opaque key; again changes nothing. CodeBadID for an unknown one.
func (o *Operations) RevokeAPIKey(ctx context.Context, a Actor, id auth.ID) error {
	if err := o.Record(ctx, a, "api_key_revoke", "key", map[string]any{"id": id.String()}); err != nil {
		return err
	}
	err := o.keys.Revoke(ctx, id)
	if errors.Is(err, auth.ErrNotFound) {
		return auth.E(auth.CodeBadID, "There is no such key")
	}
	if err != nil {
		return fmt.Errorf("flow: %w", err)
	}
	return nil
}

// DeadMessages lists messages that were given up, newest first.
func (o *Operations) DeadMessages(ctx context.Context, limit int) ([]auth.Message, error) {
	list, err := o.store.DeadMessages(ctx, limit)
	if err != nil {
		return nil, fmt.Errorf("flow: dead messages: %w", err)
	}
	return list, nil
}

// RetryMessage puts a message that was given up back into the queue. CodeBadID when there is
// no such one.
func (o *Operations) RetryMessage(ctx context.Context, a Actor, id auth.ID) error {
	if err := o.Record(ctx, a, "message_retry", "user", map[string]any{"message_id": id.String()}); err != nil {
		return err
	}
	err := o.store.RetryMessage(ctx, id, o.c.now())
	if errors.Is(err, auth.ErrNotFound) {
		return auth.E(auth.CodeBadID, "There is no such message that was given up")
	}
	if err != nil {
		return fmt.Errorf("flow: retry message: %w", err)
	}
	return nil
}
