package adminapi

import (
	"errors"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/role"
)

func roleRoutes() []route {
	return []route{
		{
			method: "GET", path: "/roles", id: "getCatalogue", tag: tagRoles, summary: "The catalogue in force",
			run: gives("The catalogue.", getCatalogue),
		}, {
			method: "POST", path: "/roles/reload", id: "reloadRoles", tag: tagRoles, summary: "Read the file of the catalogue again",
			text:  "On the node that answers. A file with mistakes changes nothing; the answer names its lines.",
			codes: []auth.Code{auth.CodeFeatureDisabled},
			run:   gives("The catalogue that holds from now on.", reloadRoles),
		}, {
			method: "GET", path: "/roles/explain", id: "explain", tag: tagRoles, summary: "May somebody do something, and why?",
			codes: []auth.Code{auth.CodeUserNotFound, auth.CodeTenantNotFound, auth.CodeMemberNotFound},
			run:   gives("Yes or no, with reasons.", explain),
		},
	}
}

func operationRoutes() []route {
	return []route{
		{
			method: "GET", path: "/keys", id: "listKeys", tag: tagKeys, summary: "Signing keys",
			run: gives("The keys, without anything secret.", listKeys),
		}, {
			method: "POST", path: "/keys/rotate", id: "rotateKeys", tag: tagKeys, summary: "Sign with the standby key from now on", bodyOptional: true,
			codes: []auth.Code{auth.CodeConflict},
			run:   gives("The key that signs now.", rotateKeys),
		}, {
			method: "DELETE", path: "/keys/{kid}", id: "revokeKey", tag: tagKeys, reason: true,
			summary: "Stop accepting what a previous key has signed",
			codes:   []auth.Code{auth.CodeConflict},
			run:     does("Revoked.", revokeKey),
		}, {
			method: "GET", path: "/api-keys", id: "listAPIKeys", tag: tagKeys, summary: "Opaque API keys",
			run: gives("The keys; none can be read back.", listAPIKeys),
		}, {
			method: "POST", path: "/api-keys", id: "createAPIKey", tag: tagKeys, summary: "Make an opaque API key",
			run: makes("The key, shown this once.", createAPIKey),
		}, {
			method: "DELETE", path: "/api-keys/{id}", id: "revokeAPIKey", tag: tagKeys, summary: "Revoke an API key", reason: true,
			run: does("Revoked.", revokeAPIKey),
		}, {
			method: "GET", path: "/messages/dead", id: "listDeadMessages", tag: tagMessages, summary: "Messages that were given up",
			run: gives("The newest of them.", deadMessages),
		}, {
			method: "POST", path: "/messages/{id}/retry", id: "retryMessage", tag: tagMessages, summary: "Try to send a message again",
			run: does("It will be tried.", retryMessage),
		},
	}
}

func getCatalogue(s *surface, _ *call, _ none) (catalogueView, error) {
	return viewCatalogue(s.c.Roles()), nil
}

// reloadRoles reads the file again on this node; a file with mistakes changes nothing.
func reloadRoles(s *surface, c *call, _ none) (catalogueView, error) {
	if s.c.ReloadRoles == nil {
		return catalogueView{}, auth.E(auth.CodeFeatureDisabled, "The role catalogue of this server does not come from a file")
	}
	if err := s.c.Operations.Record(c.r.Context(), c.actor, "roles_reload", "team", map[string]any{}); err != nil {
		return catalogueView{}, err
	}
	err := s.c.ReloadRoles(c.r.Context())
	var broken *role.Error
	if errors.As(err, &broken) {
		e := &auth.Error{Code: auth.CodeValidation, Message: broken.Error(), Cause: err}
		for _, p := range broken.Problems {
			e.Reasons = append(e.Reasons, p.String())
		}
		return catalogueView{}, e
	}
	if err != nil {
		return catalogueView{}, err
	}
	return viewCatalogue(s.c.Roles()), nil
}

