package config

import (
	"fmt"
	"strings"
)

// Problem is one thing that is wrong, and what to do about it.
type Problem struct {
	Setting string `json:"setting"`         // the variable, flag or file that holds the value; or the one that is missing
	Value   string `json:"value,omitempty"` // as given, secrets hidden; "" when nothing was given
	What    string `json:"what"`
	Fix     string `json:"fix"`
}

// String is one line.
func (p Problem) String() string {
	s := p.Setting
	if p.Value != "" {
		s += " (" + p.Value + ")"
	}
	return s + ": " + p.What
}

// Error lists every problem of a configuration. It holds at least one.
type Error struct {
	Problems []Problem
}

// Error gives one text with every problem and its remedy.
func (e *Error) Error() string {
	var b strings.Builder
	if len(e.Problems) == 1 {
		b.WriteString("the configuration has 1 problem:")
	} else {
		fmt.Fprintf(&b, "the configuration has %d problems:", len(e.Problems))
	}
	for i, p := range e.Problems {
		fmt.Fprintf(&b, "\n  %d. %s\n     fix: %s", i+1, p, p.Fix)
	}
	return b.String()
}

// Entry says what one setting is and where that came from.
type Entry struct {
	Name   string `json:"name"`
	Group  string `json:"group"`
	Value  string `json:"value"`  // secrets hidden
	Source string `json:"source"` // "default", "environment DATABASE_URL", "flag --listen", "file /run/secrets/key", ...
	Set    bool   `json:"set"`    // somebody gave it
}

// Note is about a variable that has no effect.
type Note struct {
	Name string `json:"name"`
	Text string `json:"text"`
}

// Report explains a configuration; it is complete even when the configuration is not
// usable.
type Report struct {
	Settings []Entry   `json:"settings"`
	Unused   []Note    `json:"unused"`   // GoTrue's variables that this version doesn't use
	Warnings []Problem `json:"warnings"` // allowed, but worth a look
	Problems []Problem `json:"problems"` // the ones of the error
}

// Entry finds a setting by its name.
func (r *Report) Entry(name string) (Entry, bool) {
	for _, e := range r.Settings {
		if e.Name == name {
			return e, true
		}
	}
	return Entry{}, false
}

// quote shows a value that is not a secret, in one short line.
func quote(s string) string {
	const most = 80
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return fmt.Sprintf("%q", s)
}
