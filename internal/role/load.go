package role

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// Limits of a catalogue. A file beyond them is a mistake, and would make every decision
// and every token dear.
const (
	maxDocument    = 1 << 20 // bytes
	maxRoles       = 1000
	maxPermissions = 5000
	maxLevel       = 1000
	maxDescription = 500 // characters
)

// Load reads a catalogue. The name, usually that of the file, stands in front of every
// problem. The error is an [*Error] that lists all of them:
//
//   - what is no YAML, or more than one document, anchors and aliases, unknown keys;
//   - names that are none, twice, reserved, or not in the catalogue;
//   - wildcards that cover nothing, permissions that another line covers already;
//   - roles that inherit themselves, directly or by others;
//   - two owners, an owner outside of tenants, and a role that anybody may take and that
//     has powers over others.
//
// Nothing of a wrong file is used: there is no partial catalogue.
func Load(name string, doc []byte) (*Catalogue, error) {
	l := &loader{file: name, roles: map[string]bool{}}
	if root := l.parse(doc); root != nil {
		l.document(root)
		l.check()
	}
	if len(l.problems) > 0 {
		return nil, &Error{Problems: sorted(l.problems)}
	}
	return l.build(), nil
}

// ref is a name with the line it stands in.
type ref struct {
	name string
	line int
}

// draft is a role as it is read.
type draft struct {
	Role
	line        int
	ownerLine   int
	selfLine    int
	inherits    []ref
	permissions []ref
}

type loader struct {
	file        string
	problems    []Problem
	drafts      []draft
	roles       map[string]bool // their names
	permissions []Permission
}

func (l *loader) problem(line int, format string, args ...any) {
	l.problems = append(l.problems, Problem{File: l.file, Line: line, Text: fmt.Sprintf(format, args...)})
}

// yamlLine finds the line in a message of the YAML library.
func yamlLine() *regexp.Regexp { return regexp.MustCompile(`^yaml: (?:line (\d+): )?((?s).*)$`) }

// parse gives the one mapping that a document is; nil after a problem.
func (l *loader) parse(doc []byte) *yaml.Node {
	if len(doc) > maxDocument {
		l.problem(0, "%d bytes, more than %d", len(doc), maxDocument)
		return nil
	}
	if !utf8.Valid(doc) {
		l.problem(0, "not UTF-8")
		return nil
	}
	dec := yaml.NewDecoder(bytes.NewReader(doc))
	var file, more yaml.Node
	if err := dec.Decode(&file); err != nil {
		if errors.Is(err, io.EOF) {
			l.problem(0, "empty: a catalogue has permissions and roles")
		} else {
			l.syntax(err)
		}
		return nil
	}
	if err := dec.Decode(&more); !errors.Is(err, io.EOF) {
		if err != nil {
			l.syntax(err)
		} else {
			l.problem(more.Line, "a second document: a catalogue is one")
		}
		return nil
	}
	if len(file.Content) != 1 || null(file.Content[0]) {
		l.problem(0, "empty: a catalogue has permissions and roles")
		return nil
	}
	root := file.Content[0]
	if l.aliases(root); len(l.problems) > 0 {
		return nil
	}
	if root.Kind != yaml.MappingNode {
		l.problem(root.Line, "%s where a catalogue has permissions and roles", kind(root))
		return nil
	}
	return root
}

func (l *loader) syntax(err error) {
	m := yamlLine().FindStringSubmatch(err.Error())
	if m == nil {
		l.problem(0, "%v", err)
		return
	}
	line, err := strconv.Atoi(m[1])
	if err != nil {
		line = 0 // the library doesn't know either
	}
	l.problem(line, "not YAML: %s", m[2])
}

// aliases refuses what makes one line stand for many: an alias of an alias can turn a
// hundred bytes into gigabytes, and a reader does not see what a role has.
func (l *loader) aliases(n *yaml.Node) {
	if n.Kind == yaml.AliasNode || n.Anchor != "" {
		l.problem(n.Line, "an anchor or alias: write it out, or use inherits")
		return
	}
	for _, child := range n.Content {
		l.aliases(child)
	}
}

// entries walks the pairs of a mapping. Keys that stand twice are a problem, for a reader
// would believe the one that he sees first.
func (l *loader) entries(n *yaml.Node, what string, each func(key string, line int, value *yaml.Node)) {
	if n.Kind != yaml.MappingNode {
		if !null(n) {
			l.problem(n.Line, "%s: want a mapping of names, found %s", what, kind(n))
		}
		return
	}
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, ok := l.text(n.Content[i], "a name")
		if !ok {
			continue
		}
		line := n.Content[i].Line
		if first, twice := seen[key]; twice {
			l.problem(line, "%s: %q stands twice, first in line %d", what, key, first)
			continue
		}
		seen[key] = line
		each(key, line, n.Content[i+1])
	}
}

func (l *loader) document(root *yaml.Node) {
	l.entries(root, "catalogue", func(key string, line int, value *yaml.Node) {
		switch key {
		case "description":
			l.description(value)
		case "permissions":
			l.entries(value, "permissions", l.permission)
		case "roles":
			l.entries(value, "roles", l.role)
		default:
			l.problem(line, "unknown key %q: a catalogue has description, permissions and roles", key)
		}
	})
}

