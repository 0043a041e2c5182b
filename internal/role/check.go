package role

import (
	"slices"
	"strings"
)

// check looks at the catalogue as a whole, once all of it is read.
func (l *loader) check() {
	if len(l.drafts) == 0 && len(l.problems) == 0 {
		l.problem(0, "no roles")
	}
	known := l.known()
	for i := range l.drafts {
		l.checkRole(&l.drafts[i])
		l.checkPermissions(&l.drafts[i], known)
	}
	l.checkOwner()
	l.checkCycles()
	if len(l.problems) == 0 {
		l.checkPowers() // needs whole sums
	}
}

func (l *loader) checkRole(d *draft) {
	if slices.Contains(reserved(), d.Name) {
		l.problem(d.line, "role %q: the name of a database role, which a token's claim \"role\" may hold; choose another", d.Name)
	}
	if d.SelfAssignable && d.Approval {
		l.problem(d.line, "role %s: self_assignable and approval: either anybody may take it, or somebody has to agree", d.Name)
	}
	for _, parent := range d.inherits {
		if !l.roles[parent.name] {
			l.problem(parent.line, "role %s inherits %q, which is no role of this catalogue", d.Name, parent.name)
		}
	}
}

// checkPermissions checks each line of a role against the permissions that there are.
func (l *loader) checkPermissions(d *draft, known []string) {
	wild := slices.DeleteFunc(slices.Clone(d.permissions), func(p ref) bool { return !strings.HasSuffix(p.name, "*") })
	for _, p := range d.permissions {
		prefix, isWild := strings.CutSuffix(p.name, "*")
		at, found := slices.BinarySearch(known, prefix)
		switch {
		case !validPattern(p.name):
			l.problem(p.line, "role %s: permission %q: want a permission, \"*\", or a permission followed by \":*\"", d.Name, p.name)
			continue
		case isWild && (at == len(known) || !strings.HasPrefix(known[at], prefix)):
			l.problem(p.line, "role %s: %q covers no permission of this catalogue", d.Name, p.name)
		case !isWild && !found:
			l.problem(p.line, "role %s: permission %q is not declared under permissions", d.Name, p.name)
		}
		for _, w := range wild {
			if w.name != p.name && covers(w.name, p.name) {
				l.problem(p.line, "role %s: %q is covered by %q already: leave one out", d.Name, p.name, w.name)
				break
			}
		}
	}
}

// known gives the names of all permissions, built-in ones included, sorted.
func (l *loader) known() []string {
	var names []string
	for _, p := range l.permissions {
		names = append(names, p.Name)
	}
	for _, p := range Builtin() {
		names = append(names, p.Name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func (l *loader) checkOwner() {
	first := ""
	for i := range l.drafts {
		d := &l.drafts[i]
		if !d.Owner {
			continue
		}
		if first != "" {
			l.problem(d.ownerLine, "role %s: owner: %s is the owner already, and there can be one", d.Name, first)
		} else {
			first = d.Name
		}
		if !d.InTenant() {
			l.problem(d.ownerLine, "role %s: owner: its scope has to be tenant or both", d.Name)
		}
	}
}

// Colours of a walk over what roles inherit.
const (
	untouched = iota
	walking   // on the way from a role to what it inherits
	done
)

// checkCycles refuses roles that inherit themselves: nobody could say what they have. Each
// cycle is told once, with its way around.
func (l *loader) checkCycles() {
	places := map[string]int{}
	for i := range l.drafts {
		places[l.drafts[i].Name] = i
	}
	colours := make([]int, len(l.drafts))
	var way []string
	var walk func(i int)
	walk = func(i int) {
		colours[i] = walking
		way = append(way, l.drafts[i].Name)
		for _, parent := range l.drafts[i].inherits {
			next, ok := places[parent.name]
			switch {
			case !ok:
			case colours[next] == walking:
				from := slices.Index(way, parent.name)
				l.problem(parent.line, "role %s inherits itself: %s -> %s", parent.name, strings.Join(way[from:], " -> "), parent.name)
			case colours[next] == untouched:
				walk(next)
			}
		}
		way = way[:len(way)-1]
		colours[i] = done
	}
	for i := range l.drafts {
		if colours[i] == untouched {
			walk(i)
		}
	}
}

// checkPowers refuses a role that anybody may take and that has power over others: every
// registration could make an operator.
func (l *loader) checkPowers() {
	c := l.build()
	for i := range l.drafts {
		d := &l.drafts[i]
		if !d.SelfAssignable {
			continue
		}
		if d.Owner {
			l.problem(d.selfLine, "role %s: self_assignable: anybody could become an owner", d.Name)
		}
		for _, power := range powers() {
			if c.Has([]string{d.Name}, power) {
				l.problem(d.selfLine, "role %s: self_assignable: anybody could take it, and it has %s", d.Name, power)
			}
		}
	}
}
