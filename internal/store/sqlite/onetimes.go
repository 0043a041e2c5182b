package sqlite

import (
	"context"
	"slices"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
)

const (
	sqlIssue = `UPDATE users SET updated_at = ?2, confirmation_sent_at = ?3, recovery_sent_at = ?4, email_change_sent_at = ?5,
			phone_change_sent_at = ?6, reauthentication_sent_at = ?7, email_change = ?8, phone_change = ?9, invited_at = ?10
		WHERE id = ?1`
	sqlChangeStatus = `UPDATE users SET email_change_confirm_status = ?2 WHERE id = ?1`
	sqlEmailTaken   = `SELECT 1 FROM users WHERE email = ?1 AND is_sso_user = 0 AND id <> ?2`
	sqlPhoneTaken   = `SELECT 1 FROM users WHERE phone = ?1 AND id <> ?2`

	emailSlots = `token_type IN ('email_change_token_current', 'email_change_token_new')`

	sqlInsertToken = `INSERT INTO one_time_tokens (id, user_id, token_type, token_hash, relates_to, created_at, updated_at, purpose,
			code_hash, flow_state_id, expires_at)
		VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6, ?7, ?8, ?9, ?10)
		ON CONFLICT (user_id, token_type) DO UPDATE SET id = excluded.id, token_hash = excluded.token_hash,
			relates_to = excluded.relates_to, created_at = excluded.created_at, updated_at = excluded.updated_at,
			purpose = excluded.purpose, code_hash = excluded.code_hash, flow_state_id = excluded.flow_state_id,
			expires_at = excluded.expires_at, attempts = 0, paired = 0`
	sqlDeleteTokens = `DELETE FROM one_time_tokens WHERE user_id = ?`
	sqlDeleteToken  = `DELETE FROM one_time_tokens WHERE id = ?`
	// The token of an address that no longer waits must not count as the other half of the
	// proof of the new one.
	sqlDeleteStaleHalves = `DELETE FROM one_time_tokens WHERE user_id = ?1 AND ` + emailSlots + ` AND (?3 OR expires_at <= ?2)`
	sqlPairTokens        = `UPDATE one_time_tokens SET paired = 1 WHERE user_id = ?1 AND ` + emailSlots + `
			AND (SELECT count(*) FROM one_time_tokens o WHERE o.user_id = ?1 AND o.` + emailSlots + `) = 2`

	sqlInsertFlow = `INSERT INTO flow_state (id, user_id, code_challenge_method, code_challenge, provider_type,
			authentication_method, created_at, updated_at, auth_code, auth_code_issued_at)
		VALUES (?1, ?2, ?3, ?4, 'email', ?5, ?6, ?6, ?7, ?8)`
	sqlTakeFlow = `DELETE FROM flow_state
		WHERE auth_code = ? AND auth_code IS NOT NULL AND user_id IS NOT NULL AND auth_code_issued_at IS NOT NULL
		RETURNING id, user_id, code_challenge, code_challenge_method, authentication_method, auth_code, created_at,
			auth_code_issued_at`

	sqlNonce = `SELECT id, code_hash, attempts FROM one_time_tokens
		WHERE user_id = ?1 AND token_type = 'reauthentication_token' AND purpose = ?2 AND expires_at > ?3`
	sqlCountTry = `UPDATE one_time_tokens SET attempts = attempts + 1, updated_at = ?2 WHERE id = ?1`

	sqlDeleteExpiredTokens = `DELETE FROM one_time_tokens WHERE id IN (
			SELECT id FROM one_time_tokens WHERE expires_at < ?1 ORDER BY expires_at LIMIT ?2)`
	// A link may live longer than what the caller thinks old.
	sqlDeleteOldFlows = `DELETE FROM flow_state WHERE id IN (
			SELECT f.id FROM flow_state f
			WHERE f.created_at < ?1 AND (f.auth_code_issued_at IS NULL OR f.auth_code_issued_at < ?1)
				AND NOT EXISTS (SELECT 1 FROM one_time_tokens t WHERE t.flow_state_id = f.id AND t.expires_at >= ?1)
			LIMIT ?2)`
)

