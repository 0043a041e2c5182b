package notify_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cardea-auth/cardea/internal/notify"
)

func load(t *testing.T, c notify.TemplatesConfig) *notify.Templates {
	t.Helper()
	if c.SiteName == "" {
		c.SiteName = "Clinic"
	}
	templates, err := notify.LoadTemplates(c)
	if err != nil {
		t.Fatal(err)
	}
	return templates
}

// folder writes files and gives their folder.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		name = filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// Every message in every language, as mail and as text message, has what it needs.
func TestEveryMessageInEveryLanguage(t *testing.T) {
	t.Parallel()
	templates := load(t, notify.TemplatesConfig{})
	for _, kind := range notify.Kinds() {
		for _, locale := range notify.Locales() {
			t.Run(string(kind)+" "+locale, func(t *testing.T) {
				t.Parallel()
				m, err := templates.Preview(kind, locale, notify.ChannelEmail)
				if err != nil {
					t.Fatal(err)
				}
				text, err := templates.Preview(kind, locale, notify.ChannelSMS)
				if err != nil {
					t.Fatal(err)
				}
				for part, s := range map[string]string{"subject": m.Subject, "text": m.Text, "html": m.HTML, "sms": text.Text} {
					if strings.TrimSpace(s) == "" || strings.Contains(s, "{{") || strings.Contains(s, "<no value>") || strings.Contains(s, "ZgotmplZ") {
						t.Errorf("%s: %q", part, s)
					}
				}
				if strings.ContainsAny(m.Subject, "\r\n") || text.Subject != "" || text.HTML != "" {
					t.Errorf("subject %q, of the text message %q, its html %q", m.Subject, text.Subject, text.HTML)
				}
				if m.Locale != locale || !strings.Contains(m.HTML, `lang="`+locale+`"`) || strings.Contains(m.HTML, `dir="rtl"`) != (locale == "he") {
					t.Errorf("language or direction is wrong: %s", m.HTML[:200])
				}
				for _, secret := range []string{m.Code, m.Link} {
					if secret != "" && (!strings.Contains(m.Text, secret) || !strings.Contains(m.HTML, strings.ReplaceAll(secret, "&", "&amp;"))) {
						t.Errorf("%q is missing", secret)
					}
				}
				if kind.Notice() != (m.Code == "") || text.Code != "" && !strings.Contains(text.Text, text.Code) {
					t.Errorf("code %q; text message %q", m.Code, text.Text)
				}
				// Mail clients fetch nothing and run nothing.
				for _, bad := range []string{"<script", "<img", "<link", "@import", "url("} {
					if strings.Contains(m.HTML, bad) {
						t.Errorf("the mail holds %q", bad)
					}
				}
			})
		}
	}
}

// The languages say different things: a forgotten translation shows.
func TestLanguagesDiffer(t *testing.T) {
	t.Parallel()
	templates := load(t, notify.TemplatesConfig{})
	for _, kind := range notify.Kinds() {
		seen := map[string]string{}
		for _, locale := range notify.Locales() {
			m, err := templates.Preview(kind, locale, "")
			if err != nil {
				t.Fatal(err)
			}
			if other, ok := seen[m.Subject]; ok {
				t.Errorf("%s: %s and %s have the same subject %q", kind, locale, other, m.Subject)
			}
			seen[m.Subject] = locale
		}
	}
}

