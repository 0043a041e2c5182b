package presets

import (
	"embed"
	"fmt"
	"strings"
)

//go:embed roles/*.yaml
var roleFiles embed.FS

// DefaultRoles is the name of the catalogue of roles that a server has when it names none.
const DefaultRoles = "default"

// RoleCatalogue gives the YAML document of a catalogue of roles that ships with Cardea, for
// package role to load. The answer is false when there is none of that name.
func RoleCatalogue(name string) ([]byte, bool) { return document(roleFiles, "roles", name) }

// RoleCatalogues lists the names of the catalogues of roles, sorted.
func RoleCatalogues() []string { return names(roleFiles, "roles") }

// ReadRoles gives the document of a catalogue and the name to load it under. What is asked for
// is the name of one that ships with Cardea, or the path of a file, which has a dot or a
// slash in it: nobody's file is taken for a shipped catalogue, or the other way round.
func ReadRoles(nameOrPath string, readFile func(string) ([]byte, error)) (name string, doc []byte, err error) {
	if strings.ContainsAny(nameOrPath, `/\.`) {
		doc, err = readFile(nameOrPath)
		return nameOrPath, doc, err
	}
	doc, ok := RoleCatalogue(nameOrPath)
	if !ok {
		return "", nil, fmt.Errorf("there is no catalogue of roles %q: name one of %s, or the path of a YAML file",
			nameOrPath, strings.Join(RoleCatalogues(), ", "))
	}
	return nameOrPath, doc, nil
}
