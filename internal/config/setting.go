package config

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Setting describes one setting, for the reference page, `cardea doctor` and `--help`.
type Setting struct {
	Name       string   // the CARDEA_ variable
	Aliases    []string // other variables that mean the same
	Flag       string   // name of the flag without dashes, "" for none
	Group      string   // heading in the reference page
	Kind       string   // "text", "duration", ...
	Default    string   // as it would be written in the variable
	DevDefault string   // the same for `cardea dev`, when it differs
	Computed   string   // how the default is found, when it depends on other settings
	Help       string
	Secret     bool // its value is never shown; NAME_FILE may name a file that holds it

	field field
}

// field reads a setting into its place in a Config and shows it again.
type field struct {
	kind string
	set  func(c *Config, text string) error
	show func(c *Config) string // what set would read; for secrets too
}

// view is the value for people: secrets are hidden, and so is the password in a URL.
func (s *Setting) view(c *Config) string {
	text := s.field.show(c)
	switch {
	case s.Name == nameDatabaseURL:
		return redactDatabaseURL(text)
	case s.Secret && text != "":
		return redacted
	}
	return text
}

// names lists the variables that may hold the setting, the setting's own first.
func (s *Setting) names() []string { return append([]string{s.Name}, s.Aliases...) }

// Settings lists every setting in the order of the reference page.
func Settings() []Setting {
	list := slices.Concat(serverSettings(), signUpSettings(), proofSettings(), tokenSettings(), passwordSettings(),
		sessionSettings(), peopleSettings(), relaySettings(), privacySettings(), mailSettings(), smsSettings(), captchaSettings(), hookSettings(), webhookSettings(),
		databaseSettings(), httpSettings(),
		limitSettings(), messageLimits(), logSettings())
	for i := range list {
		list[i].Kind = list[i].field.kind
	}
	return list
}

func makeField[T any](kind string, at func(*Config) *T, parse func(string) (T, error), show func(T) string) field {
	return field{
		kind: kind,
		set: func(c *Config, text string) error {
			v, err := parse(text)
			if err == nil {
				*at(c) = v
			}
			return err
		},
		show: func(c *Config) string { return show(*at(c)) },
	}
}

func same(s string) string { return s }

func textField(at func(*Config) *string) field {
	return makeField("text", at, func(s string) (string, error) { return s, cleanText(s) }, same)
}

func urlField(at func(*Config) *string, parse func(string) (string, error)) field {
	return makeField("URL", at, parse, same)
}

func boolField(at func(*Config) *bool) field {
	return makeField("true or false", at, parseBool, strconv.FormatBool)
}

func durationField(at func(*Config) *time.Duration, low, high time.Duration) field {
	parse := func(s string) (time.Duration, error) {
		d, err := parseDuration(s)
		if err == nil && (d < low || d > high) {
			err = fmt.Errorf("must be from %s to %s", formatDuration(low), formatDuration(high))
		}
		return d, err
	}
	return makeField("duration", at, parse, formatDuration)
}

func intField[T int | int32 | int64](at func(*Config) *T, low, high int64) field {
	parse := func(s string) (T, error) {
		n, err := parseInt(s, low, high)
		return T(n), err
	}
	return makeField("number", at, parse, func(n T) string { return strconv.FormatInt(int64(n), 10) })
}

// choiceField reads one of the values, in any case.
func choiceField(at func(*Config) *string, values ...string) field {
	parse := func(s string) (string, error) {
		for _, v := range values {
			if strings.EqualFold(s, v) {
				return v, nil
			}
		}
		return "", errors.New("must be " + strings.Join(values[:len(values)-1], ", ") + " or " + values[len(values)-1])
	}
	return makeField(strings.Join(values, ", "), at, parse, same)
}

func listField(kind string, at func(*Config) *[]string, check func(string) error) field {
	parse := func(s string) ([]string, error) {
		list := parseList(s)
		for _, item := range list {
			if err := errors.Join(cleanText(item), check(item)); err != nil {
				return nil, fmt.Errorf("%q %w", item, err)
			}
		}
		return list, nil
	}
	return makeField(kind, at, parse, func(list []string) string { return strings.Join(list, ",") })
}

func secretField(kind string, at func(*Config) *Secret, parse func(string) (Secret, error), show func(Secret) string) field {
	return makeField(kind, at, parse, show)
}
