package cardea

import (
	"context"
	"errors"
	"fmt"
)

// discover reads where an OpenID provider keeps its keys (OpenID Connect Discovery
// 1.0 §4). The document is read anew for each fetch of the keys, so that a provider may
// move them.
func (s *jwks) discover(ctx context.Context) (string, error) {
	answer, err := s.remote.get(ctx, s.url, "application/json", "")
	if err != nil {
		return "", fmt.Errorf("discovery: %w", err)
	}
	document, err := parseObject(answer.body, 40)
	if err != nil {
		return "", fmt.Errorf("discovery: %w", err)
	}
	// Discovery §4.3: exactly equal, or one provider could hand out the keys of another
	// in its name (RFC 9207 §2.4 is the same mix-up at another place).
	issuer, err := document.str("issuer")
	if err != nil || issuer != s.issuer {
		return "", errors.New("discovery: the document is of another issuer")
	}
	address, err := document.str("jwks_uri")
	if err != nil || address == "" {
		return "", errors.New("discovery: no jwks_uri")
	}
	if err := checkRemoteURL(address, s.insecure); err != nil {
		return "", fmt.Errorf("discovery: jwks_uri: %w", err)
	}
	return address, nil
}
