package auth

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"time"
)

// Erasure is the job that deletes a person for good. What opens something (sessions,
// credentials, identities, one-time tokens) and the addresses have gone when it begins; its
// steps see to the rest. A step that fails is tried again and holds up no other.
type Erasure struct {
	ID     ID
	UserID ID // what stays of the person, everywhere
	// ActorID is who asked: the person, or zero for an operator.
	ActorID ID
	Reason  string // "" if nobody gave one; never holds addresses
	BegunAt time.Time
	Steps   []ErasureStep
	// FinishedAt is when the last step was done; zero while one is open.
	FinishedAt time.Time
}

// Kinds of an [ErasureStep].
const (
	StepTable     = "table"     // rows of one of our tables
	StepCollector = "collector" // the data of an application, which is asked to erase it
)

// ErasureStep is one thing that an erasure has to do.
type ErasureStep struct {
	Kind      string    `json:"kind"`   // StepTable or StepCollector
	Name      string    `json:"name"`   // of the table or of the collector
	Action    string    `json:"action"` // of a table: EraseDelete, ...
	NotBefore time.Time `json:"not_before,omitzero"`
	Cursor    string    `json:"cursor,omitempty"` // where a step of many parts goes on
	Attempts  int       `json:"attempts,omitempty"`
	Error     string    `json:"error,omitempty"` // why the last attempt failed; without secrets
	DoneAt    time.Time `json:"done_at,omitzero"`
}

// Done reports whether nothing of the step is left to do.
func (s *ErasureStep) Done() bool { return !s.DoneAt.IsZero() }

// Due gives the steps that can be done at a moment. The row of the account itself goes last:
// as long as it is there, a deletion that is not complete can be seen.
func (e *Erasure) Due(now time.Time) []int {
	var due []int
	for i := range e.Steps {
		s := &e.Steps[i]
		if s.Done() || s.NotBefore.After(now) || s.isLast() && e.open() > 1 {
			continue
		}
		due = append(due, i)
	}
	return due
}

func (s *ErasureStep) isLast() bool { return s.Kind == StepTable && s.Name == "users" }

func (e *Erasure) open() int {
	n := 0
	for i := range e.Steps {
		if !e.Steps[i].Done() {
			n++
		}
	}
	return n
}

// NextAt is when the next step is due; zero when none is open.
func (e *Erasure) NextAt() time.Time {
	var next time.Time
	for i := range e.Steps {
		s := &e.Steps[i]
		if s.Done() || s.isLast() && e.open() > 1 {
			continue
		}
		at := s.NotBefore
		if at.IsZero() {
			at = e.BegunAt
		}
		if next.IsZero() || at.Before(next) {
			next = at
		}
	}
	return next
}

// Failing reports whether a step has been tried in vain.
func (e *Erasure) Failing() bool {
	return slices.ContainsFunc(e.Steps, func(s ErasureStep) bool { return !s.Done() && s.Error != "" })
}

// BeginErasure asks to delete a person.
type BeginErasure struct {
	Erasure Erasure
	// RequireSession makes it conditional, as in [UserPatch]: of a person who asks himself.
	RequireSession ID
	Audit          AuditEntry
}

// What comes of one attempt at a step.
const (
	StepApply  = "apply"  // do it now: of tables
	StepDone   = "done"   // it has been done elsewhere: of collectors
	StepFailed = "failed" // it has not
)

// ErasureAdvance is one attempt at a step.
type ErasureAdvance struct {
	ID      ID
	Step    int
	At      time.Time
	Outcome string
	// Batch is how many rows StepApply looks at, where a table is gone through in parts.
	Batch     int
	Error     string    // of StepFailed
	NotBefore time.Time // of StepFailed: the next attempt
	// Finished is written when this was the last open step.
	Finished AuditEntry
}

// Advance notes in the job what came of an attempt; cursor is "" when the step is done.
// Both stores use it, so that a job means the same in both.
func (e *Erasure) Advance(a *ErasureAdvance, cursor string) {
	s := &e.Steps[a.Step]
	switch {
	case a.Outcome == StepFailed:
		s.Attempts++
		s.Error, s.NotBefore = a.Error, a.NotBefore
	case cursor != "":
		s.Cursor = cursor
	default:
		s.Cursor, s.Error, s.DoneAt = "", "", a.At
	}
	if e.open() == 0 && e.FinishedAt.IsZero() {
		e.FinishedAt = a.At
	}
}

// ErasureQuery asks for jobs, newest first.
type ErasureQuery struct {
	Open  bool // only those with an open step
	Limit int  // 1 to 1000
}

// LegalHold forbids to delete a person's data.
type LegalHold struct {
	ID       ID
	UserID   ID
	Reason   string
	PlacedBy string // as the audit log names the operator
	PlacedAt time.Time
}

// ErrHeld: a legal hold forbids it.
var ErrHeld = errors.New("auth: under a legal hold")

// TableError says which table could not be read for an export.
type TableError struct {
	Table string
	Cause error
}

// Error implements error.
func (e *TableError) Error() string { return "table " + e.Table + ": " + e.Cause.Error() }

// Unwrap gives the cause.
func (e *TableError) Unwrap() error { return e.Cause }

// ExportedTable is what one table knows of a person.
type ExportedTable struct {
	Name string
	Rows []map[string]any
}

// TombstoneOf gives the subject under which the deletion of an identity is remembered: a hash,
// as what it was at the provider is personal too.
func TombstoneOf(provider, providerID string) string {
	sum := sha256.Sum256([]byte(provider + "\n" + providerID))
	return hex.EncodeToString(sum[:])
}

// Retry makes the open steps that have failed due at a moment.
func (e *Erasure) Retry(at time.Time) {
	for i := range e.Steps {
		if s := &e.Steps[i]; !s.Done() && s.Error != "" && s.NotBefore.After(at) {
			s.NotBefore = at
		}
	}
}
