package moving

import (
	"encoding/json"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
)

// csvColumns are the columns that [CSV] knows, in the order that [Write] gives them.
func csvColumns() []string {
	return []string{
		"external_id", "id", "email", "email_verified", "phone", "phone_verified", "password_hash", "full_name", "birth_date",
		"language", "image_url", "roles", "tenant", "tenant_role", "active", "banned_until", "created_at", "last_sign_in_at",
		"user_metadata", "app_metadata",
	}
}

// csvAliases are other names of columns.
func csvAliases() map[string]string {
	return map[string]string{
		"user_id": "external_id", "uid": "external_id", "e-mail": "email", "email_address": "email", "email_confirmed_at": "email_verified",
		"email_confirmed": "email_verified", "phone_number": "phone", "phone_confirmed_at": "phone_verified", "phone_confirmed": "phone_verified",
		"password": "password_hash", "encrypted_password": "password_hash", "hash": "password_hash", "name": "full_name",
		"display_name": "full_name", "locale": "language", "avatar_url": "image_url", "picture": "image_url", "photo_url": "image_url",
		"role": "roles", "tenant_slug": "tenant", "clinic": "tenant", "is_active": "active", "last_login": "last_sign_in_at",
	}
}

// CSV reads columns that the first line names: those of [Write] and their usual other names.
// Others are an error, so that a mistyped name loses nothing, but for those in ignore.
func CSV(r io.Reader, ignore ...string) (Reader, error) {
	t, err := newCSVTable(r)
	if err != nil {
		return nil, err
	}
	known, aliases := csvColumns(), csvAliases()
	for i, name := range t.header {
		if slices.Contains(ignore, name) {
			continue
		}
		if other, ok := aliases[name]; ok {
			name = other
		}
		if !slices.Contains(known, name) {
			return nil, broken(1, "there is no column %q: there are %s", t.header[i], strings.Join(known, ", "))
		}
		if slices.Contains(t.header[:i], name) {
			return nil, broken(1, "two columns mean %s", name)
		}
		t.header[i] = name
	}
	return &csvReader{t}, nil
}

type csvReader struct{ table *csvTable }

// Next implements Reader.
func (c *csvReader) Next() (Record, error) {
	r, line, _, err := c.table.next()
	if err != nil {
		return Record{}, err
	}
	rec, err := csvRecord(r, line)
	rec.Line = line
	return rec, err
}

func csvRecord(r row, line int64) (Record, error) {
	rec := Record{
		ExternalID: r["external_id"], ID: r["id"], Email: r["email"], Phone: r["phone"], Hash: r["password_hash"],
		FullName: r["full_name"], BirthDate: r["birth_date"], Language: r["language"], ImageURL: r["image_url"],
		Roles: strings.FieldsFunc(r["roles"], func(c rune) bool { return c == ' ' || c == ',' || c == ';' }),
	}
	rec.HasProfile = rec.FullName != "" || rec.BirthDate != "" || rec.Language != "" || rec.ImageURL != ""
	if rec.ExternalID == "" {
		rec.ExternalID = rec.ID
	}
	if rec.ExternalID == "" {
		if email, err := auth.NormalizeEmail(rec.Email); err == nil {
			rec.ExternalID = hashedID(email)
		} else if rec.Phone != "" {
			rec.ExternalID = hashedID(rec.Phone)
		} else if rec.Email != "" { // no id either: the address is what is wrong
			return rec, failed(line, "", CodeEmail, "no e-mail address")
		}
	}
	bad := func(code Code, reason string) (Record, error) { return rec, failed(line, rec.ExternalID, code, reason) }
	switch s := strings.ToLower(r["active"]); s {
	case "", "true", "t", "1", "yes":
	case "false", "f", "0", "no":
		rec.Inactive = true
	default:
		return bad(CodeForm, "active is neither true nor false")
	}
	for _, f := range []struct {
		name string
		to   *time.Time
	}{{"email_verified", &rec.EmailProved}, {"phone_verified", &rec.PhoneProved}} {
		switch s := strings.ToLower(r[f.name]); s {
		case "", "false", "f", "0", "no":
		case "true", "t", "1", "yes":
			*f.to = ProvedSometime()
		default:
			var ok bool
			if *f.to, ok = readTime(r[f.name]); !ok {
				return bad(CodeTime, f.name+" is neither true, false nor a moment")
			}
		}
	}
	for _, f := range []struct {
		name string
		to   *time.Time
	}{{"created_at", &rec.CreatedAt}, {"last_sign_in_at", &rec.LastSignInAt}, {"banned_until", &rec.BannedUntil}} {
		var ok bool
		if *f.to, ok = readTime(r[f.name]); !ok {
			return bad(CodeTime, f.name+" is no moment that can be stored")
		}
	}
	for _, f := range []struct {
		name string
		to   *map[string]json.RawMessage
	}{{"user_metadata", &rec.User}, {"app_metadata", &rec.App}} {
		if s := r[f.name]; s != "" && (!auth.CleanJSON(json.RawMessage(s)) || json.Unmarshal([]byte(s), f.to) != nil) {
			return bad(CodeMetadata, f.name+" is no JSON object that can be stored")
		}
	}
	if r["tenant"] != "" {
		rec.Members = []Member{{Slug: r["tenant"], Role: r["tenant_role"]}}
	} else if r["tenant_role"] != "" {
		return bad(CodeTenant, "a role in a tenant without the tenant")
	}
	return rec, nil
}
