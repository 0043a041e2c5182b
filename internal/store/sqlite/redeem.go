package sqlite

import (
	"context"

	"github.com/cardea-auth/cardea/internal/auth"
)

const (
	findToken = `SELECT ` + userColumns + `, t.id, t.purpose, t.relates_to, t.expires_at,
			EXISTS (SELECT 1 FROM user_identifiers i WHERE i.user_id = t.user_id AND i.value = t.relates_to AND i.verified_at IS NOT NULL),
			t.paired,
			EXISTS (SELECT 1 FROM one_time_tokens o WHERE o.user_id = t.user_id AND o.id <> t.id AND o.paired = 1
				AND o.expires_at > ?2 AND o.` + emailSlots + `),
			coalesce(u.email_change_confirm_status, 0) = 1, t.flow_state_id,
			f.id, f.code_challenge, f.code_challenge_method, f.authentication_method, f.created_at
		FROM one_time_tokens t JOIN users u ON u.id = t.user_id LEFT JOIN flow_state f ON f.id = t.flow_state_id
		WHERE t.expires_at > ?2 AND u.deleted_at IS NULL AND t.purpose IN (SELECT value FROM json_each(?3)) AND `
	// Two accounts may wait for one address, and their codes may be the same by chance: the
	// newest counts.
	newestToken   = ` ORDER BY t.created_at DESC, t.id DESC LIMIT 1`
	sqlFindByLink = findToken + `t.token_hash = ?1` + newestToken
	sqlFindByCode = findToken + `t.relates_to = ?1 AND t.code_hash IN (SELECT value FROM json_each(?4)) AND t.code_hash <> ''` + newestToken

	sqlTried = `SELECT id, attempts FROM one_time_tokens
		WHERE relates_to = ?1 AND expires_at > ?2 AND purpose IN (SELECT value FROM json_each(?3))`
	sqlFinishRedeem = `UPDATE users SET
			email_change = CASE WHEN ?2 THEN '' ELSE email_change END,
			email_change_confirm_status = CASE WHEN ?2 THEN 0 ELSE email_change_confirm_status END,
			phone_change = CASE WHEN ?3 THEN '' ELSE phone_change END,
			last_sign_in_at = coalesce(?4, last_sign_in_at)
		WHERE id = ?1`
	sqlHalf       = `UPDATE users SET email_change_confirm_status = 1, updated_at = ?2 WHERE id = ?1`
	sqlGiveCode   = `UPDATE flow_state SET user_id = ?2, auth_code = ?3, auth_code_issued_at = ?4, updated_at = ?4 WHERE id = ?1`
	sqlDeleteFlow = `DELETE FROM flow_state WHERE id = ?`
)

// RedeemOneTime implements store.OneTimes. The token is looked for under the write lock, so
// of parallel callers the second one finds it gone, or its attempts counted.
func (s *Store) RedeemOneTime(ctx context.Context, r auth.Redeem) (auth.RedeemResult, error) {
	if r.TokenHash == "" && r.Address == "" {
		return auth.RedeemResult{}, nil
	}
	var res auth.RedeemResult
	err := s.write(ctx, "redeem one-time token", func(run runner) error {
		var f auth.FoundToken
		switch err := findOneTime(ctx, run, &r, &f); {
		case isNotFound(err) && r.TokenHash != "":
			return nil
		case isNotFound(err):
			return wrongTry(ctx, run, &r)
		case err != nil:
			return err
		}
		p, err := r.Plan(&f)
		if err != nil {
			return err
		}
		if res.Outcome = p.Outcome; p.Outcome == auth.RedeemRefused {
			return nil
		}
		res.Purpose, res.User = f.Token.Purpose, f.User
		switch p.Outcome {
		case auth.RedeemHalf:
			res.User.UpdatedAt = auth.Truncate(r.At)
			if _, err := exec(ctx, run, sqlHalf, f.User.ID.String(), at(r.At)); err != nil {
				return err
			}
			_, err = exec(ctx, run, sqlDeleteToken, f.Token.ID.String())
			return err
		case auth.RedeemDone:
			res.FlowState, res.Replaced = p.Flow, p.Replaced
			if err := redeemDone(ctx, run, &f, &p, &res.User); err != nil {
				return err
			}
			if p.Session != nil {
				res.Session = *p.Session // with its tenant
			}
		}
		return nil
	})
	if err != nil {
		return auth.RedeemResult{}, err
	}
	return res, nil
}

