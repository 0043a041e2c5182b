package grant

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
)

// RefreshParser checks the signature of a refresh token.
type RefreshParser interface {
	// ParseRefresh gives the session and the number of a token that is ours, else an
	// *auth.Error with CodeRefreshMalformed. It does not touch the database.
	ParseRefresh(token string) (session auth.ID, counter int64, err error)
}

// Refresh is the grant of RFC 6749 §6 with rotation and reuse detection (OAuth 2.1 §4.3.1).
type Refresh struct{ Tokens RefreshParser }

// Subject implements [Grant]: a refresh token can't be guessed, so there is no budget to
// take from, and an attacker must not be able to use up somebody's.
func (Refresh) Subject(*Request) string { return "" }

// Prove implements [Grant].
func (g Refresh) Prove(_ context.Context, r *Request) (Proof, error) {
	if r.RefreshToken == "" {
		return Proof{}, auth.E(auth.CodeValidation, "refresh_token required")
	}
	if isOldGoTrue(r.RefreshToken) {
		return Proof{}, auth.E(auth.CodeRefreshNotFound, "")
	}
	session, counter, err := g.Tokens.ParseRefresh(r.RefreshToken)
	if err != nil {
		return Proof{}, err
	}
	return Proof{Refresh: &RefreshProof{session, counter}}, nil
}

// isOldGoTrue recognises GoTrue's first refresh tokens, twelve base32 characters. Clients of
// a replaced GoTrue still hold some: the answer that makes them sign in again is "not
// found", not "malformed".
func isOldGoTrue(token string) bool {
	return len(token) == 12 && strings.Trim(token, "abcdefghijklmnopqrstuvwxyz234567") == ""
}

// continueSession is the issue step of a refresh. The store decides and rotates in one
// statement; docs/design/0002-refresh-tokens.md has the table of cases.
func (p *Pipeline) continueSession(ctx context.Context, r *Request, proof RefreshProof) (auth.SignedIn, error) {
	now := auth.Truncate(p.c.Now())
	auditID, err := auth.NewID(now, p.c.Rand)
	if err != nil {
		return auth.SignedIn{}, err
	}
	rotation := auth.Rotation{
		SessionID: proof.Session, Counter: proof.Counter, At: now, IP: r.IP, UserAgent: r.UserAgent, Grace: p.c.Grace,
		CreatedAfter: before(now, p.c.Timebox), ActiveAfter: before(now, p.c.Inactive),
		ReuseAudit: auth.AuditEntry{
			ID: auditID, At: now, Action: "token_revoked", LogType: "token", IP: r.IP,
			Traits: map[string]any{"reason": "refresh_token_reuse", "session_id": proof.Session.String(), "severity": "high"},
		},
	}
	res, err := p.c.Store.RotateRefresh(ctx, rotation)
	switch {
	case errors.Is(err, auth.ErrNotFound):
		return auth.SignedIn{}, auth.E(auth.CodeRefreshNotFound, "")
	case err != nil:
		return auth.SignedIn{}, fmt.Errorf("grant: rotate refresh token: %w", err)
	}
	switch res.Outcome {
	case auth.Rotated, auth.Replayed:
		return p.signedIn(ctx, &res.User, &res.Session, auth.SignedIn{Refreshed: true, Replayed: res.Outcome == auth.Replayed})
	case auth.Reused:
		return auth.SignedIn{}, auth.E(auth.CodeRefreshReused, "")
	case auth.Expired:
		return auth.SignedIn{}, auth.E(auth.CodeRefreshExpired, "")
	case auth.Banned:
		return auth.SignedIn{}, auth.E(auth.CodeUserBanned, "Invalid Refresh Token: User Banned")
	default:
		return auth.SignedIn{}, fmt.Errorf("grant: refresh outcome %d is not known", res.Outcome)
	}
}

// before is the moment d ago; zero when there is no such limit.
func before(now time.Time, d time.Duration) time.Time {
	if d <= 0 {
		return time.Time{}
	}
	return now.Add(-d)
}