// GoTrue's default subjects, which tests of applications match.
func TestEnglishSubjects(t *testing.T) {
	t.Parallel()
	templates := load(t, notify.TemplatesConfig{})
	got := map[notify.Kind]string{}
	for _, kind := range notify.Kinds()[:6] {
		m, err := templates.Preview(kind, "en", "")
		if err != nil {
			t.Fatal(err)
		}
		got[kind] = m.Subject
	}
	want := map[notify.Kind]string{
		"confirmation": "Confirm your email address", "invite": "You've been invited", "recovery": "Reset your password",
		"email_change": "Confirm your new email address", "magic_link": "Your sign-in link",
		"reauthentication": "482913 is your verification code",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// Templates with errors are refused with file and line, all of them at once.
func TestLoadRefusesBadTemplates(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		file string
		text string
		want string // behind the folder
	}{
		{"syntax", "recovery.html", "<p>\n{{ .Token </p>", "recovery.html:2: "},
		{"unknown function", "recovery.txt", "a\nb\n{{ shout .Token }}", "recovery.txt:3: function \"shout\" not defined"},
		{"unknown variable", "confirmation.html", "<p>\n\n{{ .Tokn }}</p>", "confirmation.html:3:3: executing"},
		{"unknown variable in a language", "he/invite.txt", "{{ .Nobody }}", filepath.Join("he", "invite.txt") + ":1:3: "},
		{"unknown variable in a subject", "invite.subject.txt", "{{ .Nobody }}", "invite.subject.txt:1:3: "},
		{"unknown variable in a text message", "sms.sms.txt", "{{ .Nobody }}", "sms.sms.txt:1:3: "},
		{"unknown variable in the layout", "layout.html", "<p>\n{{ .Nobody }}</p>", "layout.html:2:3: "},
		{"an attribute that never ends", "recovery.html", `<a href="{{ .ConfirmationURL }}`, "recovery.html:1: "},
		{"branches that end in different places", "recovery.html", "<p>\n<a href={{ if .Token }}\"{{ end }}>", "recovery.html:2:"},
		{"unclosed block", "recovery.html", "{{ if .Token }}", "recovery.html:1: unexpected EOF"},
		{"fails without user data", "recovery.html", "<p>{{ slice (index .Data `full_name`) 0 2 }}</p>", "recovery.html:1:6: "},
		{"without end", "recovery.txt", "{{ define `a` }}{{ .Token }}{{ template `a` . }}{{ end }}{{ template `a` . }}", "recovery.txt:1:"},
		{"misspelt name", "recvery.html", "x", `recvery.html: there is no message called "recvery"`},
		{"unknown ending", "recovery.htm", "x", "recovery.htm: the name has to end in"},
		{"unknown language", "fr/recovery.html", "x", "fr: folders of templates are called"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := folder(t, map[string]string{tt.file: tt.text})
			_, err := notify.LoadTemplates(notify.TemplatesConfig{Dir: dir})
			if err == nil || !strings.HasPrefix(err.Error(), "notify: "+filepath.Join(dir, "")+string(filepath.Separator)+tt.want) {
				t.Errorf("error %v\nwant  %s", err, tt.want)
			}
		})
	}
	t.Run("all at once", func(t *testing.T) {
		t.Parallel()
		dir := folder(t, map[string]string{"recovery.html": "\n{{ x", "invite.txt": "{{ y"})
		_, err := notify.LoadTemplates(notify.TemplatesConfig{
			Dir: dir, Locale: "fr", HTML: map[notify.Kind]string{"invite": "https://example.com/x.html", "nothing": "x"},
			Subjects: map[notify.Kind]string{"invite": "{{ z"}, SMS: "{{ q",
		})
		if err == nil || strings.Count(err.Error(), "\n")+1 != 7 {
			t.Errorf("%v", err)
		}
	})
	t.Run("no such folder", func(t *testing.T) {
		t.Parallel()
		if _, err := notify.LoadTemplates(notify.TemplatesConfig{Dir: filepath.Join(t.TempDir(), "none")}); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%v", err)
		}
	})
}

