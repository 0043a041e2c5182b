package rest

import (
	"net/http"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/flow"
)

// authState is how far somebody has come on the way into an application.
type authState struct {
	App           string   `json:"app,omitempty" doc:"The application that was asked about." example:"stays"`
	Stage         string   `json:"stage" enum:"identifier_verification,password_setup,profile_completion,app_onboarding,active" doc:"The first stage that is not passed yet; active when all are."`
	NextAction    string   `json:"next_action" enum:"verify_identifier,set_password,complete_profile,complete_onboarding,grant_access" doc:"What to do about it."`
	MissingFields []string `json:"missing_fields" doc:"Fields of the profile that the application needs and that are empty, at profile_completion."`
	IsOnboarded   bool     `json:"is_onboarded" doc:"The application's own onboarding has been completed, whatever the stage."`
}

func viewState(s *flow.AuthState) authState {
	return authState{s.App, s.Stage, s.Next, append([]string{}, s.Missing...), s.Onboarded}
}

type appRequest struct {
	App string `query:"app" max:"32" doc:"Name of an application of the server's registry; without it the first." example:"stays"`
}

// authState is GET /api/users/me/auth-state.
func (s *surface) authState(c *call, in appRequest) (authState, error) {
	at, err := s.c.People.AuthState(c.r.Context(), c.caller, in.App)
	if err != nil {
		return authState{}, err
	}
	return viewState(&at), nil
}

// onboard is POST /api/users/me/onboarding.
func (s *surface) onboard(c *call, in appRequest) (authState, error) {
	at, err := s.c.People.Onboard(c.r.Context(), c.caller, in.App)
	if err != nil {
		return authState{}, err
	}
	return viewState(&at), nil
}

// deactivate is POST /api/users/me/deactivate.
func (s *surface) deactivate(c *call, _ none) (none, error) {
	return none{}, s.c.People.Deactivate(c.r.Context(), c.caller)
}

func gateRoutes() []operation {
	return []operation{
		{
			method: "POST", path: "/api/users/me/deactivate", id: "deactivate", tag: tagUsers, summary: "Switch the own account off",
			text: "Ends every session; nothing is deleted. Sign-in then answers as to a wrong password, and only an operator or an " +
				"administrator switches the account on again. The session must have been proved within the last ten minutes.",
			codes: []auth.Code{auth.CodeUserInactive, auth.CodeReauthNeeded, auth.CodeInsufficientAAL, auth.CodeEmailNotConfirmed, auth.CodePhoneNotConfirmed},
			run:   answer(http.StatusNoContent, "Off.", (*surface).deactivate),
		}, {
			method: "GET", path: "/api/users/me/auth-state", id: "getAuthState", tag: tagUsers,
			summary: "What is left to do before an application lets me in?",
			text:    "Computed from the account as it is now. 503 when it can't be read: ask again, and let nobody in meanwhile.",
			codes:   []auth.Code{auth.CodeAppUnknown, auth.CodeUserInactive},
			run:     answer(http.StatusOK, "The first stage that is not passed yet.", (*surface).authState),
		}, {
			method: "POST", path: "/api/users/me/onboarding", id: "completeOnboarding", tag: tagUsers,
			summary: "Note that the onboarding of an application is completed",
			codes:   []auth.Code{auth.CodeAppUnknown, auth.CodeUserInactive},
			run:     answer(http.StatusOK, "The state after it.", (*surface).onboard),
		},
	}
}
