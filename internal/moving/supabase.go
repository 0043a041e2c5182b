package moving

import (
	"encoding/json"
	"strconv"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
)

// Supabase reads rows of GoTrue's auth.users. Identities come from the second file, from the
// same dump, or from a member "identities" of each row: an array of rows.
func Supabase(users, identities Input, form string) (Reader, error) {
	var s *side
	if identities != nil {
		var err error
		if s, err = openSide(identities, form, "auth.identities", func(r row) string { return r["user_id"] }); err != nil {
			return nil, err
		}
	}
	t, err := openTable(users, form, "auth.users")
	if err != nil {
		return nil, err
	}
	return &supabase{t, s}, nil
}

type supabase struct {
	users      table
	identities *side
}

// Next implements Reader.
func (s *supabase) Next() (Record, error) {
	r, line, _, err := s.users.next()
	if err != nil {
		return Record{}, err
	}
	rows, err := s.identities.of(r["id"])
	if err != nil {
		return Record{}, err
	}
	rec, err := supabaseRecord(r, rows, line)
	rec.Line = line
	return rec, err
}

// SupabaseRow reads a row of auth.users as a JSON document, with its identities in the member
// "identities" and the number of its second factors in "factors".
func SupabaseRow(doc []byte, line int64) (Record, error) {
	r, err := decodeRow(doc)
	if err != nil {
		return Record{}, problem(line, CodeForm, "no JSON object")
	}
	return supabaseRecord(r, nil, line)
}

func supabaseRecord(r row, identities []row, line int64) (Record, error) {
	fail := func(code Code, reason string) (Record, error) { return Record{}, failed(line, r["id"], code, reason) }
	if r["id"] == "" {
		return fail(CodeForm, "no id: is this a row of auth.users?")
	}
	if r["deleted_at"] != "" {
		return fail(CodeDeleted, "deleted in the other system")
	}
	rec := Record{
		ExternalID: r["id"], ID: r["id"], Aud: r["aud"], Role: r["role"], Email: r["email"], Phone: plus(r["phone"]),
		Hash: r["encrypted_password"], SSO: isTrue(r["is_sso_user"]), Anonymous: isTrue(r["is_anonymous"]), KeepMetadata: true,
	}
	confirmed := r["email_confirmed_at"]
	if _, ok := r["phone_confirmed_at"]; !ok && confirmed == "" && rec.Phone == "" {
		confirmed = r["confirmed_at"] // the only one that old versions have
	}
	for _, f := range []struct {
		to   *time.Time
		text string
	}{
		{&rec.EmailProved, confirmed}, {&rec.PhoneProved, r["phone_confirmed_at"]}, {&rec.CreatedAt, r["created_at"]},
		{&rec.UpdatedAt, r["updated_at"]}, {&rec.LastSignInAt, r["last_sign_in_at"]}, {&rec.InvitedAt, r["invited_at"]},
		{&rec.BannedUntil, r["banned_until"]},
	} {
		var ok bool
		if *f.to, ok = readTime(f.text); !ok {
			return fail(CodeTime, "not a moment that can be stored")
		}
	}
	for _, f := range []struct {
		to   *map[string]json.RawMessage
		text string
	}{{&rec.App, r["raw_app_meta_data"]}, {&rec.User, r["raw_user_meta_data"]}} {
		if f.text == "" || f.text == "null" {
			continue
		}
		if !auth.CleanJSON(json.RawMessage(f.text)) || json.Unmarshal([]byte(f.text), f.to) != nil {
			return fail(CodeMetadata, "metadata that can't be stored")
		}
	}
	rec.Factors, _ = strconv.Atoi(r["factors"])
	if list := r["identities"]; list != "" {
		var docs []json.RawMessage
		if json.Unmarshal([]byte(list), &docs) != nil {
			return fail(CodeForm, "identities are no list")
		}
		for _, doc := range docs {
			i, err := decodeRow(doc)
			if err != nil {
				return fail(CodeForm, "an identity is no object")
			}
			identities = append(identities, i)
		}
	}
	for _, i := range identities {
		identity, ok := supabaseIdentity(i)
		if !ok {
			return fail(CodeMetadata, "an identity that can't be stored")
		}
		rec.Identities = append(rec.Identities, identity)
	}
	return rec, nil
}

func supabaseIdentity(r row) (Identity, bool) {
	i := Identity{Provider: r["provider"], ProviderID: r["provider_id"], Data: json.RawMessage(r["identity_data"])}
	if i.ProviderID == "" {
		i.ProviderID = r["id"] // so in old versions
	}
	var ok, all bool
	i.CreatedAt, all = readTime(r["created_at"])
	i.UpdatedAt, ok = readTime(r["updated_at"])
	all = all && ok
	i.LastSignInAt, ok = readTime(r["last_sign_in_at"])
	return i, all && ok
}

// isTrue reads what PostgreSQL and JSON write.
func isTrue(s string) bool { return s == "t" || s == "true" || s == "TRUE" || s == "1" }
