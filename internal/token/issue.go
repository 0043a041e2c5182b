package token

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
)

// accessClaims is the payload of an access token, as GoTrue writes it: aud is a string,
// e-mail and phone are there when empty, there is neither jti nor nbf.
type accessClaims struct {
	Issuer       string          `json:"iss"`
	Subject      string          `json:"sub"`
	Audience     string          `json:"aud"`
	ExpiresAt    int64           `json:"exp"`
	IssuedAt     int64           `json:"iat"`
	Email        string          `json:"email"`
	Phone        string          `json:"phone"`
	AppMetadata  json.RawMessage `json:"app_metadata"`
	UserMetadata json.RawMessage `json:"user_metadata"`
	Role         string          `json:"role"`
	AAL          string          `json:"aal"`
	AMR          []amrClaim      `json:"amr"`
	SessionID    string          `json:"session_id"`
	IsAnonymous  bool            `json:"is_anonymous"`
}

type amrClaim struct {
	Method    string `json:"method"`
	Timestamp int64  `json:"timestamp"`
}

// Issue makes the tokens of a session: an access token that lives for the configured time
// from now, and the refresh token with the session's current counter. It asks nobody but
// Config.Customize. It fails when the session is not the user's, when either has no id or the user no role, and
// when a metadata document is not JSON.
func (r *Ring) Issue(ctx context.Context, user *auth.User, session *auth.Session) (auth.Tokens, error) {
	return r.issue(ctx, user, session, r.config.TTL)
}

// Shorter issues access tokens that live for a shorter time than the ring's.
type Shorter struct {
	Ring *Ring
	TTL  time.Duration
}

// Issue is [Ring.Issue]. A TTL that is longer than the ring's is cut to that: keys are kept
// for no longer.
func (s Shorter) Issue(ctx context.Context, user *auth.User, session *auth.Session) (auth.Tokens, error) {
	return s.Ring.issue(ctx, user, session, min(max(s.TTL, time.Second), s.Ring.config.TTL))
}

func (r *Ring) issue(ctx context.Context, user *auth.User, session *auth.Session, ttl time.Duration) (auth.Tokens, error) {
	if user.ID.IsZero() || session.ID.IsZero() || session.UserID != user.ID || user.Role == "" {
		return auth.Tokens{}, errors.New("token: issue: the session is not one of this user, or an id or the role is missing")
	}
	now := r.config.Now().UTC().Truncate(time.Second)
	expires := now.Add(ttl.Truncate(time.Second))
	claims := accessClaims{
		Issuer: r.config.Issuer, Subject: user.ID.String(), Audience: user.Aud,
		ExpiresAt: expires.Unix(), IssuedAt: now.Unix(),
		Email: user.Email, Phone: user.Phone,
		AppMetadata: document(user.AppMetadata), UserMetadata: document(user.UserMetadata),
		Role: user.Role, AAL: session.AAL, AMR: make([]amrClaim, len(session.AMR)),
		SessionID: session.ID.String(), IsAnonymous: user.IsAnonymous,
	}
	if claims.Audience == "" {
		claims.Audience = r.config.Audience
	}
	if claims.AAL == "" {
		claims.AAL = auth.AAL1
	}
	for i, m := range session.AMR {
		claims.AMR[i] = amrClaim{Method: m.Method, Timestamp: m.At.Unix()}
	}
	payload, err := encodeClaims(&claims)
	if err == nil && session.TenantRole != "" {
		payload, err = r.addTenant(payload, session)
	}
	if err == nil && r.config.Customize != nil {
		payload, err = r.config.Customize(ctx, user.ID, customizedMethod(session), payload)
	}
	if err != nil {
		return auth.Tokens{}, err
	}
	access, err := r.at(now).access.signPayload(payload)
	if err != nil {
		return auth.Tokens{}, err
	}
	return auth.Tokens{
		AccessToken:  access,
		RefreshToken: r.Refresh(session.ID, session.Counter),
		ExpiresIn:    expires.Sub(now), ExpiresAt: expires,
	}, nil
}

