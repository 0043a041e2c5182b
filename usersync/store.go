package usersync

import (
	"context"
	"errors"
	"strings"
	"time"
	"unicode"
)

// Store is what a database must be able to do. usersync/postgres and usersync/sqlite are
// two; usersync/synctest is the contract as code, for those and for one of your own.
// Everything is safe for concurrent use, also by several processes on one database.
type Store interface {
	Users
	Queue
}

// Users are the rows.
type Users interface {
	// Find gives the row with issuer and subject in one statement. [ErrNoUser] if there is
	// none.
	Find(ctx context.Context, issuer, subject string) (User, error)
	// Get gives the row with that id. [ErrNoUser] if there is none.
	Get(ctx context.Context, id string) (User, error)
	// Sync looks up the candidates, calls [Decide] and carries the plan out, with the
	// profile, the conflicts, the tasks of [Request.Tasks] and the mark of [Request].Once,
	// in one transaction. Of many calls for one subject one creates the row and the others
	// find it; two subjects with one address end as Decide would have it one after the
	// other. A refusal is no error: see Result.Plan. [ErrReplayed] if Once was seen before.
	Sync(ctx context.Context, r Request) (Result, error)
	// Edit is what the service itself changes, in one transaction with its tasks.
	// [ErrNoUser], [ErrFinal].
	Edit(ctx context.Context, e Edit) (User, error)
}

// Queue is work that is to be done at least once: deliveries, and users who wait for their
// issuer. A task is known by ID and Consumer.
type Queue interface {
	// Enqueue adds a task, unless it is there, with the lease and the attempts that it has.
	Enqueue(ctx context.Context, t Task) error
	// Lease gives at most max tasks of a consumer that are due at now and leased by nobody,
	// the longest due first, and leases them until then. Each lease counts as an attempt. No
	// task is given to two callers at once.
	Lease(ctx context.Context, consumer string, now, until time.Time, max int) ([]Task, error)
	// Settle ends a lease: a task that is done is removed, another is due again at due, with
	// the reason of the failure. It does nothing for a lease that ran out and is somebody
	// else's now.
	Settle(ctx context.Context, t Task, outcome Outcome) error
	// Backlog tells what is waiting, by consumer.
	Backlog(ctx context.Context) ([]Backlog, error)
}

// Errors of a Store.
var (
	ErrNoUser   = errors.New("usersync: no such user")
	ErrFinal    = errors.New("usersync: the row's status can't be changed to that")
	ErrReplayed = errors.New("usersync: this message was received before")
)

// Request is one call of Sync.
type Request struct {
	Identity Identity
	Rules    Rules
	At       time.Time // UTC, whole microseconds
	NewID    string    // of the row, if one is created
	EventID  string    // of the event, if something changes
	// Asked says that the issuer was asked about addresses just now: EvidenceAt becomes At.
	Asked bool
	// Consumers are who is to hear of a change.
	Consumers []string
	// Once is the id of a message that must not be carried out twice, and how long it has to
	// be remembered. Zero: no message.
	Once Once
}

// Once names a message.
type Once struct {
	ID    string
	Until time.Time
}

// Result is what Sync did.
type Result struct {
	User User // as it is now; with a refusal the row that refuses
	Plan Plan
}

// Edit is a change by the service. Zero values mean: leave alone.
type Edit struct {
	ID        string
	At        time.Time
	EventID   string
	Consumers []string

	// Status may become StatusDeactivated, StatusSuperseded, StatusDeleted, or StatusActive
	// again for a row that was deactivated or superseded. Deleted is for ever, and a ban is
	// the issuer's.
	Status Status
	// Profile replaces the fields that it has. Fill adds what the row lacks.
	Profile, Fill Profile
}

// Plan says what the edit does to a row. ErrFinal where it must not be done.
func (e Edit) Plan(u User) (Plan, error) {
	if u.Status == StatusDeleted && e.Status == StatusDeleted {
		return Plan{Action: ActionNone, UserID: u.ID}, nil
	}
	switch {
	case u.Status == StatusDeleted,
		e.Status == StatusBanned,
		e.Status == StatusActive && u.Status == StatusBanned,
		e.Status == StatusSuperseded && u.Status != StatusActive && u.Status != StatusSuperseded:
		return Plan{}, ErrFinal
	}
	set := u.Profile.fill(e.Fill.clean()).with(e.Profile.clean())
	p := Plan{Action: ActionUpdate, UserID: u.ID, Set: Changes{Status: e.Status, Profile: set}}
	if p.Set.Status == u.Status {
		p.Set.Status = ""
	}
	if p.Set.Status == "" && u.Profile.with(p.Set.Profile) == u.Profile {
		p.Action = ActionNone
	}
	return p, nil
}

// Tasks are what the edit leaves to do.
func (e Edit) Tasks(p Plan, u User) ([]Task, error) {
	return tasks(e.EventID, e.At, e.Consumers, p, u)
}

// Tasks are what the request leaves to do: one for each consumer, if something changed.
func (r Request) Tasks(p Plan, u User) ([]Task, error) {
	return tasks(r.EventID, r.At, r.Consumers, p, u)
}

// Resolve decides about the request by what a store has found: the candidates, and their rows
// by id. It gives the row as it is to be and the news of it. With ActionRefuse nothing
// changes, and the row is the one that refuses.
func (r Request) Resolve(c Candidates, rows map[string]User) (Result, []Task, error) {
	plan := Decide(r.Rules, r.Identity, c)
	u := rows[plan.UserID]
	if plan.Action == ActionRefuse {
		return Result{User: u, Plan: plan}, nil, nil
	}
	if plan.Action == ActionCreate {
		u.ID = r.NewID
	}
	u = plan.Apply(u, r.At)
	if r.Asked && u.Status != StatusDeleted {
		u.EvidenceAt = r.At
	}
	news, err := r.Tasks(plan, u)
	if err != nil {
		return Result{}, nil, err
	}
	return Result{User: u, Plan: plan}, news, nil
}

// Task is one piece of work.
type Task struct {
	ID       string
	Consumer string
	Payload  []byte // JSON
	// UserID is the row that the task speaks of, "" for none. When that is deleted, so are its
	// tasks, but for the news of the deletion. Lease leaves it empty.
	UserID   string
	Attempts int // leases so far, the present one included
	DueAt    time.Time
	// LeasedUntil is the lease that Settle ends.
	LeasedUntil time.Time
	LastError   string
	CreatedAt   time.Time
}

// Outcome is how an attempt ended.
type Outcome struct {
	Done   bool
	Due    time.Time // of the next attempt, if not done
	Reason string    // for people, without secrets; at most 500 bytes are kept
}

// Backlog is what waits for one consumer.
type Backlog struct {
	Consumer string
	Tasks    int
	Oldest   time.Time
	// LastError is that of the task that has failed most.
	LastError string
}

// Reason shortens a text for LastError, to one line that every database stores.
func Reason(text string) string {
	const most = 500
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, text)
	if len(text) > most {
		text = text[:most]
	}
	return strings.ToValidUTF8(text, "")
}

// WaitingID is the task of a user who waits for the issuer. Sync removes it when the user
// is there.
func WaitingID(issuer, subject string) string { return issuer + " " + subject }
