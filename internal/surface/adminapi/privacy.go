package adminapi

import (
	"encoding/json"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
)

func privacyRoutes() []route {
	return []route{
		{"POST", "/users/{id}/erasure", true, accepted, beginErasure},
		{"GET", "/users/{id}/erasure", false, 200, getErasure},
		{"GET", "/users/{id}/export", true, 200, exportUser},
		{"GET", "/collectors", false, 200, listCollectors},
		{"GET", "/erasures", false, 200, listErasures},
		{"POST", "/erasures/{id}/retry", false, 200, retryErasure},
		{"GET", "/users/{id}/holds", false, 200, listHolds},
		{"POST", "/users/{id}/holds", true, created, placeHold},
		{"DELETE", "/users/{id}/holds/{hold}", true, 204, liftHold},
	}
}

// erasureView is a deletion and how far it is.
type erasureView struct {
	ID         auth.ID    `json:"id"`
	UserID     auth.ID    `json:"user_id"`
	By         string     `json:"by"`    // "self" or "operator"
	State      string     `json:"state"` // "open", "failing" or "done"
	Reason     string     `json:"reason"`
	BegunAt    time.Time  `json:"begun_at"`
	NextAt     time.Time  `json:"next_at,omitzero"`
	FinishedAt time.Time  `json:"finished_at,omitzero"`
	Steps      []stepView `json:"steps"`
}

type stepView struct {
	Kind      string    `json:"kind"`
	Name      string    `json:"name"`
	Action    string    `json:"action,omitempty"`
	NotBefore time.Time `json:"not_before,omitzero"`
	Attempts  int       `json:"attempts"`
	Error     string    `json:"error,omitempty"`
	DoneAt    time.Time `json:"done_at,omitzero"`
}

func viewErasure(e *auth.Erasure) erasureView {
	v := erasureView{
		ID: e.ID, UserID: e.UserID, By: "operator", State: "open", Reason: e.Reason, BegunAt: e.BegunAt, FinishedAt: e.FinishedAt,
		Steps: views(e.Steps, func(s *auth.ErasureStep) stepView {
			return stepView{s.Kind, s.Name, s.Action, s.NotBefore, s.Attempts, s.Error, s.DoneAt}
		}),
	}
	if e.ActorID == e.UserID {
		v.By = "self"
	}
	switch {
	case !e.FinishedAt.IsZero():
		v.State = "done"
	case e.Failing():
		v.State = "failing"
	}
	if e.FinishedAt.IsZero() {
		v.NextAt = e.NextAt()
	}
	return v
}

func beginErasure(s *surface, c *call) (any, error) {
	id, err := c.id("id")
	if err != nil {
		return nil, err
	}
	e, err := s.c.Privacy.Erase(c.r.Context(), c.actor, id)
	if err != nil {
		return nil, err
	}
	return viewErasure(&e), nil
}

func getErasure(s *surface, c *call) (any, error) {
	id, err := c.id("id")
	if err != nil {
		return nil, err
	}
	e, err := s.c.Privacy.ErasureOf(c.r.Context(), c.actor, id)
	if err != nil {
		return nil, err
	}
	return viewErasure(&e), nil
}

// exportUser gives the document as it was signed.
func exportUser(s *surface, c *call) (any, error) {
	id, err := c.id("id")
	if err != nil {
		return nil, err
	}
	doc, err := s.c.Privacy.Export(c.r.Context(), c.actor, id)
	if err != nil {
		return nil, err
	}
	return document(doc), nil
}

// document is sent as it was signed.
type document json.RawMessage

// JSON implements web.Document.
func (d document) JSON() []byte { return d }

// listCollectors names the applications that are asked, by phase.
func listCollectors(s *surface, c *call) (any, error) {
	if err := c.query().done(); err != nil {
		return nil, err
	}
	export, erase := s.c.Privacy.Applications()
	return map[string]any{"export": export, "erase": erase}, nil
}

func listErasures(s *surface, c *call) (any, error) {
	q := c.query()
	in := auth.ErasureQuery{Limit: q.limit(1000)}
	if open := q.flag("open"); open != nil {
		in.Open = *open
	}
	if err := q.done(); err != nil {
		return nil, err
	}
	list, err := s.c.Privacy.Erasures(c.r.Context(), c.actor, in)
	if err != nil {
		return nil, err
	}
	return map[string]any{"erasures": views(list, viewErasure)}, nil
}

func retryErasure(s *surface, c *call) (any, error) {
	id, err := c.id("id")
	if err != nil {
		return nil, err
	}
	e, err := s.c.Privacy.RetryErasure(c.r.Context(), c.actor, id)
	if err != nil {
		return nil, err
	}
	return viewErasure(&e), nil
}

// holdView is a legal hold.
type holdView struct {
	ID       auth.ID   `json:"id"`
	UserID   auth.ID   `json:"user_id"`
	Reason   string    `json:"reason"`
	PlacedBy string    `json:"placed_by"`
	PlacedAt time.Time `json:"placed_at"`
}

func viewHold(h *auth.LegalHold) holdView {
	return holdView{h.ID, h.UserID, h.Reason, h.PlacedBy, h.PlacedAt}
}

func listHolds(s *surface, c *call) (any, error) {
	id, err := c.id("id")
	if err != nil {
		return nil, err
	}
	list, err := s.c.Privacy.Holds(c.r.Context(), c.actor, id)
	if err != nil {
		return nil, err
	}
	return map[string]any{"holds": views(list, viewHold)}, nil
}

func placeHold(s *surface, c *call) (any, error) {
	id, err := c.id("id")
	if err != nil {
		return nil, err
	}
	h, err := s.c.Privacy.PlaceHold(c.r.Context(), c.actor, id)
	if err != nil {
		return nil, err
	}
	return viewHold(&h), nil
}

func liftHold(s *surface, c *call) (any, error) {
	id, err := c.id("id")
	if err != nil {
		return nil, err
	}
	hold, err := c.id("hold")
	if err != nil {
		return nil, err
	}
	return nil, s.c.Privacy.LiftHold(c.r.Context(), c.actor, id, hold)
}
