package adminapi

import (
	"encoding/json"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/flow"
)

func tenantRoutes() []route {
	return []route{
		{
			method: "GET", path: "/tenants", id: "listTenants", tag: tagTenants, summary: "A page of tenants",
			run: gives("One page.", listTenants),
		}, {
			method: "POST", path: "/tenants", id: "createTenant", tag: tagTenants, summary: "Make a tenant",
			codes: []auth.Code{auth.CodeSlugExists, auth.CodeUserNotFound, auth.CodeFeatureDisabled},
			run:   makes("The tenant.", createTenant),
		}, {
			method: "GET", path: "/tenants/{tenant}", id: "getTenant", tag: tagTenants, summary: "One tenant",
			codes: []auth.Code{auth.CodeTenantNotFound},
			run:   gives("The tenant.", getTenant),
		}, {
			method: "PATCH", path: "/tenants/{tenant}", id: "updateTenant", tag: tagTenants, summary: "Change a tenant",
			codes: []auth.Code{auth.CodeTenantNotFound, auth.CodeSlugExists},
			run:   gives("The tenant, changed.", changeTenant),
		}, {
			method: "DELETE", path: "/tenants/{tenant}", id: "deleteTenant", tag: tagTenants, reason: true,
			summary: "Delete a tenant with its memberships and relations",
			codes:   []auth.Code{auth.CodeTenantNotFound, auth.CodeFeatureDisabled},
			run:     does("Deleted.", deleteTenant),
		},
	}
}

type pageQuery struct {
	After auth.ID `query:"after" doc:"The next of the page before."`
	Limit int     `query:"limit" min:"1" max:"100" default:"50" doc:"How many at most."`
}

type tenantPage struct {
	Tenants []tenantView `json:"tenants" doc:"The tenants of the page."`
	Next    string       `json:"next" doc:"What to send as after for the next page; empty on the last one."`
}

func listTenants(s *surface, c *call, in pageQuery) (tenantPage, error) {
	list, err := s.c.Tenancy.List(c.r.Context(), c.actor, in.After, in.Limit+1)
	if err != nil {
		return tenantPage{}, err
	}
	list, next := cut(list, in.Limit, func(t *auth.Tenant) auth.ID { return t.ID })
	return tenantPage{views(list, viewTenant), next}, nil
}

type newTenantRequest struct {
	Slug     string                     `json:"slug" doc:"3 to 63 small letters, digits and single hyphens; unique." example:"north-clinic"`
	Name     string                     `json:"name" doc:"Name for people." example:"North Clinic"`
	Settings map[string]json.RawMessage `json:"settings" doc:"What the application keeps as settings."`
	Owner    auth.ID                    `json:"owner_id" doc:"Who becomes its owner."`
}

func createTenant(s *surface, c *call, in newTenantRequest) (tenantView, error) {
	t, err := s.c.Tenancy.Create(c.r.Context(), c.actor, flow.NewTenant{Slug: in.Slug, Name: in.Name, Settings: in.Settings, Owner: in.Owner})
	if err != nil {
		return tenantView{}, err
	}
	return viewTenant(&t), nil
}

type tenantName struct {
	Tenant string `path:"tenant" need:"true" max:"200" doc:"Id or slug."`
}

func getTenant(s *surface, c *call, in tenantName) (tenantView, error) {
	var t auth.Tenant
	id, err := auth.ParseID(in.Tenant)
	if err == nil {
		t, err = s.c.Tenancy.Get(c.r.Context(), c.actor, id)
	} else {
		t, err = s.c.Tenancy.BySlug(c.r.Context(), in.Tenant)
	}
	if err != nil {
		return tenantView{}, err
	}
	return viewTenant(&t), nil
}

type tenantRequest struct {
	Tenant   auth.ID                    `path:"tenant" doc:"Id of the tenant."`
	Slug     *string                    `json:"slug" doc:"3 to 63 small letters, digits and single hyphens; unique."`
	Name     *string                    `json:"name" doc:"Name for people."`
	Active   *bool                      `json:"is_active" doc:"False: nobody reaches the tenant's data."`
	Settings map[string]json.RawMessage `json:"settings" doc:"Merged name by name; null removes a name."`
}

func changeTenant(s *surface, c *call, in tenantRequest) (tenantView, error) {
	t, err := s.c.Tenancy.Update(c.r.Context(), c.actor, in.Tenant, flow.TenantChange{
		Slug: in.Slug, Name: in.Name, Active: in.Active, Settings: in.Settings,
	})
	if err != nil {
		return tenantView{}, err
	}
	return viewTenant(&t), nil
}

type tenantPath struct {
	Tenant auth.ID `path:"tenant" doc:"Id of the tenant."`
}

func deleteTenant(s *surface, c *call, in tenantPath) error {
	return s.c.Tenancy.Delete(c.r.Context(), c.actor, in.Tenant)
}
