package rest

import (
	"slices"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/openapi"
)

// Document gives the OpenAPI 3.1 document of the surface. A test compares it with
// docs/reference/openapi.json.
func Document() ([]byte, error) { return api(routes()).JSON() } //nolint:wrapcheck // it says what failed

// docTag is a group of operations.
type docTag struct{ name, about string }

// api describes a route table.
func api(table []operation) *openapi.API {
	a := &openapi.API{
		Title: "Cardea REST API", About: aboutAPI, Server: "/",
		Credential: "The access_token of a session.", Format: "JWT",
		Wire: wireDoc, Anywhere: failureCodes(), Refused: tokenCodes(),
	}
	for _, t := range tags() {
		a.Tags = append(a.Tags, openapi.Tag{Name: t.name, Description: t.about})
	}
	for i := range table {
		o := &table[i]
		a.Operations = append(a.Operations, openapi.Operation{
			Method: o.method, Path: o.path, ID: o.id, Tag: o.tag, Summary: o.summary, Text: o.text, Public: o.public, Hooked: o.hooked,
			Codes: slices.Concat(o.common(), o.codes), In: o.run.In, Replies: o.run.Replies,
		})
	}
	return a
}

func wireDoc(c auth.Code) openapi.Wire {
	w := wireTable[c]
	return openapi.Wire{Status: w.status, Code: w.code, Message: w.message}
}

// failureCodes may come with any operation and have nothing to do with what was asked.
func failureCodes() []auth.Code {
	return []auth.Code{
		auth.CodeInternal, auth.CodeUnavailable, auth.CodeRequestTimeout, auth.CodeBodyTooLarge, codeBadMethod, codeNoRoute,
		auth.CodeHookTimeout, auth.CodeHookTimeoutAfterRetry, auth.CodeHookAnswerTooLarge, auth.CodeHookContentType,
		auth.CodeHookRefused, auth.CodeTriggerFailed, auth.CodeTriggerRefused, auth.CodeAccountInUse,
	}
}

// tokenCodes are the codes of a 401 where a token is needed.
func tokenCodes() []auth.Code {
	return []auth.Code{
		auth.CodeNoAuthorization, auth.CodeBadJWT, auth.CodeBadSubject, auth.CodeTokenUserNotFound, auth.CodeSessionNotFound,
	}
}
