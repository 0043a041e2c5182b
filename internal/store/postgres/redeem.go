package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/cardea-auth/cardea/internal/auth"
)

// Redeeming is one transaction of two round trips. The first locks the accounts that the
// token may belong to, and then, with a snapshot taken after the wait, finds the token: of
// parallel callers the second one finds it gone, or its attempts counted. In between
// auth.Redeem.Plan decides. The second round trip writes and commits.
//
//	$1 hash of the link, or address   $2 purposes   $3 now   $4 hashes of the code
const (
	beginRedeem = `BEGIN ISOLATION LEVEL READ COMMITTED`

	tokenByLink = `t.token_hash = $1 AND t.purpose = ANY ($2::text[])`
	tokenByCode = `t.relates_to = $1 AND t.purpose = ANY ($2::text[])`

	// ARRAY and not IN: without statistics of the tables, a semi-join was planned that looked
	// for tokens of every account there is.
	lockOwners = `SELECT FROM auth.users WHERE deleted_at IS NULL AND id = ANY (ARRAY(SELECT t.user_id FROM auth.one_time_tokens t WHERE `
	inOrder    = `)) ORDER BY id FOR NO KEY UPDATE`

	lockByLink = lockOwners + tokenByLink + inOrder
	lockByCode = lockOwners + tokenByCode + inOrder

	// The tokens are found first, whatever the planner thinks of tables it knows nothing of.
	findToken = `WITH t AS MATERIALIZED (
	SELECT t.id, t.user_id, t.purpose, t.relates_to, t.expires_at, t.paired, t.flow_state_id, t.created_at
	FROM auth.one_time_tokens t WHERE t.expires_at > $3 AND `

	// Two accounts may wait for one address, and their codes may be the same by chance: the
	// newest counts.
	andOwner = `)
` + selectUser + `, t.id, t.purpose, t.relates_to, t.expires_at,
	EXISTS (SELECT FROM auth.user_identifiers i WHERE i.user_id = t.user_id AND i.value = t.relates_to AND i.verified_at IS NOT NULL),
	t.paired,
	EXISTS (SELECT FROM auth.one_time_tokens o WHERE o.user_id = t.user_id AND o.id <> t.id AND o.paired AND o.expires_at > $3
		AND o.token_type IN ('email_change_token_current', 'email_change_token_new')),
	coalesce(u.email_change_confirm_status, 0) = 1,
	coalesce(t.flow_state_id, '00000000-0000-0000-0000-000000000000'), coalesce(f.id, '00000000-0000-0000-0000-000000000000'),
	f.code_challenge, f.code_challenge_method::text, f.authentication_method, f.created_at
FROM t JOIN auth.users u ON u.id = t.user_id LEFT JOIN auth.flow_state f ON f.id = t.flow_state_id
WHERE u.deleted_at IS NULL ORDER BY t.created_at DESC, t.id DESC LIMIT 1 FOR NO KEY UPDATE OF u`

	findByLink = findToken + tokenByLink + andOwner
	findByCode = findToken + tokenByCode + ` AND t.code_hash = ANY ($4::text[]) AND t.code_hash <> ''` + andOwner
)

// RedeemOneTime implements store.OneTimes.
func (s *Store) RedeemOneTime(ctx context.Context, r auth.Redeem) (auth.RedeemResult, error) {
	if r.TokenHash == "" && r.Address == "" {
		return auth.RedeemResult{}, nil
	}
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return auth.RedeemResult{}, storeError("redeem one-time token", err)
	}
	defer conn.Release() // closes the connection if the transaction is still open
	res, err := redeem(ctx, conn, &r)
	if conn.Conn().PgConn().TxStatus() != 'I' && !conn.Conn().IsClosed() {
		if _, rollback := conn.Exec(ctx, "ROLLBACK"); err == nil {
			err = rollback
		}
	}
	if err != nil {
		return auth.RedeemResult{}, storeError("redeem one-time token", err)
	}
	return res, nil
}

