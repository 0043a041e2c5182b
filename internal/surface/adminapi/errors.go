package adminapi

import (
	"errors"
	"net/http"

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

// wireOf is the one table from the domain's codes to this surface's. Codes that operators
// can't meet, since they are about somebody's own sign-in, are one row: what an operator asks
// for can't be done here.
func wireOf(c auth.Code) (wire, bool) {
	if w, ok := wireTable[c]; ok {
		return w, ok
	}
	for _, known := range auth.Codes() {
		if known == c {
			return wire{http.StatusConflict, "NOT_POSSIBLE", "This can't be done for this account"}, true
		}
	}
	return wire{}, false
}

//nolint:gochecknoglobals // a constant table; Go has no constant maps
var wireTable = map[auth.Code]wire{
	codeNoRoute:   {404, "NOT_FOUND", "There is no such route"},
	codeBadMethod: {405, "METHOD_NOT_ALLOWED", "This route does not have this method"},

	auth.CodeInternal:        {500, "INTERNAL_ERROR", "Unexpected failure"},
	auth.CodeUnavailable:     {503, "SERVICE_UNAVAILABLE", "The service is not available right now, please try again"},
	auth.CodeOverloaded:      {429, "TOO_BUSY", "Too much work at once, please try again in a moment"},
	auth.CodeRequestTimeout:  {504, "REQUEST_TIMEOUT", "The request took too long"},
	auth.CodeBadJSON:         {400, "BAD_JSON", "The body is not the JSON object that this route reads"},
	auth.CodeBodyTooLarge:    {413, "REQUEST_TOO_LARGE", "The request body is too large"},
	auth.CodeValidation:      {422, "VALIDATION_FAILED", "The request is not valid"},
	auth.CodeBadID:           {404, "NOT_FOUND", "There is nothing with this id"},
	auth.CodeConflict:        {409, "CONFLICT", "The request lost against another one, please look at it again"},
	auth.CodeRateLimited:     {429, string(cardea.CodeRateLimited), "Too many requests, please try again later"},
	auth.CodeFeatureDisabled: {404, "FEATURE_DISABLED", "This feature is not available on this server"},

	auth.CodeNoAuthorization: {401, string(cardea.CodeHeaderMissing), "Authorization header is missing"},
	auth.CodeBadJWT:          {401, string(cardea.CodeTokenInvalid), "The key is not valid"},
	auth.CodeBadSubject:      {401, string(cardea.CodeSubject), "Token has no valid subject"},
	auth.CodeNotAdmin:        {403, "NOT_ADMIN", "Only operators may do this, with a service_role token or an sb_secret_ key"},

	auth.CodeUserNotFound:       {404, "USER_NOT_FOUND", "There is no such account"},
	auth.CodeUserAlreadyExists:  {409, "USER_ALREADY_EXISTS", "There is such an account already"},
	auth.CodeEmailExists:        {409, "EMAIL_EXISTS", "Another account has this e-mail address already"},
	auth.CodePhoneExists:        {409, "PHONE_EXISTS", "Another account has this phone number already"},
	auth.CodeWeakPassword:       {422, "WEAK_PASSWORD", "The password is too weak"},
	auth.CodeSamePassword:       {422, "SAME_PASSWORD", "The new password must be another one than the old"},
	auth.CodeSSOManaged:         {409, "SSO_MANAGED", "The account is managed by single sign-on"},
	auth.CodeNoMailer:           {409, "MESSAGES_UNAVAILABLE", "This server can't send the message that this needs"},
	auth.CodePhoneUnsupported:   {409, "MESSAGES_UNAVAILABLE", "This server can't send text messages"},
	auth.CodeMailTooSoon:        {429, "MESSAGE_TOO_SOON", "A message was sent a moment ago; please wait before another"},
	auth.CodeSMSTooSoon:         {429, "MESSAGE_TOO_SOON", "A message was sent a moment ago; please wait before another"},
	auth.CodeMailLimit:          {429, "MESSAGE_LIMIT", "Too many messages have been sent; please try again later"},
	auth.CodeSMSLimit:           {429, "MESSAGE_LIMIT", "Too many messages have been sent; please try again later"},
	auth.CodeSignupDisabled:     {409, "SIGNUP_DISABLED", "New accounts are not allowed"},
	auth.CodeInvalidCredentials: {409, "NOT_POSSIBLE", "This can't be done for this account"},

	auth.CodeForbidden:        {403, string(cardea.CodeForbidden), "This is not allowed"},
	auth.CodeRoleNotAllowed:   {422, "ROLE_NOT_ALLOWED", "The catalogue has no such role for this place"},
	auth.CodeTenantNotFound:   {404, "TENANT_NOT_FOUND", "There is no such tenant"},
	auth.CodeTenantDenied:     {403, "TENANT_ACCESS_DENIED", "The tenant is out of reach"},
	auth.CodeSlugExists:       {409, "SLUG_EXISTS", "Another tenant has this slug already"},
	auth.CodeMemberExists:     {409, "MEMBER_EXISTS", "This person is a member already"},
	auth.CodeMemberNotFound:   {404, "MEMBER_NOT_FOUND", "This person is not a member"},
	auth.CodeLastOwner:        {409, "LAST_OWNER", "The tenant would be left without an owner"},
	auth.CodeRelationExists:   {409, "RELATION_EXISTS", "This relation holds already"},
	auth.CodeRelationNotFound: {404, "RELATION_NOT_FOUND", "There is no such relation, or it has ended"},
	auth.CodeSessionUnknown:   {404, "SESSION_NOT_FOUND", "This account has no such session"},
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
	auth.CodeErasureNotFound: {404, "ERASURE_NOT_FOUND", "There is no such deletion, or nothing of it is left to do"},
	auth.CodeHoldNotFound:    {404, "HOLD_NOT_FOUND", "This account has no such legal hold"},
	auth.CodeExportFailed:    {502, "EXPORT_FAILED", "The export is not complete and was not made: a part of it could not be had"},

	auth.CodeHookTimeout:           {503, "HOOK_FAILED", saysHook},
	auth.CodeHookTimeoutAfterRetry: {503, "HOOK_FAILED", saysHook},
	auth.CodeHookAnswerTooLarge:    {503, "HOOK_FAILED", saysHook},
	auth.CodeHookContentType:       {503, "HOOK_FAILED", saysHook},
	auth.CodeHookRefused:           {422, "HOOK_REFUSED", "The application behind this server refused the request"},
	auth.CodeTriggerFailed:         {500, "TRIGGER_FAILED", "A trigger of the application failed, and nothing was changed"},
	auth.CodeTriggerRefused:        {422, "TRIGGER_REFUSED", "The application refused the request"},
	auth.CodeAccountInUse:          {409, "ACCOUNT_IN_USE", "The application keeps something that belongs to this account"},
}

const saysHook = "The application behind this server did not answer in time or not properly"

// writeError answers with a failure. What happened inside the server stays there.
func writeError(w http.ResponseWriter, r *http.Request, e *auth.Error) {
	out, ok := wireOf(e.Code)
	if !ok {
		out, e = wireTable[auth.CodeInternal], auth.Wrap(auth.CodeInternal, e)
	}
	body := web.Failure{Detail: out.message, Code: out.code}
	if e.Message != "" && (out.status < http.StatusInternalServerError || e.Code == auth.CodeExportFailed) {
		body.Detail = e.Message
	}
	if e.Code == auth.CodeWeakPassword || e.Code == auth.CodeValidation {
		body.Reasons = e.Reasons
	}
	if refusal := hook.RefusalOf(e); refusal != nil { // the application's own words, and its status
		out.status, body.Detail = refusal.Status, refusal.Message
	}
	challenge := "Bearer"
	var token *cardea.Error
	if errors.As(e, &token) { // the credential itself: the public package knows it best
		body.Code, body.Detail, challenge = string(token.Code), token.Message, token.Challenge()
		out.status = token.HTTPStatus()
	}
	if out.status != http.StatusUnauthorized {
		challenge = ""
	}
	web.RetryAfter(w.Header(), e.RetryAfter)
	web.WriteFailure(w, r, out.status, challenge, body)
}
