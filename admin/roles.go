package admin

import (
	"context"
	"net/http"
	"net/url"
)

// Catalogue is the roles of the application.
type Catalogue struct {
	Owner string `json:"owner,omitempty"` // the role of those who may not all leave a tenant
	Roles []Role `json:"roles"`
}

// Role is one role of the catalogue.
type Role struct {
	Name           string   `json:"name"`
	Level          int      `json:"level"`
	Scope          string   `json:"scope"` // "app" or "tenant"
	SelfAssignable bool     `json:"self_assignable"`
	Approval       bool     `json:"approval"` // chosen by the person, decided by an operator
	Inherits       []string `json:"inherits"`
	Permissions    []string `json:"permissions"` // as written, "*" for all of a family
}

// Explanation says whether somebody may do something, and by which roles, or what is missing.
type Explanation struct {
	Allowed bool     `json:"allowed"`
	Because []string `json:"because"`
}

// Roles is the role catalogue.
type Roles struct{ c *Client }

// Catalogue gives the catalogue that is in use.
func (r *Roles) Catalogue(ctx context.Context) (Catalogue, error) {
	return ask[Catalogue](ctx, r.c, call{method: http.MethodGet, path: []string{"roles"}})
}

// Reload reads the catalogue's file again on the server that answers. A file with mistakes
// leaves the catalogue as it is; the error lists them with their lines.
func (r *Roles) Reload(ctx context.Context) (Catalogue, error) {
	return ask[Catalogue](ctx, r.c, call{method: http.MethodPost, path: []string{"roles", "reload"}})
}

// Explain says whether a person has a permission, in a tenant or ("") in the application.
func (r *Roles) Explain(ctx context.Context, user, tenant, permission string) (Explanation, error) {
	q := params{}.text("user_id", user).text("tenant_id", tenant).text("permission", permission)
	return ask[Explanation](ctx, r.c, call{method: http.MethodGet, path: []string{"roles", "explain"}, query: url.Values(q)})
}
