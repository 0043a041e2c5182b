package gotrue

import (
	"net/http"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/web"
)

// notYet is the sentence of routes that this version does not have.
const notYet = "This feature is not available in this version of the server"

// gates are routes of GoTrue that are off. They answer before they read anything, so they
// change nothing and tell nothing.
func gates() []route {
	var out []route
	for _, g := range []struct {
		code    auth.Code
		message string
		paths   []string
	}{
		{auth.CodeFeatureDisabled, notYet, []string{
			"/admin/audit", "/user/oauth/grants", "/oauth/{rest...}", "/admin/oauth/{rest...}",
			"/admin/custom-providers", "/admin/custom-providers/{rest...}", "/admin/users/{id}/factors/{factor}",
			"/.well-known/openid-configuration", "/.well-known/oauth-authorization-server", "/scim/{rest...}",
		}},
		{auth.CodeProviderUnsupported, "", []string{"/authorize"}},
		{auth.CodeSAMLDisabled, "", []string{"/sso", "/sso/{rest...}", "/admin/sso/{rest...}"}},
		{auth.CodeLinkingDisabled, "", []string{"/user/identities/authorize", "/user/identities/{id}"}},
		{auth.CodePasskeyDisabled, "", []string{
			"/passkeys", "/passkeys/{rest...}", "/admin/users/{id}/passkeys", "/admin/users/{id}/passkeys/{passkey}",
		}},
		{auth.CodeMFADisabled, "", []string{"/factors", "/factors/{rest...}"}},
	} {
		err := auth.E(g.code, g.message)
		refuse := func(http.ResponseWriter, *http.Request) error { return err }
		methods := map[string]web.HandlerFunc{}
		for _, m := range []string{"GET", "POST", "PUT", "PATCH", "DELETE"} {
			methods[m] = refuse
		}
		for _, p := range g.paths {
			out = append(out, route{p, methods})
		}
	}
	return out
}

// grantGate refuses the grants of GoTrue that are off, in GoTrue's words.
func grantGate(name string) error {
	switch name {
	case "web3":
		return auth.E(auth.CodeWeb3Disabled, "")
	case "id_token":
		return auth.E(auth.CodeProviderDisabled, "")
	}
	return nil
}
