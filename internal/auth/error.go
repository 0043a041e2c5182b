package auth

import (
	"errors"
	"time"
)

// Code is a stable name of something that went wrong. Every surface owns a table
// from Code to its wire shape; a test walks all codes of [Codes] through each.
type Code string

// The codes. A code is finer than a wire code where the wire needs two statuses for
// one name.
const (
	CodeInternal        Code = "internal"          // ours to repair; the cause is logged, never shown
	CodeUnavailable     Code = "unavailable"       // a dependency can't be reached: try again
	CodeOverloaded      Code = "overloaded"        // too much work in hand: try again after RetryAfter
	CodeRequestTimeout  Code = "request_timeout"   // the time limit of one request ran out
	CodeBadJSON         Code = "bad_json"          // the body is not what the route reads
	CodeBodyTooLarge    Code = "body_too_large"    // over the size limit
	CodeValidation      Code = "validation_failed" // a field is wrong; Message says which
	CodeBadID           Code = "bad_id"            // a path segment is not a UUID
	CodeConflict        Code = "conflict"          // lost a race that can't be repaired by us
	CodeRateLimited     Code = "rate_limited"      // try again after RetryAfter
	CodeFeatureDisabled Code = "feature_disabled"  // not mounted, not configured or not built yet

	CodeNoAuthorization   Code = "no_authorization"     // no bearer token
	CodeBadJWT            Code = "bad_jwt"              // the token does not verify
	CodeBadSubject        Code = "bad_subject"          // the token's subject is not an account id
	CodeNotFirstParty     Code = "not_first_party"      // the token may not manage an account
	CodeNotAdmin          Code = "not_admin"            // an operator's token is needed
	CodeTokenUserNotFound Code = "token_user_not_found" // the token's account is gone
	CodeSessionNotFound   Code = "session_not_found"    // the token's session has ended
	CodeTokenUserBanned   Code = "token_user_banned"    // the token's account is banned
	CodeInsufficientAAL   Code = "insufficient_aal"     // a second factor is needed first

	CodeUserNotFound       Code = "user_not_found"      // admin look-up
	CodeUserAlreadyExists  Code = "user_already_exists" // sign-up of a taken address
	CodeEmailExists        Code = "email_exists"        // change to, or creation with, a taken address
	CodePhoneExists        Code = "phone_exists"        // the same for a number
	CodeInvalidCredentials Code = "invalid_credentials" // unknown account or wrong password: never tell which
	CodeUnsupportedGrant   Code = "unsupported_grant"   // unknown grant_type
	CodeUserBanned         Code = "user_banned"         // only after the right password
	CodeEmailNotConfirmed  Code = "email_not_confirmed" // only after the right password
	CodePhoneNotConfirmed  Code = "phone_not_confirmed" // only after the right password

	CodeSignupDisabled      Code = "signup_disabled"
	CodeAnonymousDisabled   Code = "anonymous_disabled"
	CodeEmailSignupDisabled Code = "email_signup_disabled"
	CodePhoneSignupDisabled Code = "phone_signup_disabled"
	CodeEmailLoginDisabled  Code = "email_login_disabled"
	CodePhoneLoginDisabled  Code = "phone_login_disabled"
	CodeSAMLDisabled        Code = "saml_disabled"
	CodeLinkingDisabled     Code = "linking_disabled"
	CodePasskeyDisabled     Code = "passkey_disabled"
	CodeWeb3Disabled        Code = "web3_disabled"
	CodeProviderUnsupported Code = "provider_unsupported" // external sign-in that is not configured
	CodeProviderDisabled    Code = "provider_disabled"    // sign-in by an ID token of a provider that is not configured
	CodeMFADisabled         Code = "mfa_disabled"

	CodeWeakPassword   Code = "weak_password" // Reasons says why
	CodeSamePassword   Code = "same_password"
	CodeSSOManaged     Code = "sso_managed"
	CodeNeedsAddress   Code = "needs_address"    // an anonymous account needs an address before a password
	CodeNoMailer       Code = "no_mailer"        // the change needs a message that can't be sent
	CodeReauthNeeded   Code = "reauth_needed"    // a nonce is needed for the change
	CodeCurrentNeeded  Code = "current_needed"   // the current password is needed for the change
	CodeCurrentInvalid Code = "current_password" // the current password is wrong

	CodeOTPDisabled       Code = "otp_disabled"        // no account, and none is to be made
	CodeOTPExpired        Code = "otp_expired"         // unknown, wrong, used or expired: never tell which
	CodeMagicLinkDisabled Code = "magic_link_disabled" // sign-in by mail is off
	CodeRecoverDisabled   Code = "recover_disabled"    // e-mail is off
	CodePhoneUnsupported  Code = "phone_unsupported"   // text messages are off
	CodeMailTooSoon       Code = "mail_too_soon"       // one mail of a kind in a while
	CodeSMSTooSoon        Code = "sms_too_soon"        // one text message of a kind in a while
	CodeMailLimit         Code = "mail_limit"          // the server's own budget of mails
	CodeSMSLimit          Code = "sms_limit"           // the server's own budget of text messages
	CodeFlowNotFound      Code = "flow_not_found"      // no such PKCE flow, or used
	CodeFlowExpired       Code = "flow_expired"        // PKCE code older than five minutes
	CodeBadVerifier       Code = "bad_code_verifier"   // PKCE verifier does not fit
	CodeReauthInvalid     Code = "reauth_invalid"      // wrong or expired nonce
	CodeReauthNoEmail     Code = "reauth_no_email"     // the address to send a nonce to is not proved
	CodeReauthNoPhone     Code = "reauth_no_phone"     // the number to send a nonce to is not proved

	CodeRefreshMalformed Code = "refresh_malformed" // not a token of ours
	CodeRefreshNotFound  Code = "refresh_not_found" // well-formed, but the session is gone
	CodeRefreshReused    Code = "refresh_reused"    // copied token: the session has been ended
	CodeRefreshExpired   Code = "refresh_expired"   // the session's own limits have passed

	CodeForbidden        Code = "forbidden"          // the caller lacks the right; Message may say which
	CodeRoleNotAllowed   Code = "role_not_allowed"   // nobody may give himself this role
	CodeUserInactive     Code = "user_inactive"      // only after authentication: the account is switched off
	CodeTenantNotFound   Code = "tenant_not_found"   // no such tenant
	CodeTenantDenied     Code = "tenant_denied"      // no open membership in an active tenant
	CodeSlugExists       Code = "slug_exists"        // another tenant has the slug
	CodeMemberExists     Code = "member_exists"      // has a membership already
	CodeMemberNotFound   Code = "member_not_found"   // has no membership
	CodeLastOwner        Code = "last_owner"         // the tenant would be left without an owner
	CodeRelationExists   Code = "relation_exists"    // the same relation holds already
	CodeRelationNotFound Code = "relation_not_found" // no such relation that holds
	CodeSessionUnknown   Code = "session_unknown"    // the caller has no such session
	CodeAppUnknown       Code = "app_unknown"        // no application of the registry has this name
	CodeWebhookSignature Code = "webhook_signature"  // the signature of a notice is missing, wrong, or of a secret that nobody has
	CodeWebhookStale     Code = "webhook_stale"      // the notice is too old, from the future, or does not say when it was made
	CodeWebhookReplayed  Code = "webhook_replayed"   // the same notice has been taken already
	CodeConsentUnknown   Code = "consent_unknown"    // nobody is asked for consent to this purpose
	CodeConsentVersion   Code = "consent_version"    // the text has changed since the person read it

	CodeIDToken        Code = "id_token_invalid"        // an ID token is not good, not new, or of another application
	CodeIdentityExists Code = "identity_already_exists" // the identity is linked to an account already

	CodeLegalHold       Code = "legal_hold"        // a legal hold forbids the deletion; Message has its reason
	CodeErasureBegun    Code = "erasure_begun"     // the deletion of this person has begun
	CodeErasureNotFound Code = "erasure_not_found" // no such deletion, or it has nothing left to do
	CodeHoldNotFound    Code = "hold_not_found"    // no such legal hold of this person
	CodeExportFailed    Code = "export_failed"     // a part of an export could not be had; Message says which

	CodeHookTimeout           Code = "hook_timeout"             // a hook did not answer within its time
	CodeHookTimeoutAfterRetry Code = "hook_timeout_after_retry" // a hook could not be reached by any of the tries
	CodeHookAnswerTooLarge    Code = "hook_payload_over_size_limit"
	CodeHookContentType       Code = "hook_payload_invalid_content_type"
	CodeHookRefused           Code = "hook_refused"   // a hook said no; hook.Refusal has its status and sentence
	CodeCaptchaFailed         Code = "captcha_failed" // no proof of a human, or none that could be verified

	CodeTriggerFailed  Code = "trigger_failed"  // a trigger that the application has on our tables raised; nothing was changed
	CodeTriggerRefused Code = "trigger_refused" // the same, on purpose: SQLSTATE PT4xx, Message is for the caller
	CodeAccountInUse   Code = "account_in_use"  // rows of the application refer to the account, which can't be deleted
)

