package gotrue

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cardea-auth/cardea/internal/notify"
)

// The page behind links speaks every language of the mails, and says of every kind of link
// what it is for.
func TestLinkWords(t *testing.T) {
	t.Parallel()
	english := linkWords("en")
	for _, locale := range notify.Locales() {
		t.Run(locale, func(t *testing.T) {
			t.Parallel()
			words := linkWords(locale)
			titles := map[string]string{}
			for _, kind := range []string{"signup", "invite", "recovery", "email_change", "magiclink"} {
				act := words.of(kind)
				if act.Title == "" || act.Text == "" || act.Button == "" {
					t.Errorf("%s: words are missing: %+v", kind, act)
				}
				if other := titles[act.Title]; other != "" {
					t.Errorf("%s and %s have one title: %q", kind, other, act.Title)
				}
				titles[act.Title] = kind
				if locale != "en" && act == english.of(kind) {
					t.Errorf("%s is in English", kind)
				}
			}
			if words.ignore == "" || locale != "en" && words.ignore == english.ignore {
				t.Errorf("nothing for people who did not ask: %q", words.ignore)
			}
			for _, unknown := range []string{"", "magic_link", "SIGNUP", "<b>"} {
				if diff := cmp.Diff(words.signIn, words.of(unknown)); diff != "" {
					t.Errorf("type %q (-want +got):\n%s", unknown, diff)
				}
			}
		})
	}
}
