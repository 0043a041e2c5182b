package hook_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/hook"
)

type noDatabase struct{}

func (noDatabase) CallFunction(context.Context, string, string, []byte, time.Duration) ([]byte, error) {
	return nil, errors.New("no database")
}

// sent is a request as the application got it.
type sent struct {
	Header http.Header
	URL    string
	Body   []byte
	At     time.Time
}

// application answers hooks. It is the transport, so no packet leaves the test.
type application struct {
	answer func(n int, r sent) (*http.Response, error) // n counts from 1

	mu   sync.Mutex
	sent []sent
}

// RoundTrip implements http.RoundTripper.
func (a *application) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	a.mu.Lock()
	s := sent{r.Header.Clone(), r.URL.String(), body, time.Now()}
	a.sent = append(a.sent, s)
	n := len(a.sent)
	a.mu.Unlock()
	res, err := a.answer(n, s)
	if res == nil && err == nil { // silence
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	return res, err
}

// answer makes a response.
func answer(status int, kind, body string, headers ...string) *http.Response {
	h := http.Header{}
	if kind != "" {
		h.Set("Content-Type", kind)
	}
	for i := 0; i < len(headers); i += 2 {
		h.Set(headers[i], headers[i+1])
	}
	return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(body))}
}

const jsonType = "application/json"

// saying makes an application that always says the same.
func saying(body string) *application {
	return &application{answer: func(int, sent) (*http.Response, error) { return answer(200, jsonType, body), nil }}
}

// everywhere is a configuration with every hook at the application.
func everywhere(a *application) hook.Config {
	e := hook.Endpoint{Enabled: true, URI: "https://app.example/hook", Secrets: key(1) + "|" + key(2)}
	return hook.Config{
		BeforeUserCreated: e, AfterUserCreated: e, SendEmail: e, SendSMS: e,
		CustomizeAccessToken: e, PasswordVerification: e, MFAVerification: e,
		Transport: a, User: func(u *auth.User) any { return map[string]string{"email": u.Email} },
	}
}

