package cardea

import (
	"errors"
	"slices"
	"strings"
)

// ClaimPaths says where an issuer's tokens hold what this package makes a [Principal]
// of. Each is the name of a claim, or a path into claims with dots between the names:
// "realm_access.roles". A claim whose own name is the whole text wins, so names with
// dots work too: "https://example.com/roles". "" means the default; what a default
// names is looked for in that order, and the first that is there counts.
//
// user_metadata is refused: the user writes it, and would choose his own roles.
type ClaimPaths struct {
	// Roles is a list of strings: default app_metadata.roles. With a path of your own a
	// single string is a role too, so that the claim "role" can be named for an issuer
	// that keeps the application's role there. Names of database roles never count as
	// application roles (see [Role]).
	Roles string
	// Permissions is a list of strings: default permissions, app_metadata.permissions.
	Permissions string
	// Tenant is a string or a whole number: default tenant_id, clinic_id, both also
	// under app_metadata.
	Tenant string
	// TenantRole is a string: default tenant_role, clinic_role, both also under
	// app_metadata.
	TenantRole string
	// Memberships is a list of tenants, as strings or as objects with tenant_id (or
	// clinic_id, tenant, id) and role: default memberships, app_metadata.memberships.
	Memberships string
	// Scopes is a text with blanks between the scopes (RFC 8693 §4.2) or a list: default
	// scope, scp.
	Scopes string
}

// claimPaths are the paths to try for each field.
type claimPaths struct {
	roles, permissions, tenant, tenantRole, memberships, scopes []string

	ownRoles bool // Roles was configured
}

func (c ClaimPaths) build(p *problems) claimPaths {
	choose := func(field, own string, defaults ...string) []string {
		if own == "" {
			return defaults
		}
		p.add(own == "user_metadata" || strings.HasPrefix(own, "user_metadata."), "Claims.%s: %q is written by the user", field, own)
		p.add(slices.Contains(strings.Split(own, "."), ""), "Claims.%s: %q has an empty name", field, own)
		return []string{own}
	}
	return claimPaths{
		roles:       choose("Roles", c.Roles, "app_metadata.roles"),
		permissions: choose("Permissions", c.Permissions, "permissions", "app_metadata.permissions"),
		tenant:      choose("Tenant", c.Tenant, "tenant_id", "clinic_id", "app_metadata.tenant_id", "app_metadata.clinic_id"),
		tenantRole:  choose("TenantRole", c.TenantRole, "tenant_role", "clinic_role", "app_metadata.tenant_role", "app_metadata.clinic_role"),
		memberships: choose("Memberships", c.Memberships, "memberships", "app_metadata.memberships"),
		scopes:      choose("Scopes", c.Scopes, "scope", "scp"),
		ownRoles:    c.Roles != "",
	}
}

// claimReader finds paths in a payload. It remembers the last object that it went into,
// because most paths go into the same one.
type claimReader struct {
	claims object
	name   string
	inner  object
}

// find gives the value of the first path that is there, nil when none is.
func (r *claimReader) find(paths []string) []byte {
	for _, path := range paths {
		if raw := r.at(path); raw != nil {
			return raw
		}
	}
	return nil
}

func (r *claimReader) at(path string) []byte {
	if raw := r.claims.get(path); raw != nil {
		return raw
	}
	name, rest, ok := strings.Cut(path, ".")
	if !ok {
		return nil
	}
	if r.name != name {
		r.name, r.inner = name, members(r.claims.get(name))
	}
	return walk(r.inner, rest)
}

// walk follows the rest of a path.
func walk(o object, path string) []byte {
	for {
		if raw := o.get(path); raw != nil {
			return raw
		}
		name, rest, ok := strings.Cut(path, ".")
		if !ok {
			return nil
		}
		o, path = members(o.get(name)), rest
	}
}

// members gives the members of an object in a payload. What is no object, or has a name
// twice, has none: fewer rights, never more.
func members(raw []byte) object {
	if len(raw) == 0 {
		return nil
	}
	o, err := scanObject(raw, 4)
	if err != nil {
		return nil
	}
	return o
}

// readNames reads a list of strings; single allows one string in its place. Other shapes
// give nothing: fewer rights, never more.
func readNames(raw []byte, single bool) []string {
	if single && len(raw) > 0 && raw[0] == '"' {
		if name, err := decodeString(raw); err == nil && name != "" {
			return []string{name}
		}
		return nil
	}
	list, err := decodeStrings(raw)
	if err != nil {
		return nil
	}
	return slices.DeleteFunc(list, func(name string) bool { return name == "" })
}

// databaseRole knows the roles of Supabase's database. They are dropped from the
// application's roles, so that somebody who may hand out application roles can't hand
// out service_role.
func databaseRole(name string) bool {
	switch name {
	case "anon", "authenticated", "authenticator", "service_role", "postgres", "dashboard_user":
		return true
	}
	return strings.HasPrefix(name, "supabase_")
}

// readScopes reads "a b c" or ["a", "b"].
func readScopes(raw []byte) ([]string, error) {
	if raw == nil {
		return nil, nil
	}
	if raw[0] == '"' {
		text, err := decodeString(raw)
		if err != nil {
			return nil, err
		}
		return strings.FieldsFunc(text, func(r rune) bool { return r == ' ' }), nil
	}
	return decodeStrings(raw)
}

var errNotID = errors.New("not an id: a plain string or a whole number")

// readID reads the id of a tenant. A number is taken as it is written, if it is whole:
// other spellings of it would be other tenants.
func readID(raw []byte) (string, error) {
	switch {
	case raw == nil:
		return "", nil
	case raw[0] == '"':
		id, err := decodeString(raw)
		if err == nil && id != "" && !validSubject(id) {
			err = errNotID
		}
		return id, err
	case raw[0] < '0' || raw[0] > '9':
		return "", errNotID
	}
	for _, c := range raw {
		if c < '0' || c > '9' {
			return "", errNotID
		}
	}
	return string(raw), nil
}

// readMemberships reads a list of tenants. An entry that names none is left out.
func readMemberships(raw []byte) []Membership {
	items, err := scanList(raw)
	if err != nil {
		return nil
	}
	list := make([]Membership, 0, len(items))
	for _, item := range items {
		m := Membership{}
		if item[0] == '{' {
			m, err = readMembership(members(item))
		} else {
			m.Tenant, err = readID(item)
		}
		if err == nil && m.Tenant != "" {
			list = append(list, m)
		}
	}
	return slices.Clip(list)
}

func readMembership(o object) (m Membership, err error) {
	for _, name := range []string{"tenant_id", "clinic_id", "tenant", "id"} {
		if raw := o.get(name); raw != nil {
			if m.Tenant, err = readID(raw); err != nil {
				return m, err
			}
			break
		}
	}
	m.Role, err = o.str("role")
	return m, err
}
