package rest

import (
	"net/http"

	"github.com/cardea-auth/cardea/internal/auth"
)

const aboutAPI = "Accounts, sessions and tenants of an application. " +
	"Requests and answers are JSON. Sign in with `POST /api/auth/login`, send `access_token` as `Authorization: Bearer`, " +
	"and exchange `refresh_token` for the next pair when it expires: each refresh token works once. " +
	"Errors have a stable `code`; `detail` is for people. Members that a request does not know are ignored; null means not given."

// The groups of operations.
const (
	tagAuth     = "Signing in"
	tagSessions = "Sessions"
	tagUsers    = "Own profile"
	tagConsents = "Consents"
	tagTenants  = "Tenants"
	tagMembers  = "Members"
	tagRelation = "Relations"
)

func tags() []docTag {
	return []docTag{
		{tagAuth, "Register, sign in and out, and what to do with a forgotten password."},
		{tagSessions, "The devices on which the account is signed in."},
		{tagUsers, "What the application knows of the person who asks."},
		{tagConsents, "What the person agrees to, purpose by purpose, and takes back."},
		{tagTenants, "Organisations whose data is kept apart, such as clinics. A session has at most one active tenant."},
		{tagMembers, "Who belongs to a tenant, and as what. What somebody may do is read from the database at each request."},
		{tagRelation, "Who cares for whom, and whose patient somebody is, with a start and an end."},
	}
}

// routes is the route table.
func routes() []operation {
	var table []operation
	for _, part := range [][]operation{signingIn(), passwords(), ownSessions(), ownProfile(), gateRoutes(), consentRoutes(), identifierRoutes(), privacyRoutes(), tenantRoutes(), memberRoutes(), relationRoutes()} {
		table = append(table, part...)
	}
	return table
}

func signingIn() []operation {
	return []operation{
		{
			method: "POST", path: "/api/auth/register", id: "register", tag: tagAuth, public: true, hooked: true,
			summary: "Make an account",
			text: "201 has the tokens of the first session. 202 comes where the address has to be proved first, and, unless the server " +
				"is set to explicit answers, for an address that somebody has already: its owner is told by mail, and nobody else.",
			codes: []auth.Code{
				auth.CodeUserAlreadyExists, auth.CodeWeakPassword, auth.CodeRoleNotAllowed, auth.CodeSignupDisabled,
				auth.CodeAnonymousDisabled, auth.CodeEmailSignupDisabled, auth.CodePhoneSignupDisabled, auth.CodeTenantNotFound,
				auth.CodeCaptchaFailed, auth.CodeNoMailer, auth.CodePhoneUnsupported, auth.CodeMailTooSoon, auth.CodeSMSTooSoon, auth.CodeMailLimit, auth.CodeSMSLimit,
			},
			run: either(reply{status: http.StatusCreated, what: "The account, signed in."},
				reply{status: http.StatusAccepted, what: "A message is on its way, or nothing has to be said."}, (*surface).register),
		}, {
			method: "POST", path: "/api/auth/login", id: "login", tag: tagAuth, public: true, hooked: true,
			summary: "Sign in with a password",
			text:    "An unknown account, a wrong password and an account that may not sign in are one answer.",
			codes: []auth.Code{
				auth.CodeInvalidCredentials, auth.CodeUserBanned, auth.CodeEmailNotConfirmed, auth.CodePhoneNotConfirmed,
				auth.CodeEmailLoginDisabled, auth.CodePhoneLoginDisabled, auth.CodeCaptchaFailed,
			},
			run: answer(http.StatusOK, "Signed in.", (*surface).login),
		}, {
			method: "POST", path: "/api/auth/refresh", id: "refresh", tag: tagAuth, public: true, hooked: true,
			summary: "Exchange a refresh token for new tokens",
			text: "A refresh token works once. Sent again within a few seconds, as by a client that lost the answer, it gives the " +
				"current pair; later it means that somebody copied it, and the session ends.",
			codes: []auth.Code{
				auth.CodeRefreshMalformed, auth.CodeRefreshNotFound, auth.CodeRefreshReused, auth.CodeRefreshExpired, auth.CodeUserBanned,
				auth.CodeTokenUserBanned,
			},
			run: answer(http.StatusOK, "The next pair.", (*surface).refresh),
		}, {
			method: "POST", path: "/api/auth/logout", id: "logout", tag: tagAuth, summary: "Sign out",
			run: answer(http.StatusNoContent, "Signed out.", (*surface).logout),
		}, {
			method: "GET", path: "/api/auth/me", id: "me", tag: tagAuth, summary: "Who am I?",
			text: "The same as GET /api/users/me.",
			run:  answer(http.StatusOK, "The caller.", (*surface).me),
		}, {
			method: "POST", path: "/api/auth/verify", id: "verify", tag: tagAuth, public: true, hooked: true,
			summary: "Prove an address by a code or by the token of a link",
			text:    "Signs in. A code dies after its sixth wrong try.",
			codes: []auth.Code{
				auth.CodeOTPExpired, auth.CodeTokenUserBanned, auth.CodeEmailExists, auth.CodePhoneExists, auth.CodeUserInactive,
			},
			run: either(reply{status: http.StatusOK, what: "Proved, and signed in."},
				reply{status: http.StatusAccepted, what: "The first of two proofs of a new e-mail address."}, (*surface).verify),
		},
	}
}

