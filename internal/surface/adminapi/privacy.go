package adminapi

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/openapi"
)

func privacyRoutes() []route {
	return []route{
		{
			method: "POST", path: "/users/{id}/erasure", id: "eraseUser", tag: tagPrivacy, summary: "Delete somebody for good", reason: true,
			text:         "The account is gone at once; the job that the answer shows does the rest. Asked again, it gives that job.",
			bodyOptional: true, codes: []auth.Code{auth.CodeUserNotFound, auth.CodeLegalHold},
			run: begins("The deletion, which goes on.", eraseUser),
		}, {
			method: "GET", path: "/users/{id}/erasure", id: "getErasure", tag: tagPrivacy, summary: "How far a deletion is",
			codes: []auth.Code{auth.CodeErasureNotFound},
			run:   gives("The deletion.", getErasure),
		}, {
			method: "GET", path: "/users/{id}/export", id: "exportUser", tag: tagPrivacy, summary: "Everything that is known of somebody", reason: true,
			text:  "A document, signed by the server. Whole, or not made.",
			codes: []auth.Code{auth.CodeUserNotFound, auth.CodeExportFailed},
			run:   openapi.Sent[*surface, *call, userPath, exportView](http.StatusOK, "The document.", exportUser),
		}, {
			method: "GET", path: "/collectors", id: "listCollectors", tag: tagPrivacy, summary: "The applications that exports and deletions ask",
			run: gives("Their names, by phase.", listCollectors),
		}, {
			method: "GET", path: "/erasures", id: "listErasures", tag: tagPrivacy, summary: "Deletions, newest first",
			run: gives("The deletions.", listErasures),
		}, {
			method: "POST", path: "/erasures/{id}/retry", id: "retryErasure", tag: tagPrivacy, summary: "Try what has failed again, now", bodyOptional: true,
			codes: []auth.Code{auth.CodeErasureNotFound},
			run:   gives("The deletion.", retryErasure),
		}, {
			method: "GET", path: "/users/{id}/holds", id: "listHolds", tag: tagPrivacy, summary: "The legal holds of somebody",
			codes: []auth.Code{auth.CodeUserNotFound},
			run:   gives("The holds, oldest first.", listHolds),
		}, {
			method: "POST", path: "/users/{id}/holds", id: "placeHold", tag: tagPrivacy, summary: "Forbid to delete somebody", reason: true, bodyOptional: true,
			codes: []auth.Code{auth.CodeUserNotFound, auth.CodeErasureBegun},
			run:   makes("The hold.", placeHold),
		}, {
			method: "DELETE", path: "/users/{id}/holds/{hold}", id: "liftHold", tag: tagPrivacy, summary: "Lift a legal hold", reason: true,
			codes: []auth.Code{auth.CodeHoldNotFound},
			run:   does("Lifted.", liftHold),
		},
	}
}

// erasureView is a deletion and how far it is.
type erasureView struct {
	ID         auth.ID    `json:"id" doc:"Id of the deletion."`
	UserID     auth.ID    `json:"user_id" doc:"Whose."`
	By         string     `json:"by" doc:"self or operator."` // "self" or "operator"
	State      string     `json:"state" doc:"open, failing or done."`
	Reason     string     `json:"reason" doc:"Why, as the operator said."`
	BegunAt    time.Time  `json:"begun_at" doc:"When the account was gone."`
	NextAt     time.Time  `json:"next_at,omitzero" doc:"When it goes on."`
	FinishedAt time.Time  `json:"finished_at,omitzero" doc:"When nothing was left."`
	Steps      []stepView `json:"steps" doc:"What it has to do."`
}