func findOneTime(ctx context.Context, run runner, r *auth.Redeem, f *auth.FoundToken) error {
	purposes, err := list(r.Purposes)
	if err != nil {
		return err
	}
	query, args := sqlFindByLink, []any{r.TokenHash, at(r.At), purposes}
	if r.TokenHash == "" {
		hashes, err := list(r.CodeHashes)
		if err != nil {
			return err
		}
		query, args = sqlFindByCode, []any{r.Address, at(r.At), purposes, hashes}
	}
	t, purpose := &f.Token, ""
	dest := append(userDest(&f.User), (*uuid)(&t.ID), &purpose, &t.Address, (*micros)(&t.ExpiresAt), &f.Further, &f.Paired, &f.OtherAlive,
		&f.OtherProved, (*uuid)(&t.FlowState), (*uuid)(&f.Flow.ID), (*nullText)(&f.Flow.Challenge),
		(*nullText)(&f.Flow.ChallengeMethod), (*nullText)(&f.Flow.Method), (*micros)(&f.Flow.CreatedAt))
	err = one(ctx, run, query, args, dest...)
	t.UserID, t.Purpose = f.User.ID, auth.Purpose(purpose)
	return err
}

// wrongTry counts a wrong code on the tokens that it was meant for.
func wrongTry(ctx context.Context, run runner, r *auth.Redeem) error {
	purposes, err := list(r.Purposes)
	if err != nil {
		return err
	}
	tried := make(map[string]int)
	err = each(ctx, run, sqlTried, []any{r.Address, at(r.At), purposes}, func(scan func(...any) error) error {
		var (
			id       string
			attempts int
		)
		err := scan(&id, &attempts)
		tried[id] = attempts
		return err
	})
	if err != nil {
		return err
	}
	for id, attempts := range tried {
		if err := countTry(ctx, run, id, attempts, r.MaxAttempts, r.At); err != nil {
			return err
		}
	}
	return nil
}

// redeemDone writes the plan and reads the account as it is then.
func redeemDone(ctx context.Context, run runner, f *auth.FoundToken, p *auth.RedeemPlan, after *auth.User) error {
	id := f.User.ID
	if err := applyPatch(ctx, run, &f.User, &p.Patch); err != nil {
		return err
	}
	if err := insertMessages(ctx, run, p.Patch.Messages); err != nil {
		return err
	}
	if _, err := exec(ctx, run, sqlDeleteTokens, id.String()); err != nil {
		return err
	}
	if p.DropFactors {
		// Who had not proved anything said all that.
		for _, text := range []string{sqlDeleteFactors, sqlDeleteProfile, sqlDeleteIdentifiers, sqlDeleteConsents, sqlDeleteConsentEvents} {
			if _, err := exec(ctx, run, text, id.String()); err != nil {
				return err
			}
		}
	}
	var since any
	if p.Session != nil {
		since = at(p.Session.CreatedAt)
	}
	if _, err := exec(ctx, run, sqlFinishRedeem, id.String(), flag(p.ClearEmailChange), flag(p.ClearPhoneChange), since); err != nil {
		return err
	}
	if p.Session != nil {
		if err := insertSession(ctx, run, p.Session); err != nil {
			return err
		}
		if _, err := exec(ctx, run, sqlIdentitySignIn, id.String(), p.Provider, since); err != nil {
			return err
		}
	}
	if err := finishFlow(ctx, run, f, p); err != nil {
		return err
	}
	if err := insertAudit(ctx, run, p.Audit); err != nil {
		return err
	}
	return one(ctx, run, sqlUserByID, []any{id.String()}, userDest(after)...)
}

// finishFlow gives the PKCE flow of the token its code, or ends it.
func finishFlow(ctx context.Context, run runner, f *auth.FoundToken, p *auth.RedeemPlan) (err error) {
	switch {
	case !p.Flow.ID.IsZero():
		_, err = exec(ctx, run, sqlGiveCode, p.Flow.ID.String(), f.User.ID.String(), p.Flow.CodeHash, at(p.Flow.CodeIssuedAt))
	case !f.Token.FlowState.IsZero():
		_, err = exec(ctx, run, sqlDeleteFlow, f.Token.FlowState.String())
	}
	return err
}
