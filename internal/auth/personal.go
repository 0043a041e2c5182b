package auth

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// What an erasure does to a table.
const (
	EraseDelete    = "delete"    // the rows go
	EraseEnd       = "end"       // the rows stay, end now, and name the person by id only
	EraseAnonymise = "anonymise" // the rows stay without anything that says who it was
	EraseRetain    = "retain"    // the rows stay as they are for a time, then the default is done
)

// Kinds of columns that an export shows.
const (
	ColumnText = "text"
	ColumnID   = "id"
	ColumnTime = "time"
	ColumnDate = "date"
	ColumnJSON = "json"
	ColumnBool = "bool"
	ColumnIP   = "ip"
)

// PersonalColumn is a column that an export shows.
type PersonalColumn struct{ Name, Kind string }

// PersonalTable says what a table has to do with people: what an export shows of it, what an
// erasure does to it. Both stores make their statements of it, and a test compares it with
// the schema, so that a new table that knows people can't be forgotten.
type PersonalTable struct {
	Name string
	// People are the columns that name the person: a row with any of them is the person's.
	People []string
	Show   []PersonalColumn // in an export
	Hide   []string         // never in an export: secrets, and what is of other people
	// Actions that a plan may choose, the default first. Empty: it is gone at once.
	Actions []string
	Order   string // column that an export is sorted by; "" the first of Show
}

// Retainable reports whether a plan may keep the rows for a time.
func (t *PersonalTable) Retainable() bool { return slices.Contains(t.Actions, EraseRetain) }

