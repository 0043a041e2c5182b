package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

const nameCollectors = "CARDEA_COLLECTORS"

// Collector is an application that keeps data of people of its own.
type Collector struct {
	Name    string
	URL     string
	Secret  Secret // as CARDEA_HOOK_..._SECRETS
	Timeout time.Duration
	Phases  []string // export, erase
}

// collectorsDoc is the file of collectors.
type collectorsDoc struct {
	Collectors []struct {
		Name       string   `yaml:"name"`
		URL        string   `yaml:"url"`
		Secret     string   `yaml:"secret"`
		SecretFile string   `yaml:"secret_file"`
		Timeout    string   `yaml:"timeout"`
		Phases     []string `yaml:"phases"`
	} `yaml:"collectors"`
}

// readCollectors reads the file that the setting names. What is wrong inside of an entry, the
// assembly finds out with all that it knows of addresses and secrets.
func (l *loader) readCollectors() {
	name := l.cfg.Privacy.CollectorsFile
	if name == "" || !l.ok(nameCollectors) {
		return
	}
	doc, err := l.src.ReadFile(name)
	if err != nil {
		err = errors.New("the file can't be read: " + plainReason(err))
	} else {
		l.cfg.Privacy.Collectors, err = parseCollectors(doc, l.src.ReadFile)
	}
	if err != nil {
		l.problem(l.sourceName(nameCollectors), quote(name), err.Error(), "name a YAML file with `collectors`; docs/guides/privacy.md has an example")
	}
}

func parseCollectors(doc []byte, readFile func(string) ([]byte, error)) ([]Collector, error) {
	var d collectorsDoc
	dec := yaml.NewDecoder(bytes.NewReader(doc))
	dec.KnownFields(true)
	if err := dec.Decode(&d); err != nil {
		return nil, fmt.Errorf("is no list of collectors: %w", err)
	}
	if err := dec.Decode(new(any)); !errors.Is(err, io.EOF) {
		return nil, errors.New("is no list of collectors: it has more than one document")
	}
	var list []Collector
	for i, c := range d.Collectors {
		one := Collector{Name: c.Name, URL: c.URL, Secret: Secret(c.Secret), Phases: c.Phases}
		if c.SecretFile != "" {
			if c.Secret != "" {
				return nil, fmt.Errorf("collector %d has both secret and secret_file", i+1)
			}
			text, err := readFile(c.SecretFile)
			if err != nil {
				return nil, fmt.Errorf("collector %d: secret_file can't be read: %s", i+1, plainReason(err))
			}
			one.Secret = Secret(strings.TrimSpace(string(text)))
		}
		if c.Timeout != "" {
			var err error
			if one.Timeout, err = parseDuration(c.Timeout); err != nil {
				return nil, fmt.Errorf("collector %d: timeout %w", i+1, err)
			}
		}
		list = append(list, one)
	}
	if len(list) == 0 {
		return nil, errors.New("has no collectors")
	}
	return list, nil
}
