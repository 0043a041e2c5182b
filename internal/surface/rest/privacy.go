package rest

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/openapi"
)

func privacyRoutes() []operation {
	return []operation{
		{
			method: "DELETE", path: "/api/users/me", id: "deleteMe", tag: tagUsers, summary: "Delete the own account, for good",
			text: "Ends every session and removes the account at once; what else is known of the person goes soon after, also in the " +
				"applications behind this server. Needs a sign-in of the last day, or a nonce. Asked again, it gives the same answer.",
			codes: []auth.Code{auth.CodeReauthNeeded, auth.CodeReauthInvalid, auth.CodeInsufficientAAL, auth.CodeLegalHold},
			run:   answer(http.StatusNoContent, "The account is deleted.", (*surface).deleteMe),
		}, {
			method: "GET", path: "/api/users/me/export", id: "exportMe", tag: tagUsers, summary: "Everything that is known of the caller",
			text: "A document, signed by the server, with what its tables and the applications behind it know. Whole, or not made. " +
				"Needs a sign-in of the last day, or a nonce.",
			codes: []auth.Code{auth.CodeReauthNeeded, auth.CodeReauthInvalid, auth.CodeInsufficientAAL, auth.CodeUserNotFound, auth.CodeExportFailed},
			run:   openapi.Sent[*surface, *call, freshQuery, exported](http.StatusOK, "The document.", (*surface).exportMe),
		},
	}
}

type freshQuery struct {
	Nonce string `query:"nonce" max:"20" doc:"Code of a message that POST /auth/v1/reauthenticate sent; where the sign-in is older than a day. Works once."`
}

// exported is the document; the members of Data and Applications are tables and applications.
type exported struct {
	Format       string                     `json:"format" doc:"cardea-export/1." example:"cardea-export/1"`
	ID           auth.ID                    `json:"exportId" doc:"Of this export."`
	Issuer       string                     `json:"issuer" doc:"Whose key set has the key of the signature."`
	UserID       auth.ID                    `json:"userId" doc:"The caller."`
	Date         time.Time                  `json:"exportDate" doc:"When it was made."`
	Data         map[string]json.RawMessage `json:"data" doc:"By table: a list of rows."`
	Applications map[string]json.RawMessage `json:"applications" doc:"By name: what an application answered."`
	Signature    string                     `json:"signature" doc:"Detached JWS of the document without this member and without blanks."`
}

// exportMe is GET /api/users/me/export.
func (s *surface) exportMe(c *call, in freshQuery) (json.RawMessage, error) {
	return s.c.Privacy.ExportMe(c.r.Context(), c.caller, in.Nonce)
}

// deleteMe is DELETE /api/users/me.
func (s *surface) deleteMe(c *call, in freshQuery) (none, error) {
	_, err := s.c.Privacy.EraseMe(c.r.Context(), c.caller, in.Nonce)
	return none{}, err
}
