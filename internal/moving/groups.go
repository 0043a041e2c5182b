package moving

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"

	"github.com/cardea-auth/cardea/internal/auth"
)

// GroupsConfig says what the rows of a legacy table become.
type GroupsConfig struct {
	Form       string // of the file
	Table      string // in a dump; "" for dd_api.groups
	Role       string // of each account; "" for physician
	TenantRole string // in the tenant of its vendor; "" for Role
	Superuser  string // role of accounts with the permission superuser, besides; "" for none
}

func (c *GroupsConfig) withDefaults() {
	if c.Table == "" {
		c.Table = "dd_api.groups"
	}
	if c.Role == "" {
		c.Role = "physician"
	}
	if c.TenantRole == "" {
		c.TenantRole = c.Role
	}
}

// Groups reads physicians from the legacy table of a system that kept passwords encrypted,
// not hashed. Whoever has the key of that system can read them, so they are worthless: the
// column "password" is dropped as it is read, and each account gets a link to set a new one.
// Rows without an address are anonymous patients, who stay what they are.
func Groups(file Input, c GroupsConfig) (Reader, error) {
	c.withDefaults()
	t, err := openTable(file, c.Form, c.Table)
	if err != nil {
		return nil, err
	}
	return &groups{t, c}, nil
}

// GroupsRow reads a row as a JSON document.
func GroupsRow(c GroupsConfig) func(doc []byte, line int64) (Record, error) {
	c.withDefaults()
	return func(doc []byte, line int64) (Record, error) {
		r, err := decodeRow(doc)
		if err != nil {
			return Record{}, problem(line, CodeForm, "no JSON object")
		}
		return c.record(r, line)
	}
}

type groups struct {
	table table
	c     GroupsConfig
}

// Next implements Reader.
func (g *groups) Next() (Record, error) {
	r, line, _, err := g.table.next()
	if err != nil {
		return Record{}, err
	}
	rec, err := g.c.record(r, line)
	rec.Line = line
	return rec, err
}

// physician are the members of the row that a profile keeps.
type physician struct {
	EmployeeID    json.RawMessage `json:"employee_id,omitempty"`
	VendorID      string          `json:"vendor_id,omitempty"`
	Settings      json.RawMessage `json:"settings,omitempty"`
	AdminSettings json.RawMessage `json:"admin_settings,omitempty"`
}

func (c *GroupsConfig) record(r row, line int64) (Record, error) {
	delete(r, "password") // never decrypted, never stored
	if r["doctor_email"] == "" {
		return Record{}, problem(line, CodeAnonymous, "no address: an anonymous reference, which stays one")
	}
	email, err := auth.NormalizeEmail(r["doctor_email"])
	if err != nil {
		return Record{}, problem(line, CodeEmail, "doctor_email is no address")
	}
	rec := Record{
		// A hash, so that the address does not outlive the account.
		ExternalID: hashedID(email), Email: email, EmailProved: ProvedSometime(), HasProfile: true,
		Roles: []string{c.Role}, Inactive: r["is_active"] != "" && !isTrue(r["is_active"]),
	}
	rec.Invite = !rec.Inactive
	for _, role := range arrayOf(r["roles"]) {
		if !slices.Contains(rec.Roles, role) {
			rec.Roles = append(rec.Roles, role)
		}
	}
	if r["permission"] == "superuser" && c.Superuser != "" && !slices.Contains(rec.Roles, c.Superuser) {
		rec.Roles = append(rec.Roles, c.Superuser)
	}
	p := physician{VendorID: r["vendor_id"]}
	for _, f := range []struct {
		name string
		to   *json.RawMessage
	}{{"employee_id", &p.EmployeeID}, {"settings", &p.Settings}, {"admin_settings", &p.AdminSettings}} {
		if r[f.name] == "" {
			continue
		}
		if *f.to = json.RawMessage(r[f.name]); !auth.CleanJSON(*f.to) || !json.Valid(*f.to) {
			return rec, failed(line, rec.ExternalID, CodeMetadata, f.name+" can't be stored")
		}
	}
	doc, err := json.Marshal(p)
	if err != nil {
		return rec, failed(line, rec.ExternalID, CodeMetadata, "settings can't be stored")
	}
	rec.Extensions = map[string]json.RawMessage{"physician": doc}
	if p.VendorID != "" {
		m := Member{External: p.VendorID, Role: c.TenantRole, State: auth.MemberActive}
		if rec.Inactive {
			m.State = auth.MemberSuspended
		}
		rec.Members = []Member{m}
	}
	return rec, nil
}

// hashedID names an account by its address without keeping the address.
func hashedID(address string) string {
	sum := sha256.Sum256([]byte(address))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// arrayOf reads an array of PostgreSQL ({a,b}) or of JSON.
func arrayOf(s string) []string {
	var list []string
	if strings.HasPrefix(s, "[") {
		_ = json.Unmarshal([]byte(s), &list) // what is no list of texts names no roles
		return list
	}
	s = strings.TrimSuffix(strings.TrimPrefix(s, "{"), "}")
	for part := range strings.SplitSeq(s, ",") {
		if part = strings.Trim(strings.TrimSpace(part), `"`); part != "" && part != "NULL" {
			list = append(list, part)
		}
	}
	return list
}

// VendorSlug gives the slug of a tenant that another system knows by a number or a name.
func VendorSlug(external string) string {
	var b strings.Builder
	for _, c := range strings.ToLower(external) {
		switch {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9':
			b.WriteRune(c)
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "-"):
			b.WriteByte('-')
		}
	}
	s := strings.Trim(b.String(), "-")
	return strings.Trim(s[:min(len(s), 50)], "-")
}
