package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/cardea-auth/cardea/internal/auth"
)

// Issuing is a batch like an update: locks the account, decides on the newest row, and
// writes what the decision allows. Locks are taken in the order account, then tokens.
const (
	// Reasons are 0 for none, 1 for the session, 2 for too soon, 3 and 4 for a taken address.
	// The token of an address that no longer waits must not count as the other half of the
	// proof of the new one.
	issueOneTime = `
WITH why AS (
	SELECT u.id, u.email_change, CASE
		WHEN $8::uuid IS NOT NULL AND NOT EXISTS (SELECT FROM auth.sessions s WHERE s.id = $8 AND s.user_id = u.id) THEN 1
		WHEN ('confirmation_token' = ANY ($3::text[]) AND u.confirmation_sent_at > $7::timestamptz)
			OR ('recovery_token' = ANY ($3) AND u.recovery_sent_at > $7)
			OR ($3 && '{email_change_token_current,email_change_token_new}' AND u.email_change_sent_at > $7)
			OR ('phone_change_token' = ANY ($3) AND u.phone_change_sent_at > $7)
			OR ('reauthentication_token' = ANY ($3) AND u.reauthentication_sent_at > $7) THEN 2
		WHEN $9::boolean THEN 0
		WHEN $4::text <> '' AND EXISTS (
			SELECT FROM auth.users o WHERE o.email = $4 AND o.is_sso_user = false AND o.id <> u.id) THEN 3
		WHEN $5::text <> '' AND EXISTS (SELECT FROM auth.users o WHERE o.phone = $5 AND o.id <> u.id) THEN 4
		ELSE 0 END AS reason
	FROM auth.users u WHERE u.id = $1 AND u.deleted_at IS NULL
), issued AS (
	UPDATE auth.users u SET updated_at = $2,
		confirmation_sent_at = CASE WHEN 'confirmation_token' = ANY ($3) THEN $2 ELSE u.confirmation_sent_at END,
		recovery_sent_at = CASE WHEN 'recovery_token' = ANY ($3) THEN $2 ELSE u.recovery_sent_at END,
		email_change_sent_at = CASE WHEN $3 && '{email_change_token_current,email_change_token_new}' THEN $2
			ELSE u.email_change_sent_at END,
		email_change_confirm_status = CASE WHEN $3 && '{email_change_token_current,email_change_token_new}' THEN 0
			ELSE u.email_change_confirm_status END,
		phone_change_sent_at = CASE WHEN 'phone_change_token' = ANY ($3) THEN $2 ELSE u.phone_change_sent_at END,
		reauthentication_sent_at = CASE WHEN 'reauthentication_token' = ANY ($3) THEN $2 ELSE u.reauthentication_sent_at END,
		email_change = coalesce($4, u.email_change),
		phone_change = coalesce($5, u.phone_change),
		invited_at = CASE WHEN $6::boolean THEN $2 ELSE u.invited_at END
	FROM why WHERE u.id = why.id AND why.reason = 0
), gone AS (
	DELETE FROM auth.one_time_tokens t USING why
	WHERE why.reason = 0 AND t.user_id = why.id
		AND t.token_type IN ('email_change_token_current', 'email_change_token_new')
		AND (t.expires_at <= $2 OR $4 <> coalesce(why.email_change, ''))
)
SELECT reason FROM why`

	insertTokens = `
INSERT INTO auth.one_time_tokens (id, user_id, token_type, token_hash, relates_to, created_at, updated_at, purpose,
	code_hash, flow_state_id, expires_at)
SELECT n.id, $1, n.slot::auth.one_time_token_type, n.token_hash, n.relates_to, n.created_at AT TIME ZONE 'utc',
	n.created_at AT TIME ZONE 'utc', n.purpose, n.code_hash, n.flow_state_id, n.expires_at
FROM unnest($2::uuid[], $3::text[], $4::text[], $5::text[], $6::timestamptz[], $7::text[], $8::text[], $9::uuid[],
	$10::timestamptz[]) AS n (id, slot, token_hash, relates_to, created_at, purpose, code_hash, flow_state_id, expires_at)
WHERE ` + changed + `
ON CONFLICT (user_id, token_type) DO UPDATE SET id = excluded.id, token_hash = excluded.token_hash,
	relates_to = excluded.relates_to, created_at = excluded.created_at, updated_at = excluded.updated_at,
	purpose = excluded.purpose, code_hash = excluded.code_hash, flow_state_id = excluded.flow_state_id,
	expires_at = excluded.expires_at, attempts = 0, paired = false`

	pairTokens = `
UPDATE auth.one_time_tokens t SET paired = true
WHERE t.user_id = $1 AND t.token_type IN ('email_change_token_current', 'email_change_token_new')
	AND EXISTS (SELECT FROM auth.one_time_tokens o WHERE o.user_id = $1 AND o.id <> t.id
		AND o.token_type IN ('email_change_token_current', 'email_change_token_new'))
	AND ` + changed

	insertFlow = `
INSERT INTO auth.flow_state (id, user_id, code_challenge_method, code_challenge, provider_type, authentication_method,
	created_at, updated_at, auth_code, auth_code_issued_at)
SELECT $2, $3::uuid, nullif($4::text, '')::auth.code_challenge_method, $5::text, 'email', $6::text, $7::timestamptz,
	$7::timestamptz, nullif($8::text, ''), $9::timestamptz
WHERE ` + changed

	deleteTokens = `DELETE FROM auth.one_time_tokens WHERE user_id = $1 AND ` + changed
)

