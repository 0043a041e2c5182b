package hook_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/cardea-auth/cardea/internal/hook"
)

const (
	bodySecret  = "a secret of the project"
	otherSecret = "the secret before this one"
)

func receiver(t testing.TB, encoding string, secrets ...string) *hook.Receiver {
	t.Helper()
	r, err := hook.NewReceiver(encoding, secrets...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func bodyMAC(key, body string) []byte {
	m := hmac.New(sha256.New, []byte(key))
	m.Write([]byte(body))
	return m.Sum(nil)
}

// S2.42, A20.2, B2.35: the signature of a body.
func TestReceiveBody(t *testing.T) {
	t.Parallel()
	const body = `{"user_id":"019ca869-507b-7433-8c63-482deacec8d6"}`
	now := time.Unix(1_700_000_000, 0)
	right := hex.EncodeToString(bodyMAC(bodySecret, body))
	in64 := base64.StdEncoding.EncodeToString(bodyMAC(bodySecret, body))
	for _, c := range []struct {
		name, encoding string
		secrets        []string
		given          []string
		body           string
		good           bool
	}{
		{"hex", "hex", []string{bodySecret, ""}, []string{right}, body, true},
		{"hex in capitals", "hex", []string{bodySecret}, []string{strings.ToUpper(right)}, body, true},
		{"base64", "base64", []string{bodySecret}, []string{in64}, body, true},
		{"the new secret of a rotation", "hex", []string{bodySecret, otherSecret}, []string{right}, body, true},
		{"the old secret of a rotation", "hex", []string{otherSecret, bodySecret}, []string{right}, body, true},
		{"another body", "hex", []string{bodySecret}, []string{right}, body + " ", false},
		{"another secret", "hex", []string{otherSecret}, []string{right}, body, false},
		{"no secret", "hex", nil, []string{hex.EncodeToString(bodyMAC("", body))}, body, false},
		{"a secret that is empty", "hex", []string{"", ""}, []string{hex.EncodeToString(bodyMAC("", body))}, body, false},
		{"a secret of another kind", "hex", []string{key(1)}, []string{hex.EncodeToString(bodyMAC(key(1), body))}, body, false},
		{"base64 where hex is meant", "hex", []string{bodySecret}, []string{in64}, body, false},
		{"hex where base64 is meant", "base64", []string{bodySecret}, []string{right}, body, false},
		{"half of it", "hex", []string{bodySecret}, []string{right[:32]}, body, false},
		{"nothing", "hex", []string{bodySecret}, nil, body, false},
		{"an empty one", "hex", []string{bodySecret}, []string{""}, body, false},
		{"two", "hex", []string{bodySecret}, []string{right, right}, body, false},
		{"a long one", "hex", []string{bodySecret}, []string{strings.Repeat(right, 5)}, body, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := http.Header{}
			for _, v := range c.given {
				h.Add(hook.HeaderBodySignature, v)
			}
			proof, err := receiver(t, c.encoding, c.secrets...).Verify(h, []byte(c.body), now)
			if c.good != (err == nil) || err != nil && !errors.Is(err, hook.ErrSignature) {
				t.Errorf("%v, good %v", err, c.good)
			}
			if (proof.Digest == [32]byte{}) == c.good || !proof.SignedAt.IsZero() {
				t.Errorf("%+v", proof)
			}
		})
	}
}

// A20.2: Standard Webhooks sign the time as well, and the digest is that of one notice.
func TestReceiveStandard(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_700_000_000, 0)
	signed := func(id string, at time.Time, secret string) http.Header {
		h := http.Header{}
		secrets(t, secret).Sign(h, id, at, []byte(`{"a":1}`))
		return h
	}
	r := receiver(t, "hex", key(1), key(2))
	first, err := r.Verify(signed("msg_1", now, key(1)), []byte(`{"a":1}`), now)
	if err != nil || !first.SignedAt.Equal(now) {
		t.Fatalf("%v %+v", err, first)
	}
	for name, c := range map[string]struct {
		h    http.Header
		same bool
	}{
		"sent again":          {signed("msg_1", now, key(1)), true},
		"with the other key":  {signed("msg_1", now, key(2)), true},
		"tried again later":   {signed("msg_1", now.Add(time.Second), key(1)), false},
		"another notice":      {signed("msg_2", now, key(1)), false},
		"with a body's proof": {func() http.Header { h := signed("msg_1", now, key(1)); h.Set(hook.HeaderBodySignature, "00"); return h }(), true},
	} {
		got, err := r.Verify(c.h, []byte(`{"a":1}`), now)
		if err != nil || (got.Digest == first.Digest) != c.same {
			t.Errorf("%s: %v, same %v", name, err, got.Digest == first.Digest)
		}
	}
	for name, c := range map[string]struct {
		r    *hook.Receiver
		h    http.Header
		body string
		now  time.Time
	}{
		"old":           {r, signed("msg_1", now, key(1)), `{"a":1}`, now.Add(301 * time.Second)},
		"another key":   {r, signed("msg_1", now, key(3)), `{"a":1}`, now},
		"another body":  {r, signed("msg_1", now, key(1)), `{"a":2}`, now},
		"no key at all": {receiver(t, "hex"), signed("msg_1", now, key(1)), `{"a":1}`, now},
		"a body's key":  {receiver(t, "hex", bodySecret), signed("msg_1", now, key(1)), `{"a":1}`, now},
	} {
		if proof, err := c.r.Verify(c.h, []byte(c.body), c.now); !errors.Is(err, hook.ErrSignature) || proof != (hook.Proof{}) {
			t.Errorf("%s: %v %+v", name, err, proof)
		}
	}
}

func TestNewReceiver(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, encoding, secret string }{
		{"an encoding that nobody knows", "base32", bodySecret},
		{"a short secret", "hex", "fifteen bytes.."},
		{"a broken key", "hex", "v1,whsec_MfKQ9r8"},
		{"an asymmetric key", "hex", "v1a,whpk_MfKQ9r8"},
	} {
		if _, err := hook.NewReceiver(c.encoding, c.secret); err == nil || strings.Contains(err.Error(), "MfKQ9r8") || strings.Contains(err.Error(), "fifteen") {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	r := receiver(t, "hex", bodySecret, key(1))
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x"} {
		if got := fmt.Sprintf(verb, r); got != "[2 secrets]" {
			t.Errorf("%s shows %s", verb, got)
		}
	}
	if r.LogValue().String() != "[2 secrets]" {
		t.Error("a log shows the secrets")
	}
}

func FuzzReceive(f *testing.F) {
	f.Add("00", "msg_1", "1700000000", "v1,AAAA", []byte(`{}`))
	f.Add(strings.Repeat("ab", 32), "", "", "", []byte(`{"user_id":"x"}`))
	r := receiver(f, "hex", bodySecret, key(1))
	f.Fuzz(func(t *testing.T, signature, id, stamp, standard string, body []byte) {
		h := http.Header{hook.HeaderBodySignature: {signature}, hook.HeaderID: {id}, hook.HeaderTimestamp: {stamp}, hook.HeaderSignature: {standard}}
		if proof, err := r.Verify(h, body, time.Unix(1_700_000_000, 0)); err == nil || proof != (hook.Proof{}) {
			t.Errorf("a guess is right: %q %q", signature, standard)
		}
	})
}
