package admin

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// Kinds of a [Relation].
const (
	RelationCare    = "care"    // subject: professional, object: patient; within a tenant
	RelationPatient = "patient" // subject: patient; of a tenant
	RelationAgent   = "agent"   // subject: agent, object: customer
)

// Relation is a fact between two people, or a person and a tenant, with a start and an end.
type Relation struct {
	ID        string    `json:"id"`
	Kind      string    `json:"kind"`
	SubjectID string    `json:"subject_id"`
	ObjectID  string    `json:"object_id,omitempty"`
	TenantID  string    `json:"tenant_id,omitempty"`
	StartsAt  time.Time `json:"starts_at,omitzero"`
	EndsAt    time.Time `json:"ends_at,omitzero"` // zero: until it is ended
	CreatedBy string    `json:"created_by,omitempty"`
	CreatedAt time.Time `json:"created_at,omitzero"`
}

// NewRelation is a relation to make. StartsAt zero is now.
type NewRelation struct {
	Kind      string    `json:"kind"`
	SubjectID string    `json:"subject_id"`
	ObjectID  string    `json:"object_id,omitempty"`
	TenantID  string    `json:"tenant_id,omitempty"`
	StartsAt  time.Time `json:"starts_at,omitzero"`
	EndsAt    time.Time `json:"ends_at,omitzero"`
}

// RelationQuery asks for relations that hold now. At least one id is needed.
type RelationQuery struct {
	Kind                          string
	SubjectID, ObjectID, TenantID string
	Limit                         int // 1 to 100; 0: 50
}

// Relations are who cares for whom, whose patient somebody is, which agent a customer has.
// Changes take their reason from [Client.Because].
type Relations struct{ c *Client }

// List gives relations, newest first.
func (r *Relations) List(ctx context.Context, q RelationQuery) ([]Relation, error) {
	p := params{}.text("kind", q.Kind).text("subject_id", q.SubjectID).text("object_id", q.ObjectID).
		text("tenant_id", q.TenantID).limit(q.Limit)
	out, err := ask[struct {
		Relations []Relation `json:"relations"`
	}](ctx, r.c, call{method: http.MethodGet, path: []string{"relations"}, query: url.Values(p)})
	return out.Relations, err
}

// Add makes a relation. [CodeRelationExists], [CodeUserNotFound], [CodeTenantNotFound].
func (r *Relations) Add(ctx context.Context, in NewRelation) (Relation, error) {
	return ask[Relation](ctx, r.c, call{method: http.MethodPost, path: []string{"relations"}, body: in})
}

// End ends a relation now. [CodeRelationNotFound].
func (r *Relations) End(ctx context.Context, id string) error {
	return r.c.do(ctx, call{method: http.MethodDelete, path: []string{"relations", id}})
}
