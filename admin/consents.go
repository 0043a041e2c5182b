package admin

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Consent is a purpose with what has become of somebody's consent to it. Only the status
// "granted" opens anything.
type Consent struct {
	Purpose        string    `json:"purpose"`
	Title          string    `json:"title"`
	Required       bool      `json:"required"`
	TenantID       string    `json:"tenant_id,omitempty"` // of purposes that are agreed to for each tenant
	Status         string    `json:"status"`              // none, granted, withdrawn, expired or outdated
	CurrentVersion string    `json:"current_version"`     // of the text
	Version        string    `json:"version,omitempty"`   // of the text that was agreed to last
	GrantedAt      time.Time `json:"granted_at,omitzero"`
	ExpiresAt      time.Time `json:"expires_at,omitzero"`
	WithdrawnAt    time.Time `json:"withdrawn_at,omitzero"`
}

// ConsentEvent is one line of what somebody has said.
type ConsentEvent struct {
	ID        string    `json:"id"`
	Purpose   string    `json:"purpose"`
	TenantID  string    `json:"tenant_id,omitempty"`
	Action    string    `json:"action"` // granted or withdrawn
	Version   string    `json:"version"`
	At        time.Time `json:"at"`
	ExpiresAt time.Time `json:"expires_at,omitzero"`
	IP        string    `json:"ip,omitempty"`
	UserAgent string    `json:"user_agent,omitempty"`
}

// ConsentPage is one page of a history.
type ConsentPage struct {
	Events []ConsentEvent `json:"events"` // newest first
	Next   string         `json:"next"`   // after of the next page; "" on the last one
}

// Consents lists every purpose with what has become of an account's consent, those of a tenant
// too where tenantID is not "". Nobody but the person can give or take back a consent.
func (u *Users) Consents(ctx context.Context, id, tenantID string) ([]Consent, error) {
	q := url.Values{}
	if tenantID != "" {
		q.Set("tenant_id", tenantID)
	}
	out, err := ask[struct {
		Consents []Consent `json:"consents"`
	}](ctx, u.c, call{method: http.MethodGet, path: []string{"users", id, "consents"}, query: q})
	return out.Consents, err
}

// ConsentHistory gives one page of what somebody has agreed to and taken back; limit is 1 to
// 100, 0 is 50.
func (u *Users) ConsentHistory(ctx context.Context, id, after string, limit int) (ConsentPage, error) {
	q := url.Values{}
	if after != "" {
		q.Set("after", after)
	}
	if limit != 0 {
		q.Set("limit", strconv.Itoa(limit))
	}
	return ask[ConsentPage](ctx, u.c, call{method: http.MethodGet, path: []string{"users", id, "consents", "history"}, query: q})
}
