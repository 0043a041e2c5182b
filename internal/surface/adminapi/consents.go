package adminapi

import (
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/flow"
)

func consentRoutes() []route {
	return []route{
		{
			method: "GET", path: "/users/{id}/consents", id: "listConsents", tag: tagPrivacy, summary: "What somebody has agreed to",
			text:  "A service asks this before it opens a route. Only the person agrees, and takes it back.",
			codes: []auth.Code{auth.CodeUserNotFound, auth.CodeTenantNotFound},
			run:   gives("Every purpose of the catalogue, with what was said.", listConsents),
		}, {
			method: "GET", path: "/users/{id}/consents/history", id: "listConsentHistory", tag: tagPrivacy, summary: "What somebody has said, and when",
			codes: []auth.Code{auth.CodeUserNotFound},
			run:   gives("A page, newest first.", listConsentHistory),
		},
	}
}

type consentView struct {
	Purpose     string    `json:"purpose" doc:"What is asked."`
	Title       string    `json:"title" doc:"In words."`
	Required    bool      `json:"required" doc:"The application does not go on without."`
	TenantID    auth.ID   `json:"tenant_id,omitzero" doc:"Said to this tenant only."`
	Status      string    `json:"status" doc:"none, granted, expired, withdrawn or outdated."`
	Current     string    `json:"current_version" doc:"The text that is asked now."`
	Version     string    `json:"version,omitempty" doc:"The text that was agreed to."`
	GrantedAt   time.Time `json:"granted_at,omitzero" doc:"When."`
	ExpiresAt   time.Time `json:"expires_at,omitzero" doc:"It holds until then."`
	WithdrawnAt time.Time `json:"withdrawn_at,omitzero" doc:"When it was taken back."`
}

func viewConsent(s *flow.ConsentState) consentView {
	return consentView{
		s.Purpose.Name, s.Purpose.Title, s.Purpose.Required, s.TenantID, string(s.Status), s.Purpose.Version,
		s.Consent.Version, s.Consent.GrantedAt, s.Consent.ExpiresAt, s.Consent.WithdrawnAt,
	}
}

type consentQuery struct {
	ID     auth.ID `path:"id" doc:"Id of the person."`
	Tenant auth.ID `query:"tenant_id" doc:"The purposes of this tenant, too."`
}

type consentList struct {
	Consents []consentView `json:"consents" doc:"In the order of the catalogue."`
}

// listConsents is what a service asks before it opens a route, with a key of its own. Nobody
// agrees to anything here: that is for the person.
func listConsents(s *surface, c *call, in consentQuery) (consentList, error) {
	states, err := s.c.Consents.Of(c.r.Context(), c.actor, in.ID, in.Tenant)
	if err != nil {
		return consentList{}, err //nolint:wrapcheck // an *auth.Error
	}
	return consentList{views(states, viewConsent)}, nil
}

type consentEventView struct {
	ID        auth.ID   `json:"id" doc:"Of the line."`
	Purpose   string    `json:"purpose" doc:"Which."`
	TenantID  auth.ID   `json:"tenant_id,omitzero" doc:"Said to this tenant only."`
	Action    string    `json:"action" doc:"granted or withdrawn."`
	Version   string    `json:"version" doc:"The text."`
	At        time.Time `json:"at" doc:"When."`
	ExpiresAt time.Time `json:"expires_at,omitzero" doc:"It was to hold until then."`
	IP        string    `json:"ip,omitempty" doc:"Where the request came from."`
	UserAgent string    `json:"user_agent,omitempty" doc:"What made it."`
}

type historyQuery struct {
	ID    auth.ID `path:"id" doc:"Id of the person."`
	After auth.ID `query:"after" doc:"The next of the page before."`
	Limit int     `query:"limit" min:"1" max:"100" default:"50" doc:"How many at most."`
}

type consentHistory struct {
	Events []consentEventView `json:"events" doc:"Newest first."`
	Next   string             `json:"next" doc:"Where the next page goes on; empty on the last."`
}

func listConsentHistory(s *surface, c *call, in historyQuery) (consentHistory, error) {
	events, err := s.c.Consents.HistoryOf(c.r.Context(), c.actor, in.ID, in.After, in.Limit+1)
	if err != nil {
		return consentHistory{}, err //nolint:wrapcheck // an *auth.Error
	}
	var next string
	events, next = cut(events, in.Limit, func(e *auth.ConsentEvent) auth.ID { return e.ID })
	return consentHistory{views(events, func(e *auth.ConsentEvent) consentEventView {
		return consentEventView{e.ID, e.Purpose, e.TenantID, string(e.Action), e.Version, e.At, e.ExpiresAt, e.IP, e.UserAgent}
	}), next}, nil
}
