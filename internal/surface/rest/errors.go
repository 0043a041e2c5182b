package rest

import (
	"net/http"
	"time"

	"github.com/cardea-auth/cardea"
	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/hook"
	"github.com/cardea-auth/cardea/internal/web"
)

// Codes of this surface only: the domain has no routes.
const (
	codeNoRoute   auth.Code = "no_route"
	codeBadMethod auth.Code = "bad_method"
)

var (
	errNoRoute   = auth.E(codeNoRoute, "")
	errBadMethod = auth.E(codeBadMethod, "")
)

// wire is how a code looks outside.
type wire struct {
	status  int
	code    string
	message string // used when the error has none of its own
}

// Sentences that several codes share, because a stranger must not be able to tell them apart.
const (
	saysCredentials = "E-mail address, phone number or password is wrong"
	saysCode        = "The code or link is invalid or has expired"
	saysRefresh     = "The refresh token is not valid"
	saysMessages    = "This server can't send the message that this needs"
	saysTooSoon     = "A message was sent a moment ago; please wait before asking for another"
	saysLimit       = "Too many messages have been sent; please try again later"
	saysHook        = "The application behind this server did not answer in time or not properly"
)

// wireOf is the one table from the domain's codes to this surface's.
func wireOf(c auth.Code) (wire, bool) {
	w, ok := wireTable[c]
	return w, ok
}

