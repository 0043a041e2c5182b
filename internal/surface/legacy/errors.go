package legacy

import (
	"net/http"
	"time"

	"github.com/cardea-auth/cardea"
	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/hook"
	"github.com/cardea-auth/cardea/internal/web"
)

// Codes of this surface only: the domain has no addresses.
const (
	codeBadMethod   auth.Code = "bad_method"
	codeNoTenant    auth.Code = "no_tenant"
	codeConflicting auth.Code = "conflicting"
)

var (
	errBadMethod = auth.E(codeBadMethod, "")
	errNoTenant  = auth.E(codeNoTenant, "")
)

// wire is how a code looks outside.
type wire struct {
	status  int
	code    string
	message string // used when the error has none of its own
}

// Answers that several codes share: because old clients know no difference, or because a
// stranger must not.
//
//nolint:gochecknoglobals // constants
var (
	wrongCredentials = wire{401, "INVALID_CREDENTIALS", "E-mail address, phone number or password is wrong"}
	wrongRefresh     = wire{401, "REFRESH_TOKEN_INVALID", "The refresh token is not valid"}
	wrongCode        = wire{400, "CODE_INVALID", "The code or link is invalid or has expired"}
	wrongRequest     = wire{400, "BAD_REQUEST", "This request is not possible"}
	refused          = wire{403, string(cardea.CodeForbidden), "You are not allowed to do this"}
	missing          = wire{404, "NOT_FOUND", "There is nothing with this id"}
	conflict         = wire{409, "CONFLICT", "The request lost against another one, please try again"}
	taken            = wire{409, "USER_ALREADY_EXISTS", "This e-mail address or phone number is already registered"}
	switchedOff      = wire{404, "FEATURE_DISABLED", "This feature is not available on this server"}
	tooMany          = wire{429, "MESSAGE_LIMIT", "Too many messages have been sent, please try again later"}
	noMessages       = wire{503, "MESSAGES_UNAVAILABLE", "This server can't send the message that this needs"}
	hookFailed       = wire{503, "HOOK_FAILED", "The application behind this server did not answer in time or not properly"}
)

