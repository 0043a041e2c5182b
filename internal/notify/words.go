package notify

import (
	"bytes"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	htmltemplate "html/template"
	"strings"
	texttemplate "text/template"
)

//go:embed templates
var embedded embed.FS

// catalogue is what the built-in messages say in one language. Every text is a template of
// its own, executed before it is put into the layout, which escapes it.
type catalogue struct {
	CodeFirst string               `json:"code_first"` // before a code that comes after a button
	CodeOnly  string               `json:"code_only"`  // before a code that comes alone
	LinkLabel string               `json:"link_label"`
	Once      string               `json:"once"`
	Ignore    string               `json:"ignore"` // below messages that prove something
	Alarm     string               `json:"alarm"`  // below notices
	Footer    string               `json:"footer"`
	SMS       string               `json:"sms"` // of every message with a code
	Messages  map[Kind]description `json:"messages"`
}

type description struct {
	Subject string   `json:"subject"`
	Title   string   `json:"title"` // "": the subject
	Text    []string `json:"text"`
	Button  string   `json:"button"`
	Ignore  string   `json:"ignore"` // "": that of the language
	// Harmless is a notice of something that changed nothing: no alarm.
	Harmless bool `json:"harmless"`
}

// speech is a catalogue with its templates parsed.
type speech struct {
	locale string
	all    catalogue
	texts  map[string]*texttemplate.Template // by their own text
}

// wordVars are the variables of the built-in texts.
type wordVars struct {
	Vars

	Site string
}

// Frame is what a layout is given: texts in the language of the reader, without markup.
// layout.html and layout.txt of the operator use these names.
type Frame struct {
	Lang      string // "en", "pt-BR", ...
	Dir       string // "ltr" or "rtl"
	Start     string // side where lines begin: "left" or "right"
	Site      string // name of the application
	SiteURL   string
	Kind      Kind
	Preheader string // what mail clients show beside the subject
	Title     string
	Text      []string // paragraphs
	Button    string
	Link      string // "" when the message has none
	LinkLabel string
	Code      string // "" when the message has none
	CodeLabel string
	Notes     []string // what to do with it, and if it was somebody else
	Footer    string
}

func loadSpeech(locale string) (*speech, error) {
	name := "templates/" + locale + ".json"
	raw, err := embedded.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("notify: %w", err)
	}
	s := &speech{locale: locale, texts: map[string]*texttemplate.Template{}}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&s.all); err != nil {
		return nil, fmt.Errorf("notify: %s: %w", name, err)
	}
	c := &s.all
	texts := []string{c.CodeFirst, c.CodeOnly, c.LinkLabel, c.Once, c.Ignore, c.Alarm, c.Footer, c.SMS}
	for _, d := range c.Messages {
		texts = append(append(texts, d.Subject, d.Title, d.Button, d.Ignore), d.Text...)
	}
	funcs := texttemplate.FuncMap{"iso": isolate}
	for _, text := range texts {
		t, err := texttemplate.New(name).Funcs(funcs).Parse(text)
		if err != nil {
			return nil, fmt.Errorf("notify: %w", err)
		}
		s.texts[text] = t
	}
	return s, nil
}

// isolate keeps an address or a name in Latin letters from turning a right-to-left line
// around (U+2068 and U+2069, Unicode UAX #9).
func isolate(s string) string {
	if s == "" {
		return ""
	}
	return "\u2068" + s + "\u2069"
}

func (s *speech) say(text string, v wordVars) (string, error) {
	if text == "" {
		return "", nil
	}
	t := s.texts[text]
	if t == nil {
		return "", errors.New("notify: a text that was not loaded")
	}
	var b strings.Builder
	if err := t.Execute(&b, v); err != nil {
		return "", fmt.Errorf("notify: %w", err)
	}
	return b.String(), nil
}

// sms puts a text message into words: the code, or for notices the first sentence.
func (s *speech) sms(kind Kind, v wordVars) (string, error) {
	if v.Token != "" {
		return s.say(s.all.SMS, v)
	}
	d := s.all.Messages[kind]
	if v.ConfirmationURL == "" && len(d.Text) > 0 {
		return s.say(d.Text[0], v)
	}
	text, err := s.say(d.Subject, v)
	if v.ConfirmationURL != "" {
		text += ": " + v.ConfirmationURL
	}
	return text, err
}

// frame puts a mail into words.
func (s *speech) frame(kind Kind, v wordVars) (Frame, error) {
	d, ok := s.all.Messages[kind]
	if !ok {
		return Frame{}, fmt.Errorf("notify: no words of kind %q in %s", kind, s.locale)
	}
	f := Frame{Lang: s.locale, Dir: direction(s.locale), Start: "left", Site: v.Site, SiteURL: v.SiteURL, Kind: kind, Link: v.ConfirmationURL, Code: v.Token}
	if f.Dir == "rtl" {
		f.Start = "right"
	}
	title := d.Title
	if title == "" {
		title = d.Subject
	}
	label := s.all.CodeFirst
	if f.Link == "" {
		label = s.all.CodeOnly
	}
	notes := []string{s.all.Alarm}
	switch {
	case !kind.Notice():
		notes = []string{s.all.Once, s.all.Ignore}
	case d.Harmless:
		notes = []string{d.Ignore}
	case d.Ignore != "":
		notes = []string{d.Ignore, s.all.Alarm}
	}
	var errs []error
	say := func(text string) string {
		said, err := s.say(text, v)
		errs = append(errs, err)
		return said
	}
	f.Title, f.Button, f.LinkLabel, f.CodeLabel, f.Footer = say(title), say(d.Button), say(s.all.LinkLabel), say(label), say(s.all.Footer)
	if f.Button == "" {
		f.Button = f.Title
	}
	for _, text := range d.Text {
		f.Text = append(f.Text, say(text))
	}
	for _, text := range notes {
		f.Notes = append(f.Notes, say(text))
	}
	if len(f.Text) > 0 {
		f.Preheader = f.Text[0]
	}
	return f, errors.Join(errs...)
}

// layout is the frame of the built-in messages, ours or the operator's.
type layout struct {
	html *htmltemplate.Template
	text *texttemplate.Template
}

func builtinLayout() (layout, error) {
	html, err := htmltemplate.ParseFS(embedded, "templates/layout.html")
	if err != nil {
		return layout{}, fmt.Errorf("notify: %w", err)
	}
	text, err := texttemplate.ParseFS(embedded, "templates/layout.txt")
	if err != nil {
		return layout{}, fmt.Errorf("notify: %w", err)
	}
	return layout{html: html, text: text}, nil
}
