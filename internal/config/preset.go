package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/cardea-auth/cardea/presets"
)

// presetDoc is a preset: a sentence, and settings by the names of their variables.
type presetDoc struct {
	About    string            `yaml:"about"`
	Settings map[string]string `yaml:"settings"`
}

// readPreset finds the preset that is asked for. Its settings are defaults: what is given by
// flag or variable wins.
func (l *loader) readPreset() {
	name, from := l.env[namePreset], namePreset
	if text, ok := l.src.Flags["preset"]; ok {
		name, from = text, "--preset"
	}
	if name == "" {
		return
	}
	doc, err := l.presetFile(name)
	if err == nil {
		l.preset, err = parsePreset(doc)
	}
	if err == nil {
		err = l.checkPreset()
	}
	if err != nil {
		l.preset = nil
		l.problem(from, quote(name), err.Error(), "name one of "+strings.Join(presets.Names(), ", ")+", or the path of a YAML file with `settings`")
	}
}

func (l *loader) presetFile(name string) ([]byte, error) {
	if doc, ok := presets.Preset(name); ok {
		return doc, nil
	}
	if !strings.ContainsAny(name, `/\.`) {
		return nil, errors.New("there is no such preset")
	}
	doc, err := l.src.ReadFile(name)
	if err != nil {
		return nil, errors.New("the file can't be read: " + plainReason(err))
	}
	return doc, nil
}

func parsePreset(doc []byte) (map[string]string, error) {
	var p presetDoc
	dec := yaml.NewDecoder(bytes.NewReader(doc))
	dec.KnownFields(true)
	if err := dec.Decode(&p); err != nil {
		return nil, fmt.Errorf("is no preset: %w", err)
	}
	if err := dec.Decode(new(any)); !errors.Is(err, io.EOF) {
		return nil, errors.New("is no preset: it has more than one document")
	}
	if len(p.Settings) == 0 {
		return nil, errors.New("has no settings")
	}
	return p.Settings, nil
}

// checkPreset refuses names that are no settings, and secrets: a bundle that is passed
// around is no place for one.
func (l *loader) checkPreset() error {
	var list []error
	for name := range l.preset {
		i := slices.IndexFunc(l.settings, func(s Setting) bool { return s.Name == name })
		switch {
		case i < 0 || name == namePreset:
			list = append(list, fmt.Errorf("has %s, which is no setting", name))
		case l.settings[i].Secret:
			list = append(list, fmt.Errorf("has %s, which is a secret: give it as a variable", name))
		}
	}
	slices.SortFunc(list, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errors.Join(list...)
}