// IssueOneTime implements store.OneTimes.
func (s *Store) IssueOneTime(ctx context.Context, i auth.IssueOneTime) error {
	return s.write(ctx, "issue one-time token", func(r runner) error {
		var u auth.User
		if err := one(ctx, r, sqlUserByID, []any{i.UserID.String()}, userDest(&u)...); err != nil {
			return err
		}
		if !i.RequireSession.IsZero() {
			if err := hasSession(ctx, r, i.RequireSession, i.UserID); err != nil {
				return err
			}
		}
		sent := sentAt(&u, i.Tokens)
		for _, t := range sent {
			if !i.NotSince.IsZero() && t.After(i.NotSince) {
				return auth.ErrTooSoon
			}
		}
		if err := mayWait(ctx, r, &i); err != nil {
			return err
		}
		for _, t := range sent {
			*t = i.At
		}
		newAddress := i.EmailChange != nil && *i.EmailChange != u.EmailChange
		set(&u.EmailChange, i.EmailChange)
		set(&u.PhoneChange, i.PhoneChange)
		if i.Invited {
			u.InvitedAt = i.At
		}
		if _, err := exec(ctx, r, sqlIssue, u.ID.String(), at(i.At), at(u.ConfirmationSentAt), at(u.RecoverySentAt),
			at(u.EmailChangeSentAt), at(u.PhoneChangeSentAt), at(u.ReauthenticationSentAt), u.EmailChange, u.PhoneChange,
			at(u.InvitedAt)); err != nil {
			return err
		}
		if _, err := exec(ctx, r, sqlDeleteStaleHalves, u.ID.String(), at(i.At), flag(newAddress)); err != nil {
			return err
		}
		if err := insertProof(ctx, r, u.ID, i.Tokens, i.FlowState, i.Messages); err != nil {
			return err
		}
		if slices.ContainsFunc(i.Tokens, func(t auth.OneTime) bool { return isHalf(t.Purpose) }) {
			if err := pairHalves(ctx, r, u.ID); err != nil {
				return err
			}
		}
		return insertAudit(ctx, r, i.Audit...)
	})
}

// isHalf reports whether a token can be one of two proofs.
func isHalf(p auth.Purpose) bool { return p == auth.PurposeEmailCurrent || p == auth.PurposeEmailNew }

// pairHalves begins the two proofs of an e-mail change anew.
func pairHalves(ctx context.Context, r runner, user auth.ID) error {
	if _, err := exec(ctx, r, sqlChangeStatus, user.String(), 0); err != nil {
		return err
	}
	_, err := exec(ctx, r, sqlPairTokens, user.String())
	return err
}

// sentAt gives the times of the last messages of the slots of tokens.
func sentAt(u *auth.User, tokens []auth.OneTime) []*time.Time {
	var times []*time.Time
	for i := range tokens {
		switch tokens[i].Purpose {
		case auth.PurposeSignup, auth.PurposeInvite, auth.PurposeSMS:
			times = append(times, &u.ConfirmationSentAt)
		case auth.PurposeMagicLink, auth.PurposeRecovery:
			times = append(times, &u.RecoverySentAt)
		case auth.PurposeEmailCurrent, auth.PurposeEmailNew:
			times = append(times, &u.EmailChangeSentAt)
		case auth.PurposePhoneChange:
			times = append(times, &u.PhoneChangeSentAt)
		case auth.PurposeReauthenticate:
			times = append(times, &u.ReauthenticationSentAt)
		}
	}
	return times
}

// mayWait refuses waiting addresses that another account has.
func mayWait(ctx context.Context, r runner, i *auth.IssueOneTime) error {
	for _, c := range []struct {
		address *string
		query   string
		taken   error
	}{{i.EmailChange, sqlEmailTaken, auth.ErrEmailTaken}, {i.PhoneChange, sqlPhoneTaken, auth.ErrPhoneTaken}} {
		if c.address == nil || *c.address == "" || i.AllowTaken {
			continue
		}
		var exists int
		switch err := one(ctx, r, c.query, []any{*c.address, i.UserID.String()}, &exists); {
		case err == nil:
			return c.taken
		case !isNotFound(err):
			return err
		}
	}
	return nil
}

