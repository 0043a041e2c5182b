package cardea

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// checkClaims runs every check on the payload that needs no key, in the order aud, exp,
// nbf, iat, lifetime, sub, required claims, the shape of an ID token, role. It fills p on
// the way.
func (iss *issuer) checkClaims(c object, now time.Time, p *Principal) *Error {
	if failure := iss.checkAudience(c, p); failure != nil {
		return failure
	}
	if failure := iss.checkTimes(c, now, p); failure != nil {
		return failure
	}
	var err error
	if p.Subject, err = c.str("sub"); err != nil || !validSubject(p.Subject) {
		return NewError(CodeSubject, err)
	}
	for _, name := range iss.required {
		if !c.has(name) {
			return NewError(CodeClaimMissing, fmt.Errorf("claim %s is missing", name))
		}
	}
	if failure := checkShape(c); failure != nil {
		return failure
	}
	if failure := iss.fillPrincipal(c, p); failure != nil {
		return failure
	}
	if len(iss.userRoles) > 0 && p.Role != "" && !slices.Contains(iss.userRoles, p.Role) {
		return NewError(CodeUserRole, nil)
	}
	return nil
}

// checkAudience: one of the token's audiences must be one of ours (RFC 7519 §4.1.3), or
// a token for another service of the same issuer would pass here.
func (iss *issuer) checkAudience(c object, p *Principal) *Error {
	raw := c.get("aud")
	if raw == nil {
		return NewError(CodeAudienceMissing, nil)
	}
	if raw[0] == '"' {
		one, err := decodeString(raw)
		if err != nil {
			return NewError(CodeAudienceInvalid, err)
		}
		p.Audience = []string{one}
	} else {
		list, err := decodeStrings(raw)
		if err != nil {
			return NewError(CodeAudienceInvalid, err)
		}
		p.Audience = list
	}
	if len(p.Audience) == 0 {
		return NewError(CodeAudienceMissing, nil)
	}
	for _, a := range p.Audience {
		if slices.Contains(iss.audiences, a) {
			return nil
		}
	}
	return NewError(CodeAudienceInvalid, nil)
}

// checkTimes. exp gets no leeway: a client renews before, and a second of leeway is a
// second in which a revoked session goes on. nbf and iat get it, because an issuer's
// clock may be ahead. The lifetime is exp - iat, not the time left: a token made for a
// year is as wrong on its last day as on its first.
func (iss *issuer) checkTimes(c object, now time.Time, p *Principal) *Error {
	exp, ok, failure := dateClaim(c, "exp")
	if failure != nil {
		return failure
	}
	if !ok {
		return NewError(CodeExpirationMissing, nil)
	}
	if !now.Before(exp) {
		return NewError(CodeExpired, nil)
	}
	nbf, ok, failure := dateClaim(c, "nbf")
	if failure != nil {
		return failure
	}
	if ok && nbf.After(now.Add(iss.leeway)) {
		return NewError(CodeNotYetValid, nil)
	}
	iat, ok, failure := dateClaim(c, "iat")
	if failure != nil {
		return failure
	}
	switch {
	case !ok:
		return NewError(CodeIssuedAtMissing, nil)
	case iat.After(now.Add(iss.leeway)):
		return NewError(CodeNotYetValid, nil)
	case exp.Sub(iat) > iss.maxLifetime:
		return NewError(CodeLifetime, nil)
	}
	p.IssuedAt, p.ExpiresAt = iat, exp
	return nil
}

func dateClaim(c object, name string) (time.Time, bool, *Error) {
	raw := c.get(name)
	if raw == nil {
		return time.Time{}, false, nil
	}
	n, err := decodeDate(raw)
	if err != nil {
		return time.Time{}, false, NewError(CodeClaim, fmt.Errorf("claim %s: %w", name, err))
	}
	return time.Unix(n, 0).UTC(), true, nil
}

