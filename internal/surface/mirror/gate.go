package mirror

import "github.com/cardea-auth/cardea/internal/flow"

// state is how far somebody has come on the way into an application (S2.39).
type state struct {
	Stage         string   `json:"stage"`
	NextAction    string   `json:"next_action"`
	MissingFields []string `json:"missing_fields"`
}

// viewState names the fields as this application's clients do.
func viewState(s *flow.AuthState) state {
	out := state{s.Stage, s.Next, []string{}}
	for _, name := range s.Missing {
		switch name {
		case "birth_date":
			name = "date_of_birth"
		case "image_url":
			name = "profile_image_url"
		}
		out.MissingFields = append(out.MissingFields, name)
	}
	return out
}

// app reads which application is meant, "" for the first.
func (c *call) app() (string, error) {
	q := query{values: c.r.URL.Query()}
	return q.text("app"), q.err
}

// authState is GET /users/me/auth-state.
func (s *surface) authState(c *call) (any, error) {
	app, err := c.app()
	if err != nil {
		return nil, err
	}
	at, err := s.c.People.AuthState(c.r.Context(), c.caller, app)
	if err != nil {
		return nil, err
	}
	return viewState(&at), nil
}

// onboard is POST /users/me/onboarding.
func (s *surface) onboard(c *call) (any, error) {
	app, err := c.app()
	if err != nil {
		return nil, err
	}
	at, err := s.c.People.Onboard(c.r.Context(), c.caller, app)
	if err != nil {
		return nil, err
	}
	return viewState(&at), nil
}
