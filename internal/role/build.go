package role

import (
	"slices"
	"strings"
)

// build makes the catalogue of what was read and found right.
func (l *loader) build() *Catalogue {
	c := &Catalogue{
		name: l.file, places: make(map[string]int, len(l.drafts)), index: map[string]int{},
		declared: slices.Clone(l.permissions), known: l.known(),
	}
	slices.SortFunc(c.declared, func(a, b Permission) int { return strings.Compare(a.Name, b.Name) })
	for i, name := range c.known {
		c.index[name] = i
	}
	for i := range l.drafts {
		d := &l.drafts[i]
		r := d.Role
		r.Inherits, r.Permissions = refNames(d.inherits), refNames(d.permissions)
		c.roles = append(c.roles, r)
		c.places[r.Name] = i
		if r.Owner {
			c.owner = r.Name
		}
	}
	c.patterns, c.wide = patterns(c.roles)
	c.effects = make([]effect, len(c.roles))
	for i := range c.roles {
		c.sum(i)
	}
	return c
}

// patterns gives every line of every role once, sorted, and the wildcards among them.
func patterns(roles []Role) (all []string, wide []wildcard) {
	for i := range roles {
		all = append(all, roles[i].Permissions...)
	}
	slices.Sort(all)
	all = slices.Compact(all)
	for at, pattern := range all {
		if !strings.HasSuffix(pattern, "*") {
			continue
		}
		w := wildcard{at: at, covers: newBitset(len(all))}
		for i, other := range all {
			if i != at && covers(pattern, other) {
				w.covers.set(i)
			}
		}
		wide = append(wide, w)
	}
	return all, wide
}

func refNames(refs []ref) []string {
	names := make([]string, len(refs))
	for i, r := range refs {
		names[i] = r.name
	}
	return names
}

// sum adds up what a role has and inherits. There is no cycle any more.
func (c *Catalogue) sum(i int) *effect {
	e := &c.effects[i]
	if e.grants != nil {
		return e
	}
	e.grants, e.lines = newBitset(len(c.known)), newBitset(len(c.patterns))
	for _, parent := range c.roles[i].Inherits {
		from := c.sum(c.places[parent])
		e.grants.add(from.grants)
		e.lines.add(from.lines)
	}
	for _, pattern := range c.roles[i].Permissions {
		if at, ok := slices.BinarySearch(c.patterns, pattern); ok {
			e.lines.set(at)
		}
		c.grant(e, pattern)
	}
	return e
}

// grant sets the bits of the permissions that a line covers. Names below a wildcard stand
// beside one another in the sorted list.
func (c *Catalogue) grant(e *effect, pattern string) {
	prefix, _ := strings.CutSuffix(pattern, "*")
	from, _ := slices.BinarySearch(c.known, prefix)
	for bit := from; bit < len(c.known) && strings.HasPrefix(c.known[bit], prefix); bit++ {
		if covers(pattern, c.known[bit]) {
			e.grants.set(bit)
		}
	}
}
