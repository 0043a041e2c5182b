package usersync

import (
	"encoding/json"
	"fmt"
	"time"
)

// Event is one change of a user, as consumers get it: the payload of a webhook.
type Event struct {
	// ID is the same in every try, and in the header webhook-id.
	ID   string    `json:"id"`
	Type EventType `json:"type"`
	At   time.Time `json:"timestamp"`
	Data EventData `json:"data"`
}

// EventType says what happened.
type EventType string

// The types.
const (
	EventCreated EventType = "user.created"
	EventUpdated EventType = "user.updated"
	EventLinked  EventType = "user.linked"  // an existing row has another subject now
	EventStatus  EventType = "user.status"  // it was banned, deactivated, superseded, or is active again
	EventDeleted EventType = "user.deleted" // nothing personal is left
)

// EventData is the user after the change. Consumers get events at least once and in any
// order: Version says which is newer.
type EventData struct {
	User View `json:"user"`
}

// View is a user as JSON.
type View struct {
	ID            string     `json:"id"`
	Issuer        string     `json:"issuer"`
	Subject       string     `json:"subject"`
	Status        Status     `json:"status"`
	Email         *string    `json:"email"`
	Phone         *string    `json:"phone"`
	EmailVerified bool       `json:"email_verified"`
	PhoneVerified bool       `json:"phone_verified"`
	Verified      bool       `json:"is_verified"`
	AuthProvider  string     `json:"auth_provider"`
	Providers     []Provider `json:"identities"`
	Profile       Profile    `json:"profile"`
	Version       int64      `json:"version"`
	CreatedAt     time.Time  `json:"created_at"`
	UpdatedAt     time.Time  `json:"updated_at"`
}

// View gives the user as JSON.
func (u User) View() View {
	v := View{
		ID: u.ID, Issuer: u.Issuer, Subject: u.Subject, Status: u.Status,
		EmailVerified: u.EmailVerified, PhoneVerified: u.PhoneVerified, Verified: u.Verified(),
		AuthProvider: u.AuthProvider, Providers: u.Providers, Profile: u.Profile,
		Version: u.Version, CreatedAt: u.CreatedAt, UpdatedAt: u.UpdatedAt,
	}
	if u.Email != "" {
		v.Email = &u.Email
	}
	if u.Phone != "" {
		v.Phone = &u.Phone
	}
	if v.Providers == nil {
		v.Providers = []Provider{}
	}
	return v
}

// eventType says what a plan is to others; "" for what concerns nobody.
func (p Plan) eventType() EventType {
	switch p.Action {
	case ActionCreate:
		if p.Set.Status != StatusActive {
			return "" // somebody who never was here must not come
		}
		return EventCreated
	case ActionRepoint, ActionMove:
		return EventLinked
	case ActionUpdate:
		switch {
		case p.Set.Status == StatusDeleted:
			return EventDeleted
		case p.Set.Status != "":
			return EventStatus
		}
		return EventUpdated
	}
	return ""
}

func tasks(id string, at time.Time, consumers []string, p Plan, u User) ([]Task, error) {
	kind := p.eventType()
	if kind == "" || len(consumers) == 0 {
		return nil, nil
	}
	payload, err := json.Marshal(Event{ID: id, Type: kind, At: at, Data: EventData{User: u.View()}})
	if err != nil {
		return nil, fmt.Errorf("usersync: event: %w", err)
	}
	list := make([]Task, 0, len(consumers))
	for _, c := range consumers {
		if c == ConsumerHook && kind != EventCreated {
			continue
		}
		t := Task{ID: id, Consumer: c, Payload: payload, UserID: u.ID, DueAt: at, CreatedAt: at}
		if c == ConsumerHook {
			t.LeasedUntil, t.Attempts = at.Add(hookLease), 1
		}
		list = append(list, t)
	}
	return list, nil
}

// hookLease is how long whoever creates a user has for the hook. If the process ends before,
// another one calls it.
const hookLease = 30 * time.Second

// The consumers of the Syncer itself; those of the feed have names of their own.
const (
	// ConsumerHook is Config.OnCreated.
	ConsumerHook = "hook:created"
	// ConsumerWaiting are users who could not be provisioned because their issuer was down.
	ConsumerWaiting = "waiting"
)
