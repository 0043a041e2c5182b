package role

import (
	"fmt"
	"strings"
)

// Explanation is an answer with its reasons, for operators.
type Explanation struct {
	Allowed bool     `json:"allowed"`
	Because []string `json:"because"` // sentences, at least one
}

// Explain says whether one of the roles has a permission, and why: for each role that has
// it, which line of the catalogue gives it and by which way; for a denial, what each role
// lacks and which roles would do. Allowed is what [Catalogue.Has] answers.
func (c *Catalogue) Explain(roles []string, permission string) Explanation {
	if !c.Known(permission) {
		return Explanation{Because: []string{fmt.Sprintf("the catalogue has no permission %q, so nobody has it", permission)}}
	}
	var grants, against []string
	for _, name := range roles {
		i, ok := c.places[name]
		if !ok {
			against = append(against, fmt.Sprintf("the catalogue has no role %q, so it gives nothing", name))
			continue
		}
		path, pattern := c.find(i, permission, make([]bool, len(c.roles)))
		switch {
		case path == nil:
			against = append(against, fmt.Sprintf("role %s does not have %s", name, permission))
		default:
			grants = append(grants, granted(path, pattern, permission))
		}
	}
	if len(grants) > 0 {
		return Explanation{Allowed: true, Because: grants}
	}
	if len(roles) == 0 {
		against = append(against, "there are no roles")
	}
	if holders := c.Holders(permission); len(holders) > 0 {
		against = append(against, permission+" comes with: "+strings.Join(holders, ", "))
	} else {
		against = append(against, "no role has "+permission)
	}
	return Explanation{Because: against}
}

// granted says how a role comes by a permission.
func granted(path []string, pattern, permission string) string {
	text := "role " + path[0]
	for _, name := range path[1:] {
		text += " inherits " + name + ", which"
	}
	text += " has " + pattern
	if pattern != permission {
		text += ", which covers " + permission
	}
	return text
}

// find looks for the nearest line that gives a permission: of the role itself first, then
// of what it inherits. It reads the catalogue as it is written, and not the sums that Has
// uses: the two check one another in tests.
func (c *Catalogue) find(i int, permission string, seen []bool) (path []string, pattern string) {
	if seen[i] {
		return nil, ""
	}
	seen[i] = true
	r := &c.roles[i]
	for _, p := range r.Permissions {
		if covers(p, permission) {
			return []string{r.Name}, p
		}
	}
	for _, parent := range r.Inherits {
		if path, pattern := c.find(c.places[parent], permission, seen); path != nil {
			return append([]string{r.Name}, path...), pattern
		}
	}
	return nil, ""
}
