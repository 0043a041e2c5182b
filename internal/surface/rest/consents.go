package rest

import (
	"net/http"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/consent"
	"github.com/cardea-auth/cardea/internal/flow"
)

// consentView is a purpose with what has become of the caller's consent to it.
type consentView struct {
	Purpose     string    `json:"purpose" doc:"Name of the purpose." example:"data_processing"`
	Title       string    `json:"title" doc:"For people."`
	Text        string    `json:"text,omitempty" doc:"What is agreed to, or where it stands."`
	Required    bool      `json:"required" doc:"The application can't be used without it. It can be withdrawn all the same."`
	TenantID    auth.ID   `json:"tenant_id,omitzero" doc:"The tenant that it is given to; left out for the application as a whole."`
	Status      string    `json:"status" enum:"none,granted,withdrawn,expired,outdated" doc:"Only granted opens anything. Outdated: it was given to an older text."`
	Current     string    `json:"current_version" doc:"Version of the text, to be sent with a consent."`
	Version     string    `json:"version,omitempty" doc:"Version of the text that was agreed to last."`
	GrantedAt   time.Time `json:"granted_at,omitzero" doc:"When it was given last."`
	ExpiresAt   time.Time `json:"expires_at,omitzero" doc:"When it ends; left out for never."`
	WithdrawnAt time.Time `json:"withdrawn_at,omitzero" doc:"When it was taken back."`
}

func viewConsent(s *flow.ConsentState) consentView {
	return consentView{
		s.Purpose.Name, s.Purpose.Title, s.Purpose.Text, s.Purpose.Required, s.TenantID, string(s.Status), s.Purpose.Version,
		s.Consent.Version, s.Consent.GrantedAt, s.Consent.ExpiresAt, s.Consent.WithdrawnAt,
	}
}

// consentObject is the four purposes that many applications ask for, in one object (S4.50).
type consentObject struct {
	DataProcessing bool      `json:"data_processing" doc:"Holds at this moment."`
	Communication  bool      `json:"communication" doc:"Holds at this moment."`
	Analytics      bool      `json:"analytics" doc:"Holds at this moment."`
	ThirdParty     bool      `json:"third_party" doc:"Holds at this moment."`
	Date           time.Time `json:"date,omitzero" doc:"When one of them was given or taken back last."`
	Version        string    `json:"version,omitempty" doc:"Version of the text of the one that was given last."`
}

func viewObject(states []flow.ConsentState) consentObject {
	var out consentObject
	var given time.Time
	for i := range states {
		s, holds := &states[i], states[i].Status == consent.StatusGranted
		switch s.Purpose.Name {
		case "data_processing":
			out.DataProcessing = holds
		case "communication":
			out.Communication = holds
		case "analytics":
			out.Analytics = holds
		case "third_party":
			out.ThirdParty = holds
		default:
			continue
		}
		if s.Consent.GrantedAt.After(given) {
			given, out.Version = s.Consent.GrantedAt, s.Consent.Version
		}
		for _, at := range []time.Time{s.Consent.GrantedAt, s.Consent.WithdrawnAt} {
			if at.After(out.Date) {
				out.Date = at
			}
		}
	}
	return out
}

// consentList lists every purpose.
type consentList struct {
	Consents []consentView `json:"consents" doc:"By purpose."`
	Summary  consentObject `json:"summary" doc:"Four purposes in one object."`
}

func viewConsents(states []flow.ConsentState) consentList {
	out := consentList{[]consentView{}, viewObject(states)}
	for i := range states {
		out.Consents = append(out.Consents, viewConsent(&states[i]))
	}
	return out
}

type consentsRequest struct {
	Tenant auth.ID `query:"tenant_id" doc:"Show the purposes of this tenant, too."`
}

// consents is GET /api/users/me/consents.
func (s *surface) consents(c *call, in consentsRequest) (consentList, error) {
	states, err := s.c.Consents.Mine(c.r.Context(), c.caller, in.Tenant)
	if err != nil {
		return consentList{}, err
	}
	return viewConsents(states), nil
}

type consentObjectRequest struct {
	DataProcessing *bool  `json:"data_processing" doc:"Yes or no; left out: as it was."`
	Communication  *bool  `json:"communication" doc:"Yes or no; left out: as it was."`
	Analytics      *bool  `json:"analytics" doc:"Yes or no; left out: as it was."`
	ThirdParty     *bool  `json:"third_party" doc:"Yes or no; left out: as it was."`
	Version        string `json:"version" max:"64" doc:"Of the text that the person has read; needed for a yes."`
}

// setConsents is PUT /api/users/me/consents. The date that a client may send is not looked at:
// what counts is when it was said to us.
func (s *surface) setConsents(c *call, in consentObjectRequest) (consentList, error) {
	words := map[string]bool{}
	for name, word := range map[string]*bool{
		"data_processing": in.DataProcessing, "communication": in.Communication, "analytics": in.Analytics, "third_party": in.ThirdParty,
	} {
		if word != nil {
			words[name] = *word
		}
	}
	if err := s.c.Consents.Change(c.r.Context(), c.caller, words, in.Version, auth.ID{}); err != nil {
		return consentList{}, err
	}
	return s.consents(c, consentsRequest{})
}

type consentPath struct {
	Purpose string  `path:"purpose" max:"64" doc:"Name of a purpose." example:"data_processing"`
	Tenant  auth.ID `query:"tenant_id" doc:"For purposes that are agreed to for each tenant."`
}