//nolint:gochecknoglobals // a constant table; Go has no constant maps
var wireTable = map[auth.Code]wire{
	codeNoRoute:   {404, "NOT_FOUND", "There is no such route"},
	codeBadMethod: {405, "METHOD_NOT_ALLOWED", "This route does not have this method"},

	auth.CodeInternal:        {500, "INTERNAL_ERROR", "Unexpected failure"},
	auth.CodeUnavailable:     {503, "SERVICE_UNAVAILABLE", "The service is not available right now, please try again"},
	auth.CodeOverloaded:      {429, "TOO_BUSY", "Too many sign-ins at once, please try again in a moment"},
	auth.CodeRequestTimeout:  {504, "REQUEST_TIMEOUT", "The request took too long"},
	auth.CodeBadJSON:         {400, "BAD_JSON", "The body is not the JSON object that this route reads"},
	auth.CodeBodyTooLarge:    {413, string(cardea.CodeBodyTooLarge), "The request body is too large"},
	auth.CodeValidation:      {422, "VALIDATION_FAILED", "The request is not valid"},
	auth.CodeBadID:           {404, "NOT_FOUND", "There is nothing with this id"},
	auth.CodeConflict:        {409, "CONFLICT", "The request lost against another one, please try again"},
	auth.CodeRateLimited:     {429, string(cardea.CodeRateLimited), "Too many requests, please try again later"},
	auth.CodeFeatureDisabled: {404, "FEATURE_DISABLED", "This feature is not available on this server"},

	auth.CodeNoAuthorization:   {401, string(cardea.CodeHeaderMissing), "Authorization header is missing"},
	auth.CodeBadJWT:            {401, string(cardea.CodeTokenInvalid), "Token is not valid"},
	auth.CodeBadSubject:        {401, string(cardea.CodeSubject), "Token has no valid subject"},
	auth.CodeNotFirstParty:     {403, "FIRST_PARTY_REQUIRED", "Only a session of the account itself can manage it"},
	auth.CodeNotAdmin:          {403, "NOT_ADMIN", "Only operators may do this"},
	auth.CodeTokenUserNotFound: {401, "ACCOUNT_GONE", "The account of the token does not exist any more"},
	auth.CodeSessionNotFound:   {401, "SESSION_ENDED", "The session of the token has ended"},
	auth.CodeTokenUserBanned:   {403, "ACCOUNT_BANNED", "The account is banned"},
	auth.CodeInsufficientAAL:   {403, string(cardea.CodeAAL), "A further authentication factor is required"},

	auth.CodeUserNotFound:       {404, "USER_NOT_FOUND", "User not found"},
	auth.CodeUserAlreadyExists:  {409, "USER_ALREADY_EXISTS", "This e-mail address or phone number is already registered"},
	auth.CodeEmailExists:        {409, "EMAIL_EXISTS", "This e-mail address is already registered"},
	auth.CodePhoneExists:        {409, "PHONE_EXISTS", "This phone number is already registered"},
	auth.CodeInvalidCredentials: {401, "INVALID_CREDENTIALS", saysCredentials},
	auth.CodeUserBanned:         {401, "INVALID_CREDENTIALS", saysCredentials}, // S1.12: no word about the account
	auth.CodeUnsupportedGrant:   {400, "UNSUPPORTED_GRANT", "This way to sign in is not available"},
	auth.CodeEmailNotConfirmed:  {403, "EMAIL_NOT_VERIFIED", "The e-mail address has to be verified first"},
	auth.CodePhoneNotConfirmed:  {403, "PHONE_NOT_VERIFIED", "The phone number has to be verified first"},

	auth.CodeSignupDisabled:      {403, "SIGNUP_DISABLED", "Registration is closed"},
	auth.CodeAnonymousDisabled:   {403, "ANONYMOUS_DISABLED", "An e-mail address or phone number is needed"},
	auth.CodeEmailSignupDisabled: {403, "EMAIL_DISABLED", "Registration by e-mail address is off"},
	auth.CodePhoneSignupDisabled: {403, "PHONE_DISABLED", "Registration by phone number is off"},
	auth.CodeEmailLoginDisabled:  {403, "EMAIL_DISABLED", "Sign-in by e-mail address is off"},
	auth.CodePhoneLoginDisabled:  {403, "PHONE_DISABLED", "Sign-in by phone number is off"},
	auth.CodeSAMLDisabled:        {404, "FEATURE_DISABLED", "SAML is off"},
	auth.CodeLinkingDisabled:     {404, "FEATURE_DISABLED", "Linking of identities is off"},
	auth.CodePasskeyDisabled:     {404, "FEATURE_DISABLED", "Passkeys are off"},
	auth.CodeWeb3Disabled:        {404, "FEATURE_DISABLED", "Wallet sign-in is off"},
	auth.CodeProviderUnsupported: {400, "PROVIDER_DISABLED", "This provider is not available"},
	auth.CodeProviderDisabled:    {400, "PROVIDER_DISABLED", "This provider is not available"},
	auth.CodeMFADisabled:         {404, "FEATURE_DISABLED", "Second factors are off"},

	auth.CodeWeakPassword:   {422, "WEAK_PASSWORD", "The password is too weak"},
	auth.CodeSamePassword:   {422, "SAME_PASSWORD", "The new password must be another one than the old"},
	auth.CodeSSOManaged:     {403, "SSO_MANAGED", "The account is managed by single sign-on"},
	auth.CodeNeedsAddress:   {422, "ADDRESS_REQUIRED", "The account needs an e-mail address or phone number before a password"},
	auth.CodeNoMailer:       {501, "MESSAGES_UNAVAILABLE", saysMessages},
	auth.CodeReauthNeeded:   {403, "REAUTHENTICATION_REQUIRED", "A fresh sign-in is needed for this"},
	auth.CodeCurrentNeeded:  {422, "CURRENT_PASSWORD_REQUIRED", "The current password is needed for this"},
	auth.CodeCurrentInvalid: {400, "CURRENT_PASSWORD_INVALID", "The current password is wrong"}, // 401 would sign clients out

	auth.CodeOTPDisabled:       {403, "CODE_DISABLED", "Sign-in by code is off"},
	auth.CodeOTPExpired:        {400, "CODE_INVALID", saysCode},
	auth.CodeMagicLinkDisabled: {403, "CODE_DISABLED", "Sign-in by mail is off"},
	auth.CodeRecoverDisabled:   {403, "EMAIL_DISABLED", "E-mail is off"},
	auth.CodePhoneUnsupported:  {403, "PHONE_DISABLED", "Text messages are off"},
	auth.CodeMailTooSoon:       {429, "MESSAGE_TOO_SOON", saysTooSoon},
	auth.CodeSMSTooSoon:        {429, "MESSAGE_TOO_SOON", saysTooSoon},
	auth.CodeMailLimit:         {429, "MESSAGE_LIMIT", saysLimit},
	auth.CodeSMSLimit:          {429, "MESSAGE_LIMIT", saysLimit},
	auth.CodeFlowNotFound:      {400, "CODE_INVALID", saysCode},
	auth.CodeFlowExpired:       {400, "CODE_INVALID", saysCode},
	auth.CodeBadVerifier:       {400, "CODE_INVALID", saysCode},
	auth.CodeReauthInvalid:     {400, "CODE_INVALID", saysCode},
	auth.CodeReauthNoEmail:     {403, "EMAIL_NOT_VERIFIED", "The e-mail address has to be verified first"},
	auth.CodeReauthNoPhone:     {403, "PHONE_NOT_VERIFIED", "The phone number has to be verified first"},

	auth.CodeRefreshMalformed: {401, "REFRESH_TOKEN_INVALID", saysRefresh},
	auth.CodeRefreshNotFound:  {401, "REFRESH_TOKEN_INVALID", saysRefresh},
	auth.CodeRefreshReused:    {401, "REFRESH_TOKEN_REUSED", "The refresh token was used before; the session has been ended"},
	auth.CodeRefreshExpired:   {401, "SESSION_ENDED", "The session has expired"},

	auth.CodeForbidden:        {403, string(cardea.CodeForbidden), "You are not allowed to do this"},
	auth.CodeRoleNotAllowed:   {403, "ROLE_NOT_ALLOWED", "This role can't be chosen"},
	auth.CodeUserInactive:     {403, "USER_INACTIVE", "This account is inactive"},
	auth.CodeTenantNotFound:   {404, "TENANT_NOT_FOUND", "Tenant not found"},
	auth.CodeTenantDenied:     {403, "TENANT_ACCESS_DENIED", "You are not a member of this tenant"},
	auth.CodeSlugExists:       {409, "SLUG_EXISTS", "A tenant with this slug already exists"},
	auth.CodeMemberExists:     {409, "MEMBER_EXISTS", "This person is a member already"},
	auth.CodeMemberNotFound:   {404, "MEMBER_NOT_FOUND", "This person is not a member"},
	auth.CodeLastOwner:        {409, "LAST_OWNER", "The last owner can't be taken away from a tenant"},
	auth.CodeRelationExists:   {409, "RELATION_EXISTS", "This relation exists already"},
	auth.CodeRelationNotFound: {404, "RELATION_NOT_FOUND", "Relation not found"},
	auth.CodeSessionUnknown:   {404, "SESSION_NOT_FOUND", "Session not found"},
	auth.CodeAppUnknown:       {400, "UNKNOWN_APP", "There is no such application"},
	auth.CodeWebhookSignature: {401, "WEBHOOK_SIGNATURE_INVALID", "The signature is missing or wrong"},
	auth.CodeWebhookStale:     {401, "WEBHOOK_STALE", "The notice is too old, or does not say when it was made"},
	auth.CodeWebhookReplayed:  {409, "WEBHOOK_REPLAYED", "This notice has been received already"},
	auth.CodeConsentUnknown:   {404, "CONSENT_UNKNOWN", "There is no such purpose"},
	auth.CodeConsentVersion:   {409, "CONSENT_VERSION", "The text is another one now; show it, and ask again"},
	auth.CodeIDToken:          {400, "ID_TOKEN_INVALID", "The ID token is not valid"},
	auth.CodeIdentityExists:   {409, "IDENTITY_EXISTS", "This identity is linked to another account"},

	auth.CodeLegalHold:       {409, "LEGAL_HOLD", "A legal hold forbids to delete this account"},
	auth.CodeErasureBegun:    {409, "ERASURE_BEGUN", "The deletion of this account has begun"},
	auth.CodeErasureNotFound: {404, "ERASURE_NOT_FOUND", "There is no such deletion"},
	auth.CodeHoldNotFound:    {404, "HOLD_NOT_FOUND", "There is no such legal hold"},
	auth.CodeExportFailed:    {502, "EXPORT_FAILED", "The export is not complete and was not made: a part of it could not be had"},

	auth.CodeHookTimeout:           {503, "HOOK_FAILED", saysHook},
	auth.CodeHookTimeoutAfterRetry: {503, "HOOK_FAILED", saysHook},
	auth.CodeHookAnswerTooLarge:    {503, "HOOK_FAILED", saysHook},
	auth.CodeHookContentType:       {503, "HOOK_FAILED", saysHook},
	auth.CodeHookRefused:           {422, "HOOK_REFUSED", "The application behind this server refused the request"},
	auth.CodeTriggerFailed:         {500, "TRIGGER_FAILED", "A trigger of the application failed, and nothing was changed"},
	auth.CodeTriggerRefused:        {422, "TRIGGER_REFUSED", "The application refused the request"},
	auth.CodeAccountInUse:          {409, "ACCOUNT_IN_USE", "The application keeps something that belongs to this account"},
	auth.CodeCaptchaFailed:         {400, "CAPTCHA_FAILED", "The proof that a person is asking is missing or not valid"},
}