// insertProof inserts what proves an address.
func insertProof(ctx context.Context, r runner, user auth.ID, tokens []auth.OneTime, f *auth.FlowState, messages []auth.Message) error {
	for i := range tokens {
		t := &tokens[i]
		hash := t.TokenHash
		if hash == "" { // the column may not be empty; this is no hash of anything
			hash = "no link " + t.ID.String()
		}
		if _, err := exec(ctx, r, sqlInsertToken, t.ID.String(), user.String(), t.Purpose.Slot(), hash, t.Address,
			at(t.CreatedAt), string(t.Purpose), t.CodeHash, idOrNull(t.FlowState), at(t.ExpiresAt)); err != nil {
			return err
		}
	}
	if f != nil {
		if _, err := exec(ctx, r, sqlInsertFlow, f.ID.String(), idOrNull(f.UserID), str(f.ChallengeMethod), f.Challenge, f.Method,
			at(f.CreatedAt), str(f.CodeHash), at(f.CodeIssuedAt)); err != nil {
			return err
		}
	}
	return insertMessages(ctx, r, messages)
}

func idOrNull(id auth.ID) any {
	if id.IsZero() {
		return nil
	}
	return id.String()
}

// CheckNonce implements store.OneTimes.
func (s *Store) CheckNonce(ctx context.Context, user auth.ID, codeHashes []string, now time.Time, maxAttempts int) (bool, error) {
	var ok bool
	err := s.write(ctx, "check nonce", func(r runner) error {
		var (
			id, hash string
			attempts int
		)
		err := one(ctx, r, sqlNonce, []any{user.String(), string(auth.PurposeReauthenticate), at(now)}, &id, &hash, &attempts)
		if isNotFound(err) {
			return nil
		}
		if err != nil {
			return err
		}
		ok = hash != "" && slices.Contains(codeHashes, hash)
		if ok {
			_, err = exec(ctx, r, sqlDeleteToken, id)
			return err
		}
		return countTry(ctx, r, id, attempts, maxAttempts, now)
	})
	return ok && err == nil, err
}

// countTry counts a wrong code, and deletes the token with the last one allowed.
func countTry(ctx context.Context, r runner, token string, attempts, maxAttempts int, now time.Time) (err error) {
	if attempts+1 >= maxAttempts {
		_, err = exec(ctx, r, sqlDeleteToken, token)
	} else {
		_, err = exec(ctx, r, sqlCountTry, token, at(now))
	}
	return err
}

// TakeFlowState implements store.OneTimes.
func (s *Store) TakeFlowState(ctx context.Context, codeHash string) (auth.FlowState, auth.User, error) {
	if codeHash == "" {
		return auth.FlowState{}, auth.User{}, auth.ErrNotFound
	}
	var (
		f auth.FlowState
		u auth.User
	)
	gone := false
	err := s.write(ctx, "take PKCE flow", func(r runner) error {
		err := one(ctx, r, sqlTakeFlow, []any{codeHash}, (*uuid)(&f.ID), (*uuid)(&f.UserID), (*nullText)(&f.Challenge),
			(*nullText)(&f.ChallengeMethod), (*nullText)(&f.Method), (*nullText)(&f.CodeHash), (*micros)(&f.CreatedAt),
			(*micros)(&f.CodeIssuedAt))
		if err != nil {
			return err
		}
		err = one(ctx, r, sqlUserByID, []any{f.UserID.String()}, userDest(&u)...)
		if gone = isNotFound(err); gone {
			return nil // the code is used up all the same
		}
		return err
	})
	if err == nil && gone {
		err = auth.ErrNotFound
	}
	if err != nil {
		return auth.FlowState{}, auth.User{}, err
	}
	return f, u, nil
}

// DeleteExpiredOneTimes implements store.OneTimes.
func (s *Store) DeleteExpiredOneTimes(ctx context.Context, before time.Time, limit int) (int64, error) {
	if limit <= 0 {
		return 0, nil
	}
	const op = "delete expired one-time tokens"
	tokens, err := s.deleteOld(ctx, op, sqlDeleteExpiredTokens, before, limit)
	if err != nil {
		return 0, err
	}
	flows, err := s.deleteOld(ctx, op, sqlDeleteOldFlows, before, limit)
	if err != nil {
		return tokens, err
	}
	waiting, err := s.deleteOld(ctx, op, sqlDeleteOldIdentifiers, before, limit)
	return tokens + flows + waiting, err
}