func (l *loader) permission(name string, line int, value *yaml.Node) {
	if !validPermission(name) {
		l.problem(line, "permission %q: a name has up to %d segments of a-z, 0-9, _, - and . between colons, %d characters in all", name, maxSegments, maxName)
		return
	}
	if len(l.permissions) >= maxPermissions {
		l.problem(line, "more than %d permissions", maxPermissions)
		return
	}
	l.permissions = append(l.permissions, Permission{Name: name, Description: l.description(value)})
}

func (l *loader) role(name string, line int, value *yaml.Node) {
	l.roles[name] = true
	d := draft{Role: Role{Name: name, Scope: ScopeApp}, line: line}
	if !validRole(name) {
		l.problem(line, "role %q: a name begins with a-z, then a-z, 0-9, _ and -, %d characters in all", name, maxName)
	}
	if len(l.drafts) >= maxRoles {
		l.problem(line, "more than %d roles", maxRoles)
		return
	}
	l.entries(value, "role "+name, func(key string, line int, value *yaml.Node) { l.field(&d, key, line, value) })
	l.drafts = append(l.drafts, d)
}

func (l *loader) field(d *draft, key string, line int, value *yaml.Node) {
	switch key {
	case "description":
		d.Description = l.description(value)
	case "level":
		d.Level = l.level(d.Name, value)
	case "scope":
		d.Scope, _ = l.text(value, "role "+d.Name+": scope")
		if d.Scope != ScopeApp && d.Scope != ScopeTenant && d.Scope != ScopeBoth {
			l.problem(value.Line, "role %s: scope %q: want app, tenant or both", d.Name, d.Scope)
		}
	case "owner":
		d.Owner, d.ownerLine = l.flag(d.Name, key, value), line
	case "self_assignable":
		d.SelfAssignable, d.selfLine = l.flag(d.Name, key, value), line
	case "approval":
		d.Approval = l.flag(d.Name, key, value)
	case "inherits":
		d.inherits = l.names("role "+d.Name+": inherits", value)
	case "permissions":
		d.permissions = l.names("role "+d.Name+": permissions", value)
	default:
		l.problem(line, "role %s: unknown key %q: a role has description, scope, level, owner, self_assignable, approval, inherits and permissions", d.Name, key)
	}
}

// names reads a list of names; one name may stand without brackets.
func (l *loader) names(what string, n *yaml.Node) []ref {
	var list []ref
	items := n.Content
	switch {
	case null(n):
		return nil
	case n.Kind == yaml.ScalarNode:
		items = []*yaml.Node{n}
	case n.Kind != yaml.SequenceNode:
		l.problem(n.Line, "%s: want a list of names, found %s", what, kind(n))
		return nil
	}
	if len(items) > maxPermissions {
		l.problem(n.Line, "%s: more than %d names", what, maxPermissions)
		return nil
	}
	seen := map[string]bool{}
	for _, item := range items {
		name, ok := l.text(item, what)
		switch {
		case !ok:
		case seen[name]:
			l.problem(item.Line, "%s: %q stands twice", what, name)
		default:
			seen[name] = true
			list = append(list, ref{name, item.Line})
		}
	}
	return list
}

// text reads a string. What YAML takes for something else (true, 12, ~) has to be quoted,
// so that nobody is surprised by a role called "true".
func (l *loader) text(n *yaml.Node, what string) (string, bool) {
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!str" {
		l.problem(n.Line, "%s: want text, found %s", what, kind(n))
		return "", false
	}
	return n.Value, true
}

func (l *loader) description(n *yaml.Node) string {
	if null(n) {
		return ""
	}
	s, ok := l.text(n, "description")
	if ok && (utf8.RuneCountInString(s) > maxDescription || strings.ContainsRune(s, 0)) {
		l.problem(n.Line, "description: %d characters of text at most", maxDescription)
	}
	return s
}

func (l *loader) flag(role, key string, n *yaml.Node) bool {
	if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!bool" {
		return strings.EqualFold(n.Value, "true")
	}
	l.problem(n.Line, "role %s: %s: want true or false, found %s", role, key, kind(n))
	return false
}

func (l *loader) level(role string, n *yaml.Node) int {
	level, err := strconv.Atoi(n.Value)
	// Written back it has to be the same: YAML 1.1 reads 010 as eight.
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!int" || err != nil || strconv.Itoa(level) != n.Value || level < 0 || level > maxLevel {
		l.problem(n.Line, "role %s: level: want a whole number from 0 to %d, found %s", role, maxLevel, kind(n))
		return 0
	}
	return level
}

func null(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

// kind says what a node is, for people.
func kind(n *yaml.Node) string {
	switch {
	case null(n):
		return "nothing"
	case n.Kind == yaml.ScalarNode:
		return strconv.Quote(n.Value)
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case n.Kind == yaml.MappingNode:
		return "a mapping"
	}
	return "something else"
}
