package main

import (
	"errors"
	"os"
	"strconv"
	"strings"

	"github.com/cardea-auth/cardea/internal/role"
	"github.com/cardea-auth/cardea/presets"
)

// The commands in this file look at catalogues of roles without a server and without a
// configuration: they belong into the pipeline that ships a catalogue.

// catalogue loads a catalogue by the name of one that ships, or by the path of a file.
func catalogue(nameOrPath string) (*role.Catalogue, error) {
	name, doc, err := presets.ReadRoles(nameOrPath, os.ReadFile)
	if err != nil {
		return nil, err
	}
	return role.Load(name, doc)
}

// mistakes prints what is wrong in a catalogue, one line each as compilers do, and says
// whether that was it.
func (a *app) mistakes(err error) bool {
	var broken *role.Error
	if !errors.As(err, &broken) {
		return false
	}
	for _, p := range broken.Problems {
		a.say("%s", printable(p.String()))
	}
	return true
}

// errMistakes is the failure of a check; the mistakes were printed already.
var errMistakes = errors.New("nothing of a catalogue with mistakes is used: see above")

type rolesCheckCmd struct {
	Files []string `arg:"" name:"file" help:"Catalogues in YAML, or names of those that ship with Cardea."`
}

// Run reads the files as a server would, and lists every mistake with its line.
func (c *rolesCheckCmd) Run(a *app) error {
	var failed error
	for _, file := range c.Files {
		found, err := catalogue(file)
		switch {
		case a.mistakes(err):
			failed = errMistakes
		case err != nil:
			return err
		default:
			a.say("%s: %d roles, %d permissions, no mistakes.", printable(file), len(found.Roles()), len(found.Declared()))
		}
	}
	return failed
}

type rolesShowCmd struct {
	Catalogue string `arg:"" optional:"" default:"default" help:"Name of a catalogue that ships with Cardea, or path of a file. Without it: the default one."`
	Output    string `short:"o" help:"pretty, json, or yaml: the document itself, to begin one's own with." enum:"pretty,json,yaml" default:"pretty"`
}

// shownRole is a role with what it comes to.
type shownRole struct {
	Name           string   `json:"name"`
	Description    string   `json:"description,omitempty"`
	Scope          string   `json:"scope"`
	Level          int      `json:"level"`
	Owner          bool     `json:"owner,omitempty"`
	SelfAssignable bool     `json:"self_assignable,omitempty"`
	Approval       bool     `json:"approval,omitempty"`
	Inherits       []string `json:"inherits,omitempty"`
	Permissions    []string `json:"permissions"` // with what is inherited
}

// Run shows a catalogue with what is inherited added up.
func (c *rolesShowCmd) Run(a *app) error {
	if c.Output == "yaml" {
		_, doc, err := presets.ReadRoles(c.Catalogue, os.ReadFile)
		if err == nil {
			_, err = a.stdout.Write(doc)
		}
		return err
	}
	found, err := catalogue(c.Catalogue)
	if a.mistakes(err) {
		return errMistakes
	}
	if err != nil {
		return err
	}
	list := []shownRole{}
	rows := [][]string{{"ROLE", "LEVEL", "SCOPE", "HOW", "PERMISSIONS"}}
	for _, r := range found.Roles() {
		shown := shownRole{
			r.Name, r.Description, r.Scope, r.Level, r.Owner, r.SelfAssignable, r.Approval, r.Inherits, found.Permissions(r.Name),
		}
		list = append(list, shown)
		rows = append(rows, []string{r.Name, strconv.Itoa(r.Level), r.Scope, shown.how(), strings.Join(shown.Permissions, " ")})
	}
	if c.Output == "json" {
		return writeJSON(a.stdout, list)
	}
	return table(a.stdout, rows)
}

// how says by which way people come by a role.
func (r *shownRole) how() string {
	switch {
	case r.SelfAssignable:
		return "chosen"
	case r.Approval:
		return "asked for"
	case r.Owner:
		return "given (owner)"
	}
	return "given"
}

type rolesTryCmd struct {
	Roles      string `arg:"" help:"One role, or several with commas between."`
	Permission string `arg:"" help:"Such as patient:read."`
	Catalogue  string `help:"Name of a catalogue that ships with Cardea, or path of a file." default:"default" placeholder:"NAME|FILE"`
	Output     string `short:"o" help:"pretty or json." enum:"pretty,json" default:"pretty"`
}

// Run explains. The answer is the exit code too.
func (c *rolesTryCmd) Run(a *app) error {
	found, err := catalogue(c.Catalogue)
	if a.mistakes(err) {
		return errMistakes
	}
	if err != nil {
		return err
	}
	e := found.Explain(strings.FieldsFunc(c.Roles, func(r rune) bool { return r == ',' || r == ' ' }), c.Permission)
	return a.showAnswer(e, e.Allowed, e.Because, c.Output)
}