// validSubject refuses control characters too: a NUL in an id breaks databases, a line
// break breaks logs.
func validSubject(sub string) bool {
	return sub != "" && !strings.ContainsFunc(sub, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// checkShape refuses tokens that an issuer signs with the same key but not for access:
// ID tokens (OpenID Connect Core §2: nonce, at_hash, c_hash), logout tokens (events),
// and what says of itself that it is something else, as Cognito (token_use) and Keycloak
// (typ) do. Without it, an ID token whose audience is a client that calls itself like
// this service would open it (RFC 8725 §3.11, §3.12).
func checkShape(c object) *Error {
	for _, name := range []string{"nonce", "at_hash", "c_hash", "s_hash", "events"} {
		if c.has(name) {
			return NewError(CodeTokenType, nil)
		}
	}
	use, err := c.str("token_use")
	if err != nil || (c.has("token_use") && use != "access") {
		return NewError(CodeTokenType, err)
	}
	if typ, err := c.str("typ"); err == nil {
		switch strings.ToLower(typ) {
		case "id", "refresh", "offline", "logout":
			return NewError(CodeTokenType, nil)
		}
	}
	return nil
}

// fillPrincipal reads the claims that are not needed to decide. A wrong type is refused
// rather than ignored: is_anonymous "true" must not become false.
func (iss *issuer) fillPrincipal(c object, p *Principal) *Error {
	for _, field := range []struct {
		name string
		into *string
	}{
		{"email", &p.Email}, {"phone", &p.Phone}, {"role", &p.Role},
		{"session_id", &p.SessionID}, {"client_id", &p.ClientID}, {"aal", &p.AAL}, {"jti", &p.TokenID},
	} {
		s, err := c.str(field.name)
		if err != nil {
			return NewError(CodeClaim, fmt.Errorf("claim %s: %w", field.name, err))
		}
		*field.into = s
	}
	switch raw := c.get("is_anonymous"); string(raw) {
	case "true":
		p.Anonymous = true
	case "false", "":
	default:
		return NewError(CodeClaim, fmt.Errorf("claim is_anonymous: %w", errNotTheShape))
	}
	p.EmailVerified = string(c.get("email_verified")) == "true"
	p.PhoneVerified = string(c.get("phone_number_verified")) == "true"
	var err error
	if p.AMR, err = decodeAMR(c.get("amr")); err != nil {
		return NewError(CodeClaim, fmt.Errorf("claim amr: %w", err))
	}
	p.AppMetadata, p.UserMetadata = c.get("app_metadata"), c.get("user_metadata")
	if failure := fillAuthTime(c, p); failure != nil {
		return failure
	}
	return iss.fillRights(c, p)
}

// fillAuthTime. Nobody proved who he is after the token was made: a later time, out of a
// clock that is ahead, must not make a sign-in fresher than it is.
func fillAuthTime(c object, p *Principal) *Error {
	at, ok, failure := dateClaim(c, "auth_time")
	if failure != nil {
		return failure
	}
	if !ok {
		for _, a := range p.AMR {
			if a.At.After(at) {
				at = a.At
			}
		}
	}
	if at.After(p.IssuedAt) {
		at = p.IssuedAt
	}
	p.AuthTime = at
	return nil
}

// fillRights reads what the caller may do and where, from the configured places. Lists
// of odd shape give no right. An odd tenant is refused: an empty one could mean more
// than a wrong one.
func (iss *issuer) fillRights(c object, p *Principal) *Error {
	r := claimReader{claims: c}
	p.Roles = slices.DeleteFunc(readNames(r.find(iss.paths.roles), iss.paths.ownRoles), databaseRole)
	p.Permissions = readNames(r.find(iss.paths.permissions), false)
	p.Memberships = readMemberships(r.find(iss.paths.memberships))
	var err error
	if p.Tenant, err = readID(r.find(iss.paths.tenant)); err != nil {
		return NewError(CodeClaim, fmt.Errorf("tenant: %w", err))
	}
	if p.TenantRole, err = readText(r.find(iss.paths.tenantRole)); err != nil {
		return NewError(CodeClaim, fmt.Errorf("tenant role: %w", err))
	}
	if p.Scopes, err = readScopes(r.find(iss.paths.scopes)); err != nil {
		return NewError(CodeClaim, fmt.Errorf("scopes: %w", err))
	}
	return nil
}

func readText(raw []byte) (string, error) {
	if raw == nil {
		return "", nil
	}
	return decodeString(raw)
}

// decodeAMR reads a list of strings (RFC 8176 §1) or of objects {method, timestamp}
// as Supabase writes them.
func decodeAMR(raw []byte) ([]AMR, error) {
	if raw == nil {
		return nil, nil
	}
	items, err := scanList(raw)
	if err != nil {
		return nil, err
	}
	list := make([]AMR, 0, len(items))
	for _, item := range items {
		if item[0] == '"' {
			method, err := decodeString(item)
			if err != nil {
				return nil, err
			}
			list = append(list, AMR{Method: method})
			continue
		}
		entry, err := scanObject(item, 3)
		if err != nil {
			return nil, err
		}
		a := AMR{}
		if a.Method, err = entry.str("method"); err != nil {
			return nil, err
		}
		if raw := entry.get("timestamp"); raw != nil {
			n, err := decodeDate(raw)
			if err != nil {
				return nil, err
			}
			a.At = time.Unix(n, 0).UTC()
		}
		list = append(list, a)
	}
	return list, nil
}
