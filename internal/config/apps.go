package config

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// maxApps bounds a registry that is looked through at every question about a state.
const maxApps = 50

// noFields is written for an application that needs nothing of a profile.
const noFields = "none"

// appFields are the names that flow knows; a test compares the two lists.
func appFields() []string {
	return []string{"full_name", "birth_date", "image_url", "language", "email", "phone"}
}

// parseApps reads a list of name or name:field+field.
func parseApps(s string) ([]App, error) {
	name := regexp.MustCompile(`^[a-z][a-z0-9_]{0,31}$`)
	var apps []App
	for _, item := range parseList(s) {
		var app App
		var list string
		var given bool
		app.Name, list, given = strings.Cut(item, ":")
		if !name.MatchString(app.Name) {
			return nil, fmt.Errorf("%q is no name of an application: lower-case letters, digits and _", app.Name)
		}
		if slices.ContainsFunc(apps, func(a App) bool { return a.Name == app.Name }) {
			return nil, fmt.Errorf("%q is there twice", app.Name)
		}
		if given {
			var err error
			if app.Fields, err = parseAppFields(list); err != nil {
				return nil, fmt.Errorf("%q %w", app.Name, err)
			}
		}
		if apps = append(apps, app); len(apps) > maxApps {
			return nil, fmt.Errorf("has more than %d applications", maxApps)
		}
	}
	return apps, nil
}

func parseAppFields(s string) ([]string, error) {
	fields := []string{}
	if s == noFields {
		return fields, nil
	}
	for field := range strings.SplitSeq(s, "+") {
		switch {
		case !slices.Contains(appFields(), field):
			return nil, errors.New("needs a field that is none of " + strings.Join(appFields(), ", "))
		case slices.Contains(fields, field):
			return nil, errors.New("needs " + field + " twice")
		}
		fields = append(fields, field)
	}
	return fields, nil
}

// formatApps writes what parseApps reads.
func formatApps(apps []App) string {
	list := make([]string, len(apps))
	for i, app := range apps {
		list[i] = app.Name
		switch {
		case app.Fields == nil:
		case len(app.Fields) == 0:
			list[i] += ":" + noFields
		default:
			list[i] += ":" + strings.Join(app.Fields, "+")
		}
	}
	return strings.Join(list, ",")
}
