package hook

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Headers of a signed request (Standard Webhooks 1.0, "Webhook headers").
const (
	HeaderID        = "Webhook-Id"
	HeaderTimestamp = "Webhook-Timestamp"
	HeaderSignature = "Webhook-Signature"
)

// Tolerance is how far the clock of a sender may be off, and how old a request may be:
// within it, a receiver has to remember the ids it has seen if repeats do harm.
const Tolerance = 5 * time.Minute

// Sizes of a key, in bytes (Standard Webhooks: between 24 and 64).
const (
	minKey = 24
	maxKey = 64
)

// maxSecrets bounds the work that one request can cause.
const maxSecrets = 8

const (
	symmetric  = "v1,whsec_"
	asymmetric = "v1a,"
)

// Secrets are the keys that requests are signed with. More than one is for rotation: the
// sender signs with each, the receiver accepts any. They do not show up in any text.
type Secrets struct{ keys [][]byte }

// ParseSecrets reads GoTrue's form: "v1,whsec_" and the key in base64, several joined by
// "|". Keys have 24 to 64 bytes. The errors do not hold the text.
func ParseSecrets(text string) (Secrets, error) {
	var s Secrets
	for n, one := range strings.Split(text, "|") {
		one = strings.TrimSpace(one)
		encoded, ok := strings.CutPrefix(one, symmetric)
		switch {
		case strings.HasPrefix(one, asymmetric):
			return Secrets{}, fmt.Errorf("secret %d: asymmetric (v1a) signatures are not supported, use v1,whsec_", n+1)
		case !ok:
			return Secrets{}, fmt.Errorf("secret %d does not begin with v1,whsec_", n+1)
		case n >= maxSecrets:
			return Secrets{}, fmt.Errorf("more than %d secrets", maxSecrets)
		}
		key, err := base64.StdEncoding.Strict().DecodeString(encoded)
		if err != nil {
			return Secrets{}, fmt.Errorf("secret %d is not base64 after v1,whsec_", n+1)
		}
		if len(key) < minKey || len(key) > maxKey {
			return Secrets{}, fmt.Errorf("secret %d has %d bytes, not %d to %d", n+1, len(key), minKey, maxKey)
		}
		s.keys = append(s.keys, key)
	}
	return s, nil
}

// String hides the keys.
func (s Secrets) String() string { return fmt.Sprintf("[%d secrets]", len(s.keys)) }

// Format hides the keys from every verb.
func (s Secrets) Format(f fmt.State, _ rune) { fmt.Fprint(f, s.String()) }

// LogValue hides the keys.
func (s Secrets) LogValue() slog.Value { return slog.StringValue(s.String()) }

// Sign sets the three headers for a body. The signatures are separated by a space, as the
// standard has it (GoTrue writes a comma as well, which some of its libraries refuse).
func (s Secrets) Sign(h http.Header, id string, at time.Time, body []byte) {
	stamp := strconv.FormatInt(at.Unix(), 10)
	signatures := make([]string, len(s.keys))
	for i, key := range s.keys {
		signatures[i] = "v1," + base64.StdEncoding.EncodeToString(mac(key, id, stamp, body))
	}
	h.Set(HeaderID, id)
	h.Set(HeaderTimestamp, stamp)
	h.Set(HeaderSignature, strings.Join(signatures, " "))
}

func mac(key []byte, id, stamp string, body []byte) []byte {
	m := hmac.New(sha256.New, key)
	m.Write([]byte(id + "." + stamp + "."))
	m.Write(body)
	return m.Sum(nil)
}

// ErrSignature is wrapped by every refusal of [Secrets.Verify].
var ErrSignature = errors.New("hook: the signature is not right")

// maxSignatures bounds what a stranger can make us compare.
const maxSignatures = 32

// Verify checks a request that somebody else signed. It has to see the body before anybody
// parses it. It verifies:
//
//   - the id is there and has no dot, which separates what is signed;
//   - the timestamp is not further than Tolerance from now, on either side;
//   - one of the v1 signatures is that of one of the keys, compared in constant time.
//
// It does not remember ids: within Tolerance a copied request passes again.
func (s Secrets) Verify(h http.Header, body []byte, now time.Time) error {
	id, stamp := h.Get(HeaderID), h.Get(HeaderTimestamp)
	if id == "" || len(id) > 256 || strings.Contains(id, ".") {
		return fmt.Errorf("%w: no usable %s", ErrSignature, HeaderID)
	}
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil || strconv.FormatInt(seconds, 10) != stamp {
		return fmt.Errorf("%w: no usable %s", ErrSignature, HeaderTimestamp)
	}
	if at := time.Unix(seconds, 0); at.Before(now.Add(-Tolerance)) || at.After(now.Add(Tolerance)) {
		return fmt.Errorf("%w: the request is too old, or from the future", ErrSignature)
	}
	given := strings.FieldsFunc(h.Get(HeaderSignature), func(r rune) bool { return r == ' ' })
	if len(given) > maxSignatures {
		return fmt.Errorf("%w: too many signatures", ErrSignature)
	}
	right := 0
	for _, key := range s.keys {
		want := mac(key, id, stamp, body)
		for _, one := range given {
			// GoTrue puts a comma behind each but the last.
			encoded, ok := strings.CutPrefix(strings.TrimSuffix(one, ","), "v1,")
			if !ok {
				continue // of another version: not for us
			}
			got, err := base64.StdEncoding.DecodeString(encoded)
			if err == nil {
				right |= subtle.ConstantTimeCompare(got, want)
			}
		}
	}
	if right != 1 {
		return ErrSignature
	}
	return nil
}
