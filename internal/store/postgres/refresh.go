package postgres

import (
	"context"

	"github.com/cardea-auth/cardea/internal/auth"
)

// rotateRefresh decides and acts in one statement.
//
// FOR NO KEY UPDATE makes callers with the same token queue up, and gives each the row
// as the one before left it; the outcome is computed from that row. The statement reads
// the account without a lock, as it was when the statement began: a ban that comes
// later stops the next refresh.
//
// A session that GoTrue has begun (see [Adopt]) keeps GoTrue's key in its row, and has no
// parent yet: it is the number before. The first rotation by us notes with the key which
// number it came to, so that it makes no token that we would take for one of ours.
//
// Outcomes are the numbers of auth.RotationOutcome; 0 means that there is no such token.
//
//	$1 session   $2 presented number   $3 now   $4 address   $5 user agent
//	$6 start of the grace period   $7 created after   $8 active after
//	$9 to $12 audit entry of a reuse: id, time, payload, address
const rotateRefresh = `
WITH l AS (
	SELECT ` + userColumns + `,
		s.id AS s_id, s.created_at AS s_created_at, s.updated_at AS s_updated_at, s.refreshed_at, s.not_after,
		s.aal::text AS aal, s.user_agent, host(s.ip) AS ip,
		coalesce(s.refresh_token_counter, 0) AS counter, ` + sessionParent + ` AS parent,
		s.name, s.tenant_id, ` + tenantRole + ` AS tenant_role,
		CASE
			WHEN u.banned_until > $3 OR NOT u.is_active THEN 5
			WHEN s.not_after <= $3 OR s.created_at <= $7
				OR coalesce(s.refreshed_at AT TIME ZONE 'utc', s.created_at) <= $8 THEN 4
			WHEN $2 = coalesce(s.refresh_token_counter, 0) THEN 1
			WHEN $2 = ` + sessionParent + `
				THEN CASE WHEN coalesce(s.refreshed_at AT TIME ZONE 'utc', s.created_at) > $6 THEN 2 ELSE 1 END
			WHEN $2 > coalesce(s.refresh_token_counter, 0) THEN 0
			ELSE 3
		END AS outcome
	FROM auth.sessions s JOIN auth.users u ON u.id = s.user_id
	WHERE s.id = $1::uuid AND u.deleted_at IS NULL
	FOR NO KEY UPDATE OF s
), rotated AS (
	UPDATE auth.sessions s SET refresh_token_counter = l.counter + 1, refresh_token_parent = $2::bigint,
		refreshed_at = $3::timestamptz AT TIME ZONE 'utc', updated_at = $3,
		ip = nullif($4::text, '')::inet, user_agent = nullif($5::text, ''),
		refresh_token_hmac_key = CASE WHEN ` + goTruesOwn + `
			THEN 'gotrue:' || l.counter || ':' || s.refresh_token_hmac_key ELSE s.refresh_token_hmac_key END
	FROM l WHERE l.outcome = 1 AND s.id = $1
), ended AS (
	DELETE FROM auth.sessions s USING l WHERE l.outcome = 3 AND s.id = $1
), audited AS (
	INSERT INTO auth.audit_log_entries (instance_id, id, created_at, payload, ip_address)
	SELECT '00000000-0000-0000-0000-000000000000', $9::uuid, $10::timestamptz,
		($11::text::jsonb || jsonb_build_object('actor_id', l.id,
			'actor_username', coalesce(nullif(l.phone, ''), l.email, '')))::json,
		$12::text
	FROM l WHERE l.outcome = 3
)
SELECT ` + userColumns + `,` + userChildren + `,
	u.outcome, u.s_id, u.s_created_at, u.s_updated_at, u.refreshed_at, u.not_after, u.aal, u.user_agent, u.ip,
	u.counter, u.parent,
	ARRAY(SELECT ROW(c.authentication_method, c.updated_at) FROM auth.mfa_amr_claims c
		WHERE c.session_id = u.s_id ORDER BY c.updated_at DESC, c.authentication_method),
	u.name, u.tenant_id, u.tenant_role
FROM l u`

const (
	// goTruesOwn holds of a session that GoTrue has begun, with tokens that have numbers, until
	// we rotate one.
	goTruesOwn = `s.refresh_token_hmac_key IS NOT NULL AND s.refresh_token_hmac_key NOT LIKE 'gotrue:%'`

	sessionParent = `CASE WHEN ` + goTruesOwn + ` THEN coalesce(s.refresh_token_counter, 0) - 1 ELSE s.refresh_token_parent END`
)

// RotateRefresh implements store.Sessions.
func (s *Store) RotateRefresh(ctx context.Context, r auth.Rotation) (auth.RotationResult, error) {
	if r.Counter < 0 && r.Counter != auth.RefreshOutdated { // would match the parent of a session that was never refreshed
		return auth.RotationResult{}, auth.ErrNotFound
	}
	var (
		res     auth.RotationResult
		outcome int32
	)
	se, e := &res.Session, &r.ReuseAudit
	row := s.pool.QueryRow(ctx, rotateRefresh, uuid(r.SessionID), r.Counter, timestamp(r.At), r.IP, r.UserAgent,
		timestamp(r.At.Add(-r.Grace)), timestamp(r.CreatedAfter), timestamp(r.ActiveAfter),
		uuid(e.ID), timestamp(e.At), string(e.Payload()), e.IP)
	err := scanUser(row, &res.User, &outcome, (*[16]byte)(&se.ID), (*moment)(&se.CreatedAt), (*moment)(&se.UpdatedAt),
		(*moment)(&se.RefreshedAt), (*moment)(&se.NotAfter), (*text)(&se.AAL), (*text)(&se.UserAgent), (*text)(&se.IP),
		&se.Counter, &se.Parent, amrRecords(&se.AMR), (*text)(&se.Name), (*reference)(&se.TenantID),
		&tenantRoleOf{&se.TenantID, &se.TenantRole})
	if err != nil {
		return auth.RotationResult{}, storeError("rotate refresh token", err)
	}
	se.UserID = res.User.ID
	res.Outcome = auth.RotationOutcome(outcome)
	switch res.Outcome {
	case auth.RotationUnknown:
		return auth.RotationResult{}, auth.ErrNotFound
	case auth.Rotated:
		se.Counter, se.Parent = se.Counter+1, r.Counter
		at := auth.Truncate(r.At)
		se.RefreshedAt, se.UpdatedAt = at, at
		se.IP, se.UserAgent = r.IP, r.UserAgent
	case auth.Reused: // the row is gone, and nothing of it must be used to make a token
		se.Counter, se.Parent, se.AMR = 0, 0, nil
		se.TenantID, se.TenantRole = auth.ID{}, ""
	}
	return res, nil
}
