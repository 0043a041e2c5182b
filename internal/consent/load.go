package consent

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// Limits of a catalogue. A file beyond them is a mistake.
const (
	maxDocument = 256 << 10 // bytes
	maxPurposes = 100
	maxTitle    = 200   // characters
	maxText     = 10000 // characters
	maxVersion  = 64    // characters
	maxAccepts  = 20
	maxDays     = 36500
)

// document is a catalogue as a file has it.
type document struct {
	Description string                `yaml:"description"`
	Version     string                `yaml:"version"`
	Purposes    map[string]purposeDoc `yaml:"purposes"`
}

type purposeDoc struct {
	Title    string   `yaml:"title"`
	Text     string   `yaml:"text"`
	Version  string   `yaml:"version"`
	Accepts  []string `yaml:"accepts"`
	Required bool     `yaml:"required"`
	Expires  string   `yaml:"expires"`
	Scope    string   `yaml:"scope"`
}

// Load reads a catalogue. The name, usually that of the file, stands in front of every
// problem; the error lists all of them. Nothing of a wrong file is used.
func Load(name string, doc []byte) (*Catalogue, error) {
	in, err := parse(doc)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	c := &Catalogue{description: in.Description, purposes: make(map[string]Purpose, len(in.Purposes))}
	var problems []error
	for _, purpose := range slices.Sorted(maps.Keys(in.Purposes)) {
		d := in.Purposes[purpose]
		if d.Version == "" {
			d.Version = in.Version
		}
		p, err := d.read(purpose)
		if err != nil {
			problems = append(problems, fmt.Errorf("%s: purpose %s: %w", name, shown(purpose), err))
			continue
		}
		c.purposes[purpose] = p
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	return c, nil
}

func parse(doc []byte) (document, error) {
	var in document
	switch {
	case len(doc) > maxDocument:
		return in, fmt.Errorf("%d bytes, more than %d", len(doc), maxDocument)
	case !utf8.Valid(doc):
		return in, errors.New("not UTF-8")
	}
	// An alias of an alias turns a hundred bytes into gigabytes.
	var root yaml.Node
	if err := yaml.Unmarshal(doc, &root); err != nil {
		return in, fmt.Errorf("not YAML: %w", err)
	}
	if aliased(&root) {
		return in, errors.New("an anchor or alias: write it out")
	}
	dec := yaml.NewDecoder(bytes.NewReader(doc))
	dec.KnownFields(true)
	if err := dec.Decode(&in); err != nil {
		if errors.Is(err, io.EOF) {
			return in, errors.New("empty: a catalogue has purposes")
		}
		return in, fmt.Errorf("no catalogue: %w", err)
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return in, errors.New("more than one document")
	}
	switch {
	case len(in.Purposes) == 0:
		return in, errors.New("empty: a catalogue has purposes")
	case len(in.Purposes) > maxPurposes:
		return in, fmt.Errorf("%d purposes, more than %d", len(in.Purposes), maxPurposes)
	case !readable(in.Description, maxTitle):
		return in, errors.New("the description is too long, or not text")
	}
	return in, nil
}

func aliased(n *yaml.Node) bool {
	return n.Kind == yaml.AliasNode || n.Anchor != "" || slices.ContainsFunc(n.Content, aliased)
}

func (d *purposeDoc) read(name string) (Purpose, error) {
	p := Purpose{
		Name: name, Title: d.Title, Text: d.Text, Version: d.Version, Accepts: d.Accepts, Required: d.Required, Scope: d.Scope,
	}
	if p.Scope == "" {
		p.Scope = ScopeApp
	}
	var err error
	switch {
	case !regexp.MustCompile(`^[a-z][a-z0-9_]{0,63}$`).MatchString(name):
		return p, errors.New("a name has lower-case letters, digits and _, 64 at most")
	case d.Title == "" || !readable(d.Title, maxTitle):
		return p, errors.New("needs a title of at most 200 characters")
	case !readable(strings.ReplaceAll(d.Text, "\n", " "), maxText):
		return p, errors.New("the text is too long, or not text")
	case d.Version == "":
		return p, errors.New("has no version, and neither has the catalogue: nobody could tell which text was agreed to")
	case !isVersion(d.Version) || len(d.Accepts) > maxAccepts || slices.ContainsFunc(d.Accepts, func(v string) bool { return !isVersion(v) }):
		return p, errors.New("a version has 1 to 64 printable characters without blanks, and at most 20 are accepted")
	case p.Scope != ScopeApp && p.Scope != ScopeTenant:
		return p, errors.New("scope must be app or tenant")
	}
	p.Expires, err = readDays(d.Expires)
	return p, err
}

// readDays reads "365d". Days are the unit in which people are told.
func readDays(s string) (time.Duration, error) {
	if s == "" {
		return 0, nil
	}
	digits, ok := strings.CutSuffix(s, "d")
	n, err := strconv.Atoi(digits)
	if !ok || err != nil || n < 1 || n > maxDays || strconv.Itoa(n) != digits {
		return 0, fmt.Errorf("expires must be days, such as 365d, from 1 to %d", maxDays)
	}
	return time.Duration(n) * 24 * time.Hour, nil
}

func isVersion(s string) bool {
	return s != "" && readable(s, maxVersion) && !strings.ContainsFunc(s, unicode.IsSpace)
}

// readable reports whether a text is no longer than that and has no control characters.
func readable(s string, most int) bool {
	return utf8.RuneCountInString(s) <= most && !strings.ContainsFunc(s, unicode.IsControl)
}

// shown cuts a name that may be anything.
func shown(name string) string {
	const most = 70
	if r := []rune(name); len(r) > most {
		name = string(r[:most])
	}
	return strconv.Quote(name)
}
