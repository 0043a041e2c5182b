package rest

import (
	"net/http"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/flow"
)

func identifierRoutes() []operation {
	fresh := []auth.Code{auth.CodeSSOManaged, auth.CodeInsufficientAAL, auth.CodeReauthNeeded}
	return []operation{
		{
			method: "GET", path: "/api/users/me/identifiers", id: "listIdentifiers", tag: tagUsers,
			summary: "List the e-mail addresses and phone numbers",
			run:     answer(http.StatusOK, "The primary ones first.", (*surface).identifiers),
		}, {
			method: "POST", path: "/api/users/me/identifiers", id: "addIdentifier", tag: tagUsers,
			summary: "Add a further address, and send a code to it",
			text: "Needs a sign-in of the last 15 minutes, and a proved primary address of the same kind. " +
				"Once proved, it is good for signing in and for a forgotten password. What is somebody else's gets the same answer, and can't be proved.",
			codes: append([]auth.Code{
				auth.CodeNoMailer, auth.CodePhoneUnsupported, auth.CodeMailTooSoon, auth.CodeSMSTooSoon, auth.CodeMailLimit, auth.CodeSMSLimit,
				auth.CodeEmailExists, auth.CodePhoneExists, auth.CodeConflict,
			}, fresh...),
			run: answer(http.StatusAccepted, "It waits for its proof.", (*surface).addIdentifier),
		}, {
			method: "POST", path: "/api/users/me/identifiers/{identifier}/verify", id: "verifyIdentifier", tag: tagUsers,
			summary: "Prove a further address by its code",
			text:    "A code dies after its sixth wrong try.",
			codes:   []auth.Code{auth.CodeOTPExpired, auth.CodeEmailExists, auth.CodePhoneExists},
			run:     answer(http.StatusOK, "It is proved.", (*surface).verifyIdentifier),
		}, {
			method: "POST", path: "/api/users/me/identifiers/{identifier}/primary", id: "makePrimary", tag: tagUsers,
			summary: "Make a proved address the primary one of its kind",
			text:    "The primary one until now stays as a further one. Needs a sign-in of the last 15 minutes.",
			codes:   append([]auth.Code{auth.CodeValidation, auth.CodeConflict}, fresh...),
			run:     answer(http.StatusOK, "The addresses as they are now.", (*surface).makePrimary),
		}, {
			method: "DELETE", path: "/api/users/me/identifiers/{identifier}", id: "removeIdentifier", tag: tagUsers,
			summary: "Take a further address away",
			text:    "Needs a sign-in of the last 15 minutes. A primary address is replaced by another one, not taken away.",
			codes:   fresh,
			run:     answer(http.StatusNoContent, "It is gone.", (*surface).removeIdentifier),
		},
	}
}

// identifier is one address.
type identifier struct {
	ID         auth.ID   `json:"id,omitzero" doc:"Of a further address; the primary ones have none."`
	Kind       string    `json:"kind" enum:"email,phone" doc:"What it is."`
	Value      string    `json:"value" doc:"The address, lower-case, or the number in E.164 without the plus sign."`
	Primary    bool      `json:"primary" doc:"The one of its kind that the account goes by."`
	Verified   bool      `json:"verified" doc:"It has been proved."`
	VerifiedAt time.Time `json:"verified_at,omitzero" doc:"When it was proved."`
}

type identifierList struct {
	Identifiers []identifier `json:"identifiers" doc:"The primary ones first; those that wait for their proof too."`
}

func viewIdentifier(a flow.Address) identifier {
	return identifier{a.ID, a.Kind, a.Value, a.Primary, !a.VerifiedAt.IsZero(), a.VerifiedAt}
}

func viewAddresses(list []flow.Address) identifierList {
	out := identifierList{[]identifier{}}
	for _, a := range list {
		out.Identifiers = append(out.Identifiers, viewIdentifier(a))
	}
	return out
}

// identifiers is GET /api/users/me/identifiers.
func (s *surface) identifiers(c *call, _ none) (identifierList, error) {
	list, err := s.c.People.Addresses(c.r.Context(), c.caller)
	return viewAddresses(list), err
}

type addressRequest struct {
	Value string `json:"value" need:"true" max:"254" doc:"An e-mail address or a phone number." example:"ada@hospital.example"`
}

// addIdentifier is POST /api/users/me/identifiers.
func (s *surface) addIdentifier(c *call, in addressRequest) (identifier, error) {
	a, err := s.c.People.AddAddress(c.r.Context(), c.caller, in.Value)
	return viewIdentifier(a), err
}

type identifierPath struct {
	Identifier auth.ID `path:"identifier" doc:"Id of a further address."`
}

type identifierCodeRequest struct {
	Identifier auth.ID `path:"identifier" doc:"Id of a further address."`
	Code       string  `json:"code" need:"true" max:"20" doc:"What the message says." example:"123456"`
}

// verifyIdentifier is POST /api/users/me/identifiers/{identifier}/verify.
func (s *surface) verifyIdentifier(c *call, in identifierCodeRequest) (identifier, error) {
	a, err := s.c.People.ProveAddress(c.r.Context(), c.caller, in.Identifier, in.Code)
	return viewIdentifier(a), err
}

// makePrimary is POST /api/users/me/identifiers/{identifier}/primary.
func (s *surface) makePrimary(c *call, in identifierPath) (identifierList, error) {
	list, err := s.c.People.MakePrimary(c.r.Context(), c.caller, in.Identifier)
	return viewAddresses(list), err
}

// removeIdentifier is DELETE /api/users/me/identifiers/{identifier}.
func (s *surface) removeIdentifier(c *call, in identifierPath) (none, error) {
	return none{}, s.c.People.RemoveAddress(c.r.Context(), c.caller, in.Identifier)
}
