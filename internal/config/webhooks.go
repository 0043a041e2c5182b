package config

import (
	"errors"
	"strings"
)

// Webhooks says whose notices are taken, such as of an issuer that holds the passwords.
type Webhooks struct {
	Secret   Secret // none: every notice is refused
	Previous Secret // still taken, during a rotation
	Encoding string // of signatures of bodies: hex or base64
	Undated  bool   // notices need not say when they were made
}

func webhookSettings() []Setting {
	const group = "Notices of other servers"
	return []Setting{
		{Name: "CARDEA_WEBHOOK_SECRET", Aliases: []string{"SUPABASE_WEBHOOK_SECRET"}, Group: group, Secret: true,
			Help:  "Secret of `POST /api/v1/webhooks/...`: 16 bytes at least for signatures of the body (X-Supabase-Signature), or `v1,whsec_…` for Standard Webhooks. Without one every notice is refused.",
			field: webhookSecret(func(c *Config) *Secret { return &c.Webhooks.Secret })},
		{Name: "CARDEA_WEBHOOK_PREVIOUS_SECRET", Group: group, Secret: true, Help: "A secret that is taken as well while senders move to the new one.",
			field: webhookSecret(func(c *Config) *Secret { return &c.Webhooks.Previous })},
		{Name: "CARDEA_WEBHOOK_SIGNATURE_ENCODING", Aliases: []string{"SUPABASE_WEBHOOK_SIGNATURE_ENCODING"}, Group: group, Default: "hex",
			Help: "How X-Supabase-Signature is written.", field: choiceField(func(c *Config) *string { return &c.Webhooks.Encoding }, "hex", "base64")},
		{Name: "CARDEA_WEBHOOK_UNDATED", Group: group, Default: "false",
			Help:  "Take notices that do not say when they were made. A copy of one is refused for 5 minutes only: after that it can't be told from the next of the same kind.",
			field: boolField(func(c *Config) *bool { return &c.Webhooks.Undated })},
	}
}

// minWebhookSecret is the least length of a secret of signatures of bodies, in bytes: a
// shorter one can be guessed from one notice. The receiver looks at the rest.
const minWebhookSecret = 16

func webhookSecret(at func(*Config) *Secret) field {
	return secretField("text", at, func(s string) (Secret, error) {
		if s != "" && len(s) < minWebhookSecret && !strings.HasPrefix(s, "v1") {
			return nil, errors.New("has fewer than 16 bytes")
		}
		return Secret(s), cleanText(s)
	}, func(s Secret) string { return string(s) })
}
