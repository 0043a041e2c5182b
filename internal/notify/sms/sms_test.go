package sms_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/notify"
	"github.com/cardea-auth/cardea/internal/notify/sms"
)

// request is what a provider gets, the whole of it.
type request struct {
	Line   string
	Header map[string]string
	Form   url.Values
	JSON   map[string]any
}

// fake is a provider that gives one answer and keeps the request.
func fake(t *testing.T, status int, header http.Header, body string) (base string, got *request) {
	t.Helper()
	got = &request{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		read, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		*got = request{Line: r.Method + " " + r.URL.RequestURI(), Header: map[string]string{}}
		for name := range r.Header {
			if name != "Accept-Encoding" && name != "Content-Length" {
				got.Header[name] = r.Header.Get(name)
			}
		}
		if r.Header.Get("Content-Type") == "application/json" {
			err = json.Unmarshal(read, &got.JSON)
		} else {
			got.Form, err = url.ParseQuery(string(read))
		}
		if err != nil {
			t.Error(err)
		}
		for name, values := range header {
			w.Header()[name] = values
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(srv.Close)
	return srv.URL, got
}

var now = time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)

// The secret of the example in the Standard Webhooks specification's reference libraries.
const secret = "v1,whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

func config(provider, base string) sms.Config {
	return sms.Config{
		Provider: provider, Now: func() time.Time { return now },
		Twilio:      sms.Twilio{AccountSID: "AC1", AuthToken: "tok", Sender: "+15550100", BaseURL: base},
		Vonage:      sms.Vonage{APIKey: "key", APISecret: "sec", From: "Clinic", BaseURL: base},
		MessageBird: sms.MessageBird{AccessKey: "acc", Originator: "Clinic", BaseURL: base},
		TextLocal:   sms.TextLocal{APIKey: "key", Sender: "CLINIC", BaseURL: base},
		Webhook:     sms.Webhook{URL: base + "/hook", Secrets: secret + "|v1,whsec_" + base64.StdEncoding.EncodeToString([]byte(strings.Repeat("n", 32)))},
	}
}

func message(channel, text string) notify.Rendered {
	return notify.Rendered{
		ID: auth.ID{1, 2, 3, 15: 4}, Channel: channel, Kind: notify.KindSMS, To: "4915112345678", Locale: "en", Text: text, Code: "123456", CreatedAt: now,
	}
}

func send(t *testing.T, c sms.Config, m notify.Rendered) error {
	t.Helper()
	s, err := sms.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return s.Send(t.Context(), m)
}

// Each provider gets exactly this request.
func TestRequests(t *testing.T) {
	t.Parallel()
	const formType = "application/x-www-form-urlencoded"
	base := map[string]string{"Content-Type": formType, "Accept": "application/json", "User-Agent": "Cardea"}
	with := func(name, value string) map[string]string {
		h := map[string]string{name: value}
		for k, v := range base {
			h[k] = v
		}
		return h
	}
	id := auth.ID{1, 2, 3, 15: 4}.String()
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte("AC1:tok"))
	const twilioLine = "POST /2010-04-01/Accounts/AC1/Messages.json"
	tests := []struct {
		name     string
		provider string
		change   func(*sms.Config)
		channel  string
		text     string
		status   int
		answer   string
		want     request
	}{
		{name: "twilio", provider: "twilio", text: "123456 & more", status: 201, answer: `{"sid":"SM1","status":"queued","error_code":null}`,
			want: request{Line: twilioLine, Header: with("Authorization", basic), Form: url.Values{"To": {"+4915112345678"}, "From": {"+15550100"}, "Body": {"123456 & more"}}}},
		{name: "twilio, messaging service", provider: "twilio", text: "x", status: 201, answer: `{}`, change: func(c *sms.Config) { c.Twilio.Sender = "MG1" },
			want: request{Line: twilioLine, Header: with("Authorization", basic), Form: url.Values{"To": {"+4915112345678"}, "MessagingServiceSid": {"MG1"}, "Body": {"x"}}}},
		{name: "twilio, WhatsApp", provider: "twilio", channel: notify.ChannelWhatsApp, text: "x", status: 201, answer: `{}`,
			want: request{Line: twilioLine, Header: with("Authorization", basic), Form: url.Values{"To": {"whatsapp:+4915112345678"}, "From": {"whatsapp:+15550100"}, "Body": {"x"}}}},
		{name: "twilio, WhatsApp template", provider: "twilio", channel: notify.ChannelWhatsApp, text: "x", status: 201, answer: `{}`,
			change: func(c *sms.Config) { c.Twilio.WhatsAppSender, c.Twilio.ContentSID = "+15550199", "HX1" },
			want: request{Line: twilioLine, Header: with("Authorization", basic), Form: url.Values{
				"To": {"whatsapp:+4915112345678"}, "From": {"whatsapp:+15550199"}, "ContentSid": {"HX1"}, "ContentVariables": {`{"1":"123456"}`}}}},
		{name: "vonage", provider: "vonage", text: "x", status: 200, answer: `{"message-count":"1","messages":[{"status":"0"}]}`,
			want: request{Line: "POST /sms/json", Header: base, Form: url.Values{
				"api_key": {"key"}, "api_secret": {"sec"}, "from": {"Clinic"}, "to": {"4915112345678"}, "text": {"x"}, "client-ref": {id}}}},
		{name: "vonage, Hebrew", provider: "vonage", text: "קוד", status: 200, answer: `{"messages":[{"status":"0"},{"status":"0"}]}`,
			want: request{Line: "POST /sms/json", Header: base, Form: url.Values{
				"api_key": {"key"}, "api_secret": {"sec"}, "from": {"Clinic"}, "to": {"4915112345678"}, "text": {"קוד"}, "client-ref": {id}, "type": {"unicode"}}}},
		{name: "messagebird", provider: "messagebird", text: "x", status: 201, answer: `{"id":"1"}`,
			want: request{Line: "POST /messages", Header: with("Authorization", "AccessKey acc"), Form: url.Values{
				"originator": {"Clinic"}, "recipients": {"4915112345678"}, "body": {"x"}, "type": {"sms"}, "datacoding": {"plain"}, "reference": {id}}}},
		{name: "messagebird, Hindi", provider: "messagebird", text: "कोड", status: 201, answer: `{"id":"1"}`,
			want: request{Line: "POST /messages", Header: with("Authorization", "AccessKey acc"), Form: url.Values{
				"originator": {"Clinic"}, "recipients": {"4915112345678"}, "body": {"कोड"}, "type": {"sms"}, "datacoding": {"unicode"}, "reference": {id}}}},
		{name: "textlocal", provider: "textlocal", text: "x", status: 200, answer: `{"status":"success","messages":[{"id":"1"}]}`,
			want: request{Line: "POST /send/", Header: base, Form: url.Values{
				"apikey": {"key"}, "sender": {"CLINIC"}, "numbers": {"4915112345678"}, "message": {"x"}, "custom": {id}}}},
		{name: "textlocal, Hindi", provider: "textlocal", text: "कोड", status: 200, answer: `{"status":"success"}`,
			want: request{Line: "POST /send/", Header: base, Form: url.Values{
				"apikey": {"key"}, "sender": {"CLINIC"}, "numbers": {"4915112345678"}, "message": {"कोड"}, "custom": {id}, "unicode": {"true"}}}},
		// The signatures were made by another program.
		{name: "webhook", provider: "webhook", channel: notify.ChannelWhatsApp, text: "x", status: 204,
			want: request{Line: "POST /hook", Header: map[string]string{
				"Content-Type": "application/json", "Accept": "application/json", "User-Agent": "Cardea", "Webhook-Id": id, "Webhook-Timestamp": "1772352000",
				"Webhook-Signature": "v1,DAzOtcQd9eyqPV7WZ+ueOUZ3GsSkSzN4r95ZQ8dHfQU= v1,dqpVYkAxw2mAuyqNoHThMGireNhjhMCwComntzJSI0Q=",
			}, JSON: map[string]any{
				"id": id, "channel": "whatsapp", "kind": "sms", "to": "+4915112345678", "locale": "en", "text": "x", "code": "123456", "created_at": "2026-03-01T08:00:00Z",
			}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			address, got := fake(t, tt.status, nil, tt.answer)
			c := config(tt.provider, address)
			if tt.change != nil {
				tt.change(&c)
			}
			if tt.channel == "" {
				tt.channel = notify.ChannelSMS
			}
			if err := send(t, c, message(tt.channel, tt.text)); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, *got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// What a provider answers decides between later and never, and its words reach the operator.
func TestRefusals(t *testing.T) {
	t.Parallel()
	retry := http.Header{"Retry-After": {"90"}}
	tests := []struct {
		name, provider string
		status         int
		header         http.Header
		answer         string
		permanent      bool
		retry          time.Duration
		text           string
	}{
		{name: "twilio, no number", provider: "twilio", status: 400, answer: `{"code":21211,"message":"Invalid 'To' Phone Number"}`, permanent: true, text: "21211 Invalid"},
		{name: "twilio, opted out", provider: "twilio", status: 400, answer: `{"code":21610,"message":"unsubscribed"}`, permanent: true, text: "21610"},
		{name: "twilio, credentials", provider: "twilio", status: 401, answer: `{"code":20003,"message":"Authenticate"}`, text: "20003"},
		{name: "twilio, too many", provider: "twilio", status: 429, header: retry, answer: `{"code":20429,"message":"Too Many Requests"}`, retry: 90 * time.Second, text: "status 429"},
		{name: "twilio, failed at once", provider: "twilio", status: 201, answer: `{"status":"failed","error_code":21614}`, permanent: true, text: "21614"},
		{name: "twilio, a page", provider: "twilio", status: 502, answer: `<html>bad gateway`, text: "status 502"},
		{name: "vonage, number barred", provider: "vonage", status: 200, answer: `{"messages":[{"status":"7","error-text":"Number barred"}]}`, permanent: true, text: "7 Number barred"},
		{name: "vonage, throttled", provider: "vonage", status: 200, answer: `{"messages":[{"status":"1","error-text":"Throttled"}]}`, text: "1 Throttled"},
		{name: "vonage, no money", provider: "vonage", status: 200, answer: `{"messages":[{"status":"9","error-text":"Quota"}]}`, text: "9 Quota"},
		{name: "vonage, nothing", provider: "vonage", status: 200, answer: `{}`, text: "status 200"},
		{name: "messagebird, recipient", provider: "messagebird", status: 422, answer: `{"errors":[{"code":9,"description":"no (correct) recipients found","parameter":"recipients"}]}`, permanent: true, text: "9 no"},
		{name: "messagebird, originator", provider: "messagebird", status: 422, answer: `{"errors":[{"code":10,"description":"bad","parameter":"originator"}]}`, text: "10 bad"},
		{name: "messagebird, key", provider: "messagebird", status: 401, answer: `{"errors":[{"code":2,"description":"Request not allowed","parameter":"access_key"}]}`, text: "2 Request"},
		{name: "messagebird, garbage", provider: "messagebird", status: 500, answer: `oops`, text: "status 500"},
		{name: "textlocal, number", provider: "textlocal", status: 200, answer: `{"status":"failure","errors":[{"code":51,"message":"No valid numbers specified"}]}`, permanent: true, text: "51 No valid"},
		{name: "textlocal, key", provider: "textlocal", status: 200, answer: `{"status":"failure","errors":[{"code":3,"message":"Invalid login details"}]}`, text: "3 Invalid"},
		{name: "textlocal, garbage", provider: "textlocal", status: 200, answer: `oops`, text: "status 200"},
		{name: "textlocal, no reason", provider: "textlocal", status: 200, answer: `{"status":"failure"}`, text: "without a reason"},
		{name: "webhook, no such thing", provider: "webhook", status: 422, permanent: true, text: "status 422"},
		{name: "webhook, gone", provider: "webhook", status: 410, permanent: true, text: "status 410"},
		{name: "webhook, down", provider: "webhook", status: 503, header: retry, retry: 90 * time.Second, text: "status 503"},
		{name: "webhook, redirect", provider: "webhook", status: 307, header: http.Header{"Location": {"https://evil.example/"}}, text: "status 307"},
		{name: "webhook, a flood", provider: "webhook", status: 500, answer: strings.Repeat("x", 10<<20), text: "status 500"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			address, _ := fake(t, tt.status, tt.header, tt.answer)
			err := send(t, config(tt.provider, address), message(notify.ChannelSMS, "x"))
			var e *notify.Error
			if !errors.As(err, &e) || e.Permanent != tt.permanent || e.RetryAfter != tt.retry || !strings.Contains(e.Text, tt.text) || !strings.HasPrefix(e.Text, tt.provider) {
				t.Errorf("%+v", e)
			}
		})
	}
}

func TestSilentProvider(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer srv.Close()
	defer close(release)
	for _, provider := range sms.Providers() {
		c := config(provider, srv.URL)
		c.Timeout = 20 * time.Millisecond
		err := send(t, c, message(notify.ChannelSMS, "x"))
		if err == nil || notify.IsPermanent(err) || err.Error() != provider+": no answer in time" || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
	}
}

// A recipient is digits; nothing else gets into a request.
func TestRecipients(t *testing.T) {
	t.Parallel()
	address, got := fake(t, 201, nil, `{}`)
	for _, to := range []string{"", "+", "12345", "0015112345678", "4915112345678,4915187654321", "49151 12345678", "ada@example.com", "١٢٣٤٥٦٧", "1234567890123456", "49151\r\n"} {
		m := message(notify.ChannelSMS, "x")
		m.To = to
		if err := send(t, config("twilio", address), m); !notify.IsPermanent(err) {
			t.Errorf("%q: %v", to, err)
		}
	}
	if got.Line != "" {
		t.Errorf("%+v", got)
	}
	for _, provider := range []string{"vonage", "messagebird", "textlocal"} {
		if err := send(t, config(provider, address), message(notify.ChannelWhatsApp, "x")); !notify.IsPermanent(err) {
			t.Errorf("%s sends WhatsApp: %v", provider, err)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for _, provider := range sms.Providers() {
		if _, err := sms.New(config(provider, "https://sms.example.com")); err != nil {
			t.Errorf("%s: %v", provider, err)
		}
		for _, base := range []string{"http://sms.example.com", "ftp://localhost", "https://user:pass@example.com", "//example.com"} {
			if _, err := sms.New(config(provider, base)); err == nil {
				t.Errorf("%s at %s: accepted", provider, base)
			}
		}
		if _, err := sms.New(sms.Config{Provider: provider}); err == nil {
			t.Errorf("%s without settings: accepted", provider)
		}
	}
	if _, err := sms.New(sms.Config{Provider: "pigeon"}); err == nil {
		t.Error("pigeon: accepted")
	}
	for _, secrets := range []string{"secret", "whsec_", "v1,whsec_!!!", "v1,whsec_c2hvcnQ=", secret + "|", "v1a,whsk_" + secret[9:]} {
		c := config("webhook", "https://example.com")
		c.Webhook.Secrets = secrets
		if _, err := sms.New(c); err == nil {
			t.Errorf("secrets %q: accepted", secrets)
		}
	}
}
