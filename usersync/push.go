package usersync

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/cardea-auth/cardea"
)

// maxPush is the longest body of the push handler in bytes.
const maxPush = 64 << 10

// Ignored is a field of a pushed body that changed nothing, and why.
type Ignored struct {
	Field  string `json:"field"`
	Reason string `json:"reason"` // "contradicts the token", "only the issuer says so"
}

// The reasons.
const (
	reasonContradicts = "contradicts the token"
	reasonIssuer      = "only the issuer says so"
)

// SyncHandler gives the handler for the front end that reports its user after sign-in:
//
//	mux.Handle("POST /api/auth/users/sync", v.Require(cardea.Authenticated())(users.SyncHandler()))
//
// It needs a Principal in the context. The body may be empty, or a JSON object; first_name,
// last_name, full_name, avatar_url and locale, at the top or in user_metadata, fill what the
// profile lacks. All that says who somebody is comes from the token and its issuer: such
// fields in the body change nothing, and are listed as ignored if they contradict the token
// or are none of the client's business (B3.3). Unknown fields are no error.
//
// It answers 200 {"user": ..., "created": ..., "provisioned": true, "ignored": [...]}, or in
// mode BestEffort during an outage 202 with "provisioned": false and "user": null: the
// sign-in goes on (S3.9).
func (s *Syncer) SyncHandler() http.Handler {
	return s.handler(func(w http.ResponseWriter, r *http.Request, p *cardea.Principal) error {
		body, err := readBody(w, r, maxPush)
		if err != nil {
			return err
		}
		profile, ignored, err := readPush(body, p)
		if err != nil {
			return cardea.NewError(cardea.CodeRequestInvalid, err)
		}
		got, err := s.Ensure(r.Context(), p, tokenOf(r))
		if err != nil {
			return err
		}
		// The clients of a page report what they know at each start: only what is missing.
		if got.Provisioned && got.User.Profile.fill(profile) != (Profile{}) {
			u, err := s.edit(r.Context(), Edit{ID: got.User.ID, Fill: profile})
			switch {
			case err == nil:
				got.User = u
			case errors.Is(err, ErrFinal) || errors.Is(err, ErrNoUser):
				return inactive(got.User)
			default:
				if failure := s.failed(r.Context(), "sync", p, err); s.c.Mode == Required {
					return failure
				}
			}
		}
		status := http.StatusOK
		if !got.Provisioned {
			status = http.StatusAccepted
		}
		answer(w, status, pushAnswer{view(got), got.Created, got.Provisioned, ignored})
		return nil
	})
}

type pushAnswer struct {
	User        *View     `json:"user"`
	Created     bool      `json:"created"`
	Provisioned bool      `json:"provisioned"`
	Ignored     []Ignored `json:"ignored"`
}

func view(got Provision) *View {
	if !got.Provisioned {
		return nil
	}
	v := got.User.View()
	return &v
}

// VerifyHandler gives the handler that says who calls (S3.14), behind a guard as
// SyncHandler: 200 {"valid": true, "user": {"id", "email", ...}, "provisioned": true}. The row
// is made if there is none. A token that is not good is the guard's 401. In mode BestEffort
// during an outage user has only the id and the address that the token names, and provisioned
// is false.
func (s *Syncer) VerifyHandler() http.Handler {
	return s.handler(func(w http.ResponseWriter, r *http.Request, p *cardea.Principal) error {
		got, err := s.Ensure(r.Context(), p, tokenOf(r))
		if err != nil {
			return err
		}
		var user any = view(got)
		if !got.Provisioned {
			user = map[string]any{"subject": p.Subject, "email": p.Email}
		}
		answer(w, http.StatusOK, map[string]any{"valid": true, "user": user, "provisioned": got.Provisioned})
		return nil
	})
}

// handler is for POST by a caller whom a guard let pass.
func (s *Syncer) handler(serve func(http.ResponseWriter, *http.Request, *cardea.Principal) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, ok := cardea.PrincipalFrom(r.Context())
		var err error
		switch {
		case !ok: // no guard in front: nobody is known
			err = cardea.NewError(cardea.CodeHeaderMissing, nil)
		case r.Method != http.MethodPost:
			err = cardea.NewError(cardea.CodeMethod, nil)
		default:
			err = serve(w, r, p)
		}
		if err != nil {
			s.c.WriteError(w, r, err)
		}
	})
}

// readPush takes the profile out of a body, and finds what contradicts the token.
func readPush(body []byte, p *cardea.Principal) (Profile, []Ignored, error) {
	ignored := []Ignored{}
	if len(strings.TrimSpace(string(body))) == 0 {
		return Profile{}, ignored, nil
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(body, &fields); err != nil {
		return Profile{}, nil, err
	}
	profile := profileOf(fields)
	var inner map[string]json.RawMessage
	if json.Unmarshal(fields["user_metadata"], &inner) == nil {
		profile = profileOf(inner).with(profile)
	}
	for name, raw := range fields {
		if reason := contradiction(name, raw, p); reason != "" {
			ignored = append(ignored, Ignored{name, reason})
		}
	}
	slices.SortFunc(ignored, func(a, b Ignored) int { return strings.Compare(a.Field, b.Field) })
	return profile.clean(), ignored, nil
}

// contradiction says why an identity field of a body is ignored; "" for one that says what
// the token says, and for other fields.
func contradiction(name string, raw json.RawMessage, p *cardea.Principal) string {
	same := true
	switch name {
	case "id", "sub", "user_id", "supabase_user_id", "provider_id":
		same = str(raw) == p.Subject
	case "email":
		same = NormalizeEmail(str(raw)) == NormalizeEmail(p.Email)
	case "phone", "phone_number":
		same = NormalizePhone(str(raw)) == NormalizePhone(p.Phone)
	case "issuer", "iss":
		same = str(raw) == p.Issuer
	case "role", "roles", "is_active", "status", "email_verified", "phone_verified", "email_confirmed_at",
		"phone_confirmed_at", "app_metadata", "is_verified", "identities", "provider", "auth_provider":
		return reasonIssuer
	}
	if !same {
		return reasonContradicts
	}
	return ""
}

func answer(w http.ResponseWriter, status int, body any) {
	text, err := json.Marshal(body)
	if err != nil { // texts, numbers and times always marshal
		status, text = http.StatusInternalServerError, []byte(`{}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n')) // the client may be gone
}
