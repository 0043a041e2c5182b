// Package presets holds what ships with Cardea as data: bundles of settings, catalogues
// of roles, and catalogues of consents.
package presets

import (
	"embed"
	"path"
	"strings"
)

//go:embed *.yaml
var presetFiles embed.FS

// Preset gives the YAML document of a preset. The answer is false when there is none of that
// name.
func Preset(name string) ([]byte, bool) { return document(presetFiles, ".", name) }

// Names lists the presets, sorted.
func Names() []string { return names(presetFiles, ".") }

// document reads the YAML document of a name. A name is no path: what is asked for from
// outside reads nothing but a folder's own files.
func document(files embed.FS, folder, name string) ([]byte, bool) {
	if strings.ContainsAny(name, `/\.`) {
		return nil, false
	}
	doc, err := files.ReadFile(path.Join(folder, name+".yaml"))
	return doc, err == nil
}

// names lists the documents of a folder, sorted.
func names(files embed.FS, folder string) []string {
	entries, err := files.ReadDir(folder)
	if err != nil {
		return nil // it is embedded: there is one
	}
	list := make([]string, len(entries))
	for i, e := range entries {
		list[i] = strings.TrimSuffix(e.Name(), ".yaml")
	}
	return list
}
