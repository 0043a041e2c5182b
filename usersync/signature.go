package usersync

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// The headers of a signed message (Standard Webhooks 1.0).
const (
	headerID        = "Webhook-Id"
	headerTimestamp = "Webhook-Timestamp"
	headerSignature = "Webhook-Signature"
)

// Tolerance is how old a message may be, or how far ahead the sender's clock. For as long
// its id is remembered.
const Tolerance = 5 * time.Minute

// The limits of secrets and signatures.
const (
	minSecret     = 24 // bytes, Standard Webhooks
	maxSecret     = 64
	maxSecrets    = 4
	maxSignatures = 16 // what a stranger can make us compare
	secretPrefix  = "whsec_"
)

// secrets are the keys of messages: two of them during a rotation. They don't show up in
// any text.
type secrets [][]byte

// parseSecrets reads "whsec_<base64>", as Standard Webhooks writes secrets; Supabase writes
// "v1," before it.
func parseSecrets(list []string) (secrets, error) {
	if len(list) == 0 || len(list) > maxSecrets {
		return nil, fmt.Errorf("%d secrets, not 1 to %d", len(list), maxSecrets)
	}
	var keys secrets
	for n, one := range list {
		encoded, ok := strings.CutPrefix(strings.TrimPrefix(one, "v1,"), secretPrefix)
		if !ok {
			return nil, fmt.Errorf("secret %d does not begin with %s", n+1, secretPrefix)
		}
		key, err := base64.StdEncoding.Strict().DecodeString(encoded)
		if err != nil || len(key) < minSecret || len(key) > maxSecret {
			return nil, fmt.Errorf("secret %d is not base64 of %d to %d bytes", n+1, minSecret, maxSecret)
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// sign sets the headers of a message: one signature for each key.
func (s secrets) sign(h http.Header, id string, at time.Time, body []byte) {
	stamp := strconv.FormatInt(at.Unix(), 10)
	list := make([]string, len(s))
	for n, key := range s {
		list[n] = "v1," + base64.StdEncoding.EncodeToString(mac(key, id, stamp, body))
	}
	h.Set(headerID, id)
	h.Set(headerTimestamp, stamp)
	h.Set(headerSignature, strings.Join(list, " "))
}

func mac(key []byte, id, stamp string, body []byte) []byte {
	m := hmac.New(sha256.New, key)
	m.Write([]byte(id + "." + stamp + "."))
	m.Write(body)
	return m.Sum(nil)
}

var (
	errSignature = errors.New("usersync: the signature is not right")
	errTooOld    = errors.New("usersync: the message is too old, or from the future")
)

// message is what a good signature vouches for.
type message struct {
	id string
	at time.Time
}

// verify checks a message before anybody looks into its body:
//
//   - the id is there and has no dot, which separates what is signed;
//   - one of the v1 signatures is that of one of the keys, compared in constant time;
//   - the timestamp, which is signed, is at most Tolerance away from now.
//
// It does not remember ids: that is the Store's.
func (s secrets) verify(h http.Header, body []byte, now time.Time) (message, error) {
	id, stamp := h.Get(headerID), h.Get(headerTimestamp)
	given := strings.Fields(h.Get(headerSignature))
	if id == "" || len(id) > 256 || strings.Contains(id, ".") || !plain(id) || len(given) > maxSignatures {
		return message{}, errSignature
	}
	right := 0
	for _, key := range s {
		want := mac(key, id, stamp, body)
		for _, one := range given {
			encoded, ok := strings.CutPrefix(strings.TrimSuffix(one, ","), "v1,")
			if !ok {
				continue // of another version: not for us
			}
			if got, err := base64.StdEncoding.DecodeString(encoded); err == nil {
				right |= subtle.ConstantTimeCompare(got, want)
			}
		}
	}
	if right != 1 {
		return message{}, errSignature
	}
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil || strconv.FormatInt(seconds, 10) != stamp {
		return message{}, errSignature
	}
	at := time.Unix(seconds, 0).UTC()
	if at.Before(now.Add(-Tolerance)) || at.After(now.Add(Tolerance)) {
		return message{}, errTooOld
	}
	return message{id, at}, nil
}
