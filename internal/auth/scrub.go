package auth

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"
)

// Erased stands in the audit log where something was that said who a person was.
const Erased = "[erased]"

// Anonymised gives the payload of an audit entry without what says who a person was; changed
// is false when there was nothing. Entry, action, time and the ids stay: what was done to
// which account can still be told, and entries of others are not touched. What goes:
//
//   - the name and the address of the actor, when the person was the actor;
//   - every detail that is an address, a number or a name by its own name (GoTrue's
//     user_email, user_phone; name, full_name, ...);
//   - inside of every other text, such as the reason that an operator typed, what looks like
//     an e-mail address or a phone number. A name in such a text can't be recognised.
//
// A payload that can't be read is replaced altogether: what can't be looked through must not
// stay.
func Anonymised(payload json.RawMessage, person ID) (clean json.RawMessage, own, changed bool) {
	d := json.NewDecoder(bytes.NewReader(payload))
	d.UseNumber() // a number of 20 digits must not be rounded
	var doc map[string]any
	if err := d.Decode(&doc); err != nil || doc == nil || !json.Valid(payload) {
		return json.RawMessage(`{"erased":true}`), true, true
	}
	if doc["actor_id"] == person.String() {
		own = true
		for _, name := range []string{"actor_username", "actor_name"} {
			if s, there := doc[name]; there && s != "" && s != Erased {
				doc[name], changed = Erased, true
			}
		}
	}
	for name, v := range doc {
		if strings.HasPrefix(name, "actor_") || name == "action" || name == "log_type" {
			continue
		}
		if w, different := scrub(name, v); different {
			doc[name], changed = w, true
		}
	}
	if !changed {
		return payload, own, false
	}
	clean, err := json.Marshal(doc)
	if err != nil {
		return json.RawMessage(`{"erased":true}`), own, true
	}
	return clean, own, true
}

// personalName matches members that hold what says who somebody is.
var personalName = regexp.MustCompile(`(?i)^(user_|new_|old_|actor_)?(e?mail|e-mail|phone|name|full_?name|first_?name|last_?name|username|address|birth_?date|ip|ip_address|user_agent)(_address|_number)?$`)

// addresses matches e-mail addresses, and numbers of at least seven digits as people write
// phone numbers. Ids are no numbers: they hold letters, or are left alone by their form.
var (
	mailLike  = regexp.MustCompile(`[^\s<>"',;:()]+@[^\s<>"',;:()]+`)
	phoneLike = regexp.MustCompile(`\+?\d[\d ()./-]{5,}\d`)
	idLike    = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)
	timeLike  = regexp.MustCompile(`^\d{4}-\d\d-\d\d(T[0-9:.]+(Z|[+-]\d\d:\d\d))?$`)
)

// scrub cleans one member.
func scrub(name string, v any) (clean any, changed bool) {
	switch t := v.(type) {
	case string:
		if t == "" || t == Erased || idLike.MatchString(t) || timeLike.MatchString(t) {
			return t, false
		}
		if personalName.MatchString(name) {
			return Erased, true
		}
		s := mailLike.ReplaceAllString(t, Erased)
		if out := phoneLike.ReplaceAllString(s, Erased); out != t {
			return out, true
		}
		return t, false
	case map[string]any:
		for k, inner := range t {
			if w, different := scrub(k, inner); different {
				t[k], changed = w, true
			}
		}
		return t, changed
	case []any:
		for i, inner := range t {
			if w, different := scrub(name, inner); different {
				t[i], changed = w, true
			}
		}
		return t, changed
	case json.Number:
		if personalName.MatchString(name) {
			return Erased, true
		}
	}
	return v, changed
}

// AuditShown gives what an export shows a person of an audit entry: what was done, never who
// an operator is or with which key he came; of what others did, not where they were.
func AuditShown(payload json.RawMessage, person ID) (shown map[string]any, own bool) {
	var doc map[string]any
	if json.Unmarshal(payload, &doc) != nil || doc == nil {
		return nil, false
	}
	own = doc["actor_id"] == person.String()
	if traits, ok := doc["traits"].(map[string]any); ok {
		delete(traits, "api_key")
		if !own {
			delete(traits, "reason")
		}
	}
	if !own {
		delete(doc, "actor_username")
		delete(doc, "actor_name")
		doc["actor_id"] = nil
	}
	return doc, own
}

// ScrubbedText gives a text without e-mail addresses and phone numbers.
func ScrubbedText(s string) string {
	return phoneLike.ReplaceAllString(mailLike.ReplaceAllString(s, Erased), Erased)
}