// consent is GET /api/users/me/consents/{purpose}.
func (s *surface) consent(c *call, in consentPath) (consentView, error) {
	state, err := s.c.Consents.One(c.r.Context(), c.caller, in.Purpose, in.Tenant)
	if err != nil {
		return consentView{}, err
	}
	return viewConsent(&state), nil
}

type grantRequest struct {
	Purpose string  `path:"purpose" max:"64" doc:"Name of a purpose." example:"data_processing"`
	Tenant  auth.ID `query:"tenant_id" doc:"For purposes that are agreed to for each tenant."`
	Version string  `json:"version" need:"true" max:"64" doc:"Of the text that the person has read." example:"1.0"`
}

// grantConsent is PUT /api/users/me/consents/{purpose}.
func (s *surface) grantConsent(c *call, in grantRequest) (consentView, error) {
	state, err := s.c.Consents.Grant(c.r.Context(), c.caller, in.Purpose, in.Version, in.Tenant)
	if err != nil {
		return consentView{}, err
	}
	return viewConsent(&state), nil
}

// withdrawConsent is DELETE /api/users/me/consents/{purpose}.
func (s *surface) withdrawConsent(c *call, in consentPath) (consentView, error) {
	state, err := s.c.Consents.Withdraw(c.r.Context(), c.caller, in.Purpose, in.Tenant)
	if err != nil {
		return consentView{}, err
	}
	return viewConsent(&state), nil
}

// consentEvent is one line of the history.
type consentEvent struct {
	ID        auth.ID   `json:"id" doc:"Names the line."`
	Purpose   string    `json:"purpose" doc:"Name of the purpose."`
	TenantID  auth.ID   `json:"tenant_id,omitzero" doc:"The tenant that it was said to."`
	Action    string    `json:"action" enum:"granted,withdrawn" doc:"What was said."`
	Version   string    `json:"version" doc:"Version of the text."`
	At        time.Time `json:"at" doc:"When."`
	ExpiresAt time.Time `json:"expires_at,omitzero" doc:"Until when it was given."`
	IP        string    `json:"ip,omitempty" doc:"Where it came from."`
	UserAgent string    `json:"user_agent,omitempty" doc:"What the device called itself."`
}

// consentHistory is one page of the history.
type consentHistory struct {
	Events []consentEvent `json:"events" doc:"Newest first."`
}

type historyRequest struct {
	Before auth.ID `query:"before" doc:"Id of the last line of the page before."`
	Limit  int     `query:"limit" min:"1" max:"200" default:"50" doc:"Lines at most."`
}

// consentHistory is GET /api/users/me/consent-history.
func (s *surface) consentHistory(c *call, in historyRequest) (consentHistory, error) {
	events, err := s.c.Consents.MyHistory(c.r.Context(), c.caller, in.Before, in.Limit)
	if err != nil {
		return consentHistory{}, err
	}
	out := consentHistory{[]consentEvent{}}
	for i := range events {
		e := &events[i]
		out.Events = append(out.Events, consentEvent{
			e.ID, e.Purpose, e.TenantID, string(e.Action), e.Version, e.At, e.ExpiresAt, e.IP, e.UserAgent,
		})
	}
	return out, nil
}

func consentRoutes() []operation {
	said := []auth.Code{
		auth.CodeConsentUnknown, auth.CodeConsentVersion, auth.CodeUserInactive, auth.CodeTenantDenied, auth.CodeTenantNotFound,
	}
	return []operation{
		{
			method: "GET", path: "/api/users/me/consents", id: "listConsents", tag: tagConsents, summary: "What have I agreed to?",
			text: "Every purpose, with what has become of it. A service that guards a route asks this with the caller's own token, at each request.",
			run:  answer(http.StatusOK, "The purposes.", (*surface).consents),
		}, {
			method: "PUT", path: "/api/users/me/consents", id: "setConsents", tag: tagConsents, summary: "Say yes or no to four purposes at once",
			text:  "All or none. For the purposes data_processing, communication, analytics and third_party, where the server asks for them.",
			codes: said,
			run:   answer(http.StatusOK, "The purposes after it.", (*surface).setConsents),
		}, {
			method: "GET", path: "/api/users/me/consents/{purpose}", id: "getConsent", tag: tagConsents, summary: "Have I agreed to this?",
			codes: []auth.Code{auth.CodeConsentUnknown},
			run:   answer(http.StatusOK, "The purpose.", (*surface).consent),
		}, {
			method: "PUT", path: "/api/users/me/consents/{purpose}", id: "grantConsent", tag: tagConsents, summary: "Agree",
			text:  "Again: it begins anew, with a new expiry. 409 when the text has changed since the person read it.",
			codes: said,
			run:   answer(http.StatusOK, "Agreed.", (*surface).grantConsent),
		}, {
			method: "DELETE", path: "/api/users/me/consents/{purpose}", id: "withdrawConsent", tag: tagConsents, summary: "Take it back",
			text:  "Always possible. Again, or without a consent, it changes nothing.",
			codes: []auth.Code{auth.CodeConsentUnknown, auth.CodeTenantNotFound},
			run:   answer(http.StatusOK, "Taken back.", (*surface).withdrawConsent),
		}, {
			method: "GET", path: "/api/users/me/consent-history", id: "listConsentHistory", tag: tagConsents,
			summary: "What have I said, and when?",
			text:    "Nothing of it is changed afterwards.",
			run:     answer(http.StatusOK, "One page.", (*surface).consentHistory),
		},
	}
}
