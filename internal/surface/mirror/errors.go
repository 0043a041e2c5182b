package mirror

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

// wire is how a code looks outside. Without a code of its own it has the one of its status
// (S2.15), which is what this application's clients know.
type wire struct {
	status  int
	code    string
	message string // used when the error has none of its own
}

// codeOfStatus is the generic code of a status.
func codeOfStatus(status int) string {
	switch status {
	case http.StatusBadRequest:
		return "BAD_REQUEST"
	case http.StatusUnauthorized:
		return "UNAUTHORIZED"
	case http.StatusForbidden:
		return "FORBIDDEN"
	case http.StatusNotFound:
		return "NOT_FOUND"
	case http.StatusMethodNotAllowed:
		return "METHOD_NOT_ALLOWED"
	case http.StatusConflict:
		return "CONFLICT"
	case http.StatusRequestEntityTooLarge:
		return "REQUEST_TOO_LARGE"
	case http.StatusUnprocessableEntity:
		return "VALIDATION_ERROR"
	case http.StatusTooManyRequests:
		return "RATE_LIMIT_EXCEEDED"
	case http.StatusBadGateway:
		return "EXTERNAL_SERVICE_ERROR"
	case http.StatusServiceUnavailable:
		return "SERVICE_UNAVAILABLE"
	case http.StatusGatewayTimeout:
		return "REQUEST_TIMEOUT"
	}
	return "INTERNAL_ERROR"
}

// wireOf is the one table from the domain's codes to this surface's.
func wireOf(c auth.Code) (wire, bool) {
	w, ok := wireTable[c]
	if ok && w.code == "" {
		w.code = codeOfStatus(w.status)
	}
	return w, ok
}

// Sentences that several codes share.
const (
	saysDisabled = "This feature is not available on this server"
	saysCode     = "The code is invalid or has expired"
	saysSession  = "The session has ended, please sign in again"
	saysMessages = "This server can't send the message that this needs"
	saysLimit    = "Too many messages have been sent, please try again later"
	saysHook     = "The application behind this server did not answer in time or not properly"
	saysTaken    = "This e-mail address or phone number belongs to another account"
)