func TestOverrides(t *testing.T) {
	t.Parallel()
	html := `<html><head><title>x</title><style>p{color:red}</style></head><body><h1>Hi {{ .Data.full_name }}</h1><p>Go <a href="{{ .SiteURL }}/auth/confirm?token_hash={{ .TokenHash }}&type=email">there</a>&nbsp;&amp; back.</p></body></html>`
	dir := folder(t, map[string]string{
		"confirmation.html":        html,
		"confirmation.subject.txt": "Welcome {{ .Data.full_name }}{{ .Data.nothing }}\n",
		"recovery.txt":             "Code {{ .Token }} for {{ .Email }}",
		"de/recovery.txt":          "Schlüssel {{ .Token }}",
		"sms.sms.txt":              "{{ .Code }} for {{ .Phone }}",
		"layout.txt":               "{{ .Site }}|{{ .Title }}",
		".hidden":                  "x",
	})
	templates := load(t, notify.TemplatesConfig{Dir: dir, SMS: "general {{ .Code }}", Subjects: map[notify.Kind]string{"invite": "Come, {{ .Email }}"}})
	preview := func(kind notify.Kind, locale, channel string) notify.Rendered {
		t.Helper()
		m, err := templates.Preview(kind, locale, channel)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	c := preview("confirmation", "en", "")
	if c.Subject != "Welcome Ada Lovelace" {
		t.Errorf("subject %q", c.Subject)
	}
	wantText := "Hi Ada Lovelace\nGo there: https://app.example.com/auth/confirm?token_hash=5fbb1a6e0c37d9e2480a9c51f76b03de8842cc917ab6e05d13f4a2c9&type=email & back.\n"
	if diff := cmp.Diff(wantText, c.Text); diff != "" {
		t.Error("text made of the HTML: " + diff)
	}
	if r := preview("recovery", "es", ""); r.Text != "Code 482913 for ada@example.com" || r.HTML != "" || r.Subject != "Restablece tu contraseña" {
		t.Errorf("%+v", r)
	}
	if r := preview("recovery", "de", ""); r.Text != "Schlüssel 482913" {
		t.Errorf("%q", r.Text)
	}
	if r := preview("sms", "hi", notify.ChannelSMS); r.Text != "482913 for 4915112345678" {
		t.Errorf("%q", r.Text)
	}
	if r := preview("phone_change", "hi", notify.ChannelWhatsApp); r.Text != "general 482913" {
		t.Errorf("%q", r.Text)
	}
	if r := preview("phone_changed", "en", notify.ChannelSMS); !strings.Contains(r.Text, "was changed") {
		t.Errorf("a notice without a code: %q", r.Text)
	}
	if r := preview("invite", "en", ""); r.Subject != "Come, ada@example.com" || r.Text != "Clinic|You've been invited" || !strings.Contains(r.HTML, "Accept the invitation") {
		t.Errorf("%+v", r)
	}
}

func TestPreviewOfNothing(t *testing.T) {
	t.Parallel()
	if _, err := load(t, notify.TemplatesConfig{}).Preview("nothing", "", ""); err == nil {
		t.Error("accepted")
	}
}

// Text of users is never markup, a header, or a change of direction.
func TestHostileValues(t *testing.T) {
	t.Parallel()
	dir := folder(t, map[string]string{
		"confirmation.html":        `<p>{{ .Data.name }}</p><a href="{{ .Data.name }}">x</a>`,
		"confirmation.subject.txt": "Hi {{ .Data.name }}",
	})
	hostile := "x\r\nBcc: all@example.com\r\n\r\n<script>alert(1)</script>\u202e"
	m := notify.Message{
		Channel: notify.ChannelEmail, Kind: notify.KindConfirmation, To: "a@example.com",
		Vars: notify.Vars{Data: map[string]any{"name": hostile}, Email: hostile, SendingTo: hostile, Token: "1"},
	}
	r, err := load(t, notify.TemplatesConfig{Dir: dir}).Render(m)
	if err != nil {
		t.Fatal(err)
	}
	if r.Subject != "Hi x Bcc: all@example.com <script>alert(1)</script>" || strings.Contains(r.HTML, "<script") {
		t.Errorf("%q\n%s", r.Subject, r.HTML)
	}
	if r, err = load(t, notify.TemplatesConfig{}).Render(m); err != nil || strings.Contains(r.HTML, "<script") || strings.Contains(r.Text, "\r") || strings.Contains(r.Text, "\u202e") {
		t.Errorf("%v\n%s", err, r.HTML)
	}
	m.Vars = notify.Vars{Data: map[string]any{"name": "javascript:alert(1)"}}
	if r, err = load(t, notify.TemplatesConfig{Dir: dir}).Render(m); err != nil || strings.Contains(r.HTML, `href="javascript:`) {
		t.Errorf("%v %s", err, r.HTML)
	}
}

// A template that works with the samples and fails on a message does not lose the message.
func TestFailingTemplateFallsBack(t *testing.T) {
	t.Parallel()
	dir := folder(t, map[string]string{
		"recovery.html":        `{{ if .Data }}{{ len .Data.full_name }}{{ end }}`,
		"recovery.subject.txt": `x{{ if .Data }}{{ len .Data.full_name }}{{ end }}`,
		"recovery.sms.txt":     `x{{ if .Data }}{{ len .Data.full_name }}{{ end }}`,
	})
	templates := load(t, notify.TemplatesConfig{Dir: dir})
	for _, channel := range []string{notify.ChannelEmail, notify.ChannelSMS} {
		m := notify.Message{Channel: channel, Kind: notify.KindRecovery, To: "a@example.com", Vars: notify.Vars{Data: map[string]any{"full_name": 3}, Token: "123456"}}
		r, err := templates.Render(m)
		if err != nil || !strings.Contains(r.Text, "123456") || channel == notify.ChannelEmail && r.Subject != "Reset your password" {
			t.Errorf("%v %+v", err, r)
		}
	}
}

func TestMatchLocale(t *testing.T) {
	t.Parallel()
	tests := []struct{ wish, fallback, want string }{
		{"", "", "en"}, {"", "de", "de"}, {"de-AT", "", "de"}, {"pt", "", "pt-BR"}, {"pt_PT", "", "pt-BR"}, {"PT-br", "", "pt-BR"},
		{"iw", "", "he"}, {"he-IL,he;q=0.9,en;q=0.8", "", "he"}, {"fr,hi;q=0.5", "", "hi"}, {"fr", "es", "es"}, {"de.UTF-8", "", "de"},
		{"../../de", "", "en"}, {strings.Repeat("de,", 100), "", "en"}, {"\x00", "\r\n", "en"},
	}
	for _, tt := range tests {
		if got := notify.MatchLocale(tt.wish, tt.fallback); got != tt.want {
			t.Errorf("MatchLocale(%q, %q) = %q, want %q", tt.wish, tt.fallback, got, tt.want)
		}
	}
	for in, want := range map[string]string{
		`{"locale":"he"}`: "he", `{"language":"de","lang":"es"}`: "de", `{"locale":7,"lang":"es"}`: "es", `[]`: "", ``: "", `{"locale":null}`: "",
	} {
		if got := notify.LocaleOf([]byte(in)); got != want {
			t.Errorf("LocaleOf(%s) = %q, want %q", in, got, want)
		}
	}
}

func FuzzMatchLocale(f *testing.F) {
	f.Add("de-AT", "en")
	f.Add("he-IL,he;q=0.9", "")
	f.Add("\xff;;,,-_.", "pt")
	f.Fuzz(func(t *testing.T, wish, fallback string) {
		if got := notify.MatchLocale(wish, fallback); !slices.Contains(notify.Locales(), got) {
			t.Errorf("%q", got)
		}
	})
}

// FuzzRender: whatever a person is called, the subject stays one line and the page ours.
func FuzzRender(f *testing.F) {
	templates, err := notify.LoadTemplates(notify.TemplatesConfig{SiteName: "Clinic"})
	if err != nil {
		f.Fatal(err)
	}
	f.Add("a@example.com", "123456", "https://x.example/?a=1&b=2")
	f.Add("\r\nBcc: x", "<script>", "javascript:alert(1)")
	f.Add("\u202e\u2028", "{{ .Email }}", "\"><b>")
	f.Fuzz(func(t *testing.T, email, token, link string) {
		for _, locale := range notify.Locales() {
			r, err := templates.Render(notify.Message{
				Channel: notify.ChannelEmail, Kind: notify.KindReauthentication, Locale: locale,
				Vars: notify.Vars{Email: email, SendingTo: email, Token: token, ConfirmationURL: link, Device: email},
			})
			if err != nil {
				t.Fatal(err)
			}
			if strings.ContainsAny(r.Subject, "\r\n\u2028\u2029\u202e") || strings.Count(r.HTML, "<b>") > 0 || strings.Contains(r.HTML, "<script") || strings.Contains(r.HTML, `href="javascript:`) {
				t.Errorf("%q\n%s", r.Subject, r.HTML)
			}
		}
	})
}

func TestDevice(t *testing.T) {
	t.Parallel()
	for agent, want := range map[string]string{
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0":                                                           "Firefox, Windows",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0":              "Microsoft Edge, Windows",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/19.0 Mobile/15E148 Safari/604.1":    "Safari, iPhone",
		"Mozilla/5.0 (Linux; Android 16; SM-S931B) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/28.0 Chrome/130.0.0.0 Mobile Safari/537.36": "Samsung Internet, Android",
		"Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36":                             "Chrome, ChromeOS",
		"Call +1 555 0100 to keep your account <a href=https://evil.example>":                                                                        "?",
		"": "?",
	} {
		if got := notify.Device(agent); got != want {
			t.Errorf("%q, want %q of %q", got, want, agent)
		}
	}
}