func newHooks(t testing.TB, c hook.Config) *hook.Hooks {
	t.Helper()
	h, err := hook.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

var (
	at   = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	ids  = [3]auth.ID{{15: 1}, {15: 2}, {15: 3}}
	user = auth.User{ID: ids[1], Email: "ann@example.org"}
)

// TestPayloads holds the requests to GoTrue's form, field by field (gotrue.md section 5).
func TestPayloads(t *testing.T) {
	t.Parallel()
	event := hook.Event{ID: ids[0], At: at, IP: "203.0.113.7"}
	given := `{"iss":"i","sub":"s","aud":"authenticated","exp":1700003600,"iat":1700000000,"email":"","phone":"","role":"authenticated","aal":"aal1","session_id":"x","is_anonymous":false}`
	for _, tc := range []struct {
		name, answer string
		call         func(ctx context.Context, h *hook.Hooks) error
		want         string
	}{
		{"before-user-created", `{}`, func(ctx context.Context, h *hook.Hooks) error {
			return h.BeforeUserCreated(ctx, &user, "203.0.113.7")
		}, `{"metadata":META,"user":{"email":"ann@example.org"}}`},
		{"after-user-created", `{}`, func(ctx context.Context, h *hook.Hooks) error { return h.AfterUserCreated(ctx, event, &user) },
			`{"metadata":META,"user":{"email":"ann@example.org"}}`},
		{"send-email", `{}`, func(ctx context.Context, h *hook.Hooks) error {
			return h.SendEmail(ctx, event, &user, hook.EmailData{Token: "123456", TokenHash: "abc", RedirectTo: "https://app", EmailActionType: "signup", SiteURL: "https://api"})
		}, `{"metadata":META,"user":{"email":"ann@example.org"},"email_data":{"token":"123456","token_hash":"abc","redirect_to":"https://app",` +
			`"email_action_type":"signup","site_url":"https://api","token_new":"","token_hash_new":"","old_email":"","old_phone":"","provider":"","factor_type":""}}`},
		{"send-sms", `{}`, func(ctx context.Context, h *hook.Hooks) error {
			return h.SendSMS(ctx, event, &user, hook.SMSData{OTP: "123456", Phone: "15550100"})
		}, `{"metadata":META,"user":{"email":"ann@example.org"},"sms":{"otp":"123456","phone":"15550100"}}`},
		{"customize-access-token", `{"claims":` + given + `}`, func(ctx context.Context, h *hook.Hooks) error {
			_, err := h.CustomizeAccessToken(ctx, ids[1], "password", []byte(given))
			return err
		}, `{"metadata":META,"user_id":"00000000-0000-0000-0000-000000000002","claims":` + given + `,"authentication_method":"password"}`},
		{"password-verification", `{"decision":"continue"}`, func(ctx context.Context, h *hook.Hooks) error {
			_, err := h.PasswordVerification(ctx, ids[1], true, "203.0.113.7")
			return err
		}, `{"metadata":META,"user_id":"00000000-0000-0000-0000-000000000002","valid":true}`},
		{"mfa-verification", `{"decision":"continue"}`, func(ctx context.Context, h *hook.Hooks) error {
			_, err := h.MFAVerification(ctx, hook.MFAAttempt{UserID: ids[1], FactorID: ids[2], FactorType: "totp"}, "203.0.113.7")
			return err
		}, `{"metadata":META,"user_id":"00000000-0000-0000-0000-000000000002","factor_id":"00000000-0000-0000-0000-000000000003","factor_type":"totp","valid":false}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			a := saying(tc.answer)
			c := everywhere(a)
			c.Now = func() time.Time { return at }
			if err := tc.call(t.Context(), newHooks(t, c)); err != nil {
				t.Fatal(err)
			}
			r := a.sent[0]
			id := r.Header.Get("webhook-id")
			meta := `{"uuid":"` + id + `","time":"2026-03-01T12:00:00Z","name":"` + tc.name + `"`
			if tc.name != "customize-access-token" {
				meta += `,"ip_address":"203.0.113.7"`
			}
			if diff := cmp.Diff(strings.Replace(tc.want, "META", meta+"}", 1), string(r.Body)); diff != "" {
				t.Errorf("payload (-want +got):\n%s", diff)
			}
			if r.URL != "https://app.example/hook" || r.Header.Get("Content-Type") != jsonType {
				t.Errorf("request to %s, %v", r.URL, r.Header)
			}
			for n := 1; n <= 2; n++ { // either secret alone verifies
				if err := secrets(t, key(n)).Verify(r.Header, r.Body, at); err != nil {
					t.Errorf("secret %d: %v", n, err)
				}
			}
			if err := secrets(t, key(3)).Verify(r.Header, r.Body, at); err == nil {
				t.Error("a strange secret verifies")
			}
		})
	}
}

// TestEmailChange keeps GoTrue's crossed fields.
func TestEmailChange(t *testing.T) {
	t.Parallel()
	var both, one hook.EmailData
	both.SetEmailChange("111111", "h1", "222222", "h2")
	one.SetEmailChange("", "", "222222", "h2")
	want := [2]hook.EmailData{
		{EmailActionType: "email_change", Token: "111111", TokenHashNew: "h1", TokenNew: "222222", TokenHash: "h2"},
		{EmailActionType: "email_change", Token: "222222", TokenHash: "h2"},
	}
	if diff := cmp.Diff(want, [2]hook.EmailData{both, one}); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// outcome is what a caller sees of an error.
type outcome struct {
	Code    auth.Code
	Message string
	Refusal *hook.Refusal
}

func outcomeOf(err error) outcome {
	var e *auth.Error
	if !errors.As(err, &e) {
		return outcome{}
	}
	return outcome{e.Code, e.Message, hook.RefusalOf(err)}
}

// TestRefusals: an error object is the application's no, with its status and sentence.
func TestRefusals(t *testing.T) {
	t.Parallel()
	no := func(status int, message string) outcome {
		return outcome{auth.CodeHookRefused, message, &hook.Refusal{Status: status, Message: message}}
	}
	unusable := outcome{auth.CodeInternal, "Error unmarshaling hook output", nil}
	for _, tc := range []struct {
		name, answer string
		want         outcome
	}{
		{"allowed", `{}`, outcome{}},
		{"no error", `{"error": null}`, outcome{}},
		{"other members", `{"ok": true, "user": {"role": "service_role"}}`, outcome{}},
		{"refused", `{"error": {"http_code": 403, "message": "Only members of the clinic"}}`, no(403, "Only members of the clinic")},
		{"without a status", `{"error": {"message": "no"}}`, no(500, "no")},
		{"a status that looks like success", `{"error": {"http_code": 200, "message": "no"}}`, no(500, "no")},
		{"a redirect", `{"error": {"http_code": 302, "message": "no"}}`, no(500, "no")},
		{"a negative status", `{"error": {"http_code": -1, "message": "no"}}`, no(500, "no")},
		{"a status that overflows", `{"error": {"http_code": 99999999999999999999, "message": "no"}}`, unusable},
		{"a long sentence", `{"error": {"http_code": 400, "message": "` + strings.Repeat("ü", 5000) + `"}}`, no(400, strings.Repeat("ü", 1000))},
		{"without a message", `{"error": {"http_code": 403}}`, unusable},
		{"an error that is a string", `{"error": "no"}`, unusable},
		{"an array", `[]`, unusable}, {"a word", `true`, unusable}, {"half", `{"error": {`, unusable},
		{"garbage", "<html>", unusable}, {"two values", `{}{"error": {"message": "no"}}`, unusable}, {"NUL", "{}\x00", unusable},
		{"very deep", strings.Repeat(`{"a":`, 20000), unusable},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			err := newHooks(t, everywhere(saying(tc.answer))).BeforeUserCreated(t.Context(), &user, "")
			if diff := cmp.Diff(tc.want, outcomeOf(err)); diff != "" {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
		})
	}
}

// TestVerdicts: only the words count.
func TestVerdicts(t *testing.T) {
	t.Parallel()
	const attempts = "verification attempts will be rejected."
	for _, tc := range []struct {
		name, answer  string
		password, mfa hook.Verdict
		fails         bool
	}{
		{"continue", `{"decision":"continue"}`, hook.Verdict{}, hook.Verdict{}, false},
		{"continue, and sign out", `{"decision":"continue","should_logout_user":true}`, hook.Verdict{SignOut: true}, hook.Verdict{}, false},
		{"reject", `{"decision":"reject","message":"Too many tries"}`, hook.Verdict{Reject: true, Message: "Too many tries"},
			hook.Verdict{Reject: true, Message: "Too many tries", SignOut: true}, false},
		{"reject without a word", `{"decision":"reject"}`, hook.Verdict{Reject: true, Message: "Further password " + attempts},
			hook.Verdict{Reject: true, Message: "Further MFA " + attempts, SignOut: true}, false},
		{"another case", `{"decision":"Continue"}`, hook.Verdict{}, hook.Verdict{}, true},
		{"a typing error", `{"decision":"rejected"}`, hook.Verdict{}, hook.Verdict{}, true},
		{"nothing", `{}`, hook.Verdict{}, hook.Verdict{}, true},
		{"null", `null`, hook.Verdict{}, hook.Verdict{}, true},
		{"no body", ``, hook.Verdict{}, hook.Verdict{}, true},
		{"not a word", `{"decision":true}`, hook.Verdict{}, hook.Verdict{}, true},
		{"an error beside it", `{"decision":"continue","error":{"message":"no"}}`, hook.Verdict{}, hook.Verdict{}, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			h := newHooks(t, everywhere(saying(tc.answer)))
			v, err := h.PasswordVerification(t.Context(), ids[1], true, "")
			if v != tc.password || tc.fails != (err != nil) {
				t.Errorf("password: %+v, %v", v, err)
			}
			v, err = h.MFAVerification(t.Context(), hook.MFAAttempt{}, "")
			if v != tc.mfa || tc.fails != (err != nil) {
				t.Errorf("MFA: %+v, %v", v, err)
			}
		})
	}
}

// claimsLike makes claims from good ones: with changes, and without what is nil in them.
func claimsLike(t testing.TB, changes map[string]any) string {
	t.Helper()
	c := map[string]any{
		"iss": "https://id.example/auth/v1", "sub": "u", "aud": "authenticated", "exp": 1700003600, "iat": 1700000000,
		"email": "ann@example.org", "phone": "", "role": "authenticated", "aal": "aal1", "session_id": "s",
		"is_anonymous": false, "amr": []any{map[string]any{"method": "password", "timestamp": 1700000000}},
		"app_metadata": map[string]any{"n": json.Number("12345678901234567890")}, "user_metadata": map[string]any{},
	}
	for name, v := range changes {
		if c[name] = v; v == nil {
			delete(c, name)
		}
	}
	b, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestClaims: a hook may add to a token, but not make it somebody else's, better proved or
// longer lived.
func TestClaims(t *testing.T) {
	t.Parallel()
	type m = map[string]any
	good := map[string]m{
		"unchanged":       {},
		"a role":          {"user_role": "physician", "clinic_id": 7, "role": "physician"},
		"less":            {"app_metadata": nil, "user_metadata": nil, "amr": nil},
		"no address":      {"email": "", "phone": ""},
		"shorter":         {"exp": 1700000060},
		"more audiences":  {"aud": []string{"authenticated", "reports"}},
		"a large number":  {"n": json.Number("12345678901234567890")},
		"signs of HTML":   {"n": "<a>&</a>"},
		"claims in claim": {"app": m{"sub": "x", "exp": 1}},
	}
	bad := map[string]m{
		"longer": {"exp": 1700003601}, "ended": {"exp": 1700000000}, "exp 0": {"exp": 0}, "negative": {"exp": -1}, "a fraction": {"exp": 1700000060.5},
		"exp with an exponent": {"exp": json.Number("1.7e9")}, "exp is a string": {"exp": "1700000060"}, "exp overflows": {"exp": json.Number("99999999999999999999")},
		"another person": {"sub": "victim"}, "another session": {"session_id": "t"}, "another issuer": {"iss": "https://evil"}, "another time": {"iat": 1700000001},
		"better proved": {"aal": "aal2"}, "another kind": {"is_anonymous": true}, "is_anonymous is a string": {"is_anonymous": "false"},
		"other methods": {"amr": []any{m{"method": "totp", "timestamp": 1}}}, "empty methods": {"amr": []any{}},
		"service role": {"role": "service_role"}, "admin of Supabase": {"role": "supabase_admin"}, "superuser": {"role": "postgres"}, "our operators": {"role": "boss"},
		"no role": {"role": ""}, "role is null": {"role": json.RawMessage("null")}, "role is a list": {"role": []string{"authenticated"}},
		"another audience": {"aud": "other"}, "no audience": {"aud": []string{}}, "audience is a number": {"aud": 1}, "a number among audiences": {"aud": []any{"authenticated", 1}},
		"email is null": {"email": json.RawMessage("null")}, "email is a number": {"email": 1}, "phone is a list": {"phone": []string{}},
		"a client": {"client_id": "c"}, "SUB": {"SUB": "victim"}, "Role": {"Role": "service_role"}, "long s": {"iſs": "https://evil"},
	}
	for _, name := range []string{"iss", "sub", "aud", "exp", "iat", "email", "phone", "role", "aal", "session_id", "is_anonymous"} {
		bad["without "+name] = m{name: nil}
	}
	ours := claimsLike(t, nil)
	call := func(t *testing.T, given, answer string) ([]byte, error) {
		t.Helper()
		c := everywhere(saying(answer))
		c.AdminRoles = []string{"boss"}
		return newHooks(t, c).CustomizeAccessToken(t.Context(), ids[1], "password", []byte(given))
	}
	for name, change := range good {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want := claimsLike(t, change)
			got, err := call(t, ours, `{"claims":`+want+`}`)
			if err != nil {
				t.Fatal(err)
			}
			plain := strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&").Replace(want)
			if diff := cmp.Diff(plain, string(got)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	for name, change := range bad {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := call(t, ours, `{"claims":`+claimsLike(t, change)+`}`)
			if err == nil || got != nil || auth.CodeOf(err) != auth.CodeInternal {
				t.Errorf("%s, %v", got, err)
			}
		})
	}
	for _, answer := range []string{``, `{}`, `null`, `{"claims":null}`, `{"claims":[]}`, `{"claims":"x"}`, `{"claims":{}}`, `{"claims":` + ours, ours} {
		if got, err := call(t, ours, answer); err == nil {
			t.Errorf("answer %s: %s", answer, got)
		}
	}
	client := claimsLike(t, m{"client_id": "c"})
	if got, err := call(t, client, `{"claims":`+ours+`}`); err == nil {
		t.Errorf("a client's token became first-party: %s", got)
	}
	twice := strings.Replace(ours, `"sub":"u"`, `"sub":"victim","sub":"u"`, 1)
	if got, err := call(t, ours, `{"claims":`+twice+`}`); err != nil || strings.Contains(string(got), "victim") {
		t.Errorf("a claim that is there twice: %s, %v", got, err)
	}
	if got, err := call(t, ours, `{"error":{"http_code":403,"message":"suspended"}}`); got != nil || outcomeOf(err).Refusal == nil {
		t.Errorf("refused: %s, %v", got, err)
	}
}

func FuzzClaims(f *testing.F) {
	ours := claimsLike(f, nil)
	f.Add(`{"claims":` + ours + `}`)
	f.Add(`{"claims":` + claimsLike(f, map[string]any{"role": "x", "aud": []string{"authenticated"}}) + `}`)
	f.Add(`{"error":{"http_code":403,"message":"no"}}`)
	var before map[string]any
	if err := json.Unmarshal([]byte(ours), &before); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, answer string) {
		got, err := newHooks(t, everywhere(saying(answer))).CustomizeAccessToken(t.Context(), ids[1], "password", []byte(ours))
		if (err == nil) != (got != nil) {
			t.Fatalf("%s, %v", got, err)
		}
		if err != nil {
			return
		}
		var after map[string]any
		if err := json.Unmarshal(got, &after); err != nil {
			t.Fatalf("%s: %v", got, err)
		}
		for _, name := range []string{"iss", "sub", "session_id", "iat", "aal", "is_anonymous"} {
			if after[name] != before[name] {
				t.Fatalf("%s became %v", name, after[name])
			}
		}
		if exp, ok := after["exp"].(float64); !ok || exp > 1700003600 || after["role"] == "service_role" {
			t.Fatalf("%s", got)
		}
	})
}
