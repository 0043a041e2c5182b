// Package notify turns what happened into messages and hands them to whoever delivers
// them: mail by SMTP, text messages by a provider or a webhook, and, in dev, an inbox in
// memory.
//
// A message travels like this:
//
//	flow:   [Postbox.Put] → [Seal] → auth.Message → a row of the outbox, in the transaction of the change
//	job:    claims the row → [Deliverer.Deliver] → [Open] → [Templates.Render] → [Sender]
//
// The senders are [Inbox], notify/smtp and notify/sms; [Router] chooses among them.
//
// It is delivered at least once: a crash between sending and forgetting sends it again,
// with the same id in Message-ID (mail), webhook-id (webhook) and the provider's own field
// where it has one, so that a receiver can tell.
//
// Templates are Go templates with GoTrue's variables ([Vars]). Ours are embedded, in
// [Locales]; files of the operator replace them, one by one. Everything is parsed and
// executed once by [LoadTemplates], so that a mistake stops the start and not a recovery
// mail.
//
// Errors of a [Sender] tell permanent from temporary ones ([IsPermanent]) and never hold a
// code, a link or a password: they are stored and shown to operators.
package notify
