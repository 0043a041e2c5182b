package role

import (
	"slices"
	"strings"
)

// Scopes of a [Role].
const (
	ScopeApp    = "app"    // given to an account, counts everywhere
	ScopeTenant = "tenant" // given with a membership, counts in that tenant
	ScopeBoth   = "both"   // may be given either way
)

// Role is one role of a catalogue, as it is written there.
type Role struct {
	Name           string
	Description    string
	Level          int    // 0 to 1000; what it means is the application's business
	Scope          string // one of the Scope constants
	SelfAssignable bool   // anybody may take it when they register
	Approval       bool   // anybody may ask for it; never together with SelfAssignable
	Owner          bool   // see Catalogue.Owner
	Inherits       []string
	Permissions    []string // as written: names, and wildcards such as "patient:*" and "*"
}

// InApp reports whether an account may have the role.
func (r *Role) InApp() bool { return r.Scope == ScopeApp || r.Scope == ScopeBoth }

// InTenant reports whether a membership may have the role.
func (r *Role) InTenant() bool { return r.Scope == ScopeTenant || r.Scope == ScopeBoth }

// Catalogue is a set of roles and permissions. It does not change and may be used from
// everywhere at once. The zero value knows nothing and denies everything.
type Catalogue struct {
	name     string
	roles    []Role         // in the order of the file
	places   map[string]int // name of a role -> place in roles and effects
	effects  []effect       // what each role comes to
	declared []Permission   // sorted by name
	known    []string       // names of permissions, sorted; built-in ones included
	index    map[string]int // name of a permission -> place in known
	patterns []string       // every line of every role once, sorted
	wide     []wildcard
	owner    string // name of the owner role
}

// effect is a role with everything that it inherits.
type effect struct {
	grants bitset // of known
	lines  bitset // of patterns
}

// wildcard is one of the patterns, with those others that say nothing beside it.
type wildcard struct {
	at     int
	covers bitset // of patterns
}

// Name is the name that the catalogue was loaded under.
func (c *Catalogue) Name() string { return c.name }

// Role gives one role.
func (c *Catalogue) Role(name string) (Role, bool) {
	i, ok := c.places[name]
	if !ok {
		return Role{}, false
	}
	return c.roles[i].clone(), true
}

// Roles lists the roles in the order of the file.
func (c *Catalogue) Roles() []Role {
	list := make([]Role, len(c.roles))
	for i := range c.roles {
		list[i] = c.roles[i].clone()
	}
	return list
}

func (r *Role) clone() Role {
	copied := *r
	copied.Inherits, copied.Permissions = slices.Clone(r.Inherits), slices.Clone(r.Permissions)
	return copied
}

// Declared lists the permissions that the catalogue itself names, sorted. [Builtin] has
// those that it knows besides.
func (c *Catalogue) Declared() []Permission { return slices.Clone(c.declared) }

// Known reports whether there is a permission of that name.
func (c *Catalogue) Known(permission string) bool {
	_, ok := c.index[permission]
	return ok
}

// Owner is the tenant role whoever makes a tenant gets, and that a tenant must not run out
// of; "" when the catalogue has none.
func (c *Catalogue) Owner() string { return c.owner }

// Permissions adds up what the roles have, inherited or not: sorted, without what a
// wildcard covers, with the wildcards as they are, so that the list stays short. Unknown
// roles add nothing. It is never nil. Use [Catalogue.Expand] for readers that know no
// wildcards.
func (c *Catalogue) Permissions(roles ...string) []string {
	lines := newBitset(len(c.patterns))
	for _, name := range roles {
		if i, ok := c.places[name]; ok {
			lines.add(c.effects[i].lines)
		}
	}
	for _, w := range c.wide {
		if lines.has(w.at) {
			lines.remove(w.covers)
		}
	}
	return lines.of(c.patterns)
}

// Expand lists every known permission that the roles have, by its name, sorted. It is
// never nil.
func (c *Catalogue) Expand(roles ...string) []string {
	grants := newBitset(len(c.known))
	for _, name := range roles {
		if i, ok := c.places[name]; ok {
			grants.add(c.effects[i].grants)
		}
	}
	return grants.of(c.known)
}

// Has reports whether one of the roles has the permission. Unknown roles have none, and a
// permission that the catalogue doesn't know is had by no role.
func (c *Catalogue) Has(roles []string, permission string) bool {
	bit, ok := c.index[permission]
	if !ok {
		return false
	}
	for _, name := range roles {
		if i, ok := c.places[name]; ok && c.effects[i].grants.has(bit) {
			return true
		}
	}
	return false
}

// HasBelow reports whether one of the roles has the permission of that name or one below
// it: "patient:read" asks for any of patient:read, patient:read:basic, patient:read:full.
func (c *Catalogue) HasBelow(roles []string, prefix string) bool {
	from, _ := slices.BinarySearch(c.known, prefix)
	for _, name := range c.known[from:] {
		rest, ok := strings.CutPrefix(name, prefix)
		if !ok {
			return false
		}
		if prefix != "" && (rest == "" || rest[0] == ':') && c.Has(roles, name) {
			return true
		}
	}
	return false
}

// Level is the highest level of the roles, -1 when none of them is known.
func (c *Catalogue) Level(roles ...string) int {
	level := -1
	for _, name := range roles {
		if i, ok := c.places[name]; ok {
			level = max(level, c.roles[i].Level)
		}
	}
	return level
}

// Holders lists the roles that have a permission, in the order of the file.
func (c *Catalogue) Holders(permission string) []string {
	list := []string{}
	for i := range c.roles {
		if c.Has([]string{c.roles[i].Name}, permission) {
			list = append(list, c.roles[i].Name)
		}
	}
	return list
}