// queueProof adds what proves an address to a batch that has changed the account key.
func queueProof(b *pgx.Batch, key pgtype.UUID, tokens []auth.OneTime, flow *auth.FlowState, messages []auth.Message) {
	if len(tokens) > 0 {
		b.Queue(insertTokens, append([]any{key}, tokenArgs(tokens)...)...)
	}
	if flow != nil {
		b.Queue(insertFlow, key, uuid(flow.ID), uuid(flow.UserID), flow.ChallengeMethod, flow.Challenge, flow.Method,
			timestamp(flow.CreatedAt), flow.CodeHash, timestamp(flow.CodeIssuedAt))
	}
	if len(messages) > 0 {
		b.Queue(enqueueWith, append(messageArgs(messages), key)...)
	}
}

// tokenArgs gives the columns of tokens.
func tokenArgs(list []auth.OneTime) []any {
	n := len(list)
	ids, flows := make([]pgtype.UUID, n), make([]pgtype.UUID, n)
	slots, hashes, addresses := make([]string, n), make([]string, n), make([]string, n)
	purposes, codes := make([]string, n), make([]string, n)
	created, expires := make([]pgtype.Timestamptz, n), make([]pgtype.Timestamptz, n)
	for i := range list {
		t := &list[i]
		ids[i], flows[i], slots[i], addresses[i] = uuid(t.ID), uuid(t.FlowState), t.Purpose.Slot(), t.Address
		purposes[i], codes[i], hashes[i] = string(t.Purpose), t.CodeHash, linkHash(t)
		created[i], expires[i] = timestamp(t.CreatedAt), timestamp(t.ExpiresAt)
	}
	return []any{ids, slots, hashes, addresses, created, purposes, codes, flows, expires}
}

// linkHash is what is stored for the link. GoTrue's column may not be empty, so a token
// without a link has something that is no hash.
func linkHash(t *auth.OneTime) string {
	if t.TokenHash == "" {
		return "no link " + t.ID.String()
	}
	return t.TokenHash
}

// IssueOneTime implements store.OneTimes.
func (s *Store) IssueOneTime(ctx context.Context, i auth.IssueOneTime) error {
	key := uuid(i.UserID)
	slots, change := make([]string, len(i.Tokens)), false
	for n := range i.Tokens {
		p := i.Tokens[n].Purpose
		slots[n] = p.Slot()
		change = change || p == auth.PurposeEmailCurrent || p == auth.PurposeEmailNew
	}
	var (
		b      pgx.Batch
		reason int
	)
	b.Queue(lockUser, key)
	b.Queue(issueOneTime, key, timestamp(i.At), slots, i.EmailChange, i.PhoneChange, i.Invited, timestamp(i.NotSince),
		uuid(i.RequireSession), i.AllowTaken).QueryRow(func(row pgx.Row) error { return row.Scan(&reason) })
	queueProof(&b, key, i.Tokens, i.FlowState, i.Messages)
	if change {
		b.Queue(pairTokens, key)
	}
	if len(i.Audit) > 0 {
		b.Queue(auditChange, append([]any{key}, auditArgs(i.Audit...)...)...)
	}
	if err := s.pool.SendBatch(ctx, &b).Close(); err != nil {
		return storeError("issue one-time token", err)
	}
	switch reason {
	case 0:
		return nil
	case 1:
		return auth.ErrNotFound
	case 2:
		return auth.ErrTooSoon
	case 3:
		return auth.ErrEmailTaken
	case 4:
		return auth.ErrPhoneTaken
	}
	return fmt.Errorf("postgres: issue one-time token: unknown reason %d", reason)
}

