package adminapi

import (
	"errors"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/role"
)

func roleRoutes() []route {
	return []route{
		{"GET", "/roles", false, 200, getCatalogue},
		{"POST", "/roles/reload", false, 200, reloadRoles},
		{"GET", "/roles/explain", false, 200, explain},
	}
}

func operationRoutes() []route {
	return []route{
		{"GET", "/keys", false, 200, listKeys},
		{"POST", "/keys/rotate", false, 200, rotateKeys},
		{"DELETE", "/keys/{kid}", true, 204, revokeKey},
		{"GET", "/api-keys", false, 200, listAPIKeys},
		{"POST", "/api-keys", false, created, createAPIKey},
		{"DELETE", "/api-keys/{id}", true, 204, revokeAPIKey},
		{"GET", "/messages/dead", false, 200, deadMessages},
		{"POST", "/messages/{id}/retry", false, 204, retryMessage},
	}
}

func getCatalogue(s *surface, _ *call) (any, error) { return viewCatalogue(s.c.Roles()), nil }

// reloadRoles reads the file again on this node; a file with mistakes changes nothing.
func reloadRoles(s *surface, c *call) (any, error) {
	if s.c.ReloadRoles == nil {
		return nil, auth.E(auth.CodeFeatureDisabled, "The role catalogue of this server does not come from a file")
	}
	if err := s.c.Operations.Record(c.r.Context(), c.actor, "roles_reload", "team", map[string]any{}); err != nil {
		return nil, err
	}
	err := s.c.ReloadRoles(c.r.Context())
	var broken *role.Error
	if errors.As(err, &broken) {
		e := &auth.Error{Code: auth.CodeValidation, Message: broken.Error(), Cause: err}
		for _, p := range broken.Problems {
			e.Reasons = append(e.Reasons, p.String())
		}
		return nil, e
	}
	if err != nil {
		return nil, err
	}
	return viewCatalogue(s.c.Roles()), nil
}

func explain(s *surface, c *call) (any, error) {
	q := c.query()
	user, tenant, permission := q.id("user_id"), q.id("tenant_id"), q.text("permission")
	if err := q.done(); err != nil {
		return nil, err
	}
	if user.IsZero() || permission == "" {
		return nil, invalid("user_id and permission are needed")
	}
	e, err := s.c.Tenancy.Explain(c.r.Context(), c.actor, user, tenant, permission)
	if err != nil {
		return nil, err
	}
	return struct {
		Allowed bool     `json:"allowed"`
		Because []string `json:"because"`
	}{e.Allowed, append([]string{}, e.Because...)}, nil
}

func listKeys(s *surface, _ *call) (any, error) {
	return map[string]any{"keys": views(s.c.Operations.Keys(), viewKey)}, nil
}

func rotateKeys(s *surface, c *call) (any, error) {
	b, err := c.body(true)
	if err != nil {
		return nil, err
	}
	use := b.text("use")
	if err := b.done(); err != nil {
		return nil, err
	}
	if use == "" {
		use = string(auth.KeyUseAccess)
	}
	k, err := s.c.Operations.RotateKeys(c.r.Context(), c.actor, auth.KeyUse(use))
	if err != nil {
		return nil, err
	}
	return viewKey(&k), nil
}

func revokeKey(s *surface, c *call) (any, error) {
	kid, err := c.text("kid")
	if err != nil {
		return nil, err
	}
	return nil, s.c.Operations.RevokeKey(c.r.Context(), c.actor, kid)
}

func listAPIKeys(s *surface, c *call) (any, error) {
	list, err := s.c.Operations.APIKeys(c.r.Context())
	if err != nil {
		return nil, err
	}
	return map[string]any{"api_keys": views(list, func(k *auth.APIKey) apiKeyView { return viewAPIKey(k, "") })}, nil
}

func createAPIKey(s *surface, c *call) (any, error) {
	b, err := c.body(false)
	if err != nil {
		return nil, err
	}
	name, kind := b.text("name"), b.text("kind")
	if err := b.done(); err != nil {
		return nil, err
	}
	plain, k, err := s.c.Operations.CreateAPIKey(c.r.Context(), c.actor, name, kind)
	if err != nil {
		return nil, err
	}
	return viewAPIKey(&k, plain), nil
}

func revokeAPIKey(s *surface, c *call) (any, error) {
	id, err := c.id("id")
	if err != nil {
		return nil, err
	}
	return nil, s.c.Operations.RevokeAPIKey(c.r.Context(), c.actor, id)
}

func deadMessages(s *surface, c *call) (any, error) {
	q := c.query()
	limit := q.limit(1000)
	if err := q.done(); err != nil {
		return nil, err
	}
	list, err := s.c.Operations.DeadMessages(c.r.Context(), limit)
	if err != nil {
		return nil, err
	}
	return map[string]any{"messages": views(list, func(m *auth.Message) messageView {
		return messageView{m.ID, m.Channel, m.Kind, m.Attempts, m.LastError, m.CreatedAt, m.DeadAt}
	})}, nil
}

func retryMessage(s *surface, c *call) (any, error) {
	id, err := c.id("id")
	if err != nil {
		return nil, err
	}
	return nil, s.c.Operations.RetryMessage(c.r.Context(), c.actor, id)
}
