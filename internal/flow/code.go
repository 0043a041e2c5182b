package flow

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
)

// CodeHasher hashes codes under a sealed key: they have so few digits that a plain hash of
// one could be turned back by trying them all.
type CodeHasher interface {
	// CodeHashes gives the hash of a code for each key that may have made it; the first is
	// the one for new codes.
	CodeHashes(purpose auth.Purpose, address, code string) []string
}

// maxTries is how many wrong codes an address may be tried with: the sixth kills the code.
const maxTries = 6

// linkSize is the size of a link's token in bytes. As text it has 56 characters, the length
// of GoTrue's.
const linkSize = 28

// pkcePrefix marks the link tokens of PKCE flows, so that the page behind the link knows
// that a code and no session will come back.
const pkcePrefix = "pkce_"

// secretPair is what a message carries: a code to type and a token for the link.
type secretPair struct{ code, link string }

// newOneTime makes a one-time token and what its message carries.
func (c *Config) newOneTime(u auth.ID, p auth.Purpose, address string, flow *auth.FlowState, life time.Duration) (auth.OneTime, secretPair, error) {
	now := c.now()
	id, err := auth.NewID(now, c.Rand)
	if err != nil {
		return auth.OneTime{}, secretPair{}, err
	}
	code, err := digits(c.Rand, c.CodeLength)
	if err != nil {
		return auth.OneTime{}, secretPair{}, err
	}
	raw := make([]byte, linkSize)
	if _, err := io.ReadFull(c.Rand, raw); err != nil {
		return auth.OneTime{}, secretPair{}, fmt.Errorf("flow: random bytes for a link: %w", err)
	}
	s := secretPair{code: code, link: hex.EncodeToString(raw)}
	t := auth.OneTime{
		ID: id, UserID: u, Purpose: p, Address: address, CodeHash: c.Codes.CodeHashes(p, address, code)[0],
		CreatedAt: now, ExpiresAt: now.Add(life),
	}
	if flow != nil {
		s.link, t.FlowState = pkcePrefix+s.link, flow.ID
	}
	t.TokenHash = hashToken(s.link)
	return t, s, nil
}

// hashToken is how random tokens are stored. They have 224 bits, so no key is needed.
func hashToken(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

// digits makes a random decimal code without bias: bytes of 250 and more are thrown away.
func digits(rand io.Reader, n int) (string, error) {
	out := make([]byte, 0, n)
	var b [16]byte
	for len(out) < n {
		if _, err := io.ReadFull(rand, b[:]); err != nil {
			return "", fmt.Errorf("flow: random bytes for a code: %w", err)
		}
		for _, v := range b {
			if v < 250 && len(out) < n {
				out = append(out, '0'+v%10)
			}
		}
	}
	return string(out), nil
}

// cleanCode takes the spaces out of a typed code. Digits of other scripts are refused: a
// code is what we sent.
func cleanCode(s string) (string, bool) {
	s = strings.NewReplacer(" ", "", "\u00a0", "", "-", "").Replace(s)
	if len(s) < 6 || len(s) > 10 || strings.Trim(s, "0123456789") != "" {
		return "", false
	}
	return s, true
}

// PKCE is the challenge of a client that wants a code instead of a session (RFC 7636).
type PKCE struct{ Challenge, Method string }

// newFlowState checks a challenge and begins its flow; nil without one.
func (c *Config) newFlowState(p PKCE) (*auth.FlowState, error) {
	switch {
	case p.Challenge == "" && p.Method == "":
		return nil, nil //nolint:nilnil // no PKCE is an answer
	case p.Challenge == "" || p.Method == "":
		return nil, auth.E(auth.CodeValidation, "PKCE flow requires code_challenge_method and code_challenge")
	case len(p.Challenge) < 43 || len(p.Challenge) > 128 || strings.Trim(p.Challenge, pkceAlphabet) != "":
		return nil, auth.E(auth.CodeValidation, "code challenge has to be between 43 and 128 characters of A-Z, a-z, 0-9, -, ., _ and ~")
	}
	m := strings.ToLower(p.Method)
	if m != "s256" && (m != "plain" || !c.AllowPlainPKCE) {
		return nil, auth.E(auth.CodeValidation, "code_challenge_method must be s256")
	}
	now := c.now()
	id, err := auth.NewID(now, c.Rand)
	if err != nil {
		return nil, err
	}
	return &auth.FlowState{ID: id, Challenge: p.Challenge, ChallengeMethod: m, Method: auth.MethodOTP, CreatedAt: now}, nil
}

// pkceAlphabet is the unreserved set of RFC 3986 §2.3, which RFC 7636 §4.1 allows.
const pkceAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