// checkNonce is one statement: who waits for the row gets it as the one before left it, or
// not at all when that one has used it up.
const checkNonce = `
WITH t AS (
	SELECT id, attempts, code_hash = ANY ($2::text[]) AND code_hash <> '' AS hit FROM auth.one_time_tokens
	WHERE user_id = $1 AND token_type = 'reauthentication_token' AND purpose = $5 AND expires_at > $3
	FOR UPDATE
), burnt AS (
	DELETE FROM auth.one_time_tokens o USING t WHERE o.id = t.id AND (t.hit OR t.attempts + 1 >= $4)
), counted AS (
	UPDATE auth.one_time_tokens o SET attempts = o.attempts + 1, updated_at = $3::timestamptz AT TIME ZONE 'utc'
	FROM t WHERE o.id = t.id AND NOT t.hit AND t.attempts + 1 < $4
)
SELECT coalesce(bool_or(t.hit), false) FROM t`

// CheckNonce implements store.OneTimes.
func (s *Store) CheckNonce(ctx context.Context, user auth.ID, codeHashes []string, at time.Time, maxAttempts int) (bool, error) {
	if codeHashes == nil {
		codeHashes = []string{}
	}
	var ok bool
	err := s.pool.QueryRow(ctx, checkNonce, uuid(user), codeHashes, timestamp(at), maxAttempts, string(auth.PurposeReauthenticate)).Scan(&ok)
	if err != nil {
		return false, storeError("check nonce", err)
	}
	return ok, nil
}

const takeFlowState = `
WITH f AS (
	DELETE FROM auth.flow_state f WHERE f.auth_code = $1 AND f.user_id IS NOT NULL AND f.auth_code_issued_at IS NOT NULL
	RETURNING *
)
` + selectUser + `, f.id, f.user_id, f.code_challenge, f.code_challenge_method::text, f.authentication_method, f.auth_code, f.created_at,
	f.auth_code_issued_at
FROM f JOIN auth.users u ON u.id = f.user_id WHERE u.deleted_at IS NULL`

// TakeFlowState implements store.OneTimes.
func (s *Store) TakeFlowState(ctx context.Context, codeHash string) (auth.FlowState, auth.User, error) {
	if codeHash == "" {
		return auth.FlowState{}, auth.User{}, auth.ErrNotFound
	}
	var (
		f auth.FlowState
		u auth.User
	)
	err := scanUser(s.pool.QueryRow(ctx, takeFlowState, codeHash), &u, (*[16]byte)(&f.ID), (*[16]byte)(&f.UserID), (*text)(&f.Challenge),
		(*text)(&f.ChallengeMethod), (*text)(&f.Method), (*text)(&f.CodeHash), (*moment)(&f.CreatedAt), (*moment)(&f.CodeIssuedAt))
	if err != nil {
		return auth.FlowState{}, auth.User{}, storeError("take PKCE flow", err)
	}
	return f, u, nil
}

const (
	deleteExpiredTokens = `
DELETE FROM auth.one_time_tokens WHERE id = ANY (ARRAY(
	SELECT id FROM auth.one_time_tokens WHERE expires_at < $1 ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED))`

	// A link may live longer than what the caller thinks old.
	deleteOldFlows = `
DELETE FROM auth.flow_state WHERE id = ANY (ARRAY(
	SELECT f.id FROM auth.flow_state f
	WHERE f.created_at < $1 AND (f.auth_code_issued_at < $1 OR f.auth_code_issued_at IS NULL)
		AND NOT EXISTS (SELECT FROM auth.one_time_tokens t WHERE t.flow_state_id = f.id AND t.expires_at >= $1)
	LIMIT $2 FOR UPDATE OF f SKIP LOCKED))`
)

// DeleteExpiredOneTimes implements store.OneTimes.
func (s *Store) DeleteExpiredOneTimes(ctx context.Context, before time.Time, limit int) (int64, error) {
	if limit <= 0 {
		return 0, nil
	}
	var deleted int64
	for _, sql := range []string{deleteExpiredTokens, deleteOldFlows, deleteOldIdentifiers} {
		tag, err := s.pool.Exec(ctx, sql, timestamp(before), int64(limit))
		if err != nil {
			return deleted, storeError("delete expired one-time tokens", err)
		}
		deleted += tag.RowsAffected()
	}
	return deleted, nil
}