//nolint:gochecknoglobals // a constant table; Go has no constant maps
var wireTable = map[auth.Code]wire{
	codeNoRoute:   {404, "", "There is no such route"},
	codeBadMethod: {405, "", "This route does not have this method"},

	auth.CodeInternal:        {500, "", "Unexpected failure"},
	auth.CodeUnavailable:     {503, "", "The service is not available right now, please try again"},
	auth.CodeOverloaded:      {503, "", "The service is busy, please try again in a moment"},
	auth.CodeRequestTimeout:  {504, "", "The request took too long"},
	auth.CodeBadJSON:         {400, "", "The request body could not be read"},
	auth.CodeBodyTooLarge:    {413, "", "The request body is too large"},
	auth.CodeValidation:      {422, "", "The request is not valid"},
	auth.CodeBadID:           {404, "", "There is nothing with this id"},
	auth.CodeConflict:        {409, "", "The request lost against another one, please try again"},
	auth.CodeRateLimited:     {429, "", "Too many requests, please try again later"},
	auth.CodeFeatureDisabled: {404, "FEATURE_DISABLED", saysDisabled},

	auth.CodeNoAuthorization:   {401, string(cardea.CodeHeaderMissing), "Authorization header is missing"},
	auth.CodeBadJWT:            {401, string(cardea.CodeTokenInvalid), "Token is not valid"},
	auth.CodeBadSubject:        {401, string(cardea.CodeTokenInvalid), "Token has no valid subject"},
	auth.CodeNotFirstParty:     {403, "", "Only a session of the account itself can do this"},
	auth.CodeNotAdmin:          {403, "", "Only operators may do this"},
	auth.CodeTokenUserNotFound: {401, "AUTHENTICATION_FAILED", "The account of the token does not exist any more"},
	auth.CodeSessionNotFound:   {401, "AUTHENTICATION_FAILED", saysSession},
	auth.CodeTokenUserBanned:   {403, "USER_BANNED", "The account is banned"},
	auth.CodeInsufficientAAL:   {403, "", "A further authentication factor is required"},

	auth.CodeUserNotFound:       {404, "", "User not found"},
	auth.CodeUserAlreadyExists:  {409, "", saysTaken},
	auth.CodeEmailExists:        {409, "", saysTaken},
	auth.CodePhoneExists:        {409, "", saysTaken},
	auth.CodeInvalidCredentials: {401, "", "The credentials are wrong"},
	auth.CodeUnsupportedGrant:   {400, "", "This way to sign in is not available"},
	auth.CodeUserBanned:         {401, "", "The credentials are wrong"},
	auth.CodeEmailNotConfirmed:  {403, "", "The e-mail address has to be verified first"},
	auth.CodePhoneNotConfirmed:  {403, "", "The phone number has to be verified first"},

	auth.CodeSignupDisabled:      {403, "", "Registration is closed"},
	auth.CodeAnonymousDisabled:   {403, "", "An e-mail address or phone number is needed"},
	auth.CodeEmailSignupDisabled: {403, "", "E-mail addresses are off"},
	auth.CodePhoneSignupDisabled: {403, "", "Phone numbers are off"},
	auth.CodeEmailLoginDisabled:  {403, "", "Sign-in by e-mail address is off"},
	auth.CodePhoneLoginDisabled:  {403, "", "Sign-in by phone number is off"},
	auth.CodeSAMLDisabled:        {404, "FEATURE_DISABLED", saysDisabled},
	auth.CodeLinkingDisabled:     {404, "FEATURE_DISABLED", saysDisabled},
	auth.CodePasskeyDisabled:     {404, "FEATURE_DISABLED", saysDisabled},
	auth.CodeWeb3Disabled:        {404, "FEATURE_DISABLED", saysDisabled},
	auth.CodeProviderUnsupported: {400, "", "This provider is not available"},
	auth.CodeProviderDisabled:    {400, "", "This provider is not available"},
	auth.CodeMFADisabled:         {404, "FEATURE_DISABLED", saysDisabled},

	auth.CodeWeakPassword:   {422, "", "The password is too weak"},
	auth.CodeSamePassword:   {422, "", "The new password must be another one than the old"},
	auth.CodeSSOManaged:     {403, "", "The account is managed by single sign-on"},
	auth.CodeNeedsAddress:   {422, "", "The account needs an e-mail address or phone number first"},
	auth.CodeNoMailer:       {503, "", saysMessages},
	auth.CodeReauthNeeded:   {403, "REAUTHENTICATION_REQUIRED", "A fresh sign-in is needed for this"},
	auth.CodeCurrentNeeded:  {422, "", "The current password is needed for this"},
	auth.CodeCurrentInvalid: {400, "", "The current password is wrong"}, // 401 would sign clients out

	auth.CodeOTPDisabled:       {403, "", "Sign-in by code is off"},
	auth.CodeOTPExpired:        {400, "", saysCode},
	auth.CodeMagicLinkDisabled: {403, "", "Sign-in by mail is off"},
	auth.CodeRecoverDisabled:   {403, "", "E-mail is off"},
	auth.CodePhoneUnsupported:  {503, "", saysMessages},
	auth.CodeMailTooSoon:       {429, "", saysLimit},
	auth.CodeSMSTooSoon:        {429, "", saysLimit},
	auth.CodeMailLimit:         {429, "", saysLimit},
	auth.CodeSMSLimit:          {429, "", saysLimit},
	auth.CodeFlowNotFound:      {400, "", saysCode},
	auth.CodeFlowExpired:       {400, "", saysCode},
	auth.CodeBadVerifier:       {400, "", saysCode},
	auth.CodeReauthInvalid:     {400, "", saysCode},
	auth.CodeReauthNoEmail:     {403, "", "The e-mail address has to be verified first"},
	auth.CodeReauthNoPhone:     {403, "", "The phone number has to be verified first"},

	auth.CodeRefreshMalformed: {401, "", saysSession},
	auth.CodeRefreshNotFound:  {401, "", saysSession},
	auth.CodeRefreshReused:    {401, "", saysSession},
	auth.CodeRefreshExpired:   {401, "", saysSession},

	auth.CodeForbidden:        {403, "", "You are not allowed to do this"},
	auth.CodeRoleNotAllowed:   {403, "", "This role can't be chosen"},
	auth.CodeUserInactive:     {403, string(cardea.CodeUserInactive), "This account is inactive"},
	auth.CodeTenantNotFound:   {404, "", "Tenant not found"},
	auth.CodeTenantDenied:     {403, "", "You are not a member of this tenant"},
	auth.CodeSlugExists:       {409, "", "A tenant with this slug already exists"},
	auth.CodeMemberExists:     {409, "", "This person is a member already"},
	auth.CodeMemberNotFound:   {404, "", "This person is not a member"},
	auth.CodeLastOwner:        {409, "", "The last owner can't be taken away"},
	auth.CodeRelationExists:   {409, "", "This assignment exists already"},
	auth.CodeRelationNotFound: {404, "", "There is no such assignment"},
	auth.CodeSessionUnknown:   {404, "", "Session not found"},
	auth.CodeAppUnknown:       {400, "UNKNOWN_APP", "There is no such application"},
	auth.CodeWebhookSignature: {401, "", "The signature is missing or wrong"},
	auth.CodeWebhookStale:     {401, "WEBHOOK_STALE", "The notice is too old, or does not say when it was made"},
	auth.CodeWebhookReplayed:  {409, "WEBHOOK_REPLAYED", "This notice has been received already"},
	auth.CodeConsentUnknown:   {404, "CONSENT_UNKNOWN", "There is no such purpose"},
	auth.CodeConsentVersion:   {409, "CONSENT_VERSION", "The text is another one now; show it, and ask again"},
	auth.CodeIDToken:          {400, "ID_TOKEN_INVALID", "The ID token is not valid"},
	auth.CodeIdentityExists:   {400, "IDENTITY_EXISTS", "This identity is linked to another account"},

	auth.CodeLegalHold:       {409, "LEGAL_HOLD", "A legal hold forbids to delete this account"},
	auth.CodeErasureBegun:    {409, "", "The deletion of this account has begun"},
	auth.CodeErasureNotFound: {404, "", "There is no such deletion"},
	auth.CodeHoldNotFound:    {404, "", "There is no such legal hold"},
	auth.CodeExportFailed:    {502, "", "The export could not be made"},

	auth.CodeHookTimeout:           {502, "", saysHook},
	auth.CodeHookTimeoutAfterRetry: {502, "", saysHook},
	auth.CodeHookAnswerTooLarge:    {502, "", saysHook},
	auth.CodeHookContentType:       {502, "", saysHook},
	auth.CodeHookRefused:           {422, "", "The application behind this server refused the request"},
	auth.CodeTriggerFailed:         {500, "", "A trigger of the application failed, and nothing was changed"},
	auth.CodeTriggerRefused:        {422, "", "The application refused the request"},
	auth.CodeAccountInUse:          {409, "", "The application keeps something that belongs to this account"},
	auth.CodeCaptchaFailed:         {400, "", "The proof that a person is asking is missing or not valid"},
}

