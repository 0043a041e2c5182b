// Package moving takes accounts over from other systems. A reader for each of them turns a
// file, however long, into [Record] values one at a time; [Import] checks each, stores them
// by the batch, and remembers with each batch how far it has come. [Write] gives accounts
// away in a form that can be read again.
//
//	cardea     the form of Write: a JSON object on each line
//	csv        columns that are named in the first line
//	supabase   rows of GoTrue's auth.users and auth.identities: NDJSON, CSV, pg_dump, or a database
//	firebase   what `firebase auth:export` writes
//	auth0      a line for each user, beside a file of password hashes
//	keycloak   an exported realm
//	groups     physicians of a legacy table, without their passwords
//
// What a file says is never believed where it could open a door: a role of the database other
// than "authenticated", roles and tenants that do not exist here, hashes that would cost too
// much, and addresses that somebody has already are refused, with the line and a code. A
// reader holds one record at a time, of at most a megabyte.
package moving

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
)

// Record is an account as a reader found it. Nothing of it has been checked but its form.
type Record struct {
	Line       int64  // where it begins, from 1; the number of the row in a database
	ExternalID string // what the other system knows it by

	ID           string // UUID to keep; "" for a new one
	Aud, Role    string
	Email, Phone string
	// EmailProved and PhoneProved are when; ProvedSometime when that is not known.
	EmailProved, PhoneProved time.Time
	Hash                     string // in a form of package password; "" for none
	HashProblem              string // why there is a password and no Hash
	CreatedAt, UpdatedAt     time.Time
	LastSignInAt, InvitedAt  time.Time
	BannedUntil              time.Time // [Forever] for a ban without an end
	App, User                map[string]json.RawMessage
	Roles                    []string
	Identities               []Identity

	FullName, BirthDate, ImageURL, Language    string
	Preferences, Notifications, Privacy, Flags json.RawMessage
	Extensions                                 map[string]json.RawMessage
	LastMethod                                 string
	LastMethodAt                               time.Time
	HasProfile, Inactive, SSO, Anonymous       bool
	Members                                    []Member
	Invite                                     bool // the owner gets a link to set a password with
	Factors                                    int  // second factors, which stay behind
	KeepMetadata                               bool // App has provider and providers already
}

// Identity is an account at a provider.
type Identity struct {
	Provider, ProviderID string
	Data                 json.RawMessage
	CreatedAt, UpdatedAt time.Time
	LastSignInAt         time.Time
}

// Member is a membership in a tenant: one that exists, by its slug, or one of the other
// system, by its External id.
type Member struct {
	Slug, External string
	Role, State    string // State "": active
	EndsAt         time.Time
}

// Code names what is wrong with a record. Codes are stable: reports are read by programs.
type Code string

// The codes.
const (
	CodeForm         Code = "bad_form"          // not a record of this kind of file
	CodeLong         Code = "too_long"          // over the size limit
	CodeNoID         Code = "no_identifier"     // neither address nor identity
	CodeID           Code = "bad_id"            // no UUID
	CodeEmail        Code = "bad_email"         // no e-mail address
	CodePhone        Code = "bad_phone"         // no telephone number
	CodeHash         Code = "bad_hash"          // a hash that can't be verified, or costs too much
	CodeTime         Code = "bad_time"          // no moment, or none that can be stored
	CodeMetadata     Code = "bad_metadata"      // JSON that can't be stored
	CodeProfile      Code = "bad_profile"       // a name, a date or an address that can't be one
	CodeDatabaseRole Code = "bad_database_role" // would be more than a user
	CodeRole         Code = "unknown_role"      // not in the catalogue
	CodeTenant       Code = "unknown_tenant"    // does not exist
	CodeDeleted      Code = "deleted"           // gone in the other system, or deleted here
	CodeNotPerson    Code = "not_a_person"      // an account of a program
	CodeAnonymous    Code = "anonymous"         // a reference to somebody who has no account, and stays one
	CodeEmailTaken   Code = "email_taken"       // another account has the address
	CodePhoneTaken   Code = "phone_taken"       // another account has the number
	CodeIDTaken      Code = "id_taken"          // another account has the id
	CodeIdentity     Code = "identity_taken"    // another account has the identity
	CodeRefused      Code = "database_refused"  // a check or a trigger of the database
)

// Expected reports whether a record is none that should come in: that is no failure, and
// stops nothing.
func (c Code) Expected() bool { return c == CodeDeleted || c == CodeNotPerson || c == CodeAnonymous }

// Problem is why a record was left out. It has no address and no hash in it.
type Problem struct {
	Line       int64  `json:"line"`
	ExternalID string `json:"external_id,omitempty"`
	Code       Code   `json:"code"`
	Reason     string `json:"reason"`
}

// Error implements error. It leaves the external id out, which may be an address.
func (p *Problem) Error() string { return fmt.Sprintf("line %d: %s (%s)", p.Line, p.Reason, p.Code) }

func problem(line int64, code Code, format string, args ...any) *Problem {
	return &Problem{Line: line, Code: code, Reason: fmt.Sprintf(format, args...)}
}

// Reader gives records one at a time: io.EOF after the last, a *[Problem] for one that can't
// be read where the next one can, and any other error when the rest can't be read either.
type Reader interface {
	Next() (Record, error)
}

// maxRecord is the longest record in bytes. Metadata of accounts have a few kilobytes.
const maxRecord = 1 << 20

// ErrBroken is wrapped by errors after which a file can't be read on.
var ErrBroken = errors.New("moving: the file is broken from here on")

func broken(line int64, format string, args ...any) error {
	return fmt.Errorf("%w: line %d: %s", ErrBroken, line, fmt.Sprintf(format, args...))
}

// ProvedSometime is the moment of a proof that nobody has written down: the account is as
// old, then.
func ProvedSometime() time.Time { return time.Unix(0, 0).UTC() }

// Forever is the end of a ban that has none.
func Forever() time.Time { return time.Date(2126, 1, 1, 0, 0, 0, 0, time.UTC) }

// Epochs below and above which a time of a file can't be meant. PostgreSQL could store more.
func plausible(t time.Time) bool { return t.IsZero() || t.Year() >= 1970 && t.Year() < 2200 }

// readTime reads what databases and programs write; "" is the zero time.
func readTime(s string) (time.Time, bool) {
	if s == "" {
		return time.Time{}, true
	}
	for _, layout := range []string{
		time.RFC3339Nano, "2006-01-02 15:04:05.999999999Z07:00", "2006-01-02 15:04:05.999999999-07", "2006-01-02 15:04:05.999999999",
		"2006-01-02T15:04:05.999999999", time.DateOnly,
	} {
		if t, err := time.Parse(layout, s); err == nil {
			return auth.Truncate(t), plausible(t)
		}
	}
	return time.Time{}, false
}

// millis reads milliseconds since 1970, as a number or as text; "" and 0 are the zero time.
func millis(n json.Number) (time.Time, bool) {
	if n == "" || n == "0" {
		return time.Time{}, true
	}
	v, err := n.Int64()
	if err != nil {
		return time.Time{}, false
	}
	t := time.UnixMilli(v).UTC()
	return t, plausible(t)
}