func redeem(ctx context.Context, conn *pgxpool.Conn, r *auth.Redeem) (auth.RedeemResult, error) {
	var res auth.RedeemResult
	f, found, err := findOneTime(ctx, conn, r)
	if err != nil {
		return res, err
	}
	if !found {
		if r.TokenHash != "" {
			return res, nil
		}
		return res, wrongTry(ctx, conn, r)
	}
	p, err := r.Plan(&f)
	if err != nil {
		return res, err
	}
	if res.Outcome = p.Outcome; p.Outcome == auth.RedeemRefused {
		return res, nil
	}
	res.Purpose, res.User = f.Token.Purpose, f.User
	switch p.Outcome {
	case auth.RedeemHalf:
		res.User.UpdatedAt = auth.Truncate(r.At)
		return res, redeemHalf(ctx, conn, r, &f)
	case auth.RedeemDone:
		res.FlowState, res.Replaced = p.Flow, p.Replaced
		if res.User, err = redeemDone(ctx, conn, &f, &p); err == nil && p.Session != nil {
			res.Session = *p.Session // with its tenant
		}
	}
	return res, err
}

// findOneTime begins the transaction.
func findOneTime(ctx context.Context, conn *pgxpool.Conn, r *auth.Redeem) (f auth.FoundToken, found bool, err error) {
	purposes := make([]string, len(r.Purposes))
	for i, p := range r.Purposes {
		purposes[i] = string(p)
	}
	hashes := r.CodeHashes
	if hashes == nil {
		hashes = []string{}
	}
	var (
		b       pgx.Batch
		purpose string
	)
	b.Queue(beginRedeem)
	var find *pgx.QueuedQuery
	if r.TokenHash != "" {
		b.Queue(lockByLink, r.TokenHash, purposes)
		find = b.Queue(findByLink, r.TokenHash, purposes, timestamp(r.At))
	} else {
		b.Queue(lockByCode, r.Address, purposes)
		find = b.Queue(findByCode, r.Address, purposes, timestamp(r.At), hashes)
	}
	find.Query(func(rows pgx.Rows) error {
		if !rows.Next() {
			return rows.Err()
		}
		t := &f.Token
		err := scanUser(rows, &f.User, (*[16]byte)(&t.ID), &purpose, &t.Address, (*moment)(&t.ExpiresAt), &f.Further, &f.Paired,
			&f.OtherAlive, &f.OtherProved, (*[16]byte)(&t.FlowState), (*[16]byte)(&f.Flow.ID), (*text)(&f.Flow.Challenge),
			(*text)(&f.Flow.ChallengeMethod), (*text)(&f.Flow.Method), (*moment)(&f.Flow.CreatedAt))
		if err != nil {
			return err
		}
		found = true
		t.UserID, t.Purpose = f.User.ID, auth.Purpose(purpose)
		rows.Close()
		return rows.Err()
	})
	err = conn.SendBatch(ctx, &b).Close()
	return f, found, err
}

const (
	countTry = `
WITH t AS (
	SELECT id, attempts FROM auth.one_time_tokens t WHERE ` + tokenByCode + ` AND expires_at > $3 ORDER BY id FOR UPDATE
), burnt AS (
	DELETE FROM auth.one_time_tokens o USING t WHERE o.id = t.id AND t.attempts + 1 >= $4
)
UPDATE auth.one_time_tokens o SET attempts = o.attempts + 1, updated_at = $3::timestamptz AT TIME ZONE 'utc'
FROM t WHERE o.id = t.id AND t.attempts + 1 < $4`

	// noteTry makes the commit wait for the disk also when no token had its attempts counted:
	// the time of a refusal must not tell whether something was sent to that address.
	noteTry = `SELECT pg_logical_emit_message(true, 'cardea', 'try')`
)

// wrongTry counts a wrong code on the tokens that it was meant for, and commits.
func wrongTry(ctx context.Context, conn *pgxpool.Conn, r *auth.Redeem) error {
	purposes := make([]string, len(r.Purposes))
	for i, p := range r.Purposes {
		purposes[i] = string(p)
	}
	var b pgx.Batch
	b.Queue(countTry, r.Address, purposes, timestamp(r.At), r.MaxAttempts)
	b.Queue(noteTry)
	b.Queue("COMMIT")
	return conn.SendBatch(ctx, &b).Close()
}

