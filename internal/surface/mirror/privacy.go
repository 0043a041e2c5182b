package mirror

import (
	"github.com/cardea-auth/cardea/internal/auth"
)

// message is an answer for people.
type message struct {
	Message string `json:"message"`
	Success bool   `json:"success"`
}

// deleteMe is DELETE /users/me. A nonce may be in the query, for sessions older than a day.
func (s *surface) deleteMe(c *call) (any, error) {
	q := query{values: c.r.URL.Query()}
	nonce := q.text("nonce")
	if q.err != nil {
		return nil, q.err
	}
	if _, err := s.c.Privacy.EraseMe(c.r.Context(), c.caller, nonce); err != nil {
		return nil, err
	}
	return message{"Account deleted", true}, nil
}

// deleteAccount is POST /auth/delete-account. Nothing but confirm true deletes.
func (s *surface) deleteAccount(c *call) (any, error) {
	f, err := fields(c.r)
	if err != nil {
		return nil, err
	}
	confirm, nonce := f.Bool("confirm"), f.String("nonce")
	if err := f.Err(); err != nil || !confirm {
		return nil, &auth.Error{Code: auth.CodeBadJSON, Message: "confirm must be true", Cause: err}
	}
	_, err = s.c.Privacy.EraseMe(c.r.Context(), c.caller, nonce)
	return nil, err
}
