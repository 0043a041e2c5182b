package presets

import (
	"embed"
	"fmt"
	"strings"
)

//go:embed consents/*.yaml
var consentFiles embed.FS

// ConsentCatalogues lists the names of the catalogues of consents, sorted.
func ConsentCatalogues() []string { return names(consentFiles, "consents") }

// ReadConsents gives the document of a catalogue of consents and the name to load it under,
// by the rules of [ReadRoles].
func ReadConsents(nameOrPath string, readFile func(string) ([]byte, error)) (name string, doc []byte, err error) {
	if strings.ContainsAny(nameOrPath, `/\.`) {
		doc, err = readFile(nameOrPath)
		return nameOrPath, doc, err
	}
	doc, ok := document(consentFiles, "consents", nameOrPath)
	if !ok {
		return "", nil, fmt.Errorf("there is no catalogue of consents %q: name one of %s, or the path of a YAML file",
			nameOrPath, strings.Join(ConsentCatalogues(), ", "))
	}
	return nameOrPath, doc, nil
}
