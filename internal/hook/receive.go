package hook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// HeaderBodySignature holds the signature of a body and of nothing else.
const HeaderBodySignature = "X-Supabase-Signature"

// How [HeaderBodySignature] is written.
const (
	EncodingHex    = "hex"
	EncodingBase64 = "base64"
)

// minBodySecret is the least length of a secret of bodies, in bytes: a shorter one can be
// guessed from a single notice.
const minBodySecret = 16

// Receiver checks notices that other servers send. Without a secret it refuses every one.
// Its secrets do not show up in any text.
type Receiver struct {
	bodies   [][]byte
	standard Secrets
	decode   func(string) ([]byte, error)
}

// NewReceiver makes a Receiver. A secret that begins with "v1,whsec_" is one of Standard
// Webhooks (see [ParseSecrets]); any other is the key of signatures of bodies, and has at
// least 16 bytes. Of several each is accepted: for a rotation. Empty ones are left out. The
// errors do not hold a secret.
func NewReceiver(encoding string, secrets ...string) (*Receiver, error) {
	r := &Receiver{decode: hex.DecodeString}
	switch encoding {
	case EncodingHex:
	case EncodingBase64:
		r.decode = base64.StdEncoding.Strict().DecodeString
	default:
		return nil, errors.New("hook: the encoding of signatures must be hex or base64")
	}
	for n, text := range secrets {
		switch {
		case text == "":
		case strings.HasPrefix(text, symmetric), strings.HasPrefix(text, asymmetric):
			s, err := ParseSecrets(text)
			if err != nil {
				return nil, fmt.Errorf("hook: webhook secret %d: %w", n+1, err)
			}
			r.standard.keys = append(r.standard.keys, s.keys...)
		case len(text) < minBodySecret:
			return nil, fmt.Errorf("hook: webhook secret %d has %d bytes, fewer than %d", n+1, len(text), minBodySecret)
		default:
			r.bodies = append(r.bodies, []byte(text))
		}
	}
	return r, nil
}

// String hides the secrets.
func (r *Receiver) String() string {
	return fmt.Sprintf("[%d secrets]", len(r.bodies)+len(r.standard.keys))
}

// Format hides the secrets from every verb.
func (r *Receiver) Format(f fmt.State, _ rune) { fmt.Fprint(f, r.String()) }

// LogValue hides the secrets.
func (r *Receiver) LogValue() slog.Value { return slog.StringValue(r.String()) }

// Proof is what a signature proves of a notice.
type Proof struct {
	// Digest is of everything that was signed: the same for the same notice, sent again.
	Digest [sha256.Size]byte
	// SignedAt is the time that was signed with the body; zero where only the body was. Then
	// the notice may be of any age, unless its body says when it was made.
	SignedAt time.Time
}

// Verify checks a notice, before anybody parses it. Every refusal wraps [ErrSignature]. It
// verifies:
//
//   - there is a secret at all: an unset one must not be the empty key that everybody knows;
//   - with Webhook-Signature, what [Secrets.Verify] does, the time included;
//   - else that X-Supabase-Signature is the HMAC-SHA256 of the raw body by one of the
//     secrets, compared in constant time. There must be one such header, and nothing says
//     how old the body is.
//
// It does not remember what it has seen: that is for the caller, by Digest.
func (r *Receiver) Verify(h http.Header, body []byte, now time.Time) (Proof, error) {
	if h.Get(HeaderSignature) != "" {
		if len(r.standard.keys) == 0 {
			return Proof{}, fmt.Errorf("%w: there is no secret", ErrSignature)
		}
		if err := r.standard.Verify(h, body, now); err != nil {
			return Proof{}, err
		}
		id, stamp := h.Get(HeaderID), h.Get(HeaderTimestamp)
		seconds, err := strconv.ParseInt(stamp, 10, 64)
		if err != nil {
			return Proof{}, fmt.Errorf("%w: no usable %s", ErrSignature, HeaderTimestamp)
		}
		// An id has no dot, so no two notices are one text.
		return Proof{Digest: digest("standard", []byte(id+"."+stamp+"."), body), SignedAt: time.Unix(seconds, 0)}, nil
	}
	given := h.Values(HeaderBodySignature)
	if len(r.bodies) == 0 || len(given) != 1 || len(given[0]) > 256 {
		return Proof{}, fmt.Errorf("%w: no secret, or not one %s", ErrSignature, HeaderBodySignature)
	}
	got, err := r.decode(given[0])
	if err != nil {
		return Proof{}, fmt.Errorf("%w: %s can't be decoded", ErrSignature, HeaderBodySignature)
	}
	right := false
	for _, key := range r.bodies {
		m := hmac.New(sha256.New, key)
		m.Write(body)
		right = hmac.Equal(got, m.Sum(nil)) || right
	}
	if !right {
		return Proof{}, ErrSignature
	}
	return Proof{Digest: digest("body", nil, body)}, nil
}

// digest is of one text for each kind of signature. The signature itself is left out: with two
// secrets in force the same notice has two.
func digest(kind string, head, body []byte) [sha256.Size]byte {
	m := sha256.New()
	m.Write([]byte(kind + "\x00"))
	m.Write(head)
	m.Write(body)
	return [sha256.Size]byte(m.Sum(nil))
}