// writeError answers with a failure. What happened inside the server stays there.
func writeError(w http.ResponseWriter, r *http.Request, e *auth.Error) {
	out, ok := wireOf(e.Code)
	if !ok {
		out, e = wireTable[auth.CodeInternal], auth.Wrap(auth.CodeInternal, e)
	}
	body := web.Failure{Detail: out.message, Code: out.code}
	if e.Message != "" && (out.status < http.StatusInternalServerError || e.Code == auth.CodeExportFailed) && !silent(e.Code) {
		body.Detail = e.Message
	}
	if e.Code == auth.CodeWeakPassword {
		body.Reasons = e.Reasons
	}
	if refusal := hook.RefusalOf(e); refusal != nil { // the application's own words, and its status
		out.status, body.Detail = refusal.Status, refusal.Message
	}
	challenge := ""
	if out.status == http.StatusUnauthorized {
		challenge = challengeOf(e.Code)
	}
	if token := web.TokenError(e); token != nil { // the credential itself: the public package knows it best
		body.Code, body.Detail, challenge = string(token.Code), token.Message, token.Challenge()
		out.status = token.HTTPStatus()
	}
	wait := e.RetryAfter
	if wait == 0 && out.status == http.StatusServiceUnavailable {
		wait = 5 * time.Second
	}
	web.RetryAfter(w.Header(), wait)
	web.WriteFailure(w, r, out.status, challenge, body)
}

// silent says that this surface says its own sentence for a code, whatever the flow says:
// the sentences of these must not differ (S1.12), or are made for another surface.
func silent(c auth.Code) bool {
	switch c {
	case auth.CodeInvalidCredentials, auth.CodeUserBanned, auth.CodeOTPExpired, auth.CodeRefreshMalformed, auth.CodeRefreshNotFound:
		return true
	}
	return false
}

// challengeOf is what a 401 asks for (RFC 9110 §11.6.1, RFC 6750 §3): another token, where
// there was one.
func challengeOf(c auth.Code) string {
	switch c {
	case auth.CodeBadJWT, auth.CodeBadSubject, auth.CodeTokenUserNotFound, auth.CodeSessionNotFound:
		return `Bearer error="invalid_token"`
	}
	return "Bearer"
}