// failure is the body of every error.
type failure struct {
	Code    string         `json:"code"`
	Message string         `json:"message"`
	Details map[string]any `json:"details,omitempty"`
}

// writeError answers with a failure. What happened inside the server stays there.
func writeError(w http.ResponseWriter, r *http.Request, e *auth.Error) {
	out, ok := wireOf(e.Code)
	if !ok {
		out, _ = wireOf(auth.CodeInternal)
		e = auth.Wrap(auth.CodeInternal, e)
	}
	if token := web.TokenError(e); token != nil { // the credential itself: the public package knows it best
		setRetry(w.Header(), token.HTTPStatus(), e.RetryAfter)
		if token.HTTPStatus() == http.StatusUnauthorized {
			w.Header().Set("WWW-Authenticate", token.Challenge())
		}
		cardea.EncodeEnvelope(w, r, token)
		return
	}
	body := failure{Code: out.code, Message: out.message}
	if e.Message != "" && out.status < http.StatusInternalServerError {
		body.Message = e.Message
	}
	if refusal := hook.RefusalOf(e); refusal != nil { // the application's own words, and its status
		out.status, body.Code, body.Message = refusal.Status, codeOfStatus(refusal.Status), refusal.Message
	}
	if len(e.Reasons) > 0 {
		body.Details = map[string]any{"reasons": e.Reasons}
	}
	if out.status == http.StatusUnauthorized { // RFC 9110 §11.6.1, RFC 6750 §3
		w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
	}
	setRetry(w.Header(), out.status, e.RetryAfter)
	_ = web.WriteJSON(w, out.status, struct {
		Error failure `json:"error"`
	}{body})
}

// setRetry says when trying again makes sense: after the wait, or, when nobody knows, as long as
// this application's clients expect (S2.11, S2.15).
func setRetry(h http.Header, status int, wait time.Duration) {
	switch {
	case wait > 0:
	case status == http.StatusTooManyRequests:
		wait = time.Minute
	case status == http.StatusServiceUnavailable:
		wait = 5 * time.Second
	}
	web.RetryAfter(h, wait)
}