// PersonalTables are all tables with rows of people.
func PersonalTables() []PersonalTable {
	return []PersonalTable{
		{
			Name: "users", People: []string{"id"}, Actions: []string{EraseAnonymise, EraseDelete},
			Show: columns("id:id aud role email phone email_confirmed_at:time phone_confirmed_at:time invited_at:time confirmed_at:time " +
				"last_sign_in_at:time email_change phone_change raw_app_meta_data:json raw_user_meta_data:json is_sso_user:bool is_anonymous:bool " +
				"is_active:bool banned_until:time created_at:time updated_at:time confirmation_sent_at:time recovery_sent_at:time " +
				"email_change_sent_at:time phone_change_sent_at:time reauthentication_sent_at:time"),
			Hide: strings.Fields("instance_id encrypted_password confirmation_token recovery_token email_change_token_new email_change_token_current " +
				"email_change_confirm_status phone_change_token reauthentication_token is_super_admin deleted_at has_agent"),
		}, {
			Name: "identities", People: []string{"user_id"}, Order: "created_at",
			Show: columns("id:id provider provider_id identity_data:json email last_sign_in_at:time created_at:time updated_at:time"),
			Hide: []string{"user_id"},
		}, {
			Name: "user_identifiers", People: []string{"user_id"}, Order: "created_at",
			Show: columns("id:id kind value verified_at:time created_at:time"), Hide: strings.Fields("user_id code_hash expires_at attempts sent_at"),
		}, {
			Name: "external_subjects", People: []string{"user_id"}, Order: "created_at",
			Show: columns("issuer subject source_at:time evidence_at:time created_at:time"), Hide: []string{"user_id"},
		}, {
			Name: "sessions", People: []string{"user_id"}, Order: "created_at",
			Show: columns("id:id aal created_at:time updated_at:time refreshed_at:time not_after:time user_agent ip:ip name tenant_id:id"),
			Hide: strings.Fields("user_id factor_id tag oauth_client_id scopes refresh_token_hmac_key refresh_token_counter refresh_token_parent"),
		}, {
			Name: "mfa_factors", People: []string{"user_id"}, Order: "created_at",
			Show: columns("id:id friendly_name factor_type status phone created_at:time updated_at:time last_challenged_at:time"),
			Hide: strings.Fields("user_id secret web_authn_credential web_authn_aaguid last_webauthn_challenge_data"),
		}, {
			// Nothing but secrets of an hour's life, and when they were sent, which users says.
			Name: "one_time_tokens", People: []string{"user_id"},
			Hide: strings.Fields("id user_id token_type token_hash relates_to created_at updated_at purpose code_hash flow_state_id expires_at attempts paired"),
		}, {
			Name: "flow_state", People: []string{"user_id"},
			Hide: strings.Fields("id user_id auth_code code_challenge_method code_challenge provider_type provider_access_token provider_refresh_token " +
				"created_at updated_at authentication_method auth_code_issued_at invite_token referrer oauth_client_state_id linking_target_id email_optional"),
		}, {
			Name: "known_devices", People: []string{"user_id"}, Actions: []string{EraseDelete}, Order: "first_seen_at",
			Show: columns("first_seen_at:time last_seen_at:time"), Hide: []string{"user_id", "device"},
		}, {
			Name: "user_roles", People: []string{"user_id"}, Show: columns("role"), Hide: []string{"user_id"},
		}, {
			Name: "profiles", People: []string{"user_id"}, Actions: []string{EraseDelete, EraseRetain},
			Show: columns("full_name birth_date:date image_url language preferences:json notification_settings:json privacy_settings:json flags:json " +
				"extensions:json last_auth_method last_auth_method_at:time updated_at:time"), Hide: []string{"user_id"},
		}, {
			Name: "memberships", People: []string{"user_id"}, Actions: []string{EraseDelete, EraseEnd, EraseRetain}, Order: "tenant_id",
			Show: columns("tenant_id:id role state created_at:time updated_at:time ends_at:time"), Hide: []string{"user_id", "invited_by"},
		}, {
			Name: "relations", People: []string{"subject_id", "object_id"}, Actions: []string{EraseEnd, EraseDelete, EraseRetain}, Order: "id",
			Show: columns("id:id kind subject_id:id object_id:id tenant_id:id starts_at:time ends_at:time created_at:time"), Hide: []string{"created_by"},
		}, {
			Name: "consents", People: []string{"user_id"}, Actions: []string{EraseDelete, EraseRetain}, Order: "purpose",
			Show: columns("tenant_id:id purpose version granted_at:time expires_at:time withdrawn_at:time"), Hide: []string{"user_id"},
		}, {
			// That somebody had agreed is what a clinic may have to prove when the person has gone.
			Name: ConsentEvents, People: []string{"user_id"}, Actions: []string{EraseAnonymise, EraseDelete, EraseRetain}, Order: "created_at",
			Show: columns("id:id tenant_id:id purpose action version created_at:time expires_at:time ip_address user_agent"), Hide: []string{"user_id"},
		}, {
			// Entries of one's own doing, and of others' that name one. Never deleted: who did what
			// to whom is what an audit log is for.
			Name: AuditTable, Actions: []string{EraseAnonymise, EraseRetain}, Order: "created_at",
			Show: columns("id:id created_at:time payload:json ip_address"), Hide: []string{"instance_id"},
		},
	}
}

// ConsentEvents is the history of consents.
const ConsentEvents = "consent_events"

// AuditTable is the one personal table whose rows name people inside of a document.
const AuditTable = "audit_log_entries"

// FindPersonalTable finds a table by its name.
func FindPersonalTable(name string) (PersonalTable, bool) {
	for _, t := range PersonalTables() {
		if t.Name == name {
			return t, true
		}
	}
	return PersonalTable{}, false
}

// columns reads "name:kind name ...", of text where no kind is said.
func columns(text string) []PersonalColumn {
	var list []PersonalColumn
	for _, one := range strings.Fields(text) {
		name, kind, found := strings.Cut(one, ":")
		if !found {
			kind = ColumnText
		}
		list = append(list, PersonalColumn{name, kind})
	}
	return list
}

// ErasureRule is what a plan says of one table.
type ErasureRule struct {
	Table  string
	Action string
	Keep   time.Duration // of EraseRetain
}

// ErasurePlan says what becomes of each table when a person is deleted. Tables that it does
// not name get their default; the nil plan is all defaults.
type ErasurePlan []ErasureRule