// Codes lists every code, for the tests that prove each surface knows all of them.
func Codes() []Code {
	return []Code{
		CodeInternal, CodeUnavailable, CodeOverloaded, CodeRequestTimeout, CodeBadJSON, CodeBodyTooLarge,
		CodeValidation, CodeBadID, CodeConflict, CodeRateLimited, CodeFeatureDisabled,
		CodeNoAuthorization, CodeBadJWT, CodeBadSubject, CodeNotFirstParty, CodeNotAdmin, CodeTokenUserNotFound,
		CodeSessionNotFound, CodeTokenUserBanned, CodeInsufficientAAL,
		CodeUserNotFound, CodeUserAlreadyExists, CodeEmailExists, CodePhoneExists, CodeInvalidCredentials,
		CodeUnsupportedGrant, CodeUserBanned, CodeEmailNotConfirmed, CodePhoneNotConfirmed,
		CodeSignupDisabled, CodeAnonymousDisabled, CodeEmailSignupDisabled, CodePhoneSignupDisabled,
		CodeEmailLoginDisabled, CodePhoneLoginDisabled, CodeSAMLDisabled, CodeLinkingDisabled, CodePasskeyDisabled,
		CodeWeb3Disabled, CodeProviderUnsupported, CodeProviderDisabled, CodeMFADisabled,
		CodeWeakPassword, CodeSamePassword, CodeSSOManaged, CodeNeedsAddress, CodeNoMailer, CodeReauthNeeded, CodeCurrentNeeded,
		CodeCurrentInvalid,
		CodeOTPDisabled, CodeOTPExpired, CodeMagicLinkDisabled, CodeRecoverDisabled, CodePhoneUnsupported,
		CodeMailTooSoon, CodeSMSTooSoon, CodeMailLimit, CodeSMSLimit, CodeFlowNotFound, CodeFlowExpired, CodeBadVerifier,
		CodeReauthInvalid, CodeReauthNoEmail, CodeReauthNoPhone,
		CodeRefreshMalformed, CodeRefreshNotFound, CodeRefreshReused, CodeRefreshExpired,
		CodeForbidden, CodeRoleNotAllowed, CodeUserInactive, CodeTenantNotFound, CodeTenantDenied, CodeSlugExists,
		CodeMemberExists, CodeMemberNotFound, CodeLastOwner, CodeRelationExists, CodeRelationNotFound, CodeSessionUnknown,
		CodeAppUnknown, CodeWebhookSignature, CodeWebhookStale, CodeWebhookReplayed, CodeConsentUnknown, CodeConsentVersion,
		CodeIDToken, CodeIdentityExists,
		CodeLegalHold, CodeErasureBegun, CodeErasureNotFound, CodeHoldNotFound, CodeExportFailed,
		CodeHookTimeout, CodeHookTimeoutAfterRetry, CodeHookAnswerTooLarge, CodeHookContentType, CodeHookRefused,
		CodeCaptchaFailed, CodeTriggerFailed, CodeTriggerRefused, CodeAccountInUse,
	}
}

