package main

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/cardea-auth/cardea/internal/notify"
)

// What the browser looks at is everything that there is.
func TestRun(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := run(&out); err != nil {
		t.Fatal(err)
	}
	var all []mail
	if err := json.Unmarshal(out.Bytes(), &all); err != nil {
		t.Fatal(err)
	}
	if want := len(notify.Kinds()) * len(notify.Locales()); len(all) != want || want == 0 {
		t.Errorf("%d mails, want %d", len(all), want)
	}
	for _, m := range all {
		if m.Subject == "" || m.Text == "" || m.HTML == "" {
			t.Errorf("%s in %s has an empty part: %+v", m.Kind, m.Locale, m)
		}
	}
}