// ParseErasureRule reads "profiles=delete" or "profiles=retain:2555d", where duration reads
// what follows the colon.
func ParseErasureRule(text string, duration func(string) (time.Duration, error)) (ErasureRule, error) {
	name, action, found := strings.Cut(text, "=")
	if !found {
		return ErasureRule{}, errors.New("must be like profiles=delete or profiles=retain:365d")
	}
	t, known := FindPersonalTable(name)
	if !known || len(t.Actions) == 0 {
		return ErasureRule{}, errors.New("names no table that a plan can decide about: these are " + strings.Join(planned(), ", "))
	}
	action, keep, timed := strings.Cut(action, ":")
	if !slices.Contains(t.Actions, action) {
		return ErasureRule{}, fmt.Errorf("can't be done to %s: choose %s", name, strings.Join(t.Actions, ", "))
	}
	r := ErasureRule{Table: name, Action: action}
	if timed != (action == EraseRetain) {
		return r, errors.New("needs a time for retain, such as retain:365d, and for nothing else")
	}
	if !timed {
		return r, nil
	}
	var err error
	if r.Keep, err = duration(keep); err != nil {
		return r, err
	}
	if r.Keep <= 0 {
		return r, errors.New("must be kept for longer than nothing")
	}
	return r, nil
}

func planned() []string {
	var names []string
	for _, t := range PersonalTables() {
		if len(t.Actions) > 0 {
			names = append(names, t.Name)
		}
	}
	return names
}

// Check refuses a plan that says two things of one table.
func (p ErasurePlan) Check() error {
	seen := map[string]bool{}
	for _, r := range p {
		if seen[r.Table] {
			return fmt.Errorf("%s is named twice", r.Table)
		}
		seen[r.Table] = true
	}
	return nil
}

// Steps gives the steps of an erasure that begins now: first what is ours, then what
// applications have, then what is kept for a time, and the row of the account last.
func (p ErasurePlan) Steps(now time.Time, collectors []string) []ErasureStep {
	var first, later, last []ErasureStep
	for _, t := range PersonalTables() {
		if len(t.Actions) == 0 {
			continue
		}
		r := ErasureRule{Table: t.Name, Action: t.Actions[0]}
		if i := slices.IndexFunc(p, func(r ErasureRule) bool { return r.Table == t.Name }); i >= 0 {
			r = p[i]
		}
		step := ErasureStep{Kind: StepTable, Name: t.Name, Action: r.Action}
		switch {
		case t.Name == "users" && r.Action == EraseAnonymise: // at once
		case t.Name == "users":
			last = append(last, step)
		case r.Action != EraseRetain:
			first = append(first, step)
		default:
			if slices.Contains(t.Actions, EraseEnd) { // kept, and without any effect
				first = append(first, ErasureStep{Kind: StepTable, Name: t.Name, Action: EraseEnd})
			}
			step.Action = EraseDelete
			if t.Actions[0] == EraseAnonymise {
				step.Action = EraseAnonymise
			}
			step.NotBefore = Truncate(now.Add(r.Keep))
			later = append(later, step)
		}
	}
	for _, name := range collectors {
		first = append(first, ErasureStep{Kind: StepCollector, Name: name})
	}
	return slices.Concat(first, later, last)
}

// Row gives a row as an export shows it, of values in the order of Show: time.Time, bool, or
// string, or nil. Times are RFC 3339 in UTC.
func (t *PersonalTable) Row(values []any, person ID) (map[string]any, error) {
	row := make(map[string]any, len(t.Show))
	for i, c := range t.Show {
		switch v := values[i].(type) {
		case nil:
			row[c.Name] = nil
		case time.Time:
			row[c.Name] = nil
			if !v.IsZero() {
				row[c.Name] = v.UTC().Format(time.RFC3339Nano)
			}
		case string:
			row[c.Name] = v
			if c.Kind == ColumnJSON {
				if !json.Valid([]byte(v)) {
					return nil, fmt.Errorf("column %s holds no JSON", c.Name)
				}
				row[c.Name] = json.RawMessage(v)
			}
		default:
			row[c.Name] = v
		}
	}
	if t.Name == AuditTable {
		payload, _ := row["payload"].(json.RawMessage)
		shown, own := AuditShown(payload, person)
		row["payload"] = shown
		if !own {
			delete(row, "ip_address")
		}
	}
	return row, nil
}
