// Package presets holds what ships with Cardea as data: bundles of settings, and catalogues
// of roles.
package presets

import (
	"embed"
	"io/fs"
	"path"
	"strings"
)

//go:embed *.yaml
var presetFiles embed.FS

// Preset gives the YAML document of a preset. The answer is false when there is none of that
// name.
func Preset(name string) ([]byte, bool) {
	if strings.ContainsAny(name, `/\.`) {
		return nil, false
	}
	doc, err := presetFiles.ReadFile(path.Join(".", name+".yaml"))
	return doc, err == nil
}

// Names lists the presets, sorted.
func Names() []string {
	entries, err := fs.ReadDir(presetFiles, ".")
	if err != nil {
		return nil // it is embedded: there is one
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = strings.TrimSuffix(e.Name(), ".yaml")
	}
	return names
}