//nolint:gochecknoglobals // a constant table; Go has no constant maps
var wireTable = map[auth.Code]wire{
	codeBadMethod:   {405, string(cardea.CodeMethod), "This route does not have this method"},
	codeNoTenant:    {400, string(cardea.CodeTenantAbsent), "The request does not say which tenant it is for"},
	codeConflicting: {400, string(cardea.CodeConflictingIDs), "The request names two different tenants"},

	auth.CodeInternal:        {500, "INTERNAL_ERROR", "Unexpected failure"},
	auth.CodeUnavailable:     {503, "SERVICE_UNAVAILABLE", "The service is not available right now, please try again"},
	auth.CodeOverloaded:      {429, "TOO_BUSY", "Too many sign-ins at once, please try again in a moment"},
	auth.CodeRequestTimeout:  {504, "REQUEST_TIMEOUT", "The request took too long"},
	auth.CodeBadJSON:         {400, "BAD_JSON", "The body is not the JSON object that this route reads"},
	auth.CodeBodyTooLarge:    {413, string(cardea.CodeBodyTooLarge), "The request body is too large"},
	auth.CodeValidation:      {422, "VALIDATION_FAILED", "The request is not valid"},
	auth.CodeBadID:           missing,
	auth.CodeConflict:        conflict,
	auth.CodeRateLimited:     {429, string(cardea.CodeRateLimited), "Too many requests, please try again later"},
	auth.CodeFeatureDisabled: switchedOff,

	auth.CodeNoAuthorization:   {401, string(cardea.CodeHeaderMissing), "Authorization header is missing"},
	auth.CodeBadJWT:            {401, string(cardea.CodeTokenInvalid), "Token is not valid"},
	auth.CodeBadSubject:        {401, string(cardea.CodeSubject), "Token has no valid subject"},
	auth.CodeNotFirstParty:     {403, "FIRST_PARTY_REQUIRED", "Only a session of the account itself can do this"},
	auth.CodeNotAdmin:          {403, "NOT_ADMIN", "Only operators may do this"},
	auth.CodeTokenUserNotFound: {401, "ACCOUNT_GONE", "The account of the token does not exist any more"},
	auth.CodeSessionNotFound:   {401, "SESSION_ENDED", "The session of the token has ended"},
	auth.CodeTokenUserBanned:   {403, "ACCOUNT_BANNED", "The account is banned"},
	auth.CodeInsufficientAAL:   {403, string(cardea.CodeAAL), "A further authentication factor is required"},

	auth.CodeUserNotFound:       {404, "USER_NOT_FOUND", "User not found"},
	auth.CodeUserAlreadyExists:  taken,
	auth.CodeEmailExists:        taken,
	auth.CodePhoneExists:        taken,
	auth.CodeInvalidCredentials: wrongCredentials,
	auth.CodeUserBanned:         wrongCredentials, // S1.12: no word about the account
	auth.CodeUnsupportedGrant:   wrongRequest,
	auth.CodeEmailNotConfirmed:  {403, "EMAIL_NOT_VERIFIED", "The e-mail address has to be verified first"},
	auth.CodePhoneNotConfirmed:  {403, "PHONE_NOT_VERIFIED", "The phone number has to be verified first"},

	auth.CodeSignupDisabled:      {403, "SIGNUP_DISABLED", "Registration is closed"},
	auth.CodeAnonymousDisabled:   {403, "ANONYMOUS_DISABLED", "An e-mail address or phone number is needed"},
	auth.CodeEmailSignupDisabled: {403, "EMAIL_DISABLED", "Registration by e-mail address is off"},
	auth.CodePhoneSignupDisabled: {403, "PHONE_DISABLED", "Registration by phone number is off"},
	auth.CodeEmailLoginDisabled:  {403, "EMAIL_DISABLED", "Sign-in by e-mail address is off"},
	auth.CodePhoneLoginDisabled:  {403, "PHONE_DISABLED", "Sign-in by phone number is off"},
	auth.CodeSAMLDisabled:        switchedOff,
	auth.CodeLinkingDisabled:     switchedOff,
	auth.CodePasskeyDisabled:     switchedOff,
	auth.CodeWeb3Disabled:        switchedOff,
	auth.CodeProviderUnsupported: wrongRequest,
	auth.CodeProviderDisabled:    wrongRequest,
	auth.CodeMFADisabled:         switchedOff,

	auth.CodeWeakPassword:   {422, "WEAK_PASSWORD", "The password is too weak"},
	auth.CodeSamePassword:   {422, "SAME_PASSWORD", "The new password must be another one than the old"},
	auth.CodeSSOManaged:     refused,
	auth.CodeNeedsAddress:   {422, "ADDRESS_REQUIRED", "The account needs an e-mail address or phone number first"},
	auth.CodeNoMailer:       noMessages,
	auth.CodeReauthNeeded:   {403, string(cardea.CodeFresh), "A fresh sign-in is needed for this"},
	auth.CodeCurrentNeeded:  {422, "CURRENT_PASSWORD_REQUIRED", "The current password is needed for this"},
	auth.CodeCurrentInvalid: {400, "CURRENT_PASSWORD_INVALID", "The current password is wrong"},

	auth.CodeOTPDisabled:       refused,
	auth.CodeOTPExpired:        wrongCode,
	auth.CodeMagicLinkDisabled: refused,
	auth.CodeRecoverDisabled:   refused,
	auth.CodePhoneUnsupported:  noMessages,
	auth.CodeMailTooSoon:       tooMany,
	auth.CodeSMSTooSoon:        tooMany,
	auth.CodeMailLimit:         tooMany,
	auth.CodeSMSLimit:          tooMany,
	auth.CodeFlowNotFound:      wrongCode,
	auth.CodeFlowExpired:       wrongCode,
	auth.CodeBadVerifier:       wrongCode,
	auth.CodeReauthInvalid:     wrongCode,
	auth.CodeReauthNoEmail:     refused,
	auth.CodeReauthNoPhone:     refused,

	auth.CodeRefreshMalformed: wrongRefresh,
	auth.CodeRefreshNotFound:  wrongRefresh,
	auth.CodeRefreshReused:    wrongRefresh,
	auth.CodeRefreshExpired:   wrongRefresh,

	auth.CodeForbidden:        refused,
	auth.CodeRoleNotAllowed:   {403, "ROLE_NOT_ALLOWED", "This role can't be chosen"},
	auth.CodeUserInactive:     {403, string(cardea.CodeUserInactive), "This account is inactive"},
	auth.CodeTenantNotFound:   {404, "TENANT_NOT_FOUND", "Tenant not found"},
	auth.CodeTenantDenied:     {403, string(cardea.CodeTenant), "You are not a member of this tenant"},
	auth.CodeSlugExists:       conflict,
	auth.CodeMemberExists:     {409, "MEMBER_EXISTS", "This person is a member already"},
	auth.CodeMemberNotFound:   {404, "MEMBER_NOT_FOUND", "This person is not a member"},
	auth.CodeLastOwner:        conflict,
	auth.CodeRelationExists:   conflict,
	auth.CodeRelationNotFound: missing,
	auth.CodeSessionUnknown:   missing,
	auth.CodeAppUnknown:       {400, "UNKNOWN_APP", "There is no such application"},
	auth.CodeWebhookSignature: {401, "WEBHOOK_SIGNATURE_INVALID", "The signature is missing or wrong"},
	auth.CodeWebhookStale:     {401, "WEBHOOK_STALE", "The notice is too old, or does not say when it was made"},
	auth.CodeWebhookReplayed:  {409, "WEBHOOK_REPLAYED", "This notice has been received already"},
	auth.CodeConsentUnknown:   missing,
	auth.CodeConsentVersion:   {409, "CONSENT_VERSION", "The text is another one now; show it, and ask again"},
	auth.CodeIDToken:          {400, "ID_TOKEN_INVALID", "The ID token is not valid"},
	auth.CodeIdentityExists:   {409, "IDENTITY_EXISTS", "This identity is linked to another account"},

	auth.CodeLegalHold:       conflict,
	auth.CodeErasureBegun:    conflict,
	auth.CodeErasureNotFound: missing,
	auth.CodeHoldNotFound:    missing,
	auth.CodeExportFailed:    hookFailed,

	auth.CodeHookTimeout:           hookFailed,
	auth.CodeHookTimeoutAfterRetry: hookFailed,
	auth.CodeHookAnswerTooLarge:    hookFailed,
	auth.CodeHookContentType:       hookFailed,
	auth.CodeHookRefused:           {422, "HOOK_REFUSED", "The application behind this server refused the request"},
	auth.CodeTriggerFailed:         {500, "TRIGGER_FAILED", "A trigger of the application failed, and nothing was changed"},
	auth.CodeTriggerRefused:        {422, "TRIGGER_REFUSED", "The application refused the request"},
	auth.CodeAccountInUse:          {409, "ACCOUNT_IN_USE", "The application keeps something that belongs to this account"},
	auth.CodeCaptchaFailed:         {400, "CAPTCHA_FAILED", "The proof that a person is asking is missing or not valid"},
}

// writeError answers with a failure. What happened inside the server stays there.
func writeError(w http.ResponseWriter, r *http.Request, e *auth.Error) {
	out, ok := wireTable[e.Code]
	if !ok {
		out, e = wireTable[auth.CodeInternal], auth.Wrap(auth.CodeInternal, e)
	}
	body := web.Failure{Detail: out.message, Code: out.code, Reasons: e.Reasons}
	if e.Message != "" && out.status < http.StatusInternalServerError && out != wrongCredentials && out != wrongRefresh {
		body.Detail = e.Message
	}
	if refusal := hook.RefusalOf(e); refusal != nil { // the application's own words, and its status
		out.status, body.Detail = refusal.Status, refusal.Message
	}
	challenge := ""
	if out.status == http.StatusUnauthorized { // RFC 9110 §11.6.1
		challenge = "Bearer"
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
