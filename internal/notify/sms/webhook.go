package sms

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cardea-auth/cardea/internal/notify"
)

// webhookBody is what the receiver gets.
type webhookBody struct {
	ID        string      `json:"id"`
	Channel   string      `json:"channel"`
	Kind      notify.Kind `json:"kind"`
	To        string      `json:"to"` // E.164 with "+"
	Locale    string      `json:"locale"`
	Text      string      `json:"text"`
	Code      string      `json:"code,omitempty"`
	CreatedAt time.Time   `json:"created_at"`
}

// webhook signs id, time and body as Standard Webhooks 1.0 says: a receiver that checks it
// takes no message of anybody else, and no old one twice.
func (s *Sender) webhook(ctx context.Context, number string, m notify.Rendered) error {
	body, err := json.Marshal(webhookBody{
		ID: m.ID.String(), Channel: m.Channel, Kind: m.Kind, To: "+" + number, Locale: m.Locale, Text: m.Text, Code: m.Code,
		CreatedAt: m.CreatedAt.UTC(),
	})
	if err != nil {
		return err
	}
	id, at := m.ID.String(), strconv.FormatInt(s.c.Now().Unix(), 10)
	signatures := make([]string, len(s.secrets))
	for i, secret := range s.secrets {
		signatures[i] = sign(secret, id, at, body)
	}
	header := http.Header{}
	header.Set("Webhook-Id", id)
	header.Set("Webhook-Timestamp", at)
	header.Set("Webhook-Signature", strings.Join(signatures, " "))
	a, err := s.post(ctx, s.base, "application/json", body, header)
	if err != nil {
		return err
	}
	if a.status >= 200 && a.status < 300 {
		return nil
	}
	// The receiver's own words could be anything; its status is enough.
	forGood := []int{http.StatusBadRequest, http.StatusGone, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity}
	return s.failure(a, "", slices.Contains(forGood, a.status))
}

func sign(secret []byte, id, at string, body []byte) string {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(id + "." + at + "."))
	mac.Write(body)
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

func parseSecrets(joined string) ([][]byte, error) {
	var secrets [][]byte
	for text := range strings.SplitSeq(joined, "|") {
		text = strings.TrimPrefix(strings.TrimSpace(text), "v1,")
		encoded, ok := strings.CutPrefix(text, "whsec_")
		if !ok {
			return nil, errors.New("a secret has to begin with v1,whsec_")
		}
		secret, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil || len(secret) < 24 || len(secret) > 64 {
			return nil, errors.New("a secret has to be base64 of 24 to 64 bytes")
		}
		secrets = append(secrets, secret)
	}
	return secrets, nil
}
