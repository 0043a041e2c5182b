// Command mails prints every built-in mail, in every language, with sample data: a JSON
// array of kind, locale, subject, text and html.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/cardea-auth/cardea/internal/notify"
)

func main() {
	if err := run(os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// mail is one of them as JSON.
type mail struct {
	Kind    notify.Kind `json:"kind"`
	Locale  string      `json:"locale"`
	Subject string      `json:"subject"`
	Text    string      `json:"text"`
	HTML    string      `json:"html"`
}

func run(w io.Writer) error {
	templates, err := notify.LoadTemplates(notify.TemplatesConfig{SiteName: "The Clinic", SiteURL: "https://clinic.example"})
	if err != nil {
		return err
	}
	var all []mail
	for _, kind := range notify.Kinds() {
		for _, locale := range notify.Locales() {
			m, err := templates.Preview(kind, locale, notify.ChannelEmail)
			if err != nil {
				return err
			}
			all = append(all, mail{Kind: kind, Locale: locale, Subject: m.Subject, Text: m.Text, HTML: m.HTML})
		}
	}
	return json.NewEncoder(w).Encode(all)
}