// addTenant writes the active tenant, and what its role may do there, at the end of the
// claims. Only the active one: a person may belong to hundreds, and a token travels in every
// request.
func (r *Ring) addTenant(payload []byte, s *auth.Session) ([]byte, error) {
	var permissions []string
	if r.config.Permissions != nil {
		permissions = r.config.Permissions(s.TenantRole)
	}
	if permissions == nil {
		permissions = []string{}
	}
	payload = append(bytes.TrimSuffix(payload, []byte("}")), ',')
	for i, c := range []struct {
		name  string
		value any
	}{{r.config.TenantClaim, s.TenantID.String()}, {"tenant_role", s.TenantRole}, {"permissions", permissions}} {
		name, err := json.Marshal(c.name)
		if err != nil {
			return nil, fmt.Errorf("token: tenant claims: %w", err)
		}
		value, err := json.Marshal(c.value)
		if err != nil {
			return nil, fmt.Errorf("token: tenant claims: %w", err)
		}
		if i > 0 {
			payload = append(payload, ',')
		}
		payload = append(append(append(payload, name...), ':'), value...)
	}
	return append(payload, '}'), nil
}

// reservedClaim reports whether a name is that of a claim that we write ourselves.
func reservedClaim(name string) bool {
	switch name {
	case "iss", "sub", "aud", "exp", "iat", "nbf", "jti", "email", "phone", "app_metadata", "user_metadata", "role", "aal", "amr",
		"session_id", "is_anonymous", "client_id", "scope", "scp", "tenant_role", "permissions", "cnf", "act", "azp", "nonce", "auth_time":
		return true
	}
	return !auth.CleanText(name) || len(name) > 64
}

// customizedMethod is what a hook is told: how the session began, or that it goes on.
func customizedMethod(s *auth.Session) string {
	if s.Counter > 0 || len(s.AMR) == 0 {
		return "token_refresh"
	}
	return s.AMR[len(s.AMR)-1].Method
}

// document gives a JSON object where the column is empty or null.
func document(raw json.RawMessage) json.RawMessage {
	if len(raw) == 0 || string(raw) == "null" {
		return json.RawMessage("{}")
	}
	return raw
}

// encodeClaims writes the claims without the escapes that JSON needs inside HTML only: a
// token travels in every request.
func encodeClaims(claims any) ([]byte, error) {
	var payload bytes.Buffer
	payload.Grow(1024)
	encoder := json.NewEncoder(&payload)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(claims); err != nil {
		return nil, fmt.Errorf("token: claims: %w", err)
	}
	return bytes.TrimSuffix(payload.Bytes(), []byte("\n")), nil
}

// signPayload signs; s may be nil.
func (s *signer) signPayload(payload []byte) (string, error) {
	if s == nil {
		return "", errors.New("token: no signing key")
	}
	return s.sign(payload)
}

func signJSON(s *signer, claims any) (string, error) {
	payload, err := encodeClaims(claims)
	if err != nil {
		return "", err
	}
	return s.signPayload(payload)
}

// apiKeyClaims is the payload of an anon or service_role token. No subject: it stands for
// nobody.
type apiKeyClaims struct {
	Issuer    string `json:"iss"`
	Role      string `json:"role"`
	IssuedAt  int64  `json:"iat"`
	ExpiresAt int64  `json:"exp"`
}

func (r *Ring) issueAPIKey(role string) (string, error) {
	now := r.config.Now().UTC()
	return signJSON(r.at(now).apiKey, &apiKeyClaims{
		Issuer: r.config.Issuer, Role: role,
		IssuedAt: now.Unix(), ExpiresAt: now.AddDate(apiKeyYears, 0, 0).Unix(),
	})
}

// isJWT tells a token from anything else by its shape alone.
func isJWT(s string) bool { return strings.Count(s, ".") == 2 }