type stepView struct {
	Kind      string    `json:"kind" doc:"table or collector."`
	Name      string    `json:"name" doc:"Of the table or the application."`
	Action    string    `json:"action,omitempty" doc:"delete, end or anonymise."`
	NotBefore time.Time `json:"not_before,omitzero" doc:"It waits until then."`
	Attempts  int       `json:"attempts" doc:"How often it was tried."`
	Error     string    `json:"error,omitempty" doc:"Why the last try failed."`
	DoneAt    time.Time `json:"done_at,omitzero" doc:"When it was done."`
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

func eraseUser(s *surface, c *call, in userPath) (erasureView, error) {
	e, err := s.c.Privacy.Erase(c.r.Context(), c.actor, in.ID)
	if err != nil {
		return erasureView{}, err
	}
	return viewErasure(&e), nil
}

func getErasure(s *surface, c *call, in userPath) (erasureView, error) {
	e, err := s.c.Privacy.ErasureOf(c.r.Context(), c.actor, in.ID)
	if err != nil {
		return erasureView{}, err
	}
	return viewErasure(&e), nil
}

// exportView is the document; the members of Data and Applications are tables and applications.
type exportView struct {
	Format       string                     `json:"format" doc:"cardea-export/1." example:"cardea-export/1"`
	ID           auth.ID                    `json:"exportId" doc:"Of this export."`
	Issuer       string                     `json:"issuer" doc:"Whose key set has the key of the signature."`
	UserID       auth.ID                    `json:"userId" doc:"Of whom."`
	Date         time.Time                  `json:"exportDate" doc:"When it was made."`
	Data         map[string]json.RawMessage `json:"data" doc:"By table: a list of rows."`
	Applications map[string]json.RawMessage `json:"applications" doc:"By name: what an application answered."`
	Signature    string                     `json:"signature" doc:"Detached JWS of the document without this member and without blanks."`
}

func exportUser(s *surface, c *call, in userPath) (json.RawMessage, error) {
	return s.c.Privacy.Export(c.r.Context(), c.actor, in.ID)
}

type collectorList struct {
	Export []string `json:"export" doc:"Asked by an export."`
	Erase  []string `json:"erase" doc:"Told by a deletion."`
}

func listCollectors(s *surface, _ *call, _ none) (collectorList, error) {
	export, erase := s.c.Privacy.Applications()
	return collectorList{export, erase}, nil
}

type erasureQuery struct {
	Open  bool `query:"open" doc:"Only those that have something left to do."`
	Limit int  `query:"limit" min:"1" max:"1000" default:"50" doc:"How many at most."`
}

type erasureList struct {
	Erasures []erasureView `json:"erasures" doc:"Newest first."`
}

func listErasures(s *surface, c *call, in erasureQuery) (erasureList, error) {
	list, err := s.c.Privacy.Erasures(c.r.Context(), c.actor, auth.ErasureQuery{Open: in.Open, Limit: in.Limit})
	if err != nil {
		return erasureList{}, err
	}
	return erasureList{views(list, viewErasure)}, nil
}

type erasurePath struct {
	ID auth.ID `path:"id" doc:"Id of the deletion."`
}

func retryErasure(s *surface, c *call, in erasurePath) (erasureView, error) {
	e, err := s.c.Privacy.RetryErasure(c.r.Context(), c.actor, in.ID)
	if err != nil {
		return erasureView{}, err
	}
	return viewErasure(&e), nil
}

// holdView is a legal hold.
type holdView struct {
	ID       auth.ID   `json:"id" doc:"Id of the hold."`
	UserID   auth.ID   `json:"user_id" doc:"Who must not be deleted."`
	Reason   string    `json:"reason" doc:"Why."`
	PlacedBy string    `json:"placed_by" doc:"Which operator."`
	PlacedAt time.Time `json:"placed_at" doc:"When."`
}

func viewHold(h *auth.LegalHold) holdView {
	return holdView{h.ID, h.UserID, h.Reason, h.PlacedBy, h.PlacedAt}
}

type holdList struct {
	Holds []holdView `json:"holds" doc:"Oldest first."`
}

func listHolds(s *surface, c *call, in userPath) (holdList, error) {
	list, err := s.c.Privacy.Holds(c.r.Context(), c.actor, in.ID)
	if err != nil {
		return holdList{}, err
	}
	return holdList{views(list, viewHold)}, nil
}

func placeHold(s *surface, c *call, in userPath) (holdView, error) {
	h, err := s.c.Privacy.PlaceHold(c.r.Context(), c.actor, in.ID)
	if err != nil {
		return holdView{}, err
	}
	return viewHold(&h), nil
}

type holdPath struct {
	ID   auth.ID `path:"id" doc:"Id of the person."`
	Hold auth.ID `path:"hold" doc:"Id of the hold."`
}

func liftHold(s *surface, c *call, in holdPath) error {
	return s.c.Privacy.LiftHold(c.r.Context(), c.actor, in.ID, in.Hold)
}
