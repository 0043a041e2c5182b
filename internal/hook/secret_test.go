package hook_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/cardea-auth/cardea/internal/hook"
)

// key makes the n-th secret of these tests.
func key(n int) string {
	return "v1,whsec_" + base64.StdEncoding.EncodeToString([]byte(fmt.Sprintf("%024d", n)))
}

func secrets(t testing.TB, text string) hook.Secrets {
	t.Helper()
	s, err := hook.ParseSecrets(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestSignVector is the example that the libraries of Standard Webhooks test themselves
// with: our signature is one that they accept.
func TestSignVector(t *testing.T) {
	t.Parallel()
	s := secrets(t, "v1,whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	h, at := http.Header{}, time.Unix(1614265330, 0)
	body := []byte(`{"test": 2432232314}`)
	s.Sign(h, "msg_p5jXN8AQM9LWM0D4loKWxJek", at, body)
	if got, want := h.Get("webhook-signature"), "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="; got != want {
		t.Errorf("signature %s, want %s", got, want)
	}
	if h.Get("webhook-id") != "msg_p5jXN8AQM9LWM0D4loKWxJek" || h.Get("webhook-timestamp") != "1614265330" {
		t.Errorf("headers %v", h)
	}
	if err := s.Verify(h, body, at); err != nil {
		t.Errorf("Verify: %v", err)
	}
}

// TestVerify is A20.2 as far as a signature goes: what is wrong, old or of a secret that is
// gone is refused; while two secrets overlap, either is right.
func TestVerify(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_700_000_000, 0)
	body := []byte(`{"a":1}`)
	signed := func(with string) http.Header {
		h := http.Header{}
		secrets(t, with).Sign(h, "msg_1", now, body)
		return h
	}
	set := func(h http.Header, name, value string) http.Header { h.Set(name, value); return h }
	both := key(1) + "|" + key(2)
	one := signed(key(1)).Get(hook.HeaderSignature)
	for _, tc := range []struct {
		name    string
		secrets string
		header  http.Header
		body    string
		now     time.Time
		good    bool
	}{
		{"right", key(1), signed(key(1)), `{"a":1}`, now, true},
		{"the new secret during a rotation", both, signed(key(2)), `{"a":1}`, now, true},
		{"the old secret during a rotation", both, signed(key(1)), `{"a":1}`, now, true},
		{"a sender that rotates first", key(2), signed(both), `{"a":1}`, now, true},
		{"with GoTrue's comma", key(1), set(signed(key(1)), hook.HeaderSignature, one+", v1,AAAA"), `{"a":1}`, now, true},
		{"beside another version", key(1), set(signed(key(1)), hook.HeaderSignature, "v1a,AAAA "+one), `{"a":1}`, now, true},
		{"twice", key(1), set(signed(key(1)), hook.HeaderSignature, one+" "+one), `{"a":1}`, now, true},
		{"five minutes old", key(1), signed(key(1)), `{"a":1}`, now.Add(hook.Tolerance), true},
		{"a clock that is five minutes ahead", key(1), signed(key(1)), `{"a":1}`, now.Add(-hook.Tolerance), true},

		{"older", key(1), signed(key(1)), `{"a":1}`, now.Add(hook.Tolerance + time.Second), false},
		{"from the future", key(1), signed(key(1)), `{"a":1}`, now.Add(-hook.Tolerance - time.Second), false},
		{"a secret that is gone", key(2), signed(key(1)), `{"a":1}`, now, false},
		{"another body", key(1), signed(key(1)), `{"a":2}`, now, false},
		{"another id", key(1), set(signed(key(1)), hook.HeaderID, "msg_2"), `{"a":1}`, now, false},
		{"another time", key(1), set(signed(key(1)), hook.HeaderTimestamp, "1700000001"), `{"a":1}`, now, false},
		{"a part of the body moved into the time", key(1), set(signed(key(1)), hook.HeaderTimestamp, "1700000000."), `{"a":1}`, now, false},
		{"a time with a sign", key(1), set(signed(key(1)), hook.HeaderTimestamp, "+1700000000"), `{"a":1}`, now, false},
		{"a time that is none", key(1), set(signed(key(1)), hook.HeaderTimestamp, "now"), `{"a":1}`, now, false},
		{"a time that overflows", key(1), set(signed(key(1)), hook.HeaderTimestamp, "99999999999999999999"), `{"a":1}`, now, false},
		{"the largest time", key(1), set(signed(key(1)), hook.HeaderTimestamp, "9223372036854775807"), `{"a":1}`, now, false},
		{"an id with a dot", key(1), set(signed(key(1)), hook.HeaderID, "msg.1"), `{"a":1}`, now, false},
		{"no headers", key(1), http.Header{}, `{"a":1}`, now, false},
		{"no signature", key(1), set(signed(key(1)), hook.HeaderSignature, ""), `{"a":1}`, now, false},
		{"an empty signature", key(1), set(signed(key(1)), hook.HeaderSignature, "v1,"), `{"a":1}`, now, false},
		{"no version", key(1), set(signed(key(1)), hook.HeaderSignature, strings.TrimPrefix(one, "v1,")), `{"a":1}`, now, false},
		{"the asymmetric version", key(1), set(signed(key(1)), hook.HeaderSignature, "v1a"+strings.TrimPrefix(one, "v1")), `{"a":1}`, now, false},
		{"33 guesses", key(1), set(signed(key(1)), hook.HeaderSignature, strings.Repeat("v1,AAAA ", 32)+one), `{"a":1}`, now, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			err := secrets(t, tc.secrets).Verify(tc.header, []byte(tc.body), tc.now)
			if tc.good != (err == nil) || err != nil && !errors.Is(err, hook.ErrSignature) {
				t.Errorf("Verify: %v, good %v", err, tc.good)
			}
		})
	}
	if err := (hook.Secrets{}).Verify(signed(key(1)), body, now); err == nil {
		t.Error("no secrets accept everything")
	}
}

func TestParseSecrets(t *testing.T) {
	t.Parallel()
	of := func(n int) string { return "v1,whsec_" + base64.StdEncoding.EncodeToString(make([]byte, n)) }
	for _, good := range []string{key(1), key(1) + "|" + key(2), " " + key(1) + " | " + key(2) + "\n", of(24), of(64)} {
		if _, err := hook.ParseSecrets(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, bad := range []string{
		"", "|", key(1) + "|", "|" + key(1), "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "v1,MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", of(23), of(65),
		"v1,whsec_", "v1,whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS", "v1,whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS_",
		"v1a,whpk_AAAA:whsk_AAAA", strings.Repeat(key(1)+"|", 9) + key(1), key(1) + "," + key(2),
	} {
		_, err := hook.ParseSecrets(bad)
		if err == nil {
			t.Errorf("%q is accepted", bad)
		} else if strings.Contains(err.Error(), "MfKQ9r8") {
			t.Errorf("the error shows the secret: %v", err)
		}
	}
}

// TestSecretsAreHidden: no verb shows a key, neither of Secrets nor of an Endpoint.
func TestSecretsAreHidden(t *testing.T) {
	t.Parallel()
	const text = "v1,whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	s := secrets(t, text)
	e := hook.Endpoint{Enabled: true, URI: "https://example.org/x?token=MfKQ9r8", Secrets: text}
	raw, err := base64.StdEncoding.DecodeString("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	if err != nil {
		t.Fatal(err)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		for _, v := range []any{s, &s, e, &e, hook.Config{SendSMS: e}, s.LogValue(), e.LogValue()} {
			got := fmt.Sprintf(verb, v)
			if strings.Contains(got, "MfKQ9r8") || strings.Contains(got, fmt.Sprintf("%x", raw[:4])) || strings.Contains(got, fmt.Sprint(raw[:4])[1:9]) {
				t.Errorf("%s of %T: %s", verb, v, got)
			}
		}
	}
}

func FuzzParseSecrets(f *testing.F) {
	f.Add(key(1))
	f.Add(key(1) + "|" + key(2))
	f.Add("v1a,whpk_AAAA:whsk_AAAA")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := hook.ParseSecrets(text)
		if err != nil {
			return
		}
		// What was accepted signs, and accepts what it signed.
		h, at := http.Header{}, time.Unix(1_700_000_000, 0)
		s.Sign(h, "id", at, []byte("body"))
		if err := s.Verify(h, []byte("body"), at); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if s.Verify(h, []byte("bodx"), at) == nil {
			t.Fatalf("%q accepts another body", text)
		}
	})
}

func FuzzVerify(f *testing.F) {
	f.Add("id", "1700000000", "v1,AAAA", []byte("body"))
	f.Add("id", "1700000000", "v1, v1a,x v1,AAAA=, v1,", []byte(""))
	f.Add("i.d", "-1", ",", []byte("\x00"))
	f.Fuzz(func(t *testing.T, id, stamp, signature string, body []byte) {
		h := http.Header{hook.HeaderID: {id}, hook.HeaderTimestamp: {stamp}, hook.HeaderSignature: {signature}}
		if secrets(t, key(1)).Verify(h, body, time.Unix(1_700_000_000, 0)) == nil {
			t.Fatal("a signature was guessed")
		}
	})
}
