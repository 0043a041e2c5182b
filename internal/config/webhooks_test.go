package config

import (
	"strings"
	"testing"
)

// S2.42: the names that the application's variables have, and secrets that are none.
func TestWebhookSettings(t *testing.T) {
	t.Parallel()
	c, _, err := Load(Sources{Dev: true, Env: []string{
		"SUPABASE_WEBHOOK_SECRET=a secret of the project", "SUPABASE_WEBHOOK_SIGNATURE_ENCODING=base64", "CARDEA_WEBHOOK_PREVIOUS_SECRET=v1,whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
	}})
	if w := c.Webhooks; err != nil || string(w.Secret) != "a secret of the project" || w.Encoding != "base64" || !w.Previous.Set() || w.Undated {
		t.Errorf("%v", err)
	}
	for _, bad := range []string{"CARDEA_WEBHOOK_SECRET=short7secret", "CARDEA_WEBHOOK_PREVIOUS_SECRET=short7secret", "CARDEA_WEBHOOK_SIGNATURE_ENCODING=base32"} {
		name, value, _ := strings.Cut(bad, "=")
		_, _, err := Load(Sources{Dev: true, Env: []string{bad}})
		if err == nil || !strings.Contains(err.Error(), name) || strings.Contains(err.Error(), value) && value != "base32" {
			t.Errorf("%s: %v", name, err)
		}
	}
}
