package adminapi

import (
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/flow"
)

func consentRoutes() []route {
	return []route{
		{"GET", "/users/{id}/consents", false, 200, listConsents},
		{"GET", "/users/{id}/consents/history", false, 200, listConsentHistory},
	}
}

type consentView struct {
	Purpose     string    `json:"purpose"`
	Title       string    `json:"title"`
	Required    bool      `json:"required"`
	TenantID    auth.ID   `json:"tenant_id,omitzero"`
	Status      string    `json:"status"`
	Current     string    `json:"current_version"`
	Version     string    `json:"version,omitempty"`
	GrantedAt   time.Time `json:"granted_at,omitzero"`
	ExpiresAt   time.Time `json:"expires_at,omitzero"`
	WithdrawnAt time.Time `json:"withdrawn_at,omitzero"`
}

func viewConsent(s *flow.ConsentState) consentView {
	return consentView{
		s.Purpose.Name, s.Purpose.Title, s.Purpose.Required, s.TenantID, string(s.Status), s.Purpose.Version,
		s.Consent.Version, s.Consent.GrantedAt, s.Consent.ExpiresAt, s.Consent.WithdrawnAt,
	}
}

// listConsents is what a service asks before it opens a route, with a key of its own. Nobody
// agrees to anything here: that is for the person.
func listConsents(s *surface, c *call) (any, error) {
	id, err := c.id("id")
	if err != nil {
		return nil, err
	}
	q := c.query()
	tenant := q.id("tenant_id")
	if err := q.done(); err != nil {
		return nil, err
	}
	states, err := s.c.Consents.Of(c.r.Context(), c.actor, id, tenant)
	if err != nil {
		return nil, err //nolint:wrapcheck // an *auth.Error
	}
	out := struct {
		Consents []consentView `json:"consents"`
	}{[]consentView{}}
	for i := range states {
		out.Consents = append(out.Consents, viewConsent(&states[i]))
	}
	return out, nil
}

type consentEventView struct {
	ID        auth.ID   `json:"id"`
	Purpose   string    `json:"purpose"`
	TenantID  auth.ID   `json:"tenant_id,omitzero"`
	Action    string    `json:"action"`
	Version   string    `json:"version"`
	At        time.Time `json:"at"`
	ExpiresAt time.Time `json:"expires_at,omitzero"`
	IP        string    `json:"ip,omitempty"`
	UserAgent string    `json:"user_agent,omitempty"`
}

func listConsentHistory(s *surface, c *call) (any, error) {
	id, err := c.id("id")
	if err != nil {
		return nil, err
	}
	q := c.query()
	limit, before := q.limit(maxPage), q.id("after")
	if err := q.done(); err != nil {
		return nil, err
	}
	events, err := s.c.Consents.HistoryOf(c.r.Context(), c.actor, id, before, limit+1)
	if err != nil {
		return nil, err //nolint:wrapcheck // an *auth.Error
	}
	var next string
	events, next = cut(events, limit, func(e *auth.ConsentEvent) auth.ID { return e.ID })
	out := struct {
		Events []consentEventView `json:"events"`
		Next   string             `json:"next"`
	}{[]consentEventView{}, next}
	for i := range events {
		e := &events[i]
		out.Events = append(out.Events, consentEventView{
			e.ID, e.Purpose, e.TenantID, string(e.Action), e.Version, e.At, e.ExpiresAt, e.IP, e.UserAgent,
		})
	}
	return out, nil
}
