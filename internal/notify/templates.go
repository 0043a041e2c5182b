package notify

import (
	"errors"
	"fmt"
	htmltemplate "html/template"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	texttemplate "text/template"
)

const (
	maxTemplate = 1 << 20 // bytes of a file of the operator
	maxRendered = 1 << 20 // bytes of a part of a message
)

// TemplatesConfig is what [LoadTemplates] needs. The zero value gives the built-in
// messages, in English where the person wishes nothing else.
type TemplatesConfig struct {
	SiteName string // of the application, as messages say it; "": the host of SiteURL
	SiteURL  string
	Locale   string // of people who wish none; "": en

	// Dir is a folder with templates of the operator, "" for none. It holds, for each kind
	// that is to be replaced, <kind>.html, <kind>.txt, <kind>.subject.txt and <kind>.sms.txt;
	// the same names in a folder of a language (de/recovery.html) hold for that language
	// only. layout.html and layout.txt replace the frame around our own words ([Frame]).
	Dir string

	HTML     map[Kind]string // files outside of Dir, as GOTRUE_MAILER_TEMPLATES_* name them
	Subjects map[Kind]string // templates themselves, as GOTRUE_MAILER_SUBJECTS_* hold them
	SMS      string          // template of every text message with a code, as GOTRUE_SMS_TEMPLATE
}

// own is what an operator has put in place of a built-in message.
type own struct {
	subject *texttemplate.Template
	html    *htmltemplate.Template
	text    *texttemplate.Template
	sms     *texttemplate.Template
}

type place struct {
	kind   Kind
	locale string // "" for every language
}

// Templates puts messages into words. It is safe for concurrent use.
type Templates struct {
	site    string
	siteURL string
	locale  string
	speech  map[string]*speech
	builtin layout
	custom  layout // its parts are nil where the operator has none
	own     map[place]*own
	sms     *texttemplate.Template
}

// loader collects every problem, so that one start shows all of them.
type loader struct {
	t        *Templates
	problems []error
}

// LoadTemplates reads, parses and tries every template. Its error lists all problems, one a
// line, each with file and line: a mistake stops the start, and not somebody's recovery mail.
func LoadTemplates(c TemplatesConfig) (*Templates, error) {
	t := &Templates{site: c.SiteName, siteURL: c.SiteURL, locale: MatchLocale(c.Locale, ""), speech: map[string]*speech{}, own: map[place]*own{}}
	if t.site == "" {
		t.site = "Cardea"
		if u, err := url.Parse(c.SiteURL); err == nil && u.Host != "" {
			t.site = u.Host
		}
	}
	t.site = oneLine(t.site)
	for _, locale := range Locales() {
		s, err := loadSpeech(locale)
		if err != nil {
			return nil, err
		}
		t.speech[locale] = s
	}
	var err error
	if t.builtin, err = builtinLayout(); err != nil {
		return nil, err
	}
	l := &loader{t: t}
	if c.Locale != "" {
		if _, ok := matchTag(c.Locale); !ok {
			l.problem("notify: there are no messages in %q; there are %s", c.Locale, strings.Join(Locales(), ", "))
		}
	}
	l.directory(c.Dir)
	l.settings(c)
	if len(l.problems) == 0 {
		l.try()
	}
	if len(l.problems) > 0 {
		return nil, errors.Join(l.problems...)
	}
	return t, nil
}

func (l *loader) problem(format string, args ...any) {
	l.problems = append(l.problems, fmt.Errorf(format, args...))
}

func (l *loader) at(p place) *own {
	o := l.t.own[p]
	if o == nil {
		o = &own{}
		l.t.own[p] = o
	}
	return o
}

func (l *loader) settings(c TemplatesConfig) {
	for _, kind := range Kinds() { // in order, so that problems come in order
		if file := c.HTML[kind]; strings.Contains(file, "://") {
			l.problem("notify: template of %s: %q is an address; save it as a file: mail must not depend on another server", kind, file)
		} else if file != "" {
			if text, ok := l.read(file); ok {
				l.at(place{kind: kind}).html = l.html(file, text)
			}
		}
		if subject := c.Subjects[kind]; subject != "" {
			l.at(place{kind: kind}).subject = l.text("subject of "+string(kind), subject)
		}
	}
	for _, m := range []map[Kind]string{c.HTML, c.Subjects} {
		for kind := range m {
			if !slices.Contains(Kinds(), kind) {
				l.problem("notify: there is no kind of message %q", kind)
			}
		}
	}
	if c.SMS != "" {
		l.t.sms = l.text("text message template", c.SMS)
	}
}