// Error is the one error type that crosses layers. Message is for the person who
// called, Cause for our log; Cause never reaches a caller.
type Error struct {
	Code       Code
	Message    string        // may be empty: the surface then says its own sentence for Code
	Cause      error         // logged only
	RetryAfter time.Duration // when trying again makes sense; zero: not told
	Reasons    []string      // machine-readable details, such as the reasons of a weak password
}

// E makes an Error with a code and a message for people.
func E(code Code, message string) *Error { return &Error{Code: code, Message: message} }

// Wrap makes an Error that keeps its cause for the log.
func Wrap(code Code, cause error) *Error { return &Error{Code: code, Cause: cause} }

// Error implements error. The text is for logs, not for callers.
func (e *Error) Error() string {
	s := string(e.Code)
	if e.Message != "" {
		s += ": " + e.Message
	}
	if e.Cause != nil {
		s += ": " + e.Cause.Error()
	}
	return s
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Cause }

// CodeOf gives the code of err. An error that is not an [Error] is CodeInternal: what
// we did not foresee must never be shown as if we had.
func CodeOf(err error) Code {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return CodeInternal
}

// Errors that a store returns. A surface never sees them bare: flow and grant decide
// what each means for the caller.
var (
	// ErrNotFound: no row matches.
	ErrNotFound = errors.New("auth: not found")
	// ErrEmailTaken: another live account has this e-mail address.
	ErrEmailTaken = errors.New("auth: e-mail address is taken")
	// ErrPhoneTaken: another live account has this phone number.
	ErrPhoneTaken = errors.New("auth: phone number is taken")
	// ErrIDTaken: the chosen id, or an identity's (provider, provider id), exists already.
	ErrIDTaken = errors.New("auth: id is taken")
	// ErrSlugTaken: another tenant has this slug.
	ErrSlugTaken = errors.New("auth: slug is taken")
	// ErrTooSoon: the last message of this kind was sent too short a time ago.
	ErrTooSoon = errors.New("auth: too soon after the last message")
	// ErrConflict: somebody else made this change first; read again and decide.
	ErrConflict = errors.New("auth: changed meanwhile")
)