type explainQuery struct {
	User       auth.ID `query:"user_id" need:"true" doc:"About whom."`
	Tenant     auth.ID `query:"tenant_id" doc:"In this tenant; otherwise in the application."`
	Permission string  `query:"permission" need:"true" max:"200" doc:"Such as member:invite."`
}

// explanation answers whether somebody may do something, and why.
type explanation struct {
	Allowed bool     `json:"allowed" doc:"Whether the person may do it now."`
	Because []string `json:"because" doc:"Why, for people."`
}

func explain(s *surface, c *call, in explainQuery) (explanation, error) {
	e, err := s.c.Tenancy.Explain(c.r.Context(), c.actor, in.User, in.Tenant, in.Permission)
	if err != nil {
		return explanation{}, err
	}
	return explanation{e.Allowed, append([]string{}, e.Because...)}, nil
}

type keyList struct {
	Keys []keyView `json:"keys" doc:"Of every use and in every state."`
}

func listKeys(s *surface, _ *call, _ none) (keyList, error) {
	return keyList{views(s.c.Operations.Keys(), viewKey)}, nil
}

type rotationRequest struct {
	Use string `json:"use" max:"32" doc:"access, api_key or refresh; otherwise access."`
}

func rotateKeys(s *surface, c *call, in rotationRequest) (keyView, error) {
	if in.Use == "" {
		in.Use = string(auth.KeyUseAccess)
	}
	k, err := s.c.Operations.RotateKeys(c.r.Context(), c.actor, auth.KeyUse(in.Use))
	if err != nil {
		return keyView{}, err
	}
	return viewKey(&k), nil
}

type keyPath struct {
	KID string `path:"kid" need:"true" max:"200" doc:"Id of the key."`
}

func revokeKey(s *surface, c *call, in keyPath) error {
	return s.c.Operations.RevokeKey(c.r.Context(), c.actor, in.KID)
}

type apiKeyList struct {
	Keys []apiKeyView `json:"api_keys" doc:"Revoked ones too."`
}

func listAPIKeys(s *surface, c *call, _ none) (apiKeyList, error) {
	list, err := s.c.Operations.APIKeys(c.r.Context())
	if err != nil {
		return apiKeyList{}, err
	}
	return apiKeyList{views(list, func(k *auth.APIKey) apiKeyView { return viewAPIKey(k, "") })}, nil
}

type apiKeyRequest struct {
	Name string `json:"name" doc:"For people, at most 100 characters." example:"console"`
	Kind string `json:"kind" doc:"publishable for pages and apps, secret for servers of operators." example:"secret"`
}

func createAPIKey(s *surface, c *call, in apiKeyRequest) (apiKeyView, error) {
	plain, k, err := s.c.Operations.CreateAPIKey(c.r.Context(), c.actor, in.Name, in.Kind)
	if err != nil {
		return apiKeyView{}, err
	}
	return viewAPIKey(&k, plain), nil
}

type apiKeyPath struct {
	ID auth.ID `path:"id" doc:"Id of the key."`
}

func revokeAPIKey(s *surface, c *call, in apiKeyPath) error {
	return s.c.Operations.RevokeAPIKey(c.r.Context(), c.actor, in.ID)
}

type messageQuery struct {
	Limit int `query:"limit" min:"1" max:"1000" default:"50" doc:"How many at most."`
}

type messageList struct {
	Messages []messageView `json:"messages" doc:"What they say is sealed and not shown."`
}

func deadMessages(s *surface, c *call, in messageQuery) (messageList, error) {
	list, err := s.c.Operations.DeadMessages(c.r.Context(), in.Limit)
	if err != nil {
		return messageList{}, err
	}
	return messageList{views(list, func(m *auth.Message) messageView {
		return messageView{m.ID, m.Channel, m.Kind, m.Attempts, m.LastError, m.CreatedAt, m.DeadAt}
	})}, nil
}

type messagePath struct {
	ID auth.ID `path:"id" doc:"Id of the message."`
}

func retryMessage(s *surface, c *call, in messagePath) error {
	return s.c.Operations.RetryMessage(c.r.Context(), c.actor, in.ID)
}