// directory reads a folder and the folders of languages in it. A file that would never be
// used is a misspelt one, and a problem.
func (l *loader) directory(dir string) {
	if dir == "" {
		return
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		l.problem("notify: folder of templates: %w", err)
		return
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		if !e.IsDir() {
			l.file(filepath.Join(dir, e.Name()), "")
			continue
		}
		if !slices.Contains(Locales(), e.Name()) {
			l.problem("notify: %s: folders of templates are called %s", filepath.Join(dir, e.Name()), strings.Join(Locales(), ", "))
			continue
		}
		files, err := os.ReadDir(filepath.Join(dir, e.Name()))
		if err != nil {
			l.problem("notify: folder of templates: %w", err)
			continue
		}
		for _, f := range files {
			if !strings.HasPrefix(f.Name(), ".") {
				l.file(filepath.Join(dir, e.Name(), f.Name()), e.Name())
			}
		}
	}
}

func (l *loader) file(name, locale string) {
	text, ok := l.read(name)
	if !ok {
		return
	}
	base, ending, _ := strings.Cut(filepath.Base(name), ".")
	if base == "layout" && locale == "" {
		switch ending {
		case "html":
			l.t.custom.html = l.html(name, text)
			return
		case "txt":
			l.t.custom.text = l.text(name, text)
			return
		}
	}
	if !slices.Contains(Kinds(), Kind(base)) {
		l.problem("notify: %s: there is no message called %q", name, base)
		return
	}
	o := l.at(place{kind: Kind(base), locale: locale})
	switch ending {
	case "html":
		o.html = l.html(name, text)
	case "txt":
		o.text = l.text(name, text)
	case "subject.txt":
		o.subject = l.text(name, strings.TrimSpace(text))
	case "sms.txt":
		o.sms = l.text(name, strings.TrimSpace(text))
	default:
		l.problem("notify: %s: the name has to end in .html, .txt, .subject.txt or .sms.txt", name)
	}
}

func (l *loader) read(name string) (string, bool) {
	info, err := os.Stat(name)
	switch {
	case err != nil:
		var pe *fs.PathError
		if errors.As(err, &pe) {
			err = pe.Err
		}
		l.problem("notify: template %s: %w", name, err)
		return "", false
	case !info.Mode().IsRegular() || info.Size() > maxTemplate:
		l.problem("notify: template %s: not a file of at most %d bytes", name, maxTemplate)
		return "", false
	}
	text, err := os.ReadFile(name) //nolint:gosec // the operator's own files
	if err != nil {
		l.problem("notify: template: %w", err)
		return "", false
	}
	return string(text), true
}

func (l *loader) html(name, text string) *htmltemplate.Template {
	t, err := htmltemplate.New(name).Parse(text)
	if err != nil {
		l.failed(name, err)
	}
	return t
}

func (l *loader) text(name, text string) *texttemplate.Template {
	t, err := texttemplate.New(name).Parse(text)
	if err != nil {
		l.failed(name, err)
	}
	return t
}

var templatePrefix = regexp.MustCompile(`^(html/)?template: ?`)

// failed notes the error of a template as file:line: reason.
func (l *loader) failed(name string, err error) {
	text := templatePrefix.ReplaceAllString(err.Error(), "")
	if rest, ok := strings.CutPrefix(text, name+":"); !ok || rest == "" || rest[0] < '0' || rest[0] > '9' {
		// Errors about the file as a whole, such as a tag that is never closed, name no line.
		text = name + ":1: " + strings.TrimSpace(strings.TrimPrefix(text, name+":"))
	}
	if !slices.ContainsFunc(l.problems, func(e error) bool { return e.Error() == "notify: "+text }) {
		l.problem("notify: %s", text)
	}
}

// try renders every template with sample data, once rich and once bare: a variable that
// does not exist is an error of execution in Go's templates, not of parsing. What is all
// ours has been tried by our tests, and the start should not wait for it.
func (l *loader) try() {
	everything := l.t.custom != (layout{}) || l.t.sms != nil
	for _, kind := range Kinds() {
		if !everything && !slices.ContainsFunc(append(Locales(), ""), func(locale string) bool { return l.t.own[place{kind, locale}] != nil }) {
			continue
		}
		for _, locale := range Locales() {
			for _, channel := range []string{ChannelEmail, ChannelSMS} {
				for _, m := range []Message{sample(kind, locale, channel), bare(kind, locale, channel)} {
					_, warning, err := l.t.render(m)
					for _, e := range []error{warning, err} {
						var failed *templateError
						switch {
						case errors.As(e, &failed):
							l.failed(failed.name, failed.err)
						case e != nil:
							l.problem("%w", e)
						}
					}
				}
			}
		}
	}
}