// redeemHalf takes the first proof of an e-mail change, and commits.
func redeemHalf(ctx context.Context, conn *pgxpool.Conn, r *auth.Redeem, f *auth.FoundToken) error {
	var b pgx.Batch
	b.Queue(`UPDATE auth.users SET email_change_confirm_status = 1, updated_at = $2 WHERE id = $1`, uuid(f.User.ID), timestamp(r.At))
	b.Queue(`DELETE FROM auth.one_time_tokens WHERE id = $1`, uuid(f.Token.ID))
	b.Queue("COMMIT")
	return conn.SendBatch(ctx, &b).Close()
}

const (
	finishRedeem = `
UPDATE auth.users SET
	email_change = CASE WHEN $2::boolean THEN '' ELSE email_change END,
	email_change_confirm_status = CASE WHEN $2 THEN 0 ELSE email_change_confirm_status END,
	phone_change = CASE WHEN $3::boolean THEN '' ELSE phone_change END,
	last_sign_in_at = coalesce($4::timestamptz, last_sign_in_at)
WHERE id = $1`

	signInIdentity = `UPDATE auth.identities SET last_sign_in_at = $3 WHERE user_id = $1 AND provider = $2`

	redeemSession = `
WITH u AS (
	SELECT id FROM auth.users WHERE id = $14
),` + sessionTenant + `,` + insertSession + `
SELECT (SELECT w.tenant_id FROM w), (SELECT w.role FROM w)`

	giveCode = `
UPDATE auth.flow_state SET user_id = $2, auth_code = $3, auth_code_issued_at = $4, updated_at = $4 WHERE id = $1`

	deleteFlow = `DELETE FROM auth.flow_state WHERE id = $1`
)

// redeemDone writes the plan, commits, and gives the account as it is then. The account is
// locked, so nothing of the plan can have become wrong.
func redeemDone(ctx context.Context, conn *pgxpool.Conn, f *auth.FoundToken, p *auth.RedeemPlan) (auth.User, error) {
	key, id := uuid(f.User.ID), f.User.ID
	var (
		b     pgx.Batch
		user  auth.User
		since pgtype.Timestamptz
	)
	if _, err := queuePatch(&b, id, &p.Patch); err != nil {
		return user, err
	}
	if len(p.Patch.Messages) > 0 {
		b.Queue(enqueueWith, append(messageArgs(p.Patch.Messages), key)...)
	}
	b.Queue(deleteTokens, key)
	if p.DropFactors {
		b.Queue(deleteFactors, key)
		b.Queue(deleteIdentifiers, key)
		b.Queue(deleteProfile, key) // who had not proved anything said all that
		b.Queue(deleteConsents, key)
	}
	if p.Session != nil {
		since = timestamp(p.Session.CreatedAt)
	}
	b.Queue(finishRedeem, key, p.ClearEmailChange, p.ClearPhoneChange, since)
	if p.Session != nil {
		b.Queue(redeemSession, append(sessionArgs(p.Session), key)...).QueryRow(func(row pgx.Row) error {
			return row.Scan((*reference)(&p.Session.TenantID), (*text)(&p.Session.TenantRole))
		})
		b.Queue(signInIdentity, key, p.Provider, since)
	}
	switch {
	case !p.Flow.ID.IsZero():
		b.Queue(giveCode, uuid(p.Flow.ID), key, p.Flow.CodeHash, timestamp(p.Flow.CodeIssuedAt))
	case !f.Token.FlowState.IsZero():
		b.Queue(deleteFlow, uuid(f.Token.FlowState))
	}
	b.Queue(auditChange, append([]any{key}, auditArgs(p.Audit)...)...)
	b.Queue(userByID, key).QueryRow(func(row pgx.Row) error { return scanUser(row, &user) })
	b.Queue("COMMIT")
	err := conn.SendBatch(ctx, &b).Close()
	return user, err
}
