package rest

import (
	"net/http"

	"github.com/cardea-auth/cardea/internal/auth"
)

func privacyRoutes() []operation {
	return []operation{
		{
			method: "DELETE", path: "/api/users/me", id: "deleteMe", tag: tagUsers, summary: "Delete the own account, for good",
			text: "Ends every session and removes the account at once; what else is known of the person goes soon after, also in the " +
				"applications behind this server. Needs a sign-in of the last day, or a nonce. Asked again, it gives the same answer.",
			codes: []auth.Code{auth.CodeReauthNeeded, auth.CodeReauthInvalid, auth.CodeInsufficientAAL, auth.CodeLegalHold},
			run:   answer(http.StatusNoContent, "The account is deleted.", (*surface).deleteMe),
		},
	}
}

type freshQuery struct {
	Nonce string `query:"nonce" max:"20" doc:"Code of a message that POST /auth/v1/reauthenticate sent; where the sign-in is older than a day. Works once."`
}

// deleteMe is DELETE /api/users/me.
func (s *surface) deleteMe(c *call, in freshQuery) (none, error) {
	_, err := s.c.Privacy.EraseMe(c.r.Context(), c.caller, in.Nonce)
	return none{}, err
}
