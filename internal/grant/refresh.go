package grant

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/token"
)

// RefreshParser checks the signature of a refresh token.
type RefreshParser interface {
	// ParseRefresh gives the session and the number of a token that is ours, else an
	// *auth.Error with CodeRefreshMalformed. It does not touch the database.
	ParseRefresh(token string) (session auth.ID, counter int64, err error)
}

// Legacy knows the refresh tokens of a GoTrue whose schema was taken over. The tokens of
// each session stand for one number of ours, with which the session goes on.
type Legacy interface {
	// LegacyToken gives the session of a token of GoTrue's first kind, and 0 for one that
	// was still good, auth.RefreshOutdated for an older one. auth.ErrNotFound for any other.
	LegacyToken(ctx context.Context, token string) (session auth.ID, number int64, err error)
	// LegacyKey gives the key of a session's tokens of the second kind, and the number of the
	// newest that was made with it. auth.ErrNotFound when there is none.
	LegacyKey(ctx context.Context, session auth.ID) (key []byte, newest int64, err error)
}

// Refresh is the grant of RFC 6749 §6 with rotation and reuse detection (OAuth 2.1 §4.3.1).
type Refresh struct {
	Tokens RefreshParser
	Legacy Legacy // nil: no GoTrue was replaced
}

// Subject implements [Grant]: a refresh token can't be guessed, so there is no budget to
// take from, and an attacker must not be able to use up somebody's.
func (Refresh) Subject(*Request) string { return "" }

// Prove implements [Grant].
func (g Refresh) Prove(ctx context.Context, r *Request) (Proof, error) {
	if r.RefreshToken == "" {
		return Proof{}, auth.E(auth.CodeValidation, "refresh_token required")
	}
	if isOldGoTrue(r.RefreshToken) {
		return g.proveOld(ctx, r.RefreshToken)
	}
	session, counter, err := g.Tokens.ParseRefresh(r.RefreshToken)
	if err != nil {
		return g.proveForeign(ctx, r.RefreshToken, err)
	}
	return Proof{Refresh: &RefreshProof{session, counter}}, nil
}

// isOldGoTrue recognises GoTrue's first refresh tokens, twelve base32 characters. Clients of
// a replaced GoTrue still hold some: where its sessions were not taken over, the answer that
// makes them sign in again is "not found", not "malformed".
func isOldGoTrue(token string) bool {
	return len(token) == 12 && strings.Trim(token, "abcdefghijklmnopqrstuvwxyz234567") == ""
}

// proveOld looks a token of GoTrue's first kind up in its table.
func (g Refresh) proveOld(ctx context.Context, text string) (Proof, error) {
	if g.Legacy == nil {
		return Proof{}, auth.E(auth.CodeRefreshNotFound, "")
	}
	session, number, err := g.Legacy.LegacyToken(ctx, text)
	switch {
	case errors.Is(err, auth.ErrNotFound):
		return Proof{}, auth.E(auth.CodeRefreshNotFound, "")
	case err != nil:
		return Proof{}, fmt.Errorf("grant: refresh token of GoTrue: %w", err)
	}
	return Proof{Refresh: &RefreshProof{session, number}}, nil
}

// proveForeign tries the key that GoTrue has left in the session's row; refused is the
// answer when that is none either. The key lies in the database: whoever reads that can
// make tokens with it. So it counts up to the number that GoTrue had come to, and no
// further: once the session has gone on with us, such a token is an old copy.
func (g Refresh) proveForeign(ctx context.Context, text string, refused error) (Proof, error) {
	t, ok := token.ReadRefresh(text)
	if g.Legacy == nil || !ok { // a mistyped token costs no question
		return Proof{}, refused
	}
	key, newest, err := g.Legacy.LegacyKey(ctx, t.Session)
	switch {
	case errors.Is(err, auth.ErrNotFound):
		return Proof{}, refused
	case err != nil:
		return Proof{}, fmt.Errorf("grant: refresh token of GoTrue: %w", err)
	case !t.MadeWith(key) || t.Counter > newest:
		return Proof{}, refused
	}
	return Proof{Refresh: &RefreshProof{t.Session, t.Counter}}, nil
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