func passwords() []operation {
	return []operation{
		{
			method: "POST", path: "/api/auth/request-reset", id: "requestReset", tag: tagAuth, public: true,
			summary: "Ask for a link to set a new password",
			text:    "The same answer for every address.",
			codes: []auth.Code{
				auth.CodeRecoverDisabled, auth.CodeNoMailer, auth.CodeCaptchaFailed, auth.CodeMailTooSoon, auth.CodeMailLimit,
			},
			run: answer(http.StatusAccepted, "A message is on its way, if there is such an account.", (*surface).requestReset),
		}, {
			method: "POST", path: "/api/auth/reset-password", id: "resetPassword", tag: tagAuth, public: true,
			summary: "Set a new password with the token of the link",
			text:    "Ends every session of the account. The token works once.",
			codes:   []auth.Code{auth.CodeOTPExpired, auth.CodeWeakPassword, auth.CodeSamePassword, auth.CodeTokenUserBanned},
			run:     answer(http.StatusNoContent, "The password is set.", (*surface).resetPassword),
		}, {
			method: "POST", path: "/api/auth/change-password", id: "changePassword", tag: tagAuth,
			summary: "Change the password",
			text:    "Ends all other sessions of the account; the one that asks stays.",
			codes: []auth.Code{
				auth.CodeCurrentNeeded, auth.CodeCurrentInvalid, auth.CodeWeakPassword, auth.CodeSamePassword, auth.CodeInsufficientAAL,
				auth.CodeSSOManaged, auth.CodeNeedsAddress, auth.CodeReauthNeeded,
			},
			run: answer(http.StatusNoContent, "The password is changed.", (*surface).changePassword),
		},
	}
}

func ownSessions() []operation {
	return []operation{
		{
			method: "GET", path: "/api/auth/sessions", id: "listSessions", tag: tagSessions, summary: "List the living sessions",
			run: answer(http.StatusOK, "The sessions.", (*surface).sessions),
		}, {
			method: "DELETE", path: "/api/auth/sessions", id: "endSessions", tag: tagSessions, summary: "End all sessions, or all others",
			run: answer(http.StatusNoContent, "Ended.", (*surface).endSessions),
		}, {
			method: "PATCH", path: "/api/auth/sessions/{session}", id: "nameSession", tag: tagSessions, summary: "Name a session",
			codes: []auth.Code{auth.CodeSessionUnknown},
			run:   answer(http.StatusNoContent, "Named.", (*surface).nameSession),
		}, {
			method: "DELETE", path: "/api/auth/sessions/{session}", id: "endSession", tag: tagSessions, summary: "End one session",
			codes: []auth.Code{auth.CodeSessionUnknown},
			run:   answer(http.StatusNoContent, "Ended.", (*surface).endSession),
		},
	}
}

func ownProfile() []operation {
	return []operation{
		{
			method: "GET", path: "/api/users/me", id: "getProfile", tag: tagUsers, summary: "Read the own account and profile",
			run: answer(http.StatusOK, "The caller.", (*surface).me),
		}, {
			method: "PATCH", path: "/api/users/me", id: "updateProfile", tag: tagUsers, summary: "Change the own profile",
			text: "What is not given stays. A new e-mail address or phone number waits until it is proved; the old one stays in use meanwhile.",
			codes: []auth.Code{
				auth.CodeForbidden, auth.CodeEmailExists, auth.CodePhoneExists, auth.CodeNoMailer, auth.CodeMailTooSoon, auth.CodeSMSTooSoon,
				auth.CodeMailLimit, auth.CodeSMSLimit, auth.CodeInsufficientAAL, auth.CodeSSOManaged, auth.CodePhoneUnsupported,
			},
			run: answer(http.StatusOK, "The caller, changed.", (*surface).changeMe),
		}, {
			method: "GET", path: "/api/users/me/identities", id: "listIdentities", tag: tagUsers, summary: "List the ways into the account",
			run: answer(http.StatusOK, "The identities.", (*surface).identities),
		},
	}
}

