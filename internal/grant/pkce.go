package grant

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
)

// codeLife is how long an authorization code can be exchanged.
const codeLife = 5 * time.Minute

// FlowStore keeps PKCE flows.
type FlowStore interface {
	// TakeFlowState deletes the flow and gives it to one caller only.
	TakeFlowState(ctx context.Context, codeHash string) (auth.FlowState, auth.User, error)
}

// PKCE is the grant that exchanges the code of a link for a session (RFC 7636). The code
// came back through an address bar; the verifier never left the client.
type PKCE struct {
	Store FlowStore
	Now   func() time.Time
}

// Subject implements [Grant]: codes have 256 random bits and can't be guessed.
func (*PKCE) Subject(*Request) string { return "" }

// Prove implements [Grant]. The code is burnt before the verifier is looked at: who has the
// code but not the verifier gets one try, and the owner then knows.
func (g *PKCE) Prove(ctx context.Context, r *Request) (Proof, error) {
	if r.AuthCode == "" || r.CodeVerifier == "" {
		return Proof{}, auth.E(auth.CodeValidation, "invalid request: both auth code and code verifier should be non-empty")
	}
	sum := sha256.Sum256([]byte(r.AuthCode))
	flow, u, err := g.Store.TakeFlowState(ctx, hex.EncodeToString(sum[:]))
	switch {
	case errors.Is(err, auth.ErrNotFound):
		return Proof{}, auth.E(auth.CodeFlowNotFound, "")
	case err != nil:
		return Proof{}, fmt.Errorf("grant: take PKCE flow: %w", err)
	case !g.Now().Before(flow.CodeIssuedAt.Add(codeLife)):
		return Proof{}, auth.E(auth.CodeFlowExpired, "")
	case !fits(&flow, r.CodeVerifier):
		return Proof{}, auth.E(auth.CodeBadVerifier, "")
	}
	return Proof{User: &u, Method: flow.Method}, nil
}

// fits compares in constant time (RFC 7636 §4.6).
func fits(flow *auth.FlowState, verifier string) bool {
	got := verifier
	if flow.ChallengeMethod != "plain" {
		sum := sha256.Sum256([]byte(verifier))
		got = base64.RawURLEncoding.EncodeToString(sum[:])
	}
	return flow.Challenge != "" && subtle.ConstantTimeCompare([]byte(got), []byte(flow.Challenge)) == 1
}
