// Package hook calls the application's own code at fixed points of sign-up and sign-in:
// web services, whose requests are signed (Standard Webhooks), and functions in the
// application's PostgreSQL. Payloads and answers are GoTrue's.
//
//	hook                          payload besides metadata                 when it fails
//	before-user-created           user                                     closed: no account
//	after-user-created            user                                     open: the account stays, delivery is tried again
//	send-email                    user, email_data                         closed: nothing else sends it, delivery is tried again
//	send-sms                      user, sms                                closed: nothing else sends it, delivery is tried again
//	customize-access-token        user_id, claims, authentication_method   closed: no token
//	password-verification         user_id, valid                           closed: no sign-in
//	mfa-verification              user_id, factor_id, factor_type, valid   closed: no sign-in
//
// "Fails" is everything but an answer that can be understood: no connection, no time left,
// another status, another type, too long, no JSON. A hook refuses on purpose with
// {"error": {"http_code": 403, "message": "..."}}; the caller then gets a [Refusal].
//
// One call has five seconds for all of its tries, of which there are three. It is tried
// again when the service can't be reached, and when it says 429 or 503 with Retry-After. All
// tries have the same webhook-id, so a receiver can drop what it has seen.
//
// What an application's answer may not do is written at [Hooks.CustomizeAccessToken].
package hook