func tenantRoutes() []operation {
	return []operation{
		{
			method: "POST", path: "/api/tenants", id: "createTenant", tag: tagTenants, summary: "Make a tenant",
			text:  "The caller becomes its owner. Needs the permission tenant:create.",
			codes: []auth.Code{auth.CodeForbidden, auth.CodeUserInactive, auth.CodeSlugExists, auth.CodeFeatureDisabled},
			run:   answer(http.StatusCreated, "The tenant.", (*surface).createTenant),
		}, {
			method: "GET", path: "/api/tenants", id: "listTenants", tag: tagTenants, summary: "List the own tenants",
			codes: []auth.Code{auth.CodeUserInactive},
			run:   answer(http.StatusOK, "The tenants.", (*surface).myTenants),
		}, {
			method: "GET", path: "/api/tenants/{tenant}", id: "getTenant", tag: tagTenants, summary: "Read a tenant",
			codes: rightsInTenant(),
			run:   answer(http.StatusOK, "The tenant.", (*surface).getTenant),
		}, {
			method: "PATCH", path: "/api/tenants/{tenant}", id: "updateTenant", tag: tagTenants, summary: "Change a tenant",
			codes: append(rightsInTenant(), auth.CodeSlugExists),
			run:   answer(http.StatusOK, "The tenant, changed.", (*surface).changeTenant),
		}, {
			method: "POST", path: "/api/tenants/{tenant}/switch", id: "switchTenant", tag: tagTenants, hooked: true,
			summary: "Make a tenant the active one",
			text: "Gives new tokens of the same session, without a password. Tokens made before keep the tenant that they have. " +
				"The nil UUID leaves every tenant.",
			codes: []auth.Code{auth.CodeUserInactive, auth.CodeTenantDenied, auth.CodeTenantNotFound},
			run:   answer(http.StatusOK, "Tokens for the tenant.", (*surface).switchTenant),
		}, {
			method: "POST", path: "/api/tenants/{tenant}/accept", id: "acceptInvitation", tag: tagTenants, summary: "Accept an invitation",
			codes: []auth.Code{auth.CodeUserInactive, auth.CodeTenantDenied, auth.CodeTenantNotFound, auth.CodeMemberNotFound, auth.CodeMemberExists},
			run:   answer(http.StatusOK, "The membership.", (*surface).acceptInvitation),
		}, {
			method: "GET", path: "/api/tenants/{tenant}/explain", id: "explainPermission", tag: tagTenants,
			summary: "May somebody do this here, and why?",
			text:    "About oneself for everybody, about others for those with member:read.",
			codes:   append(rightsInTenant(), auth.CodeMemberNotFound, auth.CodeUserNotFound),
			run:     answer(http.StatusOK, "Yes or no, with reasons.", (*surface).explain),
		},
	}
}

// rightsInTenant are the refusals of somebody who may not, or not there.
func rightsInTenant() []auth.Code {
	return []auth.Code{auth.CodeForbidden, auth.CodeUserInactive, auth.CodeTenantDenied, auth.CodeTenantNotFound}
}

func memberRoutes() []operation {
	return []operation{
		{
			method: "GET", path: "/api/tenants/{tenant}/members", id: "listMembers", tag: tagMembers, summary: "List the members",
			codes: rightsInTenant(),
			run:   answer(http.StatusOK, "One page.", (*surface).members),
		}, {
			method: "POST", path: "/api/tenants/{tenant}/members", id: "inviteMember", tag: tagMembers, summary: "Invite somebody",
			text: "The person has to accept.",
			codes: append(rightsInTenant(), auth.CodeMemberExists, auth.CodeRoleNotAllowed, auth.CodeUserNotFound, auth.CodeNoMailer,
				auth.CodeMailTooSoon, auth.CodeMailLimit),
			run: answer(http.StatusCreated, "The invitation.", (*surface).invite),
		}, {
			method: "PATCH", path: "/api/tenants/{tenant}/members/{user}", id: "updateMember", tag: tagMembers, summary: "Change a membership",
			codes: append(rightsInTenant(), auth.CodeMemberNotFound, auth.CodeRoleNotAllowed, auth.CodeLastOwner, auth.CodeConflict),
			run:   answer(http.StatusOK, "The membership, changed.", (*surface).changeMember),
		}, {
			method: "DELETE", path: "/api/tenants/{tenant}/members/{user}", id: "removeMember", tag: tagMembers, summary: "Take somebody out, or leave",
			codes: append(rightsInTenant(), auth.CodeMemberNotFound, auth.CodeLastOwner),
			run:   answer(http.StatusNoContent, "No member any more.", (*surface).removeMember),
		},
	}
}

func relationRoutes() []operation {
	return []operation{
		{
			method: "GET", path: "/api/tenants/{tenant}/relations", id: "listRelations", tag: tagRelation, summary: "List relations that hold",
			codes: rightsInTenant(),
			run:   answer(http.StatusOK, "The relations.", (*surface).relations),
		}, {
			method: "POST", path: "/api/tenants/{tenant}/relations", id: "relate", tag: tagRelation, summary: "Make a relation",
			codes: append(rightsInTenant(), auth.CodeUserNotFound, auth.CodeMemberNotFound, auth.CodeRelationExists),
			run:   answer(http.StatusCreated, "The relation.", (*surface).relate),
		}, {
			method: "DELETE", path: "/api/tenants/{tenant}/relations/{relation}", id: "unrelate", tag: tagRelation, summary: "End a relation",
			codes: append(rightsInTenant(), auth.CodeRelationNotFound),
			run:   answer(http.StatusNoContent, "Ended.", (*surface).unrelate),
		},
	}
}
