package postgres

import (
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/cardea-auth/cardea/internal/auth"
)

// Applications put triggers on auth.users, and those run in our transactions: one that
// raises takes the whole change with it. That can't be helped, and it is not ours to hide:
// the caller gets a code of its own, the operator the trigger's name and words.

// triggerError gives the error of an application's trigger its code; nil for any other.
//
//   - SQLSTATE PT400 to PT499, as PostgREST has it: the trigger refuses on purpose, and its
//     message is for the person who asked
//   - any other: its text is for the log, without what it may tell about a person
//
// What ends a statement from outside (a deadlock, a full disk, a cancelled statement) is no
// failure of the function that was running just then.
func triggerError(what string, pg *pgconn.PgError) error {
	name := functionOf(pg)
	if name == "" || strings.HasPrefix(name, "auth.cardea_") || len(pg.Code) != 5 {
		return nil
	}
	switch pg.Code[:2] {
	case "08", "25", "40", "53", "55", "57", "58", "XX":
		return nil
	}
	cause := fmt.Errorf("postgres: %s: the application's function %s raised SQLSTATE %s: %s", what, name, pg.Code, redacted(pg.Message))
	if status := pg.Code; strings.HasPrefix(status, "PT4") && isDigits(status[3:]) {
		return &auth.Error{Code: auth.CodeTriggerRefused, Message: clipped(pg.Message), Cause: cause}
	}
	message := "Database error updating user"
	switch what {
	case "create account":
		message = "Database error saving new user"
	case "start session":
		message = "Database error granting user"
	case "delete user", "soft-delete user":
		message = "Database error deleting user"
	}
	return &auth.Error{Code: auth.CodeTriggerFailed, Message: message, Cause: cause}
}

// functionOf names the outermost function that an error went through, which is the trigger;
// "" when there was none. The words around the name are in the server's language, the names
// of the procedural languages are not.
func functionOf(pg *pgconn.PgError) string {
	name := ""
	for line := range strings.SplitSeq(pg.Where, "\n") {
		if !strings.Contains(line, "PL/") && !strings.HasPrefix(line, "SQL ") && !strings.HasPrefix(line, "PLV8") {
			continue
		}
		for word := range strings.FieldsSeq(line) {
			if before, _, call := strings.Cut(word, "("); call && before != "" && !strings.ContainsAny(before, `$=<>*`) && before != "OPERATOR" {
				name = strings.Trim(before, "'")
				break
			}
		}
	}
	if name == "" && pg.File == "pl_exec.c" {
		return "(unknown)"
	}
	return name
}

func isDigits(s string) bool { return strings.Trim(s, "0123456789") == "" }

const maxTriggerText = 300 // bytes of a trigger's message that are kept

func clipped(s string) string {
	if len(s) > maxTriggerText {
		s = s[:maxTriggerText]
	}
	return strings.Join(strings.Fields(strings.ToValidUTF8(strings.ReplaceAll(s, "\x00", ""), "")), " ")
}

// redacted takes out of a message what looks like an address, a number or a value: it says
// what is wrong with the trigger, not with whom it happened.
func redacted(s string) string {
	words := strings.Fields(clipped(s))
	for i, w := range words {
		switch core := strings.Trim(w, `.,:;!?()[]{}'"`); {
		case strings.Contains(w, "@"):
			words[i] = "[address]"
		case len(core) >= 6 && strings.Trim(core, "+-0123456789") == "":
			words[i] = "[number]"
		case len(w) > 2 && strings.HasPrefix(w, "'") && strings.HasSuffix(w, "'"):
			words[i] = "[value]"
		case len(w) > 200:
			words[i] = "[value]"
		}
	}
	return strings.Join(words, " ")
}
