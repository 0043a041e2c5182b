package consent

import (
	"maps"
	"slices"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
)

// Scopes of purposes.
const (
	ScopeApp    = "app"
	ScopeTenant = "tenant"
)

// Purpose is something that people can agree to.
type Purpose struct {
	Name     string
	Title    string
	Text     string
	Version  string        // of the text, never empty
	Accepts  []string      // older versions that still hold
	Required bool          // told to clients; a consent can always be withdrawn
	Expires  time.Duration // 0: never
	Scope    string        // ScopeApp or ScopeTenant
}

// Status is what has become of a consent.
type Status string

// The statuses.
const (
	StatusNone      Status = "none"      // never given
	StatusGranted   Status = "granted"   // holds
	StatusWithdrawn Status = "withdrawn" // by the person
	StatusExpired   Status = "expired"
	StatusOutdated  Status = "outdated" // given to a text that is no longer the present one
)

// Status tells what has become of the newest word on the purpose; nil for none. Only
// StatusGranted opens anything.
func (p *Purpose) Status(c *auth.Consent, now time.Time) Status {
	switch {
	case c == nil || c.GrantedAt.IsZero():
		return StatusNone
	case !c.WithdrawnAt.IsZero():
		return StatusWithdrawn
	case !c.ExpiresAt.IsZero() && !now.Before(c.ExpiresAt):
		return StatusExpired
	case c.Version != p.Version && !slices.Contains(p.Accepts, c.Version):
		return StatusOutdated
	}
	return StatusGranted
}

// ExpiresAt is when a consent that is given now ends; zero for never.
func (p *Purpose) ExpiresAt(now time.Time) time.Time {
	if p.Expires == 0 {
		return time.Time{}
	}
	return now.Add(p.Expires)
}

// Catalogue is a list of purposes. It does not change once it is loaded.
type Catalogue struct {
	description string
	purposes    map[string]Purpose
}

// Empty gives the catalogue of an application that asks for nothing.
func Empty() *Catalogue { return &Catalogue{} }

// Description is a sentence on the catalogue, "" for none.
func (c *Catalogue) Description() string { return c.description }

// Purpose finds a purpose by its exact name.
func (c *Catalogue) Purpose(name string) (Purpose, bool) {
	p, ok := c.purposes[name]
	return p, ok
}

// Purposes lists the purposes by name.
func (c *Catalogue) Purposes() []Purpose {
	list := make([]Purpose, 0, len(c.purposes))
	for _, name := range slices.Sorted(maps.Keys(c.purposes)) {
		list = append(list, c.purposes[name])
	}
	return list
}
