package hook_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/hook"
)

// problemsOf checks one endpoint.
func problemsOf(uri, secret string) []hook.Problem {
	c := hook.Config{PasswordVerification: hook.Endpoint{Enabled: true, URI: uri, Secrets: secret}, Database: noDatabase{}}
	return c.Check()
}

func TestURIs(t *testing.T) {
	t.Parallel()
	for _, good := range []string{
		"https://hooks.example.org", "https://hooks.example.org:8443/a/b?c=d", "HTTPS://EXAMPLE.org/", "http://localhost:3000/hook",
		"http://127.0.0.1/x", "http://[::1]:9000/", "http://host.docker.internal:54321/functions/v1/send", "http://LOCALHOST/",
	} {
		if p := problemsOf(good, key(1)); len(p) != 0 {
			t.Errorf("%q: %v", good, p)
		}
	}
	for _, good := range []string{"pg-functions://postgres/auth/my_hook", "pg-functions://any/public/Hook2", "pg-functions://postgres/_a/" + strings.Repeat("f", 63)} {
		if p := problemsOf(good, ""); len(p) != 0 {
			t.Errorf("%q: %v", good, p)
		}
	}
	for _, bad := range []string{
		"", " ", "hooks.example.org", "//hooks.example.org", "https:", "https://", "https:///path", "https://:443/", "https:example.org",
		"http://hooks.example.org", "http://127.0.0.1.example.org", "http://localhost.example.org", "http://localhost@example.org",
		"http://0.0.0.0", "http://127.1/", "http://[::ffff:127.0.0.1]/", "https://user:pass@example.org", "https://user@example.org",
		"https://example.org/#frag", "https://example.org\n", "https://exa mple.org", "\x00", "https://example.org/%zz",
		"ftp://example.org", "file:///etc/passwd", "javascript://x", "gopher://localhost", "unix:///run/x.sock",
		"pg-functions://postgres", "pg-functions://postgres/", "pg-functions://postgres/public", "pg-functions:///public/f",
		"pg-functions://postgres/public/", "pg-functions://postgres//f", "pg-functions://postgres/a/b/c", "pg-functions://postgres/public/f/",
		"pg-functions://postgres/public/f?x=1", "pg-functions://postgres/public/f?", "pg-functions://postgres/public/f#x",
		"pg-functions://postgres/public/f;drop", `pg-functions://postgres/public/f"`, "pg-functions://postgres/public/f%22", "pg-functions://postgres/public/f%2Fg",
		"pg-functions://postgres/public/1f", "pg-functions://postgres/public/f()", "pg-functions://postgres/public/f g", "pg-functions://postgres/pub-lic/f",
		"pg-functions://postgres/public/" + strings.Repeat("f", 64), "pg-functions://postgres/public/fü", "pg-functions://u:p@postgres/public/f",
	} {
		if p := problemsOf(bad, key(1)); len(p) == 0 {
			t.Errorf("%q is accepted", bad)
		}
	}
}

// TestCheckListsEverything: one run shows all there is to repair, and disabled hooks are
// left alone.
func TestCheckListsEverything(t *testing.T) {
	t.Parallel()
	c := hook.Config{
		BeforeUserCreated:    hook.Endpoint{Enabled: true, URI: "http://example.org", Secrets: "geheim"},
		AfterUserCreated:     hook.Endpoint{URI: "not looked at"},
		SendSMS:              hook.Endpoint{Enabled: true, URI: "https://example.org"},
		CustomizeAccessToken: hook.Endpoint{Enabled: true},
		MFAVerification:      hook.Endpoint{Enabled: true, URI: "pg-functions://postgres/public/f"},
	}
	want := []hook.Problem{
		{Hook: "before-user-created", Field: "uri", Text: "must be https://: http:// is for localhost, 127.0.0.1, [::1] and host.docker.internal"},
		{Hook: "before-user-created", Field: "secrets", Text: "secret 1 does not begin with v1,whsec_"},
		{Hook: "before-user-created", Field: "user", Text: "nothing shows an account"},
		{Hook: "send-sms", Field: "secrets", Text: "is missing: without it the receiver can't tell our requests from others"},
		{Hook: "send-sms", Field: "user", Text: "nothing shows an account"},
		{Hook: "customize-access-token", Field: "uri", Text: "is missing"},
		{Hook: "mfa-verification", Field: "database", Text: "functions can be called on PostgreSQL only"},
	}
	if diff := cmp.Diff(want, c.Check()); diff != "" {
		t.Errorf("Check (-want +got):\n%s", diff)
	}
	if h, err := hook.New(c); h != nil || err == nil || strings.Count(err.Error(), "\n") != len(want)-1 {
		t.Errorf("New: %v, %v", h, err)
	}
}

// TestNothingConfigured: without hooks everything goes on as if there were none, but
// nothing is taken for sent.
func TestNothingConfigured(t *testing.T) {
	t.Parallel()
	h, err := hook.New(hook.Config{})
	if h != nil || err != nil {
		t.Fatalf("New: %v, %v", h, err)
	}
	ctx, u := t.Context(), &auth.User{}
	if err := h.BeforeUserCreated(ctx, u, ""); err != nil {
		t.Error(err)
	}
	if err := h.AfterUserCreated(ctx, hook.Event{}, u); err != nil {
		t.Error(err)
	}
	if got, err := h.CustomizeAccessToken(ctx, u.ID, "password", []byte("as it is")); err != nil || string(got) != "as it is" {
		t.Errorf("%q, %v", got, err)
	}
	if v, err := h.PasswordVerification(ctx, u.ID, true, ""); err != nil || v != (hook.Verdict{}) {
		t.Errorf("%v, %v", v, err)
	}
	if v, err := h.MFAVerification(ctx, hook.MFAAttempt{}, ""); err != nil || v != (hook.Verdict{}) {
		t.Errorf("%v, %v", v, err)
	}
	if h.Has(hook.SendEmail) || h.SendEmail(ctx, hook.Event{}, u, hook.EmailData{}) == nil || h.SendSMS(ctx, hook.Event{}, u, hook.SMSData{}) == nil {
		t.Error("a message that nobody sends counts as sent")
	}
}

func FuzzURI(f *testing.F) {
	f.Add("https://example.org")
	f.Add("http://localhost@example.org")
	f.Add("pg-functions://postgres/public/f%22")
	f.Fuzz(func(t *testing.T, text string) {
		for _, p := range problemsOf(text, key(1)) {
			if p.Text == "" || p.Field == "" {
				t.Fatalf("%q: %#v", text, p)
			}
		}
	})
}
