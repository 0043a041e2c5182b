package config

import (
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Sources is what a configuration is read from.
type Sources struct {
	Env   []string          // NAME=value, as os.Environ gives it
	Dev   bool              // `cardea dev`: its defaults, and its limits
	Flags map[string]string // by flag name without dashes; a flag beats the environment

	// ReadFile reads the files that settings name; nil is os.ReadFile.
	ReadFile func(name string) ([]byte, error)
}

// source is where a value came from.
type source struct {
	kind string // "environment", "flag", "file", "derived", "default"
	name string // what to change, as the operator wrote it
	text string
}

func (s source) String() string {
	switch s.kind {
	case "default":
		return "default"
	case "derived":
		return "derived from " + s.name
	}
	return s.kind + " " + s.name
}

// loader collects values and problems.
type loader struct {
	src      Sources
	env      map[string]string
	settings []Setting
	from     map[string]source // by setting name; only what somebody gave
	preset   map[string]string // settings of the preset, by setting name
	failed   map[string]bool   // settings whose value was refused: nothing more is said of them
	cfg      Config
	report   Report
}

// Load reads the configuration. The error is an [*Error] that lists every problem; the
// report is complete either way.
//
// Load writes nothing and reads no file but those that settings name. In `dev` without an
// encryption key the key file of the data folder is read if it exists; see [Config.EnsureDevFolder].
func Load(src Sources) (Config, Report, error) {
	if src.ReadFile == nil {
		src.ReadFile = os.ReadFile
	}
	l := &loader{src: src, settings: Settings(), from: map[string]source{}, failed: map[string]bool{}}
	l.cfg.Dev = src.Dev
	l.report = Report{Unused: []Note{}, Warnings: []Problem{}, Problems: []Problem{}} // JSON: [], not null
	l.readEnvironment()
	l.readPreset()
	for i := range l.settings {
		l.resolve(&l.settings[i])
	}
	l.derive()
	l.check()
	l.finish()
	if len(l.report.Problems) > 0 {
		return l.cfg, l.report, &Error{Problems: l.report.Problems}
	}
	return l.cfg, l.report, nil
}

func (l *loader) problem(setting, value, what, fix string) {
	l.report.Problems = append(l.report.Problems, Problem{Setting: setting, Value: value, What: what, Fix: fix})
}

func (l *loader) warn(setting, what, fix string) {
	l.report.Warnings = append(l.report.Warnings, Problem{Setting: setting, What: what, Fix: fix})
}

// readEnvironment makes a map of the variables. Empty ones count as unset: compose files
// pass every variable, set or not.
func (l *loader) readEnvironment() {
	l.env = make(map[string]string, len(l.src.Env))
	for _, pair := range l.src.Env {
		name, value, _ := strings.Cut(pair, "=")
		if value = strings.TrimSpace(value); value != "" {
			l.env[name] = value
		}
	}
	l.checkNames()
}

// resolve finds the value of one setting: flag, then environment, then preset, then default.
func (l *loader) resolve(s *Setting) {
	found := l.candidates(s)
	def := s.Default
	if l.src.Dev && s.DevDefault != "" {
		def = s.DevDefault
	}
	if def != "" {
		if err := s.field.set(&l.cfg, def); err != nil {
			panic("config: default of " + s.Name + ": " + err.Error()) // a wrong table; the tests load it
		}
	}
	if text, ok := l.src.Flags[s.Flag]; ok && s.Flag != "" {
		found = []source{{kind: "flag", name: "--" + s.Flag, text: text}}
	}
	if text, ok := l.preset[s.Name]; ok && len(found) == 0 {
		found = []source{{kind: "preset", name: l.presetName(), text: text}}
	}
	if len(found) == 0 {
		return
	}
	l.from[s.Name] = found[0]
	for _, f := range found {
		if err := s.field.set(&l.cfg, f.text); err != nil {
			l.failed[s.Name] = true
			l.problem(f.name, shownValue(s, f.text), err.Error(), remedy(s, def))
		}
	}
	if !l.failed[s.Name] {
		l.compare(s, found)
	}
}

// presetName is how the operator named the preset.
func (l *loader) presetName() string {
	if text, ok := l.src.Flags["preset"]; ok {
		return text
	}
	return l.env[namePreset]
}

// candidates lists the variables, and the files they name, that give the setting.
func (l *loader) candidates(s *Setting) []source {
	var found []source
	for _, name := range s.names() {
		if text, ok := l.env[name]; ok {
			found = append(found, source{kind: "environment", name: name, text: text})
		}
		path, ok := l.env[name+fileSuffix]
		if !ok || !s.Secret {
			continue
		}
		doc, err := l.src.ReadFile(path)
		text := strings.TrimSpace(string(doc))
		switch {
		case err != nil:
			l.failed[s.Name], l.from[s.Name] = true, source{kind: "file", name: name + fileSuffix}
			l.problem(name+fileSuffix, quote(path), "the file can't be read: "+plainReason(err),
				"check that the file exists and that the user who runs cardea may read it")
		case text == "":
			l.failed[s.Name], l.from[s.Name] = true, source{kind: "file", name: name + fileSuffix}
			l.problem(name+fileSuffix, quote(path), "the file is empty", "write the value into it")
		default:
			found = append(found, source{kind: "file", name: name + fileSuffix, text: text})
		}
	}
	if s.Name == nameListen {
		found = append(found, l.goTrueListen()...)
	}
	return found
}

// goTrueListen puts GoTrue's separate host and port together. With a port alone GoTrue
// listens on every address, and so do platforms that set PORT expect; dev never does.
func (l *loader) goTrueListen() []source {
	host, hostName := l.firstOf("GOTRUE_API_HOST", "API_HOST")
	port, portName := l.firstOf("GOTRUE_API_PORT", "API_PORT", "PORT")
	if host == "" && port == "" {
		return nil
	}
	names := hostName + portName
	if host != "" && port != "" {
		names = hostName + " and " + portName
	}
	switch {
	case host == "" && l.src.Dev:
		host = "127.0.0.1"
	case host == "":
		host = "0.0.0.0"
	case port == "":
		port = "8081" // GoTrue's default
	}
	return []source{{kind: "environment", name: names, text: net.JoinHostPort(strings.Trim(host, "[]"), port)}}
}

func (l *loader) firstOf(names ...string) (value, name string) {
	for _, n := range names {
		if v, ok := l.env[n]; ok {
			return v, n
		}
	}
	return "", ""
}

// compare refuses a setting that two names set differently: which of them was meant can't
// be known, and guessing wrong may open a door.
func (l *loader) compare(s *Setting, found []source) {
	var first, other Config
	for _, f := range found[1:] {
		if s.field.set(&first, found[0].text) != nil || s.field.set(&other, f.text) != nil {
			continue
		}
		if s.field.show(&first) != s.field.show(&other) {
			l.failed[s.Name] = true
			l.problem(found[0].name+" and "+f.name, "", "both set "+s.Name+", to different values",
				"remove one of them, or give both the same value")
		}
	}
	s.field.set(&l.cfg, found[0].text) //nolint:errcheck // it was accepted before
}

// derive fills in what depends on other settings and was not given.
func (l *loader) derive() {
	c := &l.cfg
	if !l.given(nameDatabaseURL) && c.Dev {
		c.DatabaseURL = "sqlite://" + filepath.ToSlash(filepath.Join(c.DataDir, "cardea.db"))
	}
	if !l.given(namePublicURL) {
		c.PublicURL = "http://" + c.Listen
	}
	if !l.given(nameSiteURL) {
		c.SiteURL = c.PublicURL
	}
	if !l.given(nameIssuer) {
		c.JWT.Issuer = c.AuthURL()
	}
	if !l.given(nameRootMount) {
		c.RootMount = l.usesGoTrue()
	}
	if !l.given(nameCORSOrigins) && !c.Dev {
		c.CORSOrigins = corsOrigins(c.SiteURL, c.RedirectURLs)
	}
	if !l.given(nameAlgorithm) && !l.failed[nameAlgorithm] {
		switch alg := signingAlgorithm(c.JWT.Keys); {
		case alg != "":
			c.JWT.Algorithm = alg
			l.from[nameAlgorithm] = source{kind: "derived", name: l.sourceName(nameKeys)}
		case c.JWT.Secret.Set():
			c.JWT.Algorithm = "HS256"
			l.from[nameAlgorithm] = source{kind: "derived", name: l.sourceName(nameSecret)}
		}
	}
	l.deriveMail()
	l.deriveEncryptionKey()
}

// deriveMail names the application after its host, where nobody did.
func (l *loader) deriveMail() {
	c := &l.cfg
	if u, err := url.Parse(c.SiteURL); err == nil && !l.given(nameAppName) {
		c.Mail.AppName = u.Hostname()
	}
	if !l.given(nameSenderName) {
		c.Mail.SenderName = c.Mail.AppName
	}
	if !l.given(nameLinkURL) {
		c.Mail.LinkURL = c.AuthURL() + "/verify"
		if !slices.Contains(c.Surfaces, SurfaceSupabase) { // which that address is part of
			c.Mail.LinkURL = strings.TrimRight(c.SiteURL, "/") + "/auth/verify"
		}
	}
	if !l.given(nameSMTPTLS) && c.Mail.Port == 465 {
		c.Mail.TLS = "tls" // RFC 8314 §3.3: submissions
	}
}

// deriveEncryptionKey finds a key when none was given: the one that `cardea dev` made, or,
// for a deployment of GoTrue that only changes its image, one derived from its secret
// (RFC 5869; the label keeps it apart from every other use of that secret).
func (l *loader) deriveEncryptionKey() {
	c := &l.cfg
	if l.given(nameEncryptionKey) || l.failed[nameEncryptionKey] {
		return
	}
	if c.Dev {
		path := DevKeyPath(c.DataDir)
		doc, err := l.src.ReadFile(path)
		if errors.Is(err, os.ErrNotExist) {
			return
		}
		key, perr := parseKey(strings.TrimSpace(string(doc)))
		if err = errors.Join(err, perr); err != nil {
			l.failed[nameEncryptionKey] = true
			l.problem(path, "", "the key file of the data folder can't be used: "+plainReason(err),
				"restore the file from a backup, or delete the whole data folder to begin anew")
			return
		}
		c.EncryptionKey = key
		l.from[nameEncryptionKey] = source{kind: "file", name: path}
		return
	}
	if from := l.from[nameSecret]; strings.HasPrefix(from.name, "GOTRUE_") && c.JWT.Secret.Set() {
		key, err := hkdf.Key(sha256.New, c.JWT.Secret, nil, "cardea key-encryption key v1", 32)
		if err != nil {
			panic("config: " + err.Error()) // 32 bytes are never too many for HKDF-SHA256
		}
		c.EncryptionKey = key
		l.from[nameEncryptionKey] = source{kind: "derived", name: from.name}
		l.warn(nameEncryptionKey, "derived from "+from.name+", so that secret can't be changed without losing the sealed keys",
			"set "+nameEncryptionKey+" to a key of its own: openssl rand -base64 32")
	}
}

// given reports whether somebody gave the setting, rightly or not.
func (l *loader) given(name string) bool { _, ok := l.from[name]; return ok }

// sourceName is what the operator has to change: where the value came from, or the
// setting itself.
func (l *loader) sourceName(name string) string {
	if s, ok := l.from[name]; ok {
		return s.name
	}
	return name
}

// usesGoTrue reports whether the configuration was written for GoTrue.
func (l *loader) usesGoTrue() bool {
	for _, s := range l.from {
		if strings.HasPrefix(s.name, "GOTRUE_") {
			return true
		}
	}
	return false
}

// finish writes the report.
func (l *loader) finish() {
	for i := range l.settings {
		s := &l.settings[i]
		e := Entry{Name: s.Name, Group: s.Group, Value: s.view(&l.cfg), Source: "default"}
		if from, ok := l.from[s.Name]; ok {
			e.Source, e.Set = from.String(), from.kind != "derived"
		}
		l.report.Settings = append(l.report.Settings, e)
	}
	slices.SortFunc(l.report.Unused, func(a, b Note) int { return strings.Compare(a.Name, b.Name) })
}

// shownValue is a refused value for people.
func shownValue(s *Setting, text string) string {
	switch {
	case s.Secret:
		return ""
	case strings.Contains(text, "@"): // may be a URL with a password
		return redacted
	}
	return quote(text)
}

// plainReason is the last part of a chain of errors: "permission denied".
func plainReason(err error) string {
	var pe *os.PathError
	if errors.As(err, &pe) {
		return pe.Err.Error()
	}
	return err.Error()
}

// remedy says what a refused setting should be.
func remedy(s *Setting, def string) string {
	fix := "write: " + s.field.kind
	if def != "" {
		fix += ", such as the default " + def
	}
	return fix + "; or remove it"
}
