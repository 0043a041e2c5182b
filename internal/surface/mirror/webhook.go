package mirror

import (
	"bytes"
	"encoding/json"
	"strconv"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/web"
)

// passwordChanged is POST /webhooks/auth/password-changed (S2.42). The body is bytes until its
// signature is right: only then may an answer tell what is wrong with it (B2.35).
func (s *surface) passwordChanged(c *call) (any, error) {
	meta := web.Meta(c.r)
	if err := s.c.Webhooks.Admit(meta); err != nil {
		return nil, err
	}
	body, err := web.ReadBody(c.r)
	if err != nil {
		return nil, err //nolint:wrapcheck // an *auth.Error
	}
	notice, err := s.c.Webhooks.Open(c.r.Header, body, meta)
	if err != nil {
		return nil, err
	}
	user, madeAt, err := readPasswordChanged(body)
	if err != nil {
		return nil, err
	}
	if err := s.c.Webhooks.PasswordChanged(c.r.Context(), notice, user, madeAt); err != nil {
		return nil, err
	}
	return struct {
		Status string  `json:"status"`
		UserID auth.ID `json:"user_id"`
	}{"revoked", user}, nil
}

// readPasswordChanged reads {"user_id", "timestamp"}: seconds since 1970, or RFC 3339; zero
// when there is none.
func readPasswordChanged(body []byte) (user auth.ID, madeAt time.Time, err error) {
	o, err := web.ParseObject(body)
	if err != nil {
		return auth.ID{}, time.Time{}, err //nolint:wrapcheck // an *auth.Error
	}
	f := o.Fields()
	id := f.String("user_id")
	if err := f.Err(); err != nil {
		return auth.ID{}, time.Time{}, err //nolint:wrapcheck // an *auth.Error
	}
	if user, err = auth.ParseID(id); err != nil || user.IsZero() {
		return auth.ID{}, time.Time{}, invalid("user_id must be a UUID")
	}
	if !o.Has("timestamp") {
		return user, time.Time{}, nil
	}
	if madeAt, err = readMoment(o["timestamp"]); err != nil {
		return auth.ID{}, time.Time{}, err
	}
	return user, madeAt, nil
}

func readMoment(raw json.RawMessage) (time.Time, error) {
	bad := invalid("timestamp must be seconds since 1970, or a time as in RFC 3339")
	if !bytes.HasPrefix(raw, []byte(`"`)) {
		// Within the years that a time of this library can hold.
		seconds, err := strconv.ParseInt(string(raw), 10, 64)
		if err != nil || seconds <= 0 || seconds > 1<<40 {
			return time.Time{}, bad
		}
		return time.Unix(seconds, 0), nil
	}
	var text string
	if json.Unmarshal(raw, &text) != nil {
		return time.Time{}, bad
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil || at.IsZero() {
		return time.Time{}, bad
	}
	return at, nil
}
