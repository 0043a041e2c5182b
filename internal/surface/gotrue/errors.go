package gotrue

import (
	"net/http"
	"time"

	"github.com/cardea-auth/cardea/internal/auth"
	"github.com/cardea-auth/cardea/internal/hook"
	"github.com/cardea-auth/cardea/internal/web"
)

// apiVersion is the version from which on errors have the newer shape. It is a calendar
// date in the request header and, on errors only, in the answer's.
const (
	versionHeader = "X-Supabase-Api-Version"
	apiVersion    = "2024-01-01"
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

// wireOf is the one table from the domain's codes to GoTrue's; statuses, codes and
// sentences are those that Supabase's clients and their tests match on.
func wireOf(c auth.Code) (wire, bool) {
	w, ok := wireTable[c]
	return w, ok
}

//nolint:gochecknoglobals // a constant table; Go has no constant maps
var wireTable = map[auth.Code]wire{
	codeNoRoute:   {404, "not_found", "There is no such route"},
	codeBadMethod: {405, "method_not_allowed", "This route does not have this method"},

	auth.CodeInternal:        {500, "unexpected_failure", "Unexpected failure, please check server logs for more information"},
	auth.CodeUnavailable:     {503, "unexpected_failure", "The service is not available right now, please try again"},
	auth.CodeOverloaded:      {429, "over_request_rate_limit", "Too many sign-ins at once, please try again in a moment"},
	auth.CodeRequestTimeout:  {504, "request_timeout", "Request took too long to process"},
	auth.CodeBadJSON:         {400, "bad_json", "Could not parse request body as JSON"},
	auth.CodeBodyTooLarge:    {413, "request_entity_too_large", "Request body is too large"},
	auth.CodeValidation:      {400, "validation_failed", "The request is not valid"},
	auth.CodeBadID:           {404, "validation_failed", "user_id must be an UUID"},
	auth.CodeConflict:        {409, "conflict", "The request lost against another one, please try again"},
	auth.CodeRateLimited:     {429, "over_request_rate_limit", "Request rate limit reached"},
	auth.CodeFeatureDisabled: {404, "feature_disabled", "This feature is not available on this server"},

	auth.CodeNoAuthorization:   {401, "no_authorization", "This endpoint requires a valid Bearer token"},
	auth.CodeBadJWT:            {403, "bad_jwt", "invalid JWT: unable to parse or verify signature"},
	auth.CodeBadSubject:        {400, "bad_jwt", "invalid claim: sub claim must be a UUID"},
	auth.CodeNotFirstParty:     {403, "bad_jwt", "invalid JWT: only a session of the account itself can manage it"},
	auth.CodeNotAdmin:          {403, "not_admin", "User not allowed"},
	auth.CodeTokenUserNotFound: {403, "user_not_found", "User from sub claim in JWT does not exist"},
	auth.CodeSessionNotFound:   {403, "session_not_found", "Session from session_id claim in JWT does not exist"},
	auth.CodeTokenUserBanned:   {403, "user_banned", "User is banned"},
	auth.CodeInsufficientAAL: {401, "insufficient_aal",
		"AAL2 session is required to update email or password when MFA is enabled."},

	auth.CodeUserNotFound:       {404, "user_not_found", "User not found"},
	auth.CodeUserAlreadyExists:  {422, "user_already_exists", "User already registered"},
	auth.CodeEmailExists:        {422, "email_exists", "A user with this email address has already been registered"},
	auth.CodePhoneExists:        {422, "phone_exists", "A user with this phone number has already been registered"},
	auth.CodeInvalidCredentials: {400, "invalid_credentials", "Invalid login credentials"},
	auth.CodeUnsupportedGrant:   {400, "invalid_credentials", "unsupported_grant_type"},
	auth.CodeUserBanned:         {400, "user_banned", "User is banned"},
	auth.CodeEmailNotConfirmed:  {400, "email_not_confirmed", "Email not confirmed"},
	auth.CodePhoneNotConfirmed:  {400, "phone_not_confirmed", "Phone not confirmed"},

	auth.CodeSignupDisabled:      {422, "signup_disabled", "Signups not allowed for this instance"},
	auth.CodeAnonymousDisabled:   {422, "anonymous_provider_disabled", "Anonymous sign-ins are disabled"},
	auth.CodeEmailSignupDisabled: {400, "email_provider_disabled", "Email signups are disabled"},
	auth.CodePhoneSignupDisabled: {400, "phone_provider_disabled", "Phone signups are disabled"},
	auth.CodeEmailLoginDisabled:  {422, "email_provider_disabled", "Email logins are disabled"},
	auth.CodePhoneLoginDisabled:  {422, "phone_provider_disabled", "Phone logins are disabled"},
	auth.CodeSAMLDisabled:        {404, "saml_provider_disabled", "SAML 2.0 is disabled"},
	auth.CodeLinkingDisabled:     {404, "manual_linking_disabled", "Manual linking is disabled"},
	auth.CodePasskeyDisabled:     {404, "passkey_disabled", "Passkeys are disabled"},
	auth.CodeWeb3Disabled:        {422, "web3_provider_disabled", "Web3 provider is disabled"},
	auth.CodeProviderUnsupported: {400, "validation_failed", "Unsupported provider: provider is not enabled"},
	auth.CodeProviderDisabled:    {400, "provider_disabled", "Provider is not enabled"},
	auth.CodeMFADisabled:         {422, "mfa_totp_enroll_not_enabled", "MFA enroll is disabled for TOTP"},

	auth.CodeWeakPassword: {422, "weak_password", "Password is too weak"},
	auth.CodeSamePassword: {422, "same_password", "New password should be different from the old password."},
	auth.CodeSSOManaged:   {422, "user_sso_managed", "Cannot update email, phone, or password of an SSO managed user"},
	auth.CodeNeedsAddress: {422, "validation_failed",
		"Updating password of an anonymous user without an email or phone is not allowed"},
	auth.CodeNoMailer:       {404, "feature_disabled", "This change needs a message, which this server can't send yet"},
	auth.CodeReauthNeeded:   {400, "reauthentication_needed", "Password update requires reauthentication"},
	auth.CodeCurrentNeeded:  {400, "current_password_required", "Current password required when setting new password."},
	auth.CodeCurrentInvalid: {400, "current_password_invalid", "Current password invalid"},

	auth.CodeOTPDisabled:       {422, "otp_disabled", "Signups not allowed for otp"},
	auth.CodeOTPExpired:        {403, "otp_expired", "Token has expired or is invalid"},
	auth.CodeMagicLinkDisabled: {422, "email_provider_disabled", "Login with magic link is disabled"},
	auth.CodeRecoverDisabled:   {400, "email_provider_disabled", "Email logins are disabled"},
	auth.CodePhoneUnsupported:  {400, "phone_provider_disabled", "Unsupported phone provider"},
	auth.CodeMailTooSoon:       {429, "over_email_send_rate_limit", "For security purposes, you can only request this later."},
	auth.CodeSMSTooSoon:        {429, "over_sms_send_rate_limit", "For security purposes, you can only request this later."},
	auth.CodeMailLimit:         {429, "over_email_send_rate_limit", "email rate limit exceeded"},
	auth.CodeSMSLimit:          {429, "over_sms_send_rate_limit", "sms rate limit exceeded"},
	auth.CodeFlowNotFound:      {404, "flow_state_not_found", "invalid flow state, no valid flow state found"},
	auth.CodeFlowExpired:       {422, "flow_state_expired", "invalid flow state, flow state has expired"},
	auth.CodeBadVerifier:       {400, "bad_code_verifier", "code challenge does not match previously saved code verifier"},
	auth.CodeReauthInvalid:     {422, "reauthentication_not_valid", "Nonce has expired or is invalid"},
	auth.CodeReauthNoEmail:     {422, "email_not_confirmed", "Please verify your email first."},
	auth.CodeReauthNoPhone:     {422, "phone_not_confirmed", "Please verify your phone first."},

	auth.CodeRefreshMalformed: {400, "validation_failed", "Refresh token is not valid"},
	auth.CodeRefreshNotFound:  {400, "refresh_token_not_found", "Invalid Refresh Token: Refresh Token Not Found"},
	auth.CodeRefreshReused:    {400, "refresh_token_already_used", "Invalid Refresh Token: Already Used"},
	auth.CodeRefreshExpired:   {400, "session_expired", "Invalid Refresh Token: Session Expired"},

	// GoTrue has no tenants and no profiles; these are of the other surfaces, and of accounts
	// that are switched off.
	auth.CodeForbidden:        {403, "forbidden", "You are not allowed to do this"},
	auth.CodeRoleNotAllowed:   {403, "role_not_allowed", "This role can't be chosen"},
	auth.CodeUserInactive:     {403, "user_inactive", "This account is inactive"},
	auth.CodeTenantNotFound:   {404, "tenant_not_found", "Tenant not found"},
	auth.CodeTenantDenied:     {403, "tenant_denied", "You are not a member of this tenant"},
	auth.CodeSlugExists:       {409, "slug_exists", "A tenant with this slug already exists"},
	auth.CodeMemberExists:     {409, "member_exists", "This person is a member already"},
	auth.CodeMemberNotFound:   {404, "member_not_found", "This person is not a member"},
	auth.CodeLastOwner:        {409, "last_owner", "The last owner can't be taken away from a tenant"},
	auth.CodeRelationExists:   {409, "relation_exists", "This relation exists already"},
	auth.CodeRelationNotFound: {404, "relation_not_found", "Relation not found"},
	auth.CodeSessionUnknown:   {404, "session_unknown", "Session not found"},
	auth.CodeAppUnknown:       {400, "app_unknown", "There is no such application"},
	auth.CodeWebhookSignature: {401, "webhook_signature", "The signature is missing or wrong"},
	auth.CodeWebhookStale:     {401, "webhook_stale", "The notice is too old, or does not say when it was made"},
	auth.CodeWebhookReplayed:  {409, "webhook_replayed", "This notice has been received already"},
	auth.CodeConsentUnknown:   {404, "consent_unknown", "There is no such purpose"},
	auth.CodeConsentVersion:   {409, "consent_version", "The text is another one now; show it, and ask again"},
	auth.CodeIDToken:          {400, "bad_jwt", "The ID token is not valid"},
	auth.CodeIdentityExists:   {422, "identity_already_exists", "Identity is already linked to another user"},

	auth.CodeLegalHold:       {409, "conflict", "A legal hold forbids to delete this account"},
	auth.CodeErasureBegun:    {409, "conflict", "The deletion of this account has begun"},
	auth.CodeErasureNotFound: {404, "erasure_not_found", "There is no such deletion"},
	auth.CodeHoldNotFound:    {404, "hold_not_found", "There is no such legal hold"},
	auth.CodeExportFailed:    {502, "export_failed", "The export could not be made"},

	auth.CodeHookTimeout:           {422, "hook_timeout", "Failed to reach hook within maximum time of 5.000000 seconds"},
	auth.CodeHookTimeoutAfterRetry: {422, "hook_timeout_after_retry", "Failed to reach hook after maximum retries"},
	auth.CodeHookAnswerTooLarge:    {422, "hook_payload_over_size_limit", "Payload size exceeded size limit of 204800 bytes"},
	auth.CodeHookContentType:       {400, "hook_payload_invalid_content_type", "Invalid JSON response from hook"},
	auth.CodeHookRefused:           {422, "unknown", "The request was refused by a hook"},
	auth.CodeTriggerFailed:         {500, "unexpected_failure", "Database error saving new user"},
	auth.CodeTriggerRefused:        {422, "trigger_refused", "The application refused the request"},
	auth.CodeAccountInUse:          {409, "account_in_use", "Database error deleting user"},
	auth.CodeCaptchaFailed:         {400, "captcha_failed", "captcha protection: request disallowed"},
}

// weakReasons is the member that tells why a password was refused.
type weakReasons struct {
	Message string   `json:"message,omitempty"`
	Reasons []string `json:"reasons"`
}

// writeError answers with one of GoTrue's two shapes. Clients that send the version header
// get {code, message} with a string code; the others {code, error_code, msg} with the
// status as code.
func (s *surface) writeError(w http.ResponseWriter, r *http.Request, e *auth.Error) {
	out, ok := wireOf(e.Code)
	if !ok {
		out, e = wireTable[auth.CodeInternal], auth.Wrap(auth.CodeInternal, e)
	}
	message := out.message
	if e.Message != "" && (out.status < 500 || e.Code == auth.CodeTriggerFailed) { // GoTrue's own sentence for each place
		message = e.Message
	}
	if r := hook.RefusalOf(e); r != nil { // the application's own words, and its status
		out.status, message = r.Status, r.Message
	}
	h := w.Header()
	h.Set("X-Sb-Error-Code", out.code)
	web.RetryAfter(h, e.RetryAfter)
	if out.status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", "Bearer")
	}
	var weak *weakReasons
	if e.Code == auth.CodeWeakPassword {
		weak = &weakReasons{Reasons: e.Reasons}
	}
	if newShape(r) {
		h.Set(versionHeader, apiVersion)
		_ = web.WriteJSON(w, out.status, struct {
			Code    string       `json:"code"`
			Message string       `json:"message"`
			Weak    *weakReasons `json:"weak_password,omitempty"`
		}{out.code, message, weak})
		return
	}
	id := ""
	if ev := web.EventFrom(r.Context()); ev != nil && out.status >= 500 {
		id = ev.RequestID
	}
	_ = web.WriteJSON(w, out.status, struct {
		Code  int          `json:"code"`
		Error string       `json:"error_code"`
		Msg   string       `json:"msg"`
		ID    string       `json:"error_id,omitempty"`
		Weak  *weakReasons `json:"weak_password,omitempty"`
	}{out.status, out.code, message, id, weak})
}

// newShape reports whether the client knows the newer error shape.
func newShape(r *http.Request) bool {
	v, err := time.Parse(time.DateOnly, r.Header.Get(versionHeader))
	if err != nil {
		return false
	}
	since, _ := time.Parse(time.DateOnly, apiVersion)
	return !v.Before(since)
}
