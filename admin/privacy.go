package admin

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"time"
)

// Codes of deletions.
const (
	CodeLegalHold       = "LEGAL_HOLD"        // a legal hold forbids the deletion; the message has its reason
	CodeErasureBegun    = "ERASURE_BEGUN"     // too late for a hold
	CodeErasureNotFound = "ERASURE_NOT_FOUND" // no such deletion, or it is done
	CodeHoldNotFound    = "HOLD_NOT_FOUND"
	CodeExportFailed    = "EXPORT_FAILED" // a table or an application could not be read: nothing was made
)

// States of an [Erasure].
const (
	ErasureOpen    = "open"
	ErasureFailing = "failing" // open, and a step was tried in vain; it is tried again
	ErasureDone    = "done"
)

// Erasure is the deletion of a person for good. The account is gone when it begins; its steps
// see to the rest.
type Erasure struct {
	ID         string        `json:"id"`
	UserID     string        `json:"user_id"`
	By         string        `json:"by"` // "self" or "operator"
	State      string        `json:"state"`
	Reason     string        `json:"reason"`
	BegunAt    time.Time     `json:"begun_at,omitzero"`
	NextAt     time.Time     `json:"next_at,omitzero"` // when the next step is due
	FinishedAt time.Time     `json:"finished_at,omitzero"`
	Steps      []ErasureStep `json:"steps"`
}

// ErasureStep is one thing that a deletion has to do.
type ErasureStep struct {
	Kind      string    `json:"kind"` // "table" or "collector"
	Name      string    `json:"name"`
	Action    string    `json:"action,omitempty"`
	NotBefore time.Time `json:"not_before,omitzero"`
	Attempts  int       `json:"attempts"` // in vain
	Error     string    `json:"error,omitempty"`
	DoneAt    time.Time `json:"done_at,omitzero"`
}

// Hold is a legal hold: it forbids to delete a person.
type Hold struct {
	ID       string    `json:"id"`
	UserID   string    `json:"user_id"`
	Reason   string    `json:"reason"` // the person is told it
	PlacedBy string    `json:"placed_by"`
	PlacedAt time.Time `json:"placed_at,omitzero"`
}

// Erase deletes an account for good, here and in the applications that collectors speak for;
// one that was deleted softly too. Asked again, it gives the same deletion. [CodeLegalHold],
// [CodeUserNotFound].
func (u *Users) Erase(ctx context.Context, id, reason string) (Erasure, error) {
	return ask[Erasure](ctx, u.c, call{method: http.MethodPost, path: []string{"users", id, "erasure"}, reason: reason})
}

// Erasure tells how far the deletion of an account is. [CodeErasureNotFound].
func (u *Users) Erasure(ctx context.Context, id string) (Erasure, error) {
	return ask[Erasure](ctx, u.c, call{method: http.MethodGet, path: []string{"users", id, "erasure"}})
}

// Holds lists what forbids to delete an account, oldest first.
func (u *Users) Holds(ctx context.Context, id string) ([]Hold, error) {
	out, err := ask[struct {
		Holds []Hold `json:"holds"`
	}](ctx, u.c, call{method: http.MethodGet, path: []string{"users", id, "holds"}})
	return out.Holds, err
}

// PlaceHold forbids to delete an account. [CodeErasureBegun].
func (u *Users) PlaceHold(ctx context.Context, id, reason string) (Hold, error) {
	return ask[Hold](ctx, u.c, call{method: http.MethodPost, path: []string{"users", id, "holds"}, reason: reason})
}

// LiftHold takes one hold away. [CodeHoldNotFound].
func (u *Users) LiftHold(ctx context.Context, id, hold, reason string) error {
	return u.c.do(ctx, call{method: http.MethodDelete, path: []string{"users", id, "holds", hold}, reason: reason})
}

// Export gives everything that is known of a person, as the signed JSON document that the
// server made: write it down as it is. [CodeExportFailed].
func (u *Users) Export(ctx context.Context, id, reason string) (json.RawMessage, error) {
	return ask[json.RawMessage](ctx, u.c, call{method: http.MethodGet, path: []string{"users", id, "export"}, reason: reason, explains: true})
}

// Collectors names the applications that are asked in exports and in deletions.
func (e *Erasures) Collectors(ctx context.Context) (export, erase []string, err error) {
	out, err := ask[struct {
		Export []string `json:"export"`
		Erase  []string `json:"erase"`
	}](ctx, e.c, call{method: http.MethodGet, path: []string{"collectors"}})
	return out.Export, out.Erase, err
}

// Erasures are the deletions of people.
type Erasures struct{ c *Client }

// List gives deletions, newest first; open: only those that are not done. limit is 1 to
// 1000, 0 is 50.
func (e *Erasures) List(ctx context.Context, open bool, limit int) ([]Erasure, error) {
	p := params{}.limit(limit)
	if open {
		p["open"] = []string{"true"}
	}
	out, err := ask[struct {
		Erasures []Erasure `json:"erasures"`
	}](ctx, e.c, call{method: http.MethodGet, path: []string{"erasures"}, query: url.Values(p)})
	return out.Erasures, err
}

// Retry makes what has failed of a deletion be tried again now. [CodeErasureNotFound] when
// nothing of it is left to do.
func (e *Erasures) Retry(ctx context.Context, id, reason string) (Erasure, error) {
	return ask[Erasure](ctx, e.c, call{method: http.MethodPost, path: []string{"erasures", id, "retry"}, reason: reason})
}
